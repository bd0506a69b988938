# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of one intake record: a frame that shows whether it was written whole.

```
frame   = magic "RRF1" | payload length u32 | crc32 u32 | sequence u64 | synced u64 | payload
payload = signal u8 | header count u16 | received u64 (Unix ns) | headers | body
header  = name length u16 | value length u32 | name | value
```

All integers are little-endian. The checksum covers sequence, synced and payload. `synced` is the size of the
segment that was durable when the frame was written. A reader that meets a bad frame at offset P and then a
good one whose `synced` is beyond P knows that acknowledged bytes were damaged (that is corruption, not a torn tail).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from runrecord.processors.signal import Signal

MAGIC = b"RRF1"
_FIXED = struct.Struct("<4sIIQQ")
_CHECKED = struct.Struct("<QQ")
_PAYLOAD = struct.Struct("<BHQ")
_HEADER = struct.Struct("<HI")
FRAME_OVERHEAD = _FIXED.size
MAX_PAYLOAD = 1 << 30

_CODES = {Signal.TRACES: 1, Signal.LOGS: 2, Signal.METRICS: 3}
_SIGNALS = {code: signal for signal, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class IntakeRecord:
    """One redacted export request, as it was accepted.

    Attributes:
        sequence: Position in the log: 0 for the first record ever, then one more for each.
        signal: What the body is a request of.
        received_unix_nano: When it was accepted, in nanoseconds since the Unix epoch.
        headers: Transport headers that a policy chose to keep; usually empty.
        body: A serialised OTLP ``Export*ServiceRequest``, redacted.
        partition: Which of several logs it is in; sequences are of one.
    """

    sequence: int
    signal: Signal
    received_unix_nano: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    partition: int = 0

    def __repr__(self) -> str:
        """Leave out headers and body: a repr ends up in logs."""
        return (
            f"IntakeRecord(sequence={self.sequence}, signal={self.signal.name}, body={len(self.body)} bytes)"
        )


@dataclass(frozen=True, slots=True)
class FrameHead:
    """The fixed part of a frame.

    Attributes:
        length: Bytes of payload that follow.
        crc: Checksum as written.
        sequence: Sequence number of the record.
        synced: Bytes of the segment that were durable when the frame was written.
    """

    length: int
    crc: int
    sequence: int
    synced: int

    @property
    def size(self) -> int:
        """Bytes of the whole frame."""
        return FRAME_OVERHEAD + self.length


def encode_payload(
    signal: Signal, body: bytes, *, received_unix_nano: int, headers: tuple[tuple[str, str], ...] = ()
) -> list[bytes]:
    """Lay out the payload of a record as pieces, so that the body is not copied.

    Args:
        signal: What the body is a request of.
        body: The redacted request.
        received_unix_nano: When it was accepted.
        headers: Transport headers to keep with it.

    Returns:
        The pieces of the payload, in order.
    """
    pieces = [_PAYLOAD.pack(_CODES[signal], len(headers), received_unix_nano)]
    for name, value in headers:
        name_bytes, value_bytes = name.encode(), value.encode()
        pieces += [_HEADER.pack(len(name_bytes), len(value_bytes)), name_bytes, value_bytes]
    pieces.append(body)
    return pieces


def encode_head(payload: list[bytes], *, sequence: int, synced: int) -> bytes:
    """Make the fixed part that goes before a payload.

    Args:
        payload: The pieces of `encode_payload`.
        sequence: Sequence number of the record.
        synced: Bytes of the segment that are durable now.

    Returns:
        The 28 bytes of the frame's head.
    """
    crc = zlib.crc32(_CHECKED.pack(sequence, synced))
    for piece in payload:
        crc = zlib.crc32(piece, crc)
    return _FIXED.pack(MAGIC, sum(map(len, payload)), crc, sequence, synced)


def decode_head(data: bytes | memoryview, offset: int = 0) -> FrameHead | None:
    """Read the fixed part of a frame.

    Args:
        data: Bytes of a segment.
        offset: Where the frame begins in them.

    Returns:
        The head, or None if there is none at that place.
    """
    if len(data) - offset < FRAME_OVERHEAD:
        return None
    magic, length, crc, sequence, synced = _FIXED.unpack_from(data, offset)
    if magic != MAGIC or not _PAYLOAD.size <= length <= MAX_PAYLOAD:
        return None
    return FrameHead(length, crc, sequence, synced)


def payload_is_whole(head: FrameHead, payload: bytes | memoryview) -> bool:
    """Compare a payload with the checksum in its head.

    Args:
        head: What `decode_head` returned.
        payload: The bytes that follow the head; a short one is not whole.

    Returns:
        True if the frame is exactly what was written.
    """
    if len(payload) != head.length:
        return False
    return zlib.crc32(payload, zlib.crc32(_CHECKED.pack(head.sequence, head.synced))) == head.crc


def decode_payload(sequence: int, payload: bytes) -> IntakeRecord:
    """Turn a whole payload back into a record.

    Args:
        sequence: From the head.
        payload: Bytes for which `payload_is_whole` was true.

    Returns:
        The record.

    Raises:
        ValueError: The layout inside is not one this version writes.
    """
    try:
        code, count, received = _PAYLOAD.unpack_from(payload)
        at = _PAYLOAD.size
        headers: list[tuple[str, str]] = []
        for _ in range(count):
            name_length, value_length = _HEADER.unpack_from(payload, at)
            at += _HEADER.size
            name = payload[at : at + name_length].decode()
            at += name_length
            headers.append((name, payload[at : at + value_length].decode()))
            at += value_length
        return IntakeRecord(sequence, _SIGNALS[code], received, tuple(headers), payload[at:])
    except (struct.error, KeyError) as error:
        raise ValueError(f"record {sequence} has a layout this version does not know") from error


def received_of(payload: bytes) -> int:
    """Read only the time of a payload.

    Args:
        payload: At least the first 11 bytes of a payload.

    Returns:
        Nanoseconds since the Unix epoch.
    """
    return int(_PAYLOAD.unpack_from(payload)[2])
