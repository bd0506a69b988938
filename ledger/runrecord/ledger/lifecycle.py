# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a ledger states about its runs: a record that came after the end of its run, and a run that nobody closed.

Statements are entries without a span, keyed by their content, and follow from the log alone: made again after a crash, they are the
entries that are there already. Only when a run is given up depends on time, and that is no clock's: it is time in which the writer was
up and had read everything that was there to read. What stood still, was restarted, or was behind gives up nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runrecord.ledger.completeness import ANNOUNCEMENTS, CLOSES, HANDED_OVER, counts_records
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.records import Record
from runrecord.semconv import attributes as names

_MAX_STATES: Final = 10_000
"""Runs whose closes are kept in memory; those of others are read from the log when a record comes."""
_LONGEST_TICK: Final = 5.0
"""Seconds that count at most between two looks at the clock: who did not look was not there."""
_SAVE_SECONDS: Final = 5.0
_STATED: Final = frozenset(
    {
        Kind.LATE,
        Kind.RUN_ABANDONED,
        Kind.RESOURCE,
        Kind.GAP,
        Kind.CONFLICT,
        Kind.ERASURE,
        Kind.LEGAL_HOLD,
    }
)
_NEVER_LATE: Final = ANNOUNCEMENTS | _STATED
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS open_runs (
    run TEXT PRIMARY KEY, last REAL NOT NULL, last_index INTEGER NOT NULL, seen INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS up (id INTEGER PRIMARY KEY CHECK (id = 0), seconds REAL NOT NULL, size INTEGER NOT NULL);
"""


@dataclass
class _Run:
    """What the records of a run said so far.

    Attributes:
        ends: Indices of what ended it: its close, or that it was given up.
        closes: Source, first number, number behind the last, and index of each close of a segment.
        highest: The highest number of each source.
        opened: Spans of segments that began.
        closed: Spans of segments that ended.
        newest: Segment and index of the newest close, and whether the run waits since; a segment that was only handed over goes on.
        last_index: Index of the last record.
        seen: How many records there are.
    """

    ends: list[int] = field(default_factory=list[int])
    closes: list[tuple[str, int, int, int]] = field(default_factory=list[tuple[str, int, int, int]])
    highest: dict[str, int] = field(default_factory=dict[str, int])
    opened: set[str] = field(default_factory=set[str])
    closed: set[str] = field(default_factory=set[str])
    newest: tuple[int, int, bool] = (-1, -1, False)
    last_index: int = -1
    seen: int = 0

    def add(self, record: Record) -> None:
        """Take a record in; one that is known already changes nothing."""
        entry = record.entry
        if entry.kind in (Kind.RUN_CLOSE, Kind.RUN_ABANDONED) and record.index not in self.ends:
            self.ends.append(record.index)
        if entry.kind in _STATED:
            return
        if record.index > self.last_index:
            self.last_index = record.index
            self.seen += 1
        if entry.kind == Kind.RUN_OPEN:
            self.opened.add(entry.span_id)
        elif entry.seq is not None and entry.kind not in ANNOUNCEMENTS:
            self.highest[entry.source] = max(entry.seq, self.highest.get(entry.source, -1))
        count = entry.integer(names.RUN_RECORDS)
        if counts_records(record):
            self.closed.add(entry.span_id)
            if entry.kind in CLOSES:
                waits = entry.text(names.RUN_STOP_REASON) != HANDED_OVER
                close_of = (entry.integer(names.RUN_SEGMENT) or 0, record.index, waits)
                self.newest = max(self.newest, close_of)
            if entry.seq is not None and count is not None:
                close = (entry.source, entry.seq, entry.seq + count, record.index)
                if close not in self.closes:
                    self.closes.append(close)

    @property
    def is_open(self) -> bool:
        """Whether something of it has begun and not ended; a run that waits for an answer is not open."""
        if self.ends or not self.seen:
            return False
        if not self.newest[2] or self.opened - self.closed:
            return True
        ends: dict[str, int] = {}
        for source, _, end, _ in self.closes:
            ends[source] = max(end, ends.get(source, 0))
        return any(number >= ends.get(source, 0) for source, number in self.highest.items())

    def came_after(self, record: Record) -> int | None:
        """Return the index of the end that a record came after: of its segment or of the run; None if it did not."""
        entry = record.entry
        if (
            not (self.closes or self.ends)
            or entry.seq is None
            or not entry.source
            or entry.kind in _NEVER_LATE
        ):
            return None
        ends = [
            index
            for source, first, end, index in self.closes
            if source == entry.source and first <= entry.seq < end
        ]
        earlier = [index for index in (*ends, *self.ends) if index < record.index]
        return min(earlier, default=None)


@dataclass
class _Open:
    last: float
    last_index: int
    seen: int


class Lifecycle:
    """The runs of one ledger, for its one writer. Thread-safe.

    Args:
        path: Where it keeps which runs are open; None keeps it in memory. A lost or damaged file is made anew from the ledger.
        records_of: Returns what the ledger holds of a run, without the entries with some indices.
        runs_since: Returns the ids of the runs that may be open among those with an entry from an index on.
        abandon_after: Seconds without a record until an open run is given up; None never does.
        clock: Seconds that only grow; where they begin does not matter.
    """

    def __init__(
        self,
        path: Path | None,
        records_of: Callable[[str, Container[int]], Sequence[Record]],
        runs_since: Callable[[int], Iterable[str]],
        *,
        abandon_after: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records_of = records_of
        self._abandon_after = abandon_after
        self._clock = clock
        self._lock = threading.RLock()
        self._states: OrderedDict[str, _Run] = OrderedDict()
        self._open: dict[str, _Open] = {}
        self._changed: set[str] = set()
        self._up = 0.0
        self._size = 0
        self._database = _connect(path)
        self._load()
        self._saved = self._up
        self._ticked = clock()
        for run in runs_since(self._size):
            state = self._state(run)
            self._size = max(self._size, state.last_index + 1)
            self._follow(run, state)

    def observe(self, records: Sequence[Record]) -> list[Entry]:
        """Take in what was appended, also what was there already, and return the statements that follow from it."""
        statements: list[Entry] = []
        with self._lock:
            by_run: dict[str, list[Record]] = {}
            for record in records:
                if record.entry.run:
                    by_run.setdefault(record.entry.run, []).append(record)
            for run, own in by_run.items():
                own.sort(key=lambda r: r.index)
                state = self._state(run, {record.index for record in own})
                for record in own:
                    state.add(record)
                    self._size = max(self._size, record.index + 1)
                statements += (
                    _late(record, after) for record in own if (after := state.came_after(record)) is not None
                )
                self._follow(run, state)
            self._save()
        return statements

    def tick(self, *, caught_up: bool) -> None:
        """Let time pass; call it about once a second.

        Args:
            caught_up: Whether everything that there is to read was read.
        """
        with self._lock:
            now = self._clock()
            if caught_up:
                self._up += min(max(now - self._ticked, 0.0), _LONGEST_TICK)
            self._ticked = now
            self._save()

    def abandoned(self) -> list[Entry]:
        """Return the statements about runs of which nothing came for too long; `observe` what becomes of them."""
        if self._abandon_after is None:
            return []
        with self._lock:
            limit = self._up - self._abandon_after
            quiet = [run for run, each in self._open.items() if each.last <= limit]
            for run in (
                quiet
            ):  # the file may be an old one, or another writer may have more: what the log says counts
                self._states.pop(run, None)
                self._follow(run, self._state(run))
            return [
                _abandoned(run, each, self._abandon_after)
                for run in quiet
                if (each := self._open.get(run)) is not None and each.last <= limit
            ]

    def close(self) -> None:
        """Write what is not written, and close the file."""
        with self._lock:
            self._save(now=True)
            self._database.close()

    def _state(self, run: str, without: Container[int] = ()) -> _Run:
        state = self._states.get(run)
        if state is None:
            state = self._states[run] = _Run()
            for record in self._records_of(run, without):
                state.add(record)
            if len(self._states) > _MAX_STATES:
                self._states.popitem(last=False)
        self._states.move_to_end(run)
        return state

    def _follow(self, run: str, state: _Run) -> None:
        known = self._open.get(run)
        if not state.is_open:
            if known is not None:
                del self._open[run]
                self._changed.add(run)
        elif known is None or known.last_index < state.last_index:
            self._open[run] = _Open(self._up, state.last_index, state.seen)
            self._changed.add(run)

    def _load(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            for seconds, size in self._database.execute("SELECT seconds, size FROM up"):
                self._up, self._size = float(seconds), int(size)
            for run, last, last_index, seen in self._database.execute("SELECT * FROM open_runs"):
                # What came after the last save, before a crash, is not known: nothing is given up early.
                self._open[run] = _Open(min(self._up, last + _SAVE_SECONDS), last_index, seen)

    def _save(self, *, now: bool = False) -> None:
        """Write what changed, now and then: the log has what came since."""
        if not now and self._up - self._saved < _SAVE_SECONDS:
            return
        rows = [
            (run, each.last, each.last_index, each.seen)
            for run in self._changed
            if (each := self._open.get(run)) is not None
        ]
        gone = [(run,) for run in self._changed if run not in self._open]
        with contextlib.suppress(sqlite3.Error), self._database:
            self._database.executemany("INSERT OR REPLACE INTO open_runs VALUES (?, ?, ?, ?)", rows)
            self._database.executemany("DELETE FROM open_runs WHERE run = ?", gone)
            self._database.execute("INSERT OR REPLACE INTO up VALUES (0, ?, ?)", (self._up, self._size))
            self._changed.clear()
            self._saved = self._up


def _late(record: Record, after: int) -> Entry:
    entry = record.entry
    detail = {"of": str(record.index), "after": str(after)}
    return Entry(kind=Kind.LATE, run=entry.run, tenant=entry.tenant, source=entry.source, detail=detail)


def _abandoned(run: str, known: _Open, after: float) -> Entry:
    detail = {"last": str(known.last_index), "seen": str(known.seen), "quiet_seconds": f"{after:g}"}
    return Entry(kind=Kind.RUN_ABANDONED, run=run, detail=detail)


def _connect(path: Path | None) -> sqlite3.Connection:
    """Open the file; a damaged one is made anew, and where none can be made memory takes its place."""
    if path is not None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for _ in range(2):
            try:
                connection = sqlite3.connect(path, check_same_thread=False, timeout=5)
                connection.execute("PRAGMA synchronous = OFF")  # it can be made anew
                connection.executescript(_TABLES)
            except sqlite3.OperationalError:
                break
            except sqlite3.DatabaseError:
                path.unlink(missing_ok=True)
            else:
                return connection
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(_TABLES)
    return connection
