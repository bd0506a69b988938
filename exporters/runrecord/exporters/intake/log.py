# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The intake log: what an acknowledgement rests on.

Redacted requests go in, and come back durable: one sync for all that arrived while the sync before was running.
Consumers read at their own pace behind durable cursors; what all of them took is deleted; at a limit new
requests are refused, never dropped. See `docs/gateway.md` for what survives a crash at each stage.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runrecord.exporters.errors import IntakeError, IntakeFull, IntakeStopped, IntakeUnusable
from runrecord.exporters.intake.cursor import Cursors, FollowedCursors
from runrecord.exporters.intake.durable_end import DurableEnd, EndWriter
from runrecord.exporters.intake.frame import FRAME_OVERHEAD, encode_payload
from runrecord.exporters.intake.reader import Consumer
from runrecord.exporters.intake.segment import HEADER_SIZE, Segment
from runrecord.exporters.intake.store import SegmentStore, sync_data
from runrecord.exporters.intake.waiters import Pending, settle, wake
from runrecord.processors.signal import Signal

_log = logging.getLogger(__name__)
_GROUP_BYTES: Final = 32 << 20
_GROUP_RECORDS: Final = 4096
_NOTE_NANO: Final = 1_000_000_000
_NEVER: Final = 1 << 63
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """When a log rolls and when it refuses.

    Attributes:
        max_bytes: Bytes of all segments together.
        max_age_seconds: Age of the oldest record that a consumer has not taken; None for any age.
        segment_bytes: Size at which the next segment begins.
    """

    max_bytes: int = 4 << 30
    max_age_seconds: float | None = None
    segment_bytes: int = 16 << 20


class IntakeLog:
    """An append-only log of redacted export requests with named consumers. Safe to use from any thread.

    Attributes:
        limits: When it rolls and when it refuses.
        no_room_groups: How many groups of requests were refused because the disk was full.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        consumers: Iterable[str] | None = (),
        limits: IntakeLimits | None = None,
        sync: Callable[[int], None] = sync_data,
        wake: Callable[[], None] | None = None,
    ) -> None:
        """Open or make a log, repair its end, and start its writer.

        Args:
            directory: Where the segments are; this log owns it.
            consumers: Everyone who reads it. What all of them took is deleted. A name that was not here before
                starts at the oldest record; one that is no longer here is forgotten, with a warning.
                None if they are in another process, as a `FollowedLog`.
            limits: When to roll and when to refuse.
            sync: What makes a file's data durable; another one is for failure tests.
            wake: Called when records have become durable, by the writer's thread; it must not block.

        Raises:
            IntakeUnusable: The directory can't be used.
            IntakeLocked: Another process has it open.
            IntakeCorrupt: Records that may have been acknowledged, or a cursor, are damaged.
        """
        limits = limits or IntakeLimits()
        segment_bytes = min(limits.segment_bytes, max(limits.max_bytes // 4, 1))
        self.limits = IntakeLimits(limits.max_bytes, limits.max_age_seconds, segment_bytes)
        self._store = SegmentStore(Path(directory), sync=sync)
        self._condition = threading.Condition(threading.RLock())
        self._queue: list[Pending] = []
        self._queued_bytes = 0
        self._closing = False
        self._roll = False
        self._failure: IntakeError | None = None
        self._no_room: IntakeFull | None = None
        self.no_room_groups = 0
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._wake = wake
        self._end: EndWriter | None = None
        self._cursors: Cursors | FollowedCursors
        try:
            if consumers is None:
                self._cursors = FollowedCursors(self._store.directory)
                self._open_end()
            else:
                self._cursors = Cursors(
                    self._store.directory, tuple(consumers), self._store.segments[0].first, self.next_sequence
                )
        except BaseException:
            self._store.close()
            raise
        self._times = [
            (segment.first, segment.received) for segment in self._store.segments if segment.received
        ]
        try:
            self._trim()
            if self._empty_if_taken():
                self._tell_end()
        except BaseException:
            self._store.close()
            raise
        self._writer = threading.Thread(target=self._write_groups, name="runrecord-intake", daemon=True)
        self._writer.start()

    def _open_end(self) -> None:
        try:
            self._end = EndWriter(self.directory)
            self._tell_end()
        except OSError as error:
            raise IntakeUnusable(
                f"the intake log can't use {self.directory} ({error.strerror})",
                next_step="make room, or set service.state_dir to a directory that this user can write",
            ) from error

    def _tell_end(self) -> None:
        """Tell other processes how far the log is durable, and wake who waits for that."""
        if self._end is not None:
            active = self._store.active
            self._end.write(DurableEnd(active.first, active.end, active.size))
        if self._wake is not None:
            self._wake()

    @property
    def directory(self) -> Path:
        """Where the segments are."""
        return self._store.directory

    @property
    def place(self) -> str:
        """Where it stores, for messages."""
        return str(self.directory)

    @property
    def store(self) -> SegmentStore:
        """The files."""
        return self._store

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The files with durable records, in the order of the log; an entry grows with its file."""
        return self._store.segments

    @property
    def next_sequence(self) -> int:
        """The sequence number after the last durable record."""
        return self._store.next_sequence

    @property
    def stored_bytes(self) -> int:
        """Bytes on disk."""
        return self._store.stored_bytes

    @property
    def failure(self) -> IntakeError | None:
        """Why the log accepts nothing more, or None."""
        return self._failure

    @property
    def no_room(self) -> IntakeFull | None:
        """Why the disk took nothing the last time, or None; the next request tries again all the same."""
        return self._no_room

    # -- in ----------------------------------------------------------------------------------------------------

    async def append(
        self,
        signal: Signal,
        body: bytes,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        received_unix_nano: int | None = None,
    ) -> int:
        """Store a redacted request and return when it is durable.

        Args:
            signal: What the body is a request of.
            body: A serialised request, already redacted.
            headers: Transport headers to keep with it.
            received_unix_nano: When it arrived; now by default.

        Returns:
            Its sequence number.

        Raises:
            IntakeFull: A limit is met; nothing was stored, try again later.
            IntakeStopped: The log has failed or was closed.
        """
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._submit(waiter, signal, body, headers, received_unix_nano)
        return await waiter

    def append_sync(
        self,
        signal: Signal,
        body: bytes,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        received_unix_nano: int | None = None,
    ) -> int:
        """Do what `append` does, blocking the thread."""
        waiter: Future[int] = Future()
        self._submit(waiter, signal, body, headers, received_unix_nano)
        return waiter.result()

    def _submit(
        self,
        waiter: Future[int] | asyncio.Future[int],
        signal: Signal,
        body: bytes,
        headers: tuple[tuple[str, str], ...],
        received: int | None,
    ) -> None:
        received = time.time_ns() if received is None else received
        payload = encode_payload(signal, body, received_unix_nano=received, headers=headers)
        size = FRAME_OVERHEAD + sum(map(len, payload))
        with self._condition:
            self._refuse_if_stopped()
            self._refuse_if_full(size)
            self._queue.append(Pending(payload, size, received, waiter))
            self._queued_bytes += size
            self._condition.notify()

    def _refuse_if_stopped(self) -> None:
        if self._failure is not None:
            raise IntakeStopped(str(self._failure), next_step=self._failure.next_step)
        if self._closing:
            raise IntakeStopped("the intake log is closed", next_step="send the request again later")

    def _refuse_if_full(self, size: int) -> None:
        limits = self.limits
        if self._store.stored_bytes + self._queued_bytes + size > limits.max_bytes:
            all_taken = not self._queued_bytes and self._cursors.floor() >= self.next_sequence
            if not all_taken or HEADER_SIZE + size > limits.max_bytes:
                raise IntakeFull(
                    f"the intake log is full ({limits.max_bytes} bytes); waiting for {self._cursors.slowest()}",
                    next_step="look at the health endpoint for what is behind, or raise service.intake.max_size_mib",
                )
            self._roll = True
        if limits.max_age_seconds is not None and (age := self.oldest_age_seconds()) > limits.max_age_seconds:
            raise IntakeFull(
                f"the oldest record of the intake log is {age:.0f} s old; waiting for {self._cursors.slowest()}",
                next_step="look at the health endpoint for what is behind, or raise service.intake.max_age",
            )

    # -- the writer --------------------------------------------------------------------------------------------

    def _write_groups(self) -> None:
        while True:
            with self._condition:
                while not self._queue and not self._closing and not self._can_free():
                    # Consumers in other processes can't notify: what they have taken is looked at now and then.
                    if not self._condition.wait(None if self._end is None else _LOOK_SECONDS):
                        self._trim()
                if not self._queue and self._closing:
                    return
                group = self._take_group()
                roll = self._roll or self._store.active.size >= self.limits.segment_bytes
                self._roll = False
            first, error = self._write_group(group, roll=roll)
            with self._condition:
                self._queued_bytes -= sum(pending.size for pending in group)
                if error is None and group:
                    self._note_time(first, group[0].received)
                if error is None or isinstance(error, IntakeFull):
                    self._no_room = error
                    self.no_room_groups += error is not None
                else:
                    self._failure = error
                    group += self._queue
                    self._queue = []
                sleepers, self._sleepers = self._sleepers, []
                self._condition.notify_all()
            self._trim()
            settle(group, first, error)
            wake(sleepers)
            if self._failure is not None:
                _log.error("%s", error)
                return

    def _take_group(self) -> list[Pending]:
        size = count = 0
        while count < min(len(self._queue), _GROUP_RECORDS) and size < _GROUP_BYTES:
            size += self._queue[count].size
            count += 1
        group, self._queue = self._queue[:count], self._queue[count:]
        return group

    def _write_group(self, group: list[Pending], *, roll: bool) -> tuple[int, IntakeError | None]:
        """Write a group; when the disk is full, free what was taken and try once more. None in it only frees."""
        try:
            try:
                first = self._store_group(group, roll=roll and bool(group))
            except IntakeFull:
                if not self._empty_if_taken():
                    raise
                first = self._store_group(group, roll=False)
            self._tell_end()
        except IntakeError as error:
            return -1, error
        except BaseException as error:  # noqa: BLE001 - a waiter must never hang on a dead writer
            return -1, IntakeStopped(f"the writer of the intake log failed: {type(error).__name__}")
        return first, None

    def _store_group(self, group: list[Pending], *, roll: bool) -> int:
        if not group:
            self._empty_if_taken()
            return -1
        if roll:
            self._store.roll()
        return self._store.append([pending.payload for pending in group], group[0].received)

    def _can_free(self) -> bool:
        """Whether the disk is full, and the segment that is written to holds nothing that anybody waits for."""
        active = self._store.active
        return self._no_room is not None and active.end > active.first and self._cursors.floor() >= active.end

    def _empty_if_taken(self) -> bool:
        """Free the active segment if every consumer took all of it; the cursors that say so are durable."""
        active = self._store.active
        if active.end == active.first or self._cursors.floor() < active.end:
            return False
        self._store.empty_active()
        return True

    # -- out ---------------------------------------------------------------------------------------------------

    def consumer(self, name: str) -> Consumer:
        """Return a reader that starts behind what this consumer has committed.

        Args:
            name: One of the names given when the log was opened.

        Raises:
            KeyError: There is no such consumer.
        """
        if name not in self._own_cursors():
            raise KeyError(f"no consumer {name!r}: name it when the log is opened")
        return Consumer(self, name)

    def _own_cursors(self) -> Cursors:
        if isinstance(self._cursors, FollowedCursors):
            raise TypeError("the consumers of this log are in another process")
        return self._cursors

    def set_consumers(self, names: Iterable[str]) -> None:
        """Change who reads.

        Args:
            names: Everyone from now on. A new one starts where the slowest is; one that is not named is forgotten.

        Raises:
            IntakeUnusable: A cursor can't be written.
        """
        self._own_cursors().change(tuple(names), self._store.segments[0].first, self.next_sequence)
        self._trim()

    def committed(self, name: str) -> int:
        """Return the first sequence number that a consumer has not committed."""
        return self._own_cursors()[name]

    def commit(self, name: str, sequence: int) -> None:
        """Make durable that a consumer is done with everything before `sequence`.

        Raises:
            IntakeStopped: The cursor can't be written; the consumer would take some records a second time.
        """
        self._own_cursors().commit(name, sequence)
        self._trim()

    async def wait_beyond(self, sequence: int) -> None:
        """Return when there is a durable record with this number or a later one, or the log has stopped."""
        loop = asyncio.get_running_loop()
        while True:
            sleeper: asyncio.Future[None] = loop.create_future()
            with self._condition:
                if self.next_sequence > sequence or self._closing or self._failure is not None:
                    return
                self._sleepers.append((loop, sleeper))
            await sleeper

    def wait_beyond_sync(self, sequence: int, timeout: float | None = None) -> bool:
        """Block until there is a durable record with this number or a later one.

        Returns:
            False if there is none: the time is over, or the log has stopped.
        """
        with self._condition:
            self._condition.wait_for(
                lambda: self.next_sequence > sequence or self._closing or self._failure is not None, timeout
            )
            return self.next_sequence > sequence

    def oldest_age_seconds(self) -> float:
        """Return the age of the oldest record that some consumer has not committed; 0 if there is none."""
        floor = self._cursors.floor()
        if floor >= self.next_sequence:
            return 0.0
        with self._condition:
            at = max(0, bisect_right(self._times, (floor, _NEVER)) - 1)
            received = self._times[at][1] if self._times else time.time_ns()
        return max(0.0, (time.time_ns() - received) / 1e9)

    def _note_time(self, first: int, received: int) -> None:
        """Remember when records came, about one note a second."""
        if not self._times or received - self._times[-1][1] >= _NOTE_NANO:
            self._times.append((first, received))

    def close(self) -> None:
        """Write what is queued, stop the writer, and give the directory free."""
        with self._condition:
            if self._closing:
                return
            self._closing = True
            self._condition.notify_all()
        self._writer.join()
        with self._condition:
            sleepers, self._sleepers = self._sleepers, []
        wake(sleepers)
        if self._end is not None:
            self._end.close()
        self._store.close()

    def _trim(self) -> None:
        with self._condition:
            floor = self._cursors.floor()
            self._store.drop_before(floor)
            del self._times[: max(0, bisect_right(self._times, (floor, _NEVER)) - 1)]
            if self._no_room is not None:
                self._condition.notify_all()
