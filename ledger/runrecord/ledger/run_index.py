# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which leaves belong to which run: an SQLite index that can always be rebuilt from the leaves.

It finds entries; it proves nothing. A reader works everything that it shows out of leaves that it checked, a line of the list of
runs as well (:func:`summarise`); an index that says something else, or has a row too few, is not used.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from runrecord.ledger.completeness import CLOSES
from runrecord.ledger.entry import SCHEMA, Entry, Kind
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.values import unwrap
from runrecord.semconv import attributes as names

_VERSION: Final = "1"
_MAX_INTEGER: Final = 2**63 - 1
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    idx INTEGER PRIMARY KEY, run TEXT NOT NULL, tenant TEXT NOT NULL, kind TEXT NOT NULL,
    segment INTEGER, outcome TEXT, agent TEXT, start INTEGER NOT NULL, "end" INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_run ON entries (run);
CREATE TEMP VIEW known AS SELECT * FROM main.entries;
"""
_OVER_BASE: Final = """
DROP VIEW known;
CREATE TEMP VIEW known AS SELECT * FROM base.entries WHERE idx < {size} UNION ALL SELECT * FROM main.entries;
"""
_RUNS: Final = """
SELECT run, MAX(tenant), COUNT(*), MIN(idx), MIN(NULLIF(start, 0)), MAX("end") FROM known
WHERE run <> '' GROUP BY run HAVING MAX("end") >= ? ORDER BY 5 DESC, 4 DESC LIMIT ?
"""
_CLOSES: Final = """
SELECT kind, outcome, agent FROM known WHERE run = ? AND kind IN ('run_close', 'source_close')
ORDER BY segment DESC, idx DESC
"""


class RunIndexError(LedgerError):
    """The index could not be read or written. Nothing is lost: it is rebuilt from the leaves."""


class Row(NamedTuple):
    """What the index holds of one entry; times are nanoseconds since the Unix epoch."""

    idx: int
    run: str
    tenant: str
    kind: str
    segment: int | None
    outcome: str
    agent: str
    start: int
    end: int


@dataclass(frozen=True)
class RunSummary:
    """One line about a run.

    Attributes:
        run: Run id.
        tenant: Tenant id, or empty.
        agent: Name of the agent or workflow, or empty.
        outcome: As the run's close states it; ``waiting`` while it is suspended, ``open`` without any close.
        entries: Number of its entries.
        first_index: Log index of the first one.
        start: First start, nanoseconds since the Unix epoch, 0 if unknown.
        end: Last end, the same.
    """

    run: str
    tenant: str
    agent: str
    outcome: str
    entries: int
    first_index: int
    start: int
    end: int


class RunIndex:
    """The index of one ledger. Thread-safe.

    Args:
        connection: An open database; None keeps the index in memory.
        origin: The log that it indexes; an index of another log is emptied.
    """

    def __init__(self, connection: sqlite3.Connection | None, origin: str) -> None:
        self._connection = connection or _connect(":memory:")
        self._lock = threading.Lock()
        self._connection.executescript(_TABLES)
        known = dict(self._connection.execute("SELECT name, value FROM main.meta"))
        self.size = int(known.get("size", "0"))
        if (known.get("version"), known.get("origin")) != (_VERSION, origin):
            self._clear()
            with self._connection:
                self._set(version=_VERSION, origin=origin, size="0")

    @classmethod
    def open(cls, path: Path, origin: str) -> RunIndex:
        """Open the index file of the writer; a damaged one is made anew.

        Raises:
            RunIndexError: The file can't be made.
        """
        for _ in range(2):
            try:
                connection = _connect(path.absolute().as_uri())
                try:
                    return cls(connection, origin)
                except (sqlite3.DatabaseError, ValueError):
                    connection.close()
                    raise
            except (sqlite3.DatabaseError, ValueError) as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise RunIndexError(
                        f"can't use the run index {path}", "check the path and its file system"
                    ) from error
                path.unlink(missing_ok=True)
        raise RunIndexError(
            f"can't make the run index {path}", "move the file away; it is rebuilt from the leaves"
        )

    @classmethod
    def beside(cls, path: Path, origin: str, size: int) -> RunIndex:
        """Return the index of a reader: what the writer's file knows of the first ``size`` leaves, and memory for the rest.

        A file that can't be read, is of another log, or does not have a row for each leaf, is not used.
        """
        index = cls(None, origin)
        if path.exists():
            try:
                index._attach(path, origin, size)
            except (sqlite3.Error, ValueError):
                index.close()
                return cls(None, origin)
        return index

    def _attach(self, path: Path, origin: str, size: int) -> None:
        self._connection.execute("ATTACH ? AS base", (f"{path.absolute().as_uri()}?mode=ro",))
        known = dict(self._connection.execute("SELECT name, value FROM base.meta"))
        if (known.get("version"), known.get("origin")) == (_VERSION, origin):
            self.size = min(int(known["size"]), size)
            self._connection.executescript(_OVER_BASE.format(size=self.size))
            rows = self._connection.execute("SELECT COUNT(*) FROM known").fetchone()[0]
            if rows != self.size:  # a row is missing, or a leaf is no entry: only the leaves can tell
                raise ValueError

    def add(self, rows: Iterable[Row], size: int) -> None:
        """Add entries, which makes the index cover the first ``size`` leaves."""
        with self._using(), self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO main.entries VALUES (?,?,?,?,?,?,?,?,?)", rows
            )
            self._set(size=str(size))
            self.size = size

    def truncate(self, size: int) -> None:
        """Forget everything from leaf ``size`` on; for the index of a writer."""
        with self._using(), self._connection:
            if self.size > size:
                self._connection.execute("DELETE FROM main.entries WHERE idx >= ?", (size,))
                self._set(size=str(size))
                self.size = size

    def runs(self, *, since: int = 0, limit: int = -1) -> list[RunSummary]:
        """Return the runs that ended at or after a time in nanoseconds, the newest first; a negative limit is none."""
        with self._using():
            rows = self._connection.execute(_RUNS, (min(since, _MAX_INTEGER), limit)).fetchall()
            return [self._summary(row) for row in rows]

    def indices(self, run: str) -> list[int]:
        """Return the log indices of a run, ascending."""
        with self._using():
            found = self._connection.execute("SELECT idx FROM known WHERE run = ? ORDER BY idx", (run,))
            return [index for (index,) in found]

    def erased(self, since: int = 0) -> list[str]:
        """Return the runs of which something was erased, as far as they have an entry from an index on."""
        query = "SELECT DISTINCT run FROM known WHERE kind = ? AND idx >= ?"
        with self._using():
            return [run for (run,) in self._connection.execute(query, (Kind.ERASURE, since))]

    def matching(self, prefix: str) -> list[str]:
        """Return the run ids that start with a prefix, at most 20."""
        pattern = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        query = (
            "SELECT DISTINCT run FROM known WHERE run LIKE ? ESCAPE '\\' AND run <> '' ORDER BY run LIMIT 20"
        )
        with self._using():
            return [run for (run,) in self._connection.execute(query, (pattern,)) if run.startswith(prefix)]

    def names(self) -> list[str]:
        """Return all run ids, the newest first, at most 10,000."""
        query = "SELECT run FROM known WHERE run <> '' GROUP BY run ORDER BY MAX(idx) DESC LIMIT 10000"
        with self._using():
            return [run for (run,) in self._connection.execute(query)]

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _using(self) -> Generator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                name = getattr(error, "sqlite_errorname", type(error).__name__)
                raise RunIndexError(
                    f"the run index can't be used: {name}",
                    "check the room and the rights in .state/; if it is damaged, remove index.sqlite",
                ) from error

    def _summary(self, row: tuple[str, str, int, int, int | None, int]) -> RunSummary:
        run, tenant, entries, first, start, end = row
        closes = self._connection.execute(_CLOSES, (run,)).fetchall()
        final = next((outcome for kind, outcome, _ in closes if kind == Kind.RUN_CLOSE), None)
        outcome = final or ("completed" if final is not None else "waiting" if closes else "open")
        agent = next((agent for _, _, agent in closes if agent), "")
        return RunSummary(run, tenant, agent, outcome, entries, first, start or 0, end)

    def _clear(self) -> None:
        with self._connection:
            self._connection.execute("DELETE FROM main.entries")
            self.size = 0

    def _set(self, **values: str) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO main.meta VALUES (?, ?)", values.items())


def summarise(run: str, rows: Sequence[Row]) -> RunSummary:
    """Return the line about a run from the rows of its entries, in the order of the log; at least one."""
    closes = sorted((row for row in rows if row.kind in CLOSES), key=lambda row: (row.segment or 0, row.idx))
    final = next((row.outcome for row in reversed(closes) if row.kind == Kind.RUN_CLOSE), None)
    return RunSummary(
        run=run,
        tenant=max(row.tenant for row in rows),
        agent=next((row.agent for row in reversed(closes) if row.agent), ""),
        outcome=final or ("completed" if final is not None else "waiting" if closes else "open"),
        entries=len(rows),
        first_index=rows[0].idx,
        start=min((row.start for row in rows if row.start), default=0),
        end=max(row.end for row in rows),
    )


def row_of_entry(index: int, entry: Entry) -> Row:
    """Return the row of an entry that was just appended."""
    close = _close(entry.attributes) if entry.kind in CLOSES else _NO_CLOSE
    return _row(index, (entry.run, entry.tenant, entry.kind), close, (entry.start, entry.end))


def row_of(index: int, leaf: bytes) -> Row | None:
    """Return the row of a leaf, or None for a leaf that is not an entry of this schema; nothing is verified."""
    try:
        entry: Any = json.loads(leaf)
        if entry["schema"] != SCHEMA:
            return None
        kind, attributes = entry["kind"], entry.get("attributes", {})
        close = _close(attributes) if kind in CLOSES else _NO_CLOSE
        texts = (str(entry.get("run", "")), str(entry.get("tenant", "")), str(kind))
        return _row(index, texts, close, (int(entry["start"]), int(entry["end"])))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _close(attributes: Mapping[str, Any]) -> tuple[int, str, str]:
    """Return segment, outcome and agent from the attributes of a run span."""
    segment = unwrap(attributes.get(names.RUN_SEGMENT))
    agent = attributes.get(names.GEN_AI_AGENT_NAME) or attributes.get(names.GEN_AI_WORKFLOW_NAME, "")
    return segment if isinstance(segment, int) else 0, str(attributes.get(names.RUN_OUTCOME, "")), str(agent)


_NO_CLOSE: Final = (None, "", "")


def _row(
    index: int, texts: tuple[str, str, str], close: tuple[int | None, str, str], times: tuple[int, int]
) -> Row:
    """Return a row that SQLite can hold: integers of 63 bits, text without lone surrogates, as in the leaf."""
    run, tenant, kind, outcome, agent = (
        text if text.isascii() else _SURROGATE.sub("\ufffd", text) for text in (*texts, *close[1:])
    )
    segment = None if close[0] is None else max(min(close[0], _MAX_INTEGER), 0)
    start, end = (min(time, _MAX_INTEGER) for time in times)
    return Row(index, run, tenant, kind, segment, outcome, agent, start, end)


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=5, uri=True)
    try:
        # Rebuildable, so never waited for; and without a WAL, so that readers need no right to write.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = OFF")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
