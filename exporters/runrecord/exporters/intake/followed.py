# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A log that another process writes, read here: that one owns the segments, this one the cursors.

The writer deletes what all cursors are behind; it looks at their files. It can die and come back at any moment.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from runrecord.exporters.intake.cursor import Cursors
from runrecord.exporters.intake.durable_end import EndReader
from runrecord.exporters.intake.reader import Consumer
from runrecord.exporters.intake.segment import Segment, list_segments
from runrecord.exporters.intake.wakeup import WakeupReader

_log = logging.getLogger(__name__)


class FollowedLog:
    """The reading side of an `IntakeLog` that was opened with ``consumers=None`` in another process.

    Attributes:
        directory: Of the log.
    """

    def __init__(self, directory: Path, *, consumers: Iterable[str], wakeup: WakeupReader) -> None:
        """Open the cursors. The writer must have opened the log since the machine started.

        Args:
            directory: Of the log.
            consumers: Everyone who reads it.
            wakeup: Tells that the writer has appended.

        Raises:
            IntakeCorrupt: A cursor is damaged.
            IntakeUnusable: A cursor can't be written.
        """
        self.directory = directory
        self._wakeup = wakeup
        self._lock = threading.Lock()
        self._end = EndReader(directory)
        self._active: Segment | None = None
        self._segments: tuple[Segment, ...] = ()
        self._cursors = Cursors(directory, tuple(consumers), self._oldest(), self.next_sequence)

    @property
    def next_sequence(self) -> int:
        """The sequence number after the last durable record."""
        with self._lock:
            return self._refresh()

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The files with durable records, in the order of the log."""
        with self._lock:
            self._refresh()
            return self._segments

    def consumer(self, name: str) -> Consumer:
        """Return a reader that starts behind what this consumer has committed.

        Args:
            name: One of those that read the log.

        Raises:
            KeyError: There is no such consumer.
        """
        if name not in self._cursors:
            raise KeyError(f"no consumer {name!r}: name it when the log is opened")
        return Consumer(self, name)

    def set_consumers(self, names: Iterable[str]) -> None:
        """Change who reads; see `IntakeLog.set_consumers`."""
        self._cursors.change(tuple(names), self._oldest(), self.next_sequence)

    def committed(self, name: str) -> int:
        """Return the first sequence number that a consumer has not committed."""
        return self._cursors[name]

    def commit(self, name: str, sequence: int) -> None:
        """Make durable that a consumer is done with everything before `sequence`.

        Raises:
            IntakeStopped: The cursor can't be written; the consumer would take some records a second time.
        """
        self._cursors.commit(name, sequence)

    async def wait_beyond(self, sequence: int) -> None:
        """Return when there is a durable record with this number or a later one."""
        while self.next_sequence <= sequence:
            await self._wakeup.wait()

    def close(self) -> None:
        """Close the files."""
        self._end.close()

    def _oldest(self) -> int:
        segments = self.segments
        return segments[0].first if segments else self.next_sequence

    def _refresh(self) -> int:
        """Look how far the log is durable, and list the files again if another one is written to now."""
        told = self._end.read()
        if self._active is None or self._active.first != told.active:
            self._list(told.active)
        if self._active is not None and self._active.first == told.active:
            self._active.size = told.size
            self._active.end = told.end
        return told.end

    def _list(self, active: int) -> None:
        known = {segment.first: segment for segment in self._segments}
        paths = [path for path in list_segments(self.directory) if int(path.stem) <= active]
        ends = [*(int(path.stem) for path in paths[1:]), active]
        found: list[Segment] = []
        for path, end in zip(paths, ends, strict=True):
            first = int(path.stem)
            segment = known.get(first) or Segment(path, first, first, 0)
            if first != active:
                try:
                    segment.size, segment.end = path.stat().st_size, end
                except FileNotFoundError:  # every consumer took it, and the writer has deleted it
                    continue
            found.append(segment)
        self._segments = tuple(found)
        self._active = found[-1] if found and found[-1].first == active else None
