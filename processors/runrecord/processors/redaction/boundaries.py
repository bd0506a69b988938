# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Where a match may begin and end in text that may be JSON, or JSON inside JSON.

What a model sends is mostly JSON in a string: ``\nAKIA...`` has the letter ``n`` before the key, and a match that
begins on that ``n`` would leave a lone backslash behind. None of these functions needs to know how deeply the text
is nested.
"""

from __future__ import annotations

import re
from typing import Literal

Left = Literal["word", "token", "number", "any"]

_HEX = "[0-9A-Fa-f]"
_NOT_BEFORE: dict[str, str] = {
    "word": "[0-9A-Za-z_]",
    # For tokens whose own alphabet holds the hyphen: one long run must have one beginning only.
    "token": "[0-9A-Za-z_-]",
}
_LITERAL_PREFIX = re.compile(r"[A-Za-z0-9_-]+")
_BACKSLASH = 0x5C
_LETTER_U = 0x75
_SHORT_ESCAPES = frozenset(b'nrtbf"/\\')
_HEX_BYTES = frozenset(b"0123456789abcdefABCDEF")
_UNICODE_ESCAPE = 6  # the length of \uXXXX

_SPACE = rb"(?:[ \t\r\n]|\\{1,15}[nrt])"
_BARE_AFTER = re.compile(_SPACE + rb"{0,4096}(?:[,\]}]|\Z)")
_ESCAPED_SPACE = re.compile(rb"\\{1,15}[nrt]\Z")
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def anchored(exact: str, left: Left) -> str:
    """Put the left boundary into a regex.

    The assertion goes behind the literal that the regex begins with, if there is one, so that the engine can still
    search for that literal at the speed of memory.

    Args:
        exact: The regex without a left boundary.
        left: The kind of boundary.
    """
    if left == "any":
        return exact
    prefix = ""
    found = _LITERAL_PREFIX.match(exact)
    if found:
        prefix = found.group()
        if exact[found.end() : found.end() + 1] in set("?*+{"):
            prefix = prefix[:-1]
        if "|" in exact and not _alternation_is_inside(exact):
            prefix = ""
    escapes = rf"(?<=\\[nrtbf]{prefix})|(?<=\\u{_HEX}{{4}}{prefix})|(?<=%{_HEX}{{2}}{prefix})"
    if left == "number":
        before = (
            rf"(?<![0-9A-Za-z_.]{prefix})(?<![0-9]-{prefix})|(?<![0-9]\.{prefix})(?<=\.{prefix})|{escapes}"
        )
    else:
        before = f"(?<!{_NOT_BEFORE[left]}{prefix})|{escapes}"
    return f"{prefix}(?:{before})(?:{exact[len(prefix) :]})"


def _alternation_is_inside(exact: str) -> bool:
    """Whether every ``|`` of the regex is inside a group or a class."""
    depth = 0
    in_class = False
    position = 0
    while position < len(exact):
        char = exact[position]
        if char == "\\":
            position += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "|" and depth == 0:
            return False
        position += 1
    return True


def escape_around(text: bytes, position: int) -> tuple[int, bool]:
    r"""Find the JSON escape that ``position`` lies in.

    Args:
        text: The text.
        position: An offset into it.

    Returns:
        The offset behind the escape (``position`` itself if it lies in none), and whether it is a ``\uXXXX``.
    """
    if position >= len(text):
        return position, False
    if position and text[position - 1] == _BACKSLASH:
        if text[position] in _SHORT_ESCAPES and text[position] != _BACKSLASH:
            return position + 1, False
        if text[position] == _LETTER_U and _is_hex(text, position + 1):
            return position + 5, True
    start = text.rfind(b"\\u", max(0, position - _UNICODE_ESCAPE + 1), position)
    if start >= 0 and start + 1 < position and _is_hex(text, start + 2):
        return start + _UNICODE_ESCAPE, True
    return position, False


def _is_hex(text: bytes, start: int) -> bool:
    digits = text[start : start + 4]
    return len(digits) == 4 and _HEX_BYTES.issuperset(digits)  # noqa: PLR2004


def settle_end(text: bytes, start: int, end: int) -> int:
    """Move the end of a match so that no escape and no UTF-8 character is cut in two."""
    length = len(text)
    while end < length and 0x80 <= text[end] < 0xC0:  # noqa: PLR2004
        end += 1
    while end > start and text[end - 1] == _BACKSLASH:
        end -= 1
    behind, is_unicode = escape_around(text, end)
    return behind if is_unicode else end


def settle_start(text: bytes, start: int) -> int:
    """Move the start of a match so that no run of backslashes and no UTF-8 character is cut in two."""
    while start and text[start] == _BACKSLASH and text[start - 1] == _BACKSLASH:
        start -= 1
    while start and 0x80 <= text[start] < 0xC0:  # noqa: PLR2004
        start -= 1
    return start


def is_bare_number(text: bytes, start: int, end: int) -> bool:
    """Whether a match is a JSON number outside of quotes, which must stay a number.

    A number that is the whole text counts as text: there is no JSON around it to keep.
    """
    if start == 0 or not _NUMBER.fullmatch(text, start, end):
        return False
    before = _without_space(text[max(0, start - 4096) : start].removesuffix(b"-"))
    if before.endswith(b":"):
        before = _without_space(before[:-1])
        return before.endswith((b'"', b"'")) and _BARE_AFTER.match(text, end) is not None
    return before.endswith((b"[", b",")) and _BARE_AFTER.match(text, end) is not None


def _without_space(text: bytes) -> bytes:
    """The text without the JSON white space at its end, escaped or not."""
    while True:
        text = text.rstrip(b" \t\r\n")
        escape = _ESCAPED_SPACE.search(text, max(0, len(text) - 16))
        if escape is None:
            return text
        text = text[: escape.start()]
