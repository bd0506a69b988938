# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The write-ahead log: entries are durable here before anyone is told that they are in the ledger.

A segment is a file named after its first index. It starts with a magic and a random salt; then come frames, one per
group of entries::

    uint32 magic | uint64 first index | uint32 entries | uint32 payload length | uint32 CRC-32 of salt, header, payload
    payload: 16 bytes of key digest per entry, then the entries as they stand in an entry bundle

Each group is synced before the next is written, so only the last frame can be torn by a crash. The salt keeps the
content of an entry from passing for a frame.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runrecord.ledger.errors import LedgerCorrupt, LedgerStopped, MalformedTile
from runrecord.ledger.files import disk_errors, explain, sync, sync_directory, write_all, write_whole
from runrecord.ledger.tiles import decode_bundle

DIGEST_SIZE = 16
SEGMENT_SIZE = 16 * 1024 * 1024
"""Bytes after which the next group starts a new segment."""

_SEGMENT_MAGIC = b"RRWAL\x00\x00\x01"
_SALT_SIZE = 8
_SEGMENT_HEADER = len(_SEGMENT_MAGIC) + _SALT_SIZE
_FRAME_MAGIC = 0xD1A7C0DE
_FRAME = struct.Struct(">IQII")
_CRC = struct.Struct(">I")
_FRAME_HEADER = _FRAME.size + _CRC.size
_MAGIC_BYTES = _FRAME_MAGIC.to_bytes(4, "big")
_NOBODY_ELSE: contextlib.nullcontext[None] = contextlib.nullcontext()


@dataclass(frozen=True, slots=True)
class Frame:
    """One group of entries.

    Attributes:
        first: The index of the first entry.
        digests: The digest of each entry's key, 16 bytes each.
        leaves: The entries.
    """

    first: int
    digests: list[bytes]
    leaves: list[bytes]


class WriteAheadLog:
    """The segments of one ledger.

    Args:
        directory: Where the segments lie; it exists.
        segment_size: Bytes after which a new segment starts.
    """

    def __init__(self, directory: Path, segment_size: int = SEGMENT_SIZE) -> None:
        self._directory = directory
        self._segment_size = segment_size
        self._lock = threading.Lock()
        self._segments = sorted(directory.glob("*.wal"))
        self._fd = -1
        self._salt = b""
        self._offset = 0

    def recover(self) -> Iterator[Frame]:
        """Yield every frame in order, cutting a torn one off the end.

        Raises:
            LedgerCorrupt: If a frame is damaged that a crash can't have torn.
        """
        for path in list(self._segments):
            with disk_errors(path):
                data = path.read_bytes()
            is_last = path == self._segments[-1]
            salt = data[len(_SEGMENT_MAGIC) : _SEGMENT_HEADER]
            offset = _SEGMENT_HEADER
            if len(data) < _SEGMENT_HEADER or not data.startswith(_SEGMENT_MAGIC):
                if not is_last or len(data) > _SEGMENT_HEADER:
                    raise _damaged(path, 0)
                offset = 0  # the crash came while the segment was being made
            while offset and (frame := _read_frame(data, offset, salt)):
                yield frame[0]
                offset = frame[1]
            if offset < len(data) and (not is_last or _has_frame(data, offset + 1, salt)):
                raise _damaged(path, offset)
            if is_last:
                self._settle(path, data[:offset])

    def _settle(self, path: Path, data: bytes) -> None:
        """Leave what is whole of the last segment, and make it durable.

        Whoever wrote it may have been killed before the sync, or the sync failed: then what is read here is in memory only, and a sync
        of the same file would not write it. So it is written anew.
        """
        if len(data) > _SEGMENT_HEADER:
            write_whole(path, data, 0o600)
            return
        with disk_errors(path):
            path.unlink()
        self._segments.remove(path)
        sync_directory(self._directory)

    def turn(self, size: int) -> contextlib.nullcontext[None]:
        """Nobody else writes to a directory (see :class:`runrecord.ledger.stores.base.Journal`)."""
        del size
        return _NOBODY_ELSE

    def append(self, first: int, digests: Sequence[bytes], framed: Sequence[bytes]) -> None:
        """Write one group and sync it; on return it is durable.

        Args:
            first: The index of the group's first entry.
            digests: The digest of each key.
            framed: The entries with their length prefix (:func:`runrecord.ledger.tiles.frame_entry`).

        Raises:
            LedgerFull: If there is no room; the group is not kept and a later one may be tried.
            LedgerStopped: If a sync failed or the disk is in doubt; nothing may be appended any more.
        """
        if self._fd < 0 or self._offset >= self._segment_size:
            self._start_segment(first)
        data = encode_frame(first, digests, framed, self._salt)
        path = self._segments[-1]
        try:
            write_all(self._fd, data)
        except OSError as error:
            self._take_back(path)
            raise explain(error, path) from error
        sync(self._fd, path)
        self._offset += len(data)

    def _take_back(self, path: Path) -> None:
        """Remove the part of a group that a failed write left."""
        try:
            os.ftruncate(self._fd, self._offset)
            os.lseek(self._fd, self._offset, os.SEEK_SET)
        except OSError as error:
            raise LedgerStopped(
                f"can't take a failed write back from {path}", "check the disk; then open the ledger again"
            ) from error

    def _start_segment(self, first: int) -> None:
        path = self._directory / f"{first:020d}.wal"
        salt = os.urandom(_SALT_SIZE)
        with disk_errors(path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with disk_errors(path):
                write_all(fd, _SEGMENT_MAGIC + salt)
            sync(fd, path)
            sync_directory(self._directory)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._segments = [each for each in self._segments if each != path] + [path]
            self._fd, self._salt, self._offset = fd, salt, _SEGMENT_HEADER

    def release(self, below: int) -> None:
        """Remove the segments that hold only entries under an index; the one being written stays."""
        with self._lock, disk_errors(self._directory):
            kept = self._segments
            while len(kept) > 1 and int(kept[1].stem) <= below:
                kept[0].unlink(missing_ok=True)
                kept = kept[1:]
            self._segments = kept

    def close(self, *, remove: bool = False) -> None:
        """Close the segment; with ``remove``, when everything in it is durable elsewhere, delete all of them."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            if remove:
                for each in self._segments:
                    with contextlib.suppress(OSError):  # one that stays holds nothing new, and is freed later
                        each.unlink()
                self._segments = []


def encode_frame(first: int, digests: Sequence[bytes], framed: Sequence[bytes], salt: bytes = b"") -> bytes:
    """Return a frame of a group (arguments as of :meth:`WriteAheadLog.append`)."""
    payload = b"".join((*digests, *framed))
    header = _FRAME.pack(_FRAME_MAGIC, first, len(framed), len(payload))
    crc = zlib.crc32(payload, zlib.crc32(salt + header))
    return b"".join((header, _CRC.pack(crc), payload))


def decode_frame(data: bytes) -> Frame | None:
    """Return the group of a frame without salt; None if it is not exactly one whole frame."""
    found = _read_frame(data, 0, b"")
    return found[0] if found and found[1] == len(data) else None


def _read_frame(data: bytes, offset: int, salt: bytes) -> tuple[Frame, int] | None:
    """Return the frame at an offset and the offset after it, None if there is no whole one."""
    start = offset + _FRAME_HEADER
    if start > len(data):
        return None
    magic, first, count, length = _FRAME.unpack_from(data, offset)
    end = start + length
    if magic != _FRAME_MAGIC or end > len(data):
        return None
    payload = data[start:end]
    (crc,) = _CRC.unpack_from(data, offset + _FRAME.size)
    if zlib.crc32(payload, zlib.crc32(salt + data[offset : offset + _FRAME.size])) != crc:
        return None
    split = count * DIGEST_SIZE
    try:
        leaves = decode_bundle(payload[split:], count)
    except MalformedTile:
        return None
    return Frame(first, [payload[i : i + DIGEST_SIZE] for i in range(0, split, DIGEST_SIZE)], leaves), end


def _has_frame(data: bytes, offset: int, salt: bytes) -> bool:
    """Return whether a whole frame lies anywhere behind an offset: then what is before it was not torn by a crash."""
    while (offset := data.find(_MAGIC_BYTES, offset)) >= 0:
        if _read_frame(data, offset, salt):
            return True
        offset += 1
    return False


def _damaged(path: Path, offset: int) -> LedgerCorrupt:
    return LedgerCorrupt(
        f"the write-ahead segment {path} is damaged at byte {offset}, before entries that are whole",
        "restore the file from a copy; entries in it were acknowledged and may not be in the tiles yet",
    )
