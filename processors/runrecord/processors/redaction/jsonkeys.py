# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Find values by their key inside text that is JSON, or JSON inside JSON, without touching any other byte.

The reader is tolerant: cut-off JSON is read up to its end, and JSON in the middle of prose is found.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from runrecord.processors.redaction.keys import joined

_Found = TypeVar("_Found")

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})(?:\\u([dD][c-fC-F][0-9A-Fa-f]{2}))?|(.))", re.DOTALL)
_SHORT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_MAX_NESTING = 8
_QUOTE = 0x22


@dataclass(frozen=True)
class KeyedValue(Generic[_Found]):
    """A value whose key was asked for.

    Attributes:
        start: Offset into the text: behind the opening quote of a string.
        end: Offset into the text: at the closing quote of a string.
        value: The value with its escapes undone.
        nesting: In how many JSON strings the value's own JSON is wrapped.
        is_string: Whether it is a string, whose quotes stay.
        found: What the caller's function returned for the key.
    """

    start: int
    end: int
    value: bytes
    nesting: int
    is_string: bool
    found: _Found


def find_values(text: bytes, path: bytes, want: Callable[[bytes], _Found | None]) -> list[KeyedValue[_Found]]:
    """Find the values of wanted keys.

    Args:
        text: The text.
        path: The key of the text itself; the keys inside are appended to it with dots, array indices are not.
        want: Gets a path like ``gen_ai.tool.call.arguments.user.password``; returns None to go on.
    """
    return _search(text, path, want, 0)


def quote(nesting: int) -> bytes:
    """The double quote as it is written at a nesting of JSON in JSON strings."""
    return b"\\" * ((1 << nesting) - 1) + b'"'


def _search(  # noqa: C901, PLR0912  one state machine over tokens
    text: bytes, path: bytes, want: Callable[[bytes], _Found | None], nesting: int
) -> list[KeyedValue[_Found]]:
    results: list[KeyedValue[_Found]] = []
    stack: list[bytes] = []
    here = path
    name: tuple[int, int] | None = None  # the last string, which a colon makes a key
    key: bytes | None = None  # the path of the value that comes next
    skip = 0  # how many containers deep inside a value that was found
    skipped: tuple[int, _Found] | None = None
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        char = text[start : start + 1]
        if skip:
            skip += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(char, 0)
            if not skip and skipped is not None:
                begin, found = skipped
                results.append(KeyedValue(begin, end, text[begin:end], nesting, is_string=False, found=found))
            continue
        if char == b":":
            if name is not None:
                key = joined(here, _unescape(text[name[0] : name[1]])[0])
            name = None
            continue
        name = None
        if char in {b"{", b"["}:
            wanted = want(key) if key is not None else None
            if wanted is not None:
                skip, skipped = 1, (start, wanted)
            else:
                stack.append(here)
                here = key if key is not None else here
        elif char in {b"}", b"]"}:
            here = stack.pop() if stack else path
        elif char == b'"':
            closed = end > start + 1 and text[end - 1] == _QUOTE
            inner = (start + 1, end - 1 if closed else end)
            if key is None:
                name = inner
            results += _string(text, inner, (key or here, key is not None), want, nesting)
        elif key is not None and (scalar := want(key)) is not None:
            results.append(KeyedValue(start, end, text[start:end], nesting, is_string=False, found=scalar))
        key = None
    if skip and skipped is not None:
        begin, found = skipped
        results.append(KeyedValue(begin, len(text), text[begin:], nesting, is_string=False, found=found))
    return results


def _string(
    text: bytes,
    inner: tuple[int, int],
    path: tuple[bytes, bool],
    want: Callable[[bytes], _Found | None],
    nesting: int,
) -> list[KeyedValue[_Found]]:
    start, end = inner
    raw = text[start:end]
    found = want(path[0]) if path[1] else None
    if found is None and (nesting >= _MAX_NESTING or (b'\\"' not in raw and b"\\u0022" not in raw)):
        return []
    value, decoded_starts, raw_starts = _unescape(raw)
    if found is not None:
        return [KeyedValue(start, end, value, nesting, is_string=True, found=found)]

    def outside(offset: int) -> int:
        index = bisect_right(decoded_starts, offset) - 1
        return start + raw_starts[index] + offset - decoded_starts[index]

    return [
        replace(nested, start=outside(nested.start), end=outside(nested.end))
        for nested in _search(value, path[0], want, nesting + 1)
    ]


def _unescape(raw: bytes) -> tuple[bytes, list[int], list[int]]:
    """Undo JSON escapes; returns the text and, for every piece of it, where it begins in both."""
    parts: list[bytes] = []
    decoded_starts = [0]
    raw_starts = [0]
    decoded = position = 0
    for escape in _ESCAPE.finditer(raw):
        plain = raw[position : escape.start()]
        char, position = _character(escape)
        parts += (plain, char)
        decoded += len(plain)
        decoded_starts.append(decoded)
        raw_starts.append(escape.start())
        decoded += len(char)
        decoded_starts.append(decoded)
        raw_starts.append(position)
    parts.append(raw[position:])
    return b"".join(parts), decoded_starts, raw_starts


def _character(escape: re.Match[bytes]) -> tuple[bytes, int]:
    if escape[3] is not None:
        return _SHORT.get(escape[3], escape[3]), escape.end()
    code = int(escape[1], 16)
    if 0xD800 <= code < 0xDC00 and escape[2] is not None:  # noqa: PLR2004
        low = int(escape[2], 16)
        return chr(0x10000 + ((code - 0xD800) << 10) + low - 0xDC00).encode(), escape.end()
    end = escape.start() + 6
    return (b"?" if 0xD800 <= code < 0xE000 else chr(code).encode()), end  # noqa: PLR2004
