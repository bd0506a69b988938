# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Epochs: ranges of one log, by the calendar (UTC), which say what can be let go of together.

Before the first entry of a new month or week the writer states the end of the epoch before: its size and the root that a published
checkpoint has for it (``epoch_close``), and that a new one begins there (``epoch_open``). Where nothing is appended nothing is
stated. Both come in one append, and a log holds one of each for each name: of several writers, and after a crash, the first counts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Final, Literal

from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerError, LedgerStopped, MalformedError, Pruned
from runrecord.ledger.log import Log
from runrecord.ledger.once import append_once

_log = logging.getLogger(__name__)

Calendar = Literal["month", "week", "none"]
"""What an epoch is."""
_CALENDARS: Final[tuple[Calendar, ...]] = ("month", "week")
_BACK: Final = 600
"""Months, and weeks, to look back for the newest epoch."""
_AGAIN_SECONDS: Final = 60.0
_NANO: Final = 1_000_000_000
_DAYS_OF_A_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Epoch:
    """A range of the log that was closed.

    Attributes:
        name: Such as ``2026-11`` or ``2026-W47``.
        first: Index of its first entry.
        size: Index behind its last entry.
        closed: When it was closed, by the writer's clock, nanoseconds since the Unix epoch.
    """

    name: str
    first: int
    size: int
    closed: int


def begin_of(calendar: Calendar, seconds: float) -> datetime:
    """Return when the month or week began."""
    day = datetime.fromtimestamp(seconds, timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return day.replace(day=1) if calendar == "month" else day - timedelta(days=day.weekday())


def name_of(calendar: Calendar, seconds: float) -> str:
    """Return the name of an epoch, by a time in it."""
    begin = begin_of(calendar, seconds)
    if calendar == "month":
        return f"{begin:%Y-%m}"
    year, week, _ = begin.isocalendar()
    return f"{year:04d}-W{week:02d}"


def end_of(calendar: Calendar, seconds: float) -> float:
    """Return when the month or week ends, by a time in it."""
    begin = begin_of(calendar, seconds)
    if calendar == "week":
        return (begin + timedelta(days=_DAYS_OF_A_WEEK)).timestamp()
    return (begin + timedelta(days=31)).replace(day=1).timestamp()  # no month has more


def _names_back(calendar: Calendar, seconds: float) -> Iterator[str]:
    while seconds > 0:
        yield name_of(calendar, seconds)
        seconds = begin_of(calendar, seconds).timestamp() - 1


def _opening(name: str) -> Entry:
    return Entry(kind=Kind.EPOCH_OPEN, detail={"epoch": name})


def _opened(log: Log, seconds: float) -> tuple[str, int] | None:
    """Return name and first index of the newest epoch that was opened until a time, None if none was."""
    names = [name for calendar in _CALENDARS for name in islice(_names_back(calendar, seconds), _BACK)]
    found = log.indices_of([_opening(name).key() for name in names])
    newest = max(
        ((index, name) for name, index in zip(names, found, strict=True) if index is not None), default=None
    )
    if newest is None:
        return None
    index, name = newest
    return name, int(Entry.parse(log.leaf(index)).detail["first"])


def closed_epochs(log: Log, seconds: float) -> list[Epoch]:
    """Return the epochs that were closed until a time, the newest first, as far back as their entries were not pruned.

    Args:
        log: Open to write.
        seconds: Since the Unix epoch.

    Raises:
        LedgerError: The log can't be read.
    """
    closed: list[Epoch] = []
    opened = _opened(log, seconds)
    name = opened[0] if opened else None
    try:
        while name is not None:
            opening = _read(log, _opening(name))
            name = opening.detail.get("previous") if opening else None
            close = _read(log, Entry(kind=Kind.EPOCH_CLOSE, detail={"epoch": name})) if name else None
            if close is None:
                break
            detail = close.detail
            closed.append(Epoch(detail["epoch"], int(detail["first"]), int(detail["size"]), close.start))
    except Pruned:
        pass
    return closed


def _read(log: Log, sample: Entry) -> Entry | None:
    (index,) = log.indices_of([sample.key()])
    return None if index is None else Entry.parse(log.leaf(index))


class Epochs:
    """Closes epochs of one log; thread-safe.

    Args:
        log: Open to write.
        calendar: What an epoch is.
        now: Seconds since the Unix epoch.
    """

    def __init__(self, log: Log, calendar: Calendar, now: Callable[[], float]) -> None:
        self._log = log
        self._calendar: Calendar = calendar
        self._now = now
        self._next = float("inf") if calendar == "none" else 0.0
        self._begun: float | None = None  # when a log that is being made had no entry yet
        self._lock = threading.Lock()

    def turn(self, *, appending: bool = True) -> None:
        """Close the epoch if the calendar has turned.

        Args:
            appending: Entries are about to be appended; else one that holds nothing but its own beginning is left open.

        Raises:
            LedgerStopped: The log is stopped. Another error is logged, and it is tried again in a minute.
        """
        now = self._now()
        if now < self._next:
            return
        if not self._log.size:
            self._begun = now
            return
        with self._lock:
            if now < self._next:
                return
            try:
                self._next = end_of(self._calendar, now) if self._close(now, appending=appending) else 0.0
            except LedgerStopped:
                raise
            except LedgerError as error:
                self._next = now + _AGAIN_SECONDS
                _log.warning("the epoch of the ledger in %s can't be closed now: %s", self._log.where, error)

    def _close(self, now: float, *, appending: bool) -> bool:
        """Close the epoch if there is another one now; return whether the one that is open is that of now."""
        log, name = self._log, name_of(self._calendar, now)
        opened = _opened(log, now)
        previous, first = opened or (name_of(self._calendar, min(now, self._first_time(now))), 0)
        if previous == name:
            return True
        checkpoint = log.publish()
        if not appending and checkpoint.size <= first + 2:
            return False
        time = int(now * _NANO)
        size = str(checkpoint.size)
        close = {"epoch": previous, "first": str(first), "size": size, "root": checkpoint.root.hex()}
        open_ = {"epoch": name, "first": size, "previous": previous}
        append_once(
            log,
            [
                Entry(kind=Kind.EPOCH_CLOSE, start=time, end=time, detail=close),
                Entry(kind=Kind.EPOCH_OPEN, start=time, end=time, detail=open_),
            ],
        )
        return True

    def _first_time(self, now: float) -> float:
        """Return when the log began, or its first entry claims to have been made: it names the first epoch, which began with the log."""
        if self._begun is not None:
            return self._begun
        try:
            entry = Entry.parse(self._log.leaf(0))
        except (MalformedError, Pruned):
            return now
        return max(entry.start, entry.end) / _NANO or now
