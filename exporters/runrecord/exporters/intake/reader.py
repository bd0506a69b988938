# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One consumer's way through the log: read ahead, finish in any order, commit behind."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from runrecord.exporters.errors import IntakeCorrupt
from runrecord.exporters.intake.frame import (
    FRAME_OVERHEAD,
    IntakeRecord,
    decode_head,
    decode_payload,
    payload_is_whole,
)
from runrecord.exporters.intake.progress import Progress
from runrecord.exporters.intake.segment import HEADER_SIZE, Segment, heads

if TYPE_CHECKING:
    from pathlib import Path

_READ_AHEAD = 1 << 20

_log = logging.getLogger(__name__)


class ReadableLog(Protocol):
    """What a consumer needs of a log in files, whoever writes it."""

    @property
    def directory(self) -> Path:
        """Where the segments are."""
        ...

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The files with durable records, in the order of the log; an entry grows with its file."""
        ...

    @property
    def next_sequence(self) -> int:
        """The sequence number after the last durable record."""
        ...

    def committed(self, name: str) -> int:
        """Return the first sequence number that a consumer has not committed."""
        ...

    def commit(self, name: str, sequence: int) -> None:
        """Make durable that a consumer is done with everything before `sequence`."""
        ...

    async def wait_beyond(self, sequence: int) -> None:
        """Return when there is a durable record with this number or a later one, or the log has stopped."""
        ...


class Consumer:
    """Reads durable records in order. One thread or task at a time.

    Attributes:
        name: The name under which its cursor is kept.
    """

    def __init__(self, log: ReadableLog, name: str) -> None:
        """Start behind what was committed; use `IntakeLog.consumer`."""
        self.name = name
        self._intake = log
        self._sequence = log.committed(name)
        self._progress = Progress(self._sequence)
        self._segment: Segment | None = None
        self._file = -1
        self._offset = HEADER_SIZE
        self._buffer = b""
        self._buffer_at = 0

    @property
    def position(self) -> int:
        """The sequence number of the record that `read` returns next."""
        return self._sequence

    @property
    def committed(self) -> int:
        """The first sequence number that is not committed."""
        return self._intake.committed(self.name)

    @property
    def unread(self) -> bool:
        """Whether there is something to read now."""
        return self._intake.next_sequence > self._sequence

    @property
    def backlog_records(self) -> int:
        """How many durable records are not committed yet."""
        return max(0, self._intake.next_sequence - self.committed)

    @property
    def backlog_bytes(self) -> int:
        """How many durable bytes were not read yet (approximate before the first read)."""
        unread = 0
        for segment in self._intake.segments:
            if segment.end > self._sequence:
                unread += segment.size
        if unread and self._segment is not None:
            unread -= self._offset
        return max(0, unread)

    async def wait(self) -> None:
        """Return when there is something to read, or the log has stopped."""
        await self._intake.wait_beyond(self._sequence)

    def read(
        self,
        *,
        max_records: int = 256,
        max_bytes: int = 8 << 20,
        wanted: Callable[[IntakeRecord], bool] | None = None,
    ) -> list[IntakeRecord]:
        """Read the next durable records without waiting.

        Args:
            max_records: At most so many.
            max_bytes: Stop after the record that reaches this many bytes.
            wanted: Records for which it is false are passed over; `position` still moves behind them.

        Returns:
            The records, none if there are no new ones.

        Raises:
            IntakeCorrupt: A record is not what was written. `position` stays in front of it.
        """
        records: list[IntakeRecord] = []
        size = 0
        while len(records) < max_records and size < max_bytes:
            record = self._read_one()
            if record is None:
                break
            size += len(record.body)
            if wanted is None or wanted(record):
                records.append(record)
                self._progress.read(record.sequence)
            else:
                self._progress.passed(record.sequence)
        return records

    def done(self, records: Iterable[IntakeRecord]) -> None:
        """Note that records that were read are done with, in any order; `commit` makes it durable."""
        for record in records:
            self._progress.done(record.sequence)

    def commit(self, sequence: int | None = None) -> None:
        """Make durable that everything before `sequence` is done with.

        Args:
            sequence: A sequence number; by default that of the first record that was read and is not done.

        Raises:
            IntakeStopped: The cursor can't be written.
        """
        self._intake.commit(self.name, self._progress.finished if sequence is None else sequence)

    def rewind(self) -> None:
        """Go back to what is committed, to read the rest once more."""
        self._sequence = self.committed
        self._progress = Progress(self._sequence)
        self.close()

    def close(self) -> None:
        """Close the file that is being read; `read` opens it again."""
        if self._file >= 0:
            os.close(self._file)
        self._file, self._segment, self._buffer = -1, None, b""

    def _read_one(self) -> IntakeRecord | None:
        if self._sequence >= self._intake.next_sequence:
            return None
        segment = self._locate()
        head = decode_head(self._bytes(segment, self._offset, FRAME_OVERHEAD))
        payload = b"" if head is None else self._bytes(segment, self._offset + FRAME_OVERHEAD, head.length)
        if head is None or head.sequence != self._sequence or not payload_is_whole(head, payload):
            raise IntakeCorrupt(
                f"{segment.path} is damaged at byte {self._offset} (record {self._sequence})",
                next_step="stop the gateway, restore the file or move it away to give up the records in it, start again",
            )
        record = decode_payload(self._sequence, payload)
        self._offset += head.size
        self._sequence += 1
        return record

    def _bytes(self, segment: Segment, offset: int, length: int) -> bytes:
        """Read from the durable part of the segment, some way ahead; what is behind it may still be taken back."""
        start = offset - self._buffer_at
        if not 0 <= start <= start + length <= len(self._buffer):
            ahead = min(max(length, _READ_AHEAD), max(0, segment.size - offset))
            self._buffer, self._buffer_at, start = os.pread(self._file, ahead, offset), offset, 0
        return self._buffer[start : start + length]

    def _locate(self) -> Segment:
        """Open the segment that holds the next record, and find the place in it."""
        if self._segment is not None and self._offset < self._segment.size:
            return self._segment
        done = self._segment
        self.close()
        segment, offset = self._find(done)
        if segment.first > self._sequence:
            _log.warning(
                "records %d to %d are missing from the intake log", self._sequence, segment.first - 1
            )
            self._sequence = segment.first
        self._file = os.open(segment.path, os.O_RDONLY)
        self._segment, self._offset = segment, offset
        return segment

    def _find(self, done: Segment | None) -> tuple[Segment, int]:
        """Find the next record; a segment that someone moved away makes the one before it end early."""
        segments = self._intake.segments
        for segment in segments:
            if segment.end <= self._sequence or (segment is done and segment is not segments[-1]):
                continue
            offset = HEADER_SIZE
            if segment.first < self._sequence:
                for offset, head, _ in heads(segment.path, HEADER_SIZE, segment.size):  # noqa: B007
                    if head.sequence >= self._sequence:
                        break
                else:
                    if segment is not segments[-1]:
                        continue
            return segment, offset
        raise IntakeCorrupt(
            f"record {self._sequence} is nowhere in {self._intake.directory}",
            next_step="stop the gateway and look at what was removed from that directory",
        )
