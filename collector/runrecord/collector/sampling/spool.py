# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The runs that are not decided yet, on disk: spans wait here until their run is worth keeping, or has ended.

A run is kept as soon as one of its traces is in the share or one of its spans is worth it; from then on nothing of it waits. So
only runs that nothing speaks for yet lie here, and memory holds none of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runrecord.collector.sampling.reasons import Over, Reason, Seen, in_share

_UNDECIDED, _KEPT, _DROPPED = 0, 1, 2
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY, decision INTEGER NOT NULL, last REAL NOT NULL, over INTEGER NOT NULL, named INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS name (name BLOB PRIMARY KEY, run INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS name_run ON name (run);
CREATE TABLE IF NOT EXISTS waiting (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, spans INTEGER NOT NULL, body BLOB NOT NULL, route TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS waiting_run ON waiting (run);
CREATE INDEX IF NOT EXISTS run_last ON run (decision, last);
"""
_PATIENCE: Final = """
CASE WHEN named AND over = 3 OR NOT named AND over = 2 THEN :over
    WHEN named AND over & 1 THEN :inner
    WHEN named THEN :open
    ELSE :unnamed END
"""
"""How long a run may be silent, by what ended of it (`Over`)."""
_RUN, _TRACE = b"r", b"t"
_SILENT: Final = 600.0
"""Seconds without a span after which a trace that is in no run, or whose only known run may be inside of another, is over."""
_REMEMBERED: Final = 3600.0
"""Seconds for which it is known of a run that is over what was decided, for spans that come late."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one request holds of one trace.

    Attributes:
        seen: What its spans say.
        spans: How many there are.
        body: A serialised trace request with them.
        route: Where it goes when it is kept; runs on different ways are different runs.
    """

    seen: tuple[Seen, ...]
    spans: int
    body: bytes
    route: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """Spans that go on.

    Attributes:
        spans: How many.
        body: A serialised trace request with them.
        route: Where they go.
    """

    spans: int
    body: bytes
    route: str = ""


class Spool:
    """One SQLite file. Not thread-safe; calls may come from different threads one after the other.

    Nothing is durable before `commit`: what `add` and `settle` returned must be durable elsewhere by then, so that a crash in
    between lets spans pass a second time and never none.

    Attributes:
        waiting_spans: How many spans wait.
        waiting_bytes: Their size.
        dropped_spans: How many spans were dropped since it was opened.
        early: How many runs were decided before their end, for want of room, since it was opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        percentage: float,
        keep: Collection[Reason],
        decision_wait: float,
        max_wait: float,
        max_bytes: int,
    ) -> None:
        """Open or make the file.

        Args:
            path: Its name; the directory must be there.
            percentage: The share of the traces, of 100, that is kept whatever is in them.
            keep: What makes a run worth keeping.
            decision_wait: Seconds after its end in which late spans of a run may come.
            max_wait: Seconds without a new span after which a run that has not ended is decided.
            max_bytes: Above so many waiting bytes the runs that were silent for longest are decided.
        """
        self._percentage, self._keep = percentage, frozenset(keep)
        self._wait, self._max_wait, self._max_bytes = decision_wait, max_wait, max_bytes
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        self.waiting_bytes = self.waiting_spans = self.dropped_spans = self.early = 0
        self.rollback()

    def add(self, fragments: Iterable[Fragment], now: float) -> list[Kept]:
        """Decide what can be decided of new spans, and let the rest wait.

        Args:
            fragments: In the order in which they came.
            now: Unix time.

        Returns:
            What goes on now: new spans, and those that waited for them.
        """
        self._begin()
        kept: list[Kept] = []
        for fragment in fragments:
            run, decision, joined = self._run_of(fragment, now)
            if (decision != _KEPT and self._speaks_for(fragment)) or (decision == _KEPT and joined):
                kept += self._keep_run(run)
                decision = _KEPT
            if decision == _KEPT:
                kept.append(Kept(fragment.spans, fragment.body, fragment.route))
            elif decision == _DROPPED:
                self.dropped_spans += fragment.spans
            else:
                self._db.execute(
                    "INSERT INTO waiting (run, spans, body, route) VALUES (?, ?, ?, ?)",
                    (run, fragment.spans, fragment.body, fragment.route),
                )
                self.waiting_bytes += len(fragment.body)
                self.waiting_spans += fragment.spans
        return kept

    def settle(self, now: float) -> None:
        """Drop the runs that have ended, or were silent for too long, with nothing that speaks for them.

        Args:
            now: Unix time.
        """
        self._begin()
        waits = {
            "over": self._wait,
            "inner": max(20 * self._wait, _SILENT),
            "open": self._max_wait,
            "unnamed": _SILENT,
        }
        due = self._db.execute(
            f"SELECT id FROM run WHERE decision = 0 AND last <= :over AND last <= {_PATIENCE}",  # noqa: S608 - a constant
            {name: now - wait for name, wait in waits.items()},
        ).fetchall()
        for (run,) in due:
            self._drop_run(run, now)
        while self.waiting_bytes > self._max_bytes:
            row = self._db.execute("SELECT id FROM run WHERE decision = 0 ORDER BY last LIMIT 1").fetchone()
            if row is None:
                break
            self._drop_run(row[0], now)
            self.early += 1
        forgotten = [
            row[0]
            for row in self._db.execute(
                "SELECT id FROM run WHERE decision IN (1, 2) AND last <= :late "
                "AND (last <= :open OR NOT named OR over & 1)",
                {"open": now - self._max_wait, "late": now - max(20 * self._wait, _REMEMBERED)},
            )
        ]
        self._db.executemany("DELETE FROM name WHERE run = ?", ((run,) for run in forgotten))
        self._db.executemany("DELETE FROM run WHERE id = ?", ((run,) for run in forgotten))

    def release(self) -> list[Kept]:
        """Keep everything that waits."""
        self._begin()
        runs = self._db.execute("SELECT id FROM run WHERE decision = 0").fetchall()
        return [kept for (run,) in runs for kept in self._keep_run(run)]

    def commit(self) -> None:
        """Make everything durable."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def rollback(self) -> None:
        """Forget what is not committed."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        [(self.waiting_bytes, self.waiting_spans)] = self._db.execute(
            "SELECT coalesce(sum(length(body)), 0), coalesce(sum(spans), 0) FROM waiting"
        )

    def close(self) -> None:
        """Forget what is not committed, and close the file."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._db.close()

    # -- one run -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def _speaks_for(self, fragment: Fragment) -> bool:
        return any(
            each.reason in self._keep or in_share(each.trace, self._percentage) for each in fragment.seen
        )

    def _run_of(self, fragment: Fragment, now: float) -> tuple[int, int, bool]:
        """Find the run of some spans, or make it; return its id, its decision, and whether it was several until now."""
        way = fragment.route.encode() + b"\0"
        names = {way + _TRACE + each.trace for each in fragment.seen}
        names |= {way + _RUN + each.run.encode() for each in fragment.seen if each.run}
        marks = ",".join("?" * len(names))
        found = self._db.execute(
            f"SELECT DISTINCT id, decision FROM name JOIN run ON id = run WHERE name IN ({marks}) ORDER BY id",  # noqa: S608 - only marks
            [*names],
        ).fetchall()
        over = Over.NOTHING
        for each in fragment.seen:
            over |= each.over
        named = any(each.run for each in fragment.seen)
        if not found:
            cursor = self._db.execute(
                "INSERT INTO run (decision, last, over, named) VALUES (0, ?, ?, ?)", (now, over, named)
            )
            run, decision = int(cursor.lastrowid or 0), _UNDECIDED
        else:
            run, decision = self._joined(found)
            self._db.execute(
                "UPDATE run SET last = ?, over = over | ?, named = max(named, ?) WHERE id = ?",
                (now, over, named, run),
            )
        self._db.executemany(
            "INSERT INTO name VALUES (?, ?) ON CONFLICT DO UPDATE SET run = excluded.run",
            [(name, run) for name in names],
        )
        return run, decision, len(found) > 1

    def _joined(self, found: list[tuple[int, int]]) -> tuple[int, int]:
        """Make one run of several that share a trace or a run id: kept if one of them is, undecided if one of them is."""
        (run, decision), *others = found
        for other, its_decision in others:
            decision = _KEPT if _KEPT in (decision, its_decision) else min(decision, its_decision)
            self._db.execute("UPDATE name SET run = ? WHERE run = ?", (run, other))
            self._db.execute("UPDATE waiting SET run = ? WHERE run = ?", (run, other))
            self._db.execute("DELETE FROM run WHERE id = ?", (other,))
        if others:
            self._db.execute("UPDATE run SET decision = ? WHERE id = ?", (decision, run))
        return run, decision

    def _keep_run(self, run: int) -> list[Kept]:
        kept = self._forget(run)
        self._db.execute("UPDATE run SET decision = 1 WHERE id = ?", (run,))
        return kept

    def _drop_run(self, run: int, now: float) -> None:
        self.dropped_spans += sum(each.spans for each in self._forget(run))
        self._db.execute("UPDATE run SET decision = 2, last = ? WHERE id = ?", (now, run))

    def _forget(self, run: int) -> list[Kept]:
        rows = self._db.execute(
            "SELECT spans, body, route FROM waiting WHERE run = ? ORDER BY id", (run,)
        ).fetchall()
        self._db.execute("DELETE FROM waiting WHERE run = ?", (run,))
        waited = [Kept(*row) for row in rows]
        self.waiting_bytes -= sum(len(each.body) for each in waited)
        self.waiting_spans -= sum(each.spans for each in waited)
        return waited
