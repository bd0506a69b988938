# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Protobuf wire format: read fields, write fields, and splice edits into a message.

Stricter than a protobuf parser on purpose: groups, overlong tags and lengths above 32 bit are refused, since none of
them appears in OTLP and each would hide text from a scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

LEN = 2
_WIRE_SIZES = {1: 8, 5: 4}
_VARINT = 0
_MAX_LENGTH_BYTES = 5
_MAX_TAG_BYTES = 5
_MAX_VARINT_BYTES = 10
_CONTINUES = 0x80


class WireError(ValueError):
    """The bytes are no message in the accepted form; the message names the offset, never the content."""


class Edit(NamedTuple):
    """Replace ``body[start:end]`` by ``content``."""

    start: int
    end: int
    content: bytes


class WireField(NamedTuple):
    """A length-delimited field.

    Attributes:
        number: The field number.
        start: Offset of the tag.
        length_start: Offset of the length.
        content: Offset of the content.
        end: Offset behind the content.
    """

    number: int
    start: int
    length_start: int
    content: int
    end: int


def fields(body: bytes, position: int, end: int) -> Iterator[WireField]:  # noqa: C901  the inner loop
    """Read the length-delimited fields of a message and pass over the others.

    Args:
        body: The whole request.
        position: Offset of the message.
        end: Offset behind the message.

    Raises:
        WireError: The message is malformed.
    """
    while position < end:
        start = position
        tag = body[position]
        position += 1
        if tag >= _CONTINUES:
            tag, position = _varint(body, start, end, _MAX_TAG_BYTES)
            if body[position - 1] == 0:
                raise WireError(f"an overlong tag at byte {start}")
        wire_type = tag & 7
        if tag < 8:  # noqa: PLR2004
            raise WireError(f"field number 0 at byte {start}")
        if wire_type == LEN:
            length_start = position
            if position >= end:
                raise WireError(f"a length is missing at byte {position}")
            length = body[position]
            position += 1
            if length >= _CONTINUES:
                length, position = _varint(body, length_start, end, _MAX_LENGTH_BYTES)
            content = position
            position += length
            if position > end:
                raise WireError(f"a field at byte {start} is longer than the message around it")
            yield WireField(tag >> 3, start, length_start, content, position)
        elif wire_type == _VARINT:
            _, position = _varint(body, position, end, _MAX_VARINT_BYTES)
        elif wire_type in _WIRE_SIZES:
            position += _WIRE_SIZES[wire_type]
            if position > end:
                raise WireError(f"a field at byte {start} is longer than the message around it")
        else:
            raise WireError(f"wire type {wire_type} at byte {start}, which OTLP does not use")


def _varint(body: bytes, position: int, end: int, limit: int) -> tuple[int, int]:
    value = shift = 0
    start = position
    while position < end and position - start < limit:
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < _CONTINUES:
            return value, position
        shift += 7
    raise WireError(f"an unfinished varint at byte {start}")


def varint(value: int) -> bytes:
    """Encode a number that is not negative."""
    if value < _CONTINUES:
        return bytes((value,))
    encoded = bytearray()
    while value >= _CONTINUES:
        encoded.append(value & 0x7F | _CONTINUES)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def delimited(number: int, content: bytes) -> bytes:
    """Encode a length-delimited field."""
    return varint(number << 3 | LEN) + varint(len(content)) + content


def splice(body: bytes, edits: list[Edit]) -> bytes:
    """Apply edits that do not overlap."""
    edits.sort(key=lambda edit: (edit.start, edit.end))
    pieces: list[bytes | memoryview] = []
    view = memoryview(body)
    position = 0
    for edit in edits:
        pieces += (view[position : edit.start], edit.content)
        position = edit.end
    pieces.append(view[position:])
    return b"".join(pieces)


def delta(edits: list[Edit], since: int) -> int:
    """By how many bytes the edits from index ``since`` on lengthen the message."""
    return sum(len(edit.content) - edit.end + edit.start for edit in edits[since:])
