# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which runs there are, what they can be found by, and which leaves are theirs: an SQLite index that can always be rebuilt.

It finds; it proves nothing. A reader works everything that it shows out of leaves that it checked, a line of the list of runs as
well (:mod:`runrecord.ledger.run_facts`); an index that says something else of a run that is shown, or has a row too few, is not used.

A run's number is the index of its first entry: numbers ascend with the log, so "the newest" needs no sorting, and a page that ends
at a number ends there however much comes later. ``entries`` has a row for each leaf, under number -1 for those of no run.

It is not synced while it is written, so a power loss may leave anything of it. While it is in use it says, durably, since which start
of the system; a writer who finds that of another start makes it anew.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from runrecord.ledger.errors import LedgerError
from runrecord.ledger.run_facts import Row, RunFacts, clean
from runrecord.ledger.run_forgetting import forget
from runrecord.ledger.run_search import Order, Place, RunQuery
from runrecord.ledger.run_tables import (
    COLUMNS,
    ERASED,
    INSERT,
    NO_RUN,
    OF_RUN,
    TABLES,
    UPDATE,
    conditions,
    count,
    facts_in,
    matches_pattern,
    values_of,
)

_VERSION: Final = "2"
_NAMES_KEPT: Final = 20_000
_AT_REST: Final = "no"  # in use: no; all of it is durable
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class RunIndexError(LedgerError):
    """The index could not be read or written. Nothing is lost: it is rebuilt from the leaves."""


def differs(run: str) -> RunIndexError:
    """Return the error that an index says something else about a run than its entries."""
    return RunIndexError(
        f"the run index says something else about run {run} than the entries",
        "remove .state/index.sqlite while nothing writes to the ledger: it is made anew from the entries",
    )


class RunIndex:
    """The index of one ledger. Thread-safe.

    Args:
        connection: An open database; None keeps the index in memory.
        origin: The log that it indexes; an index of another log is emptied.
    """

    def __init__(self, connection: sqlite3.Connection | None, origin: str, *, writable: bool = True) -> None:
        self._connection = connection or _connect(":memory:")
        self._lock = threading.Lock()
        self._origin = origin
        self._names: dict[tuple[str, str], int] = {}
        self._boot = _boot() if connection and writable else None
        self._marked = False
        self.writable = writable
        """Whether it can be added to."""
        if writable:
            self._prepare()
        self.size = 0
        """How many leaves it covers."""
        self.refresh()

    def _prepare(self) -> None:
        """Make the tables, anew if they are of another log or version, or were in use when the system ended."""
        known = self._meta()
        mine = (known.get("version"), known.get("origin")) == (_VERSION, self._origin)
        if mine and known.get("used") in (_AT_REST, self._boot):
            return
        tables = self._connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        self._connection.executescript("".join(f'DROP TABLE "{table}";' for (table,) in tables) + TABLES)
        with self._transaction():
            self._set(version=_VERSION, origin=self._origin, size="0", used=_AT_REST)

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
                except (sqlite3.DatabaseError, ValueError, KeyError):
                    connection.close()
                    raise
            except (sqlite3.DatabaseError, ValueError, KeyError) as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise RunIndexError(
                        f"can't use the run index {path}", "check the path and its file system"
                    ) from error
                path.unlink(missing_ok=True)
        raise RunIndexError(
            f"can't make the run index {path}", "move the file away; it is rebuilt from the leaves"
        )

    @classmethod
    def beside(cls, path: Path, origin: str) -> RunIndex:
        """Return the index of a reader: the writer's file, which is not written, or memory if it is of no use.

        A file that can't be read, is of another log, or does not have a row for each leaf, is of no use.
        """
        if path.exists():
            with contextlib.suppress(sqlite3.Error, ValueError, KeyError, RunIndexError):
                connection = _connect(f"{path.absolute().as_uri()}?mode=ro", read_only=True)
                try:
                    count(connection)
                    return cls(connection, origin, writable=False)
                except BaseException:
                    connection.close()
                    raise
        return cls(None, origin)

    def in_memory(self) -> RunIndex:
        """Return a copy that can be added to; for a reader who is ahead of the writer's file."""
        with self._using():
            copy = _connect(":memory:")
            self._connection.backup(copy)
        self.close()
        return RunIndex(copy, self._origin)

    def refresh(self) -> int:
        """Return how many leaves the index covers, also if another process adds to its file."""
        with self._using():
            known = self._meta()
            if (known.get("version"), known.get("origin")) != (_VERSION, self._origin):
                raise RunIndexError("the run index is of another log or version", "it is made anew")
            self.size = int(known["size"])
            return self.size

    def add(self, rows: Sequence[Row]) -> None:
        """Add the rows of consecutive leaves; those that it has already, from another process, are left out."""
        with self._writing():
            meta = self._meta()
            stored = int(meta["size"])
            self._marked = meta["used"] == self._boot  # another process may have closed it
            if stored != self.size:
                self._names.clear()
                self.size = stored
            if not rows or rows[0].idx > stored:
                return
            rows = rows[stored - rows[0].idx :]
            by_run: dict[str, list[Row]] = {}
            for row in rows:
                by_run.setdefault(row.run, []).append(row)
            places: list[tuple[int, int]] = [(NO_RUN, row.idx) for row in by_run.pop("", ())]
            facets: list[tuple[int, int]] = []
            new: list[tuple[Any, ...]] = []
            changed: list[tuple[Any, ...]] = []
            for run, own in by_run.items():
                known = self._connection.execute(OF_RUN, (run,)).fetchone()
                facts = RunFacts(run, own[0].idx) if known is None else facts_in(known)
                for row in own:
                    facts.add(row)
                    places.append((facts.number, row.idx))
                facets += ((self._name(*each), facts.number) for each in facts.facets)
                if known is None:
                    new.append((facts.number, *values_of(facts), run))
                else:
                    changed.append((*values_of(facts), facts.number))
            execute = self._connection.executemany
            execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", places)
            execute(INSERT, new)
            execute(UPDATE, changed)
            execute("INSERT OR IGNORE INTO facets VALUES (?, ?)", facets)
            self._set(size=str(stored + len(rows)))
        self.size = stored + len(rows)

    def forget(self, bundles: Iterable[int], leaf: Callable[[int], bytes]) -> None:
        """Forget the entries of some bundles that are gone, and the runs that have no others; see :func:`run_forgetting.forget`."""
        with self._writing():
            anew = forget(self._connection, bundles, leaf)
            facets = [(self._name(*each), facts.number) for facts in anew for each in facts.facets]
            self._connection.executemany("INSERT OR IGNORE INTO facets VALUES (?, ?)", facets)
            self._connection.execute("DELETE FROM names WHERE id NOT IN (SELECT name FROM facets)")
            self._names.clear()

    def clear(self) -> None:
        """Forget everything; for the index of a writer."""
        with self._writing():
            for table in ("runs", "entries", "names", "facets"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants
            self._names.clear()
            self._set(size="0")
            self.size = 0

    def search(self, query: RunQuery, size: int, after: Place | None, limit: int) -> list[RunFacts]:
        """Return runs that are like a query, in its order, without their facets.

        Args:
            query: What they are like.
            size: Only runs of which nothing came since the log had so many entries.
            after: Where the page before ended.
            limit: At most so many.
        """
        with self._using():
            wanted, values = conditions(query)
            wanted.append("last < ?")
            values.append(size)
            order = "number DESC"
            if query.order is Order.SPEND:
                wanted.append("spend IS NOT NULL")
                order = "spend DESC, number DESC"
            if after is not None:
                by_spend = query.order is Order.SPEND
                wanted.append("(spend, number) < (?, ?)" if by_spend else "number < ?")
                values += after if by_spend else (after.number,)
            where = " AND ".join(wanted)
            asked = f"SELECT {COLUMNS} FROM runs WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608 - constants
            return [facts_in(row) for row in self._connection.execute(asked, (*values, limit))]

    def changed(self, size: int) -> list[tuple[int, str]]:
        """Return number and id of the runs that have entries before and after the log had ``size``."""
        if size >= self.refresh():
            return []
        asked = "SELECT number, run FROM runs WHERE last >= ? AND number < ?"
        with self._using():
            return self._connection.execute(asked, (size, size)).fetchall()

    def indices(self, run: str, size: int) -> list[int]:
        """Return the log indices of a run below ``size``, ascending.

        Raises:
            RunIndexError: There are not as many as it has counted.
        """
        with self._using():
            known = self._connection.execute(
                "SELECT number, entries FROM runs WHERE run = ?", (clean(run),)
            ).fetchone()
            if known is None:
                return []
            asked = "SELECT idx FROM entries WHERE number = ? ORDER BY idx"
            found = [index for (index,) in self._connection.execute(asked, known[:1])]
        if len(set(found)) != known[1]:
            raise differs(run)
        return found if found[-1] < size else [index for index in found if index < size]

    def outside(self, size: int) -> list[int]:
        """Return the log indices below ``size`` of leaves that belong to no run, ascending.

        Raises:
            RunIndexError: It does not have a row for each leaf.
        """
        asked = "SELECT idx FROM entries WHERE number = ? AND idx < ? ORDER BY idx"
        with self._using():
            (rows,) = self._connection.execute(
                "SELECT COUNT(*) FROM entries WHERE idx BETWEEN 0 AND ?", (size - 1,)
            ).fetchone()
            if rows != size:
                raise RunIndexError("the run index lacks entries", "it is made anew from the entries")
            return [index for (index,) in self._connection.execute(asked, (NO_RUN, size))]

    def erased(self, since: int = 0) -> list[str]:
        """Return the runs of which something was erased, as far as they have an entry from an index on."""
        with self._using():
            asked = "SELECT run FROM runs WHERE marks & ? AND last >= ?"
            return [run for (run,) in self._connection.execute(asked, (ERASED, since))]

    def matching(self, prefix: str, size: int) -> list[str]:
        """Return the run ids that start with a prefix, at most 20."""
        asked = "SELECT run FROM runs WHERE run >= ? AND number < ? ORDER BY run LIMIT 20"
        with self._using():
            found = self._connection.execute(asked, (clean(prefix), size))
            return [run for (run,) in found if run.startswith(clean(prefix))]

    def names(self, size: int) -> list[str]:
        """Return all run ids, the newest first, at most 10,000."""
        asked = "SELECT run FROM runs WHERE number < ? ORDER BY number DESC LIMIT 10000"
        with self._using():
            return [run for (run,) in self._connection.execute(asked, (size,))]

    def texts(self, kind: str) -> list[str]:
        """Return what runs can be found by: all outcomes, tenants, or texts of a kind of facets."""
        asked = "SELECT text FROM names WHERE kind = ? ORDER BY text"
        if kind in ("outcome", "tenant"):
            asked = f"SELECT DISTINCT {kind} FROM runs WHERE ? = ? ORDER BY {kind}"  # noqa: S608 - one of two
        with self._using():
            return [text for (text,) in self._connection.execute(asked, (kind,) * asked.count("?"))]

    def runs_by(self, kind: str, prefix: str) -> list[tuple[str, str]]:
        """Return runs, the newest first, each with a text of a kind of facets that begins with a prefix."""
        asked = (
            "SELECT run, text FROM names JOIN facets ON name = id JOIN runs USING (number) "
            "WHERE kind = ? AND substr(text, 1, ?) = ? ORDER BY number DESC"
        )
        with self._using():
            return self._connection.execute(asked, (kind, len(prefix), prefix)).fetchall()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._marked:
                with contextlib.suppress(sqlite3.Error):
                    self._mark(_AT_REST)
            self._connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Generator[None]:
        with self._using():
            if self._boot is not None and not self._marked:
                self._mark(self._boot)
            with self._transaction():
                yield

    def _mark(self, used: str) -> None:
        """Say durably whether it is in use, and make durable what was written before."""
        self._connection.execute("PRAGMA synchronous = FULL")
        try:
            with self._transaction():
                self._set(used=used)
        finally:
            self._connection.execute("PRAGMA synchronous = OFF")

    def _name(self, kind: str, text: str) -> int:
        key = (kind, text)
        known = self._names.get(key)
        if known is None:
            self._connection.execute("INSERT OR IGNORE INTO names (kind, text) VALUES (?, ?)", key)
            (known,) = self._connection.execute(
                "SELECT id FROM names WHERE kind = ? AND text = ?", key
            ).fetchone()
            if len(self._names) >= _NAMES_KEPT:
                self._names.clear()
            self._names[key] = known
        return known

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

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._names.clear()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _meta(self) -> dict[str, str]:
        there = self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        return dict(self._connection.execute("SELECT name, value FROM meta")) if there else {}

    def _set(self, **values: str) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def _boot() -> str:
    """Return what is of this start of the system only; where nothing is known to be, of this process."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"{os.getpid()} {time.time_ns()}"


def _connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=5, uri=True, isolation_level=None)
    try:
        connection.create_function("REGEXP", 2, matches_pattern, deterministic=True)
        if not read_only:
            # Rebuildable, so never waited for; and without a WAL, so that readers need no right to write.
            connection.execute("PRAGMA journal_mode = PERSIST")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_size_limit = 1000000")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
