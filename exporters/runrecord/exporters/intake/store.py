# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The files under an intake log: opened and repaired once, appended to in groups, deleted from the front."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from runrecord.exporters.errors import IntakeFull, IntakeLocked, IntakeStopped, IntakeUnusable
from runrecord.exporters.intake.cursor import OUT_OF_SPACE
from runrecord.exporters.intake.frame import FRAME_OVERHEAD, encode_head
from runrecord.exporters.intake.segment import (
    HEADER_SIZE,
    SUFFIX,
    Segment,
    encode_header,
    has_header,
    heads,
    list_segments,
    recover,
    segment_path,
    sync_directory,
)

_log = logging.getLogger(__name__)
_COALESCE = 64 << 10
_EMPTYING = ".emptying"

sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class SegmentStore:
    """Segments on disk, written by one thread.

    The caller serialises `append` and `roll`; `drop_before` may run beside them. `segments` is replaced as a whole,
    so readers need no lock.
    """

    def __init__(self, directory: Path, *, sync: Callable[[int], None] = sync_data) -> None:
        """Lock the directory, drop a torn tail, and open the last segment for writing.

        Args:
            directory: Made if it does not exist.
            sync: What makes a file's data durable.

        Raises:
            IntakeUnusable: The directory can't be used.
            IntakeLocked: Another process has it.
            IntakeCorrupt: Records that may have been acknowledged are damaged.
        """
        self.directory = directory
        self._sync = sync
        self._swap = threading.Lock()
        self._lock = _lock_directory(directory)
        self._file = -1
        try:
            self.segments: tuple[Segment, ...] = tuple(self._recover())
            self._file = os.open(self.active.path, os.O_RDWR)
        except OSError as error:
            os.close(self._lock)
            raise IntakeUnusable(
                f"the intake log can't use {directory} ({error.strerror})",
                next_step="make room, or set service.state_dir to a directory that this user can read and write",
            ) from error
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def active(self) -> Segment:
        """The segment that is written to."""
        return self.segments[-1]

    @property
    def next_sequence(self) -> int:
        """The number that the next record gets."""
        return self.active.end

    @property
    def stored_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self.segments)

    def append(self, payloads: Sequence[list[bytes]], received: int) -> int:
        """Write a group behind the last record and make it durable with one sync.

        Args:
            payloads: For each record the pieces of its payload.
            received: When the first of them was accepted (Unix ns).

        Returns:
            The sequence number of the first of them.

        Raises:
            IntakeFull: The disk has no room; nothing of the group is kept.
            IntakeStopped: The disk failed; what is durable is unknown, so the store must not be used again.
        """
        segment = self.active
        first, synced, size = segment.end, segment.size, segment.size
        buffers: list[bytes] = []
        for number, payload in enumerate(payloads, first):
            head = encode_head(payload, sequence=number, synced=synced)
            buffers += [head, *payload]
            size += FRAME_OVERHEAD + sum(map(len, payload))
        try:
            if segment.first == segment.end:  # `empty_active` leaves the header to the first write
                os.pwrite(self._file, encode_header(segment.first), 0)
            os.lseek(self._file, synced, os.SEEK_SET)
            _write(self._file, buffers)
        except OSError as error:
            self._undo(synced, error)
        try:
            self._sync(self._file)
        except OSError as error:
            raise IntakeStopped(
                f"{segment.path} could not be synced ({error.strerror}); the intake log has stopped",
                next_step="check the disk, then start again: what was acknowledged before is kept",
            ) from error
        if segment.first == segment.end:
            segment.received = received
        segment.size = size
        segment.end = first + len(payloads)  # last: a reader that sees the end finds the bytes
        return first

    def _undo(self, size: int, error: OSError) -> None:
        """Take back a group that was written in part."""
        try:
            os.ftruncate(self._file, size)
        except OSError as second:
            raise IntakeStopped(
                f"{self.active.path} could not be cut back after a failed write ({second.strerror})",
                next_step="check the disk, then start again: what was acknowledged before is kept",
            ) from error
        if error.errno in OUT_OF_SPACE:
            raise IntakeFull(
                f"no room on the disk of {self.directory} ({error.strerror})",
                next_step="make room, or set service.state_dir to a larger disk",
            ) from error
        raise IntakeStopped(
            f"{self.active.path} could not be written ({error.strerror}); the intake log has stopped",
            next_step="check the disk, then start again: what was acknowledged before is kept",
        ) from error

    def roll(self) -> None:
        """Begin a new segment, unless the active one is still empty.

        Raises:
            IntakeFull: The disk has no room for it.
            IntakeStopped: It could not be made durable.
        """
        if self.active.end == self.active.first:
            return
        try:
            segment = self._create(self.active.end)
            file = os.open(segment.path, os.O_RDWR)
        except OSError as error:
            kind = IntakeFull if error.errno in OUT_OF_SPACE else IntakeStopped
            raise kind(
                f"no new segment could be made in {self.directory} ({error.strerror})",
                next_step="check the disk",
            ) from error
        os.close(self._file)
        self._file = file
        with self._swap:
            self.segments = (*self.segments, segment)

    def empty_active(self) -> None:
        """Free what the active segment holds, when all of it was taken; takes no room on the disk.

        The file is emptied under another name and comes back under that of the next record, so that sequence numbers
        go on, and so that a crash in between leaves nothing that looks like a segment with records missing.

        Raises:
            IntakeStopped: The disk failed.
        """
        active = self.active
        if active.end == active.first:
            return
        try:
            empty = _finish_emptying(
                active.path.rename(active.path.with_name(f"{active.end:020d}{_EMPTYING}"))
            )
        except OSError as error:
            raise IntakeStopped(
                f"{active.path} could not be emptied ({error.strerror}); the intake log has stopped",
                next_step="check the disk, then start again: what was acknowledged before is kept",
            ) from error
        with self._swap:
            self.segments = (*self.segments[:-1], _empty(empty))

    def drop_before(self, sequence: int) -> None:
        """Delete the segments that hold nothing from `sequence` on; the active one stays."""
        with self._swap:
            keep = list(self.segments)
            while len(keep) > 1 and keep[1].first <= sequence:
                keep.pop(0).path.unlink(missing_ok=True)
            self.segments = tuple(keep)

    def close(self) -> None:
        """Close the files and give the directory free."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _create(self, first: int) -> Segment:
        path = segment_path(self.directory, first)
        try:
            with path.open("wb") as file:
                file.write(encode_header(first))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(
                missing_ok=True
            )  # or it would stand between two segments, and hide records of the first
            raise
        sync_directory(self.directory)
        return Segment(path, first, first, HEADER_SIZE)

    def _recover(self) -> list[Segment]:
        for path in self.directory.glob(f"*{_EMPTYING}"):
            _finish_emptying(path)
        paths = list_segments(self.directory)
        bare: Path | None = None
        while paths and not has_header(paths[-1]):
            # Created, or emptied, when the process died: nothing in it was ever acknowledged.
            bare = paths.pop()
            if paths:
                bare.unlink()
        if not paths:
            # An empty one is taken as it is: `append` writes the header, and a full disk has no room for another.
            return [self._create(0) if bare is None else _empty(bare)]
        segments: list[Segment] = []
        for path, following in pairwise(paths):
            has_header(path)
            segment = Segment(path, int(path.stem), int(following.stem), path.stat().st_size)
            segment.received = next((at for _, _, at in heads(path, HEADER_SIZE, segment.size)), 0)
            segments.append(segment)
        last, torn = recover(paths[-1])
        if torn:
            _log.warning("%s: dropped %d bytes of records that were never acknowledged", last.path, torn)
            with last.path.open("rb+") as file:
                file.truncate(last.size)
                os.fsync(file.fileno())
        return [*segments, last]


def _lock_directory(directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise IntakeUnusable(
            f"the intake log can't use {directory} ({error.strerror})",
            next_step="set service.state_dir to a directory that this user can write",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise IntakeLocked(
            f"{directory} is in use by another process{f' (id {owner})' if owner else ''}",
            next_step="stop the gateway that it belongs to, or give this one its own service.state_dir",
        ) from error
    os.ftruncate(descriptor, 0)
    with contextlib.suppress(OSError):  # it only names the owner; the disk may be full
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _empty(path: Path) -> Segment:
    first = int(path.stem)
    return Segment(path, first, first, HEADER_SIZE)


def _finish_emptying(path: Path) -> Path:
    """Empty a segment that was set aside for it, then give it the name of a segment again."""
    sync_directory(path.parent)
    with path.open("rb+") as file:
        file.truncate(0)
        os.fsync(file.fileno())
    path = path.rename(path.with_suffix(SUFFIX))
    sync_directory(path.parent)
    return path


def _write(file: int, buffers: list[bytes]) -> None:
    """Write all buffers, small ones together, large ones without a copy."""
    small: list[bytes] = []
    for buffer in buffers:
        if len(buffer) < _COALESCE:
            small.append(buffer)
            continue
        _write_whole(file, b"".join(small))
        _write_whole(file, buffer)
        small.clear()
    _write_whole(file, b"".join(small))


def _write_whole(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
