# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A segment file: named by its first sequence number, scanned for what is whole in it.

A file starts with 24 bytes: ``RRINTAKE``, version u32, crc32 u32 of the number, and the first sequence number u64.
These are durable before the first frame is written, so a file without them holds nothing that was acknowledged.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runrecord.exporters.errors import IntakeCorrupt
from runrecord.exporters.intake.frame import (
    FRAME_OVERHEAD,
    MAGIC,
    FrameHead,
    decode_head,
    payload_is_whole,
    received_of,
)

SUFFIX = ".segment"
_HEADER = struct.Struct("<8sIIQ")
_VERSION = 1
HEADER_SIZE = _HEADER.size
_SCAN_BYTES = 1 << 20


@dataclass(slots=True)
class Segment:
    """One file of the log and how far it is durable.

    Attributes:
        path: The file.
        first: Sequence number of its first record.
        end: Sequence number after its last durable record.
        size: Durable bytes, the file header included.
        received: When its first record was accepted (Unix ns); 0 while it is empty.
    """

    path: Path
    first: int
    end: int
    size: int
    received: int = 0


def segment_path(directory: Path, first: int) -> Path:
    """Name the file whose first record has this sequence number."""
    return directory / f"{first:020d}{SUFFIX}"


def list_segments(directory: Path) -> list[Path]:
    """List the segment files of a directory in the order of the log."""
    return sorted(path for path in directory.iterdir() if path.suffix == SUFFIX and path.stem.isdecimal())


def encode_header(first: int) -> bytes:
    """Make the first bytes of a file."""
    return _HEADER.pack(b"RRINTAKE", _VERSION, zlib.crc32(first.to_bytes(8, "little")), first)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def has_header(path: Path) -> bool:
    """Say whether the file begins with the header that its name asks for.

    Args:
        path: A segment file.

    Returns:
        False for a file that was created but whose header never became durable.

    Raises:
        IntakeCorrupt: There is more than a header's worth of bytes, and they begin wrongly.
    """
    with path.open("rb") as file:
        start = file.read(HEADER_SIZE)
        more = file.read(1)
    if start == encode_header(int(path.stem)):
        return True
    if more:
        raise IntakeCorrupt(
            f"{path} does not begin with the header of an intake segment",
            next_step="it was altered after it was written; restore it, or move it away to give up what is in it",
        )
    return False


def heads(path: Path, start: int, end: int) -> Iterator[tuple[int, FrameHead, int]]:
    """Walk over frames without reading their bodies.

    Args:
        path: A segment file.
        start: Offset of a frame.
        end: Offset at which to stop.

    Yields:
        Offset, head and time of acceptance of each frame, until one is not well-formed or `end` is reached.
    """
    with path.open("rb") as file:
        offset = start
        while offset < end:
            file.seek(offset)
            data = file.read(FRAME_OVERHEAD + 11)
            head = decode_head(data)
            if head is None or offset + head.size > end:
                return
            yield offset, head, received_of(data[FRAME_OVERHEAD:])
            offset += head.size


def recover(path: Path) -> tuple[Segment, int]:
    """Find how much of a file is whole.

    Args:
        path: A segment file with a good header.

    Returns:
        The segment up to its last whole frame, and how many bytes follow that (a torn tail).

    Raises:
        IntakeCorrupt: What follows the last whole frame was durable once, so it may have been acknowledged.
    """
    first = int(path.stem)
    segment = Segment(path, first, first, HEADER_SIZE)
    total = path.stat().st_size
    with path.open("rb") as file:
        for offset, head, received in heads(path, HEADER_SIZE, total):
            file.seek(offset + FRAME_OVERHEAD)
            if head.sequence != segment.end or not payload_is_whole(head, file.read(head.length)):
                break
            segment.received = segment.received or received
            segment.size, segment.end = offset + head.size, head.sequence + 1
    if segment.size < total and _proves_durable(path, segment.size):
        raise IntakeCorrupt(
            f"{path} is damaged at byte {segment.size}, in front of records that were synced after it",
            next_step="restore the file from a copy, or move it away to give up the records in it",
        )
    return segment, total - segment.size


def _proves_durable(path: Path, damage: int) -> bool:
    """Look behind the damage for a whole frame that was written when the damaged place was durable already."""
    total = path.stat().st_size
    with path.open("rb") as file:
        position = damage + 1
        while position < total:
            file.seek(position)
            block = file.read(_SCAN_BYTES + len(MAGIC) - 1)
            at = block.find(MAGIC)
            while at >= 0:
                file.seek(position + at)
                head = decode_head(file.read(FRAME_OVERHEAD))
                if (
                    head is not None
                    and head.synced > damage
                    and payload_is_whole(head, file.read(head.length))
                ):
                    return True
                at = block.find(MAGIC, at + 1)
            position += _SCAN_BYTES
    return False
