# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""A rule of ours in the regular expressions of the collector (Go's regexp: RE2 syntax, without look-around).

What stands around a match is consumed where ours only looks at it, and put back by the replacement: group 1 before the text that is
replaced, group 2 behind it. Two matches that share the character between them are therefore found one after the other, by
running a statement twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runrecord.processors.redaction.rule import Rule

_ESCAPES: Final = r"\\[nrtbf]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}"
_BEFORE: Final = {
    "any": "",
    "word": rf"(?:^|[^0-9A-Za-z_]|{_ESCAPES})",
    "token": rf"(?:^|[^0-9A-Za-z_-]|{_ESCAPES})",
    "number": rf"(?:^|[^0-9A-Za-z_.-]|(?:^|[^0-9])[.-]|{_ESCAPES})",
}
"""The left boundaries of `boundaries.anchored`."""
_CONTEXT_BYTES: Final = 80
_LOOK: Final = re.compile(r"\(\?<?[=!]")
_LOOK_SIMPLE: Final = re.compile(r"\(\?<?[=!](?:[^()\[\]\\]|\\.|\[\^?\]?(?:\\.|[^\]\\])*\])*\)")
"""Look-around without a group in it."""
_REST_OF_LINE: Final = r"[^\r\n]{0,400}"
_VALUE: Final = "(?P<v>"
_WEAK_VALUE: Final = "(?P<w>"
_EMAIL: Final = r"[A-Za-z0-9._%+'-]{1,64}"
_PEM_END: Final = r"[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}-----|$)"


@dataclass(frozen=True)
class Translation:
    """A rule for the collector.

    Attributes:
        pattern: Go regular expression; group 1 and group 2 are put back.
        exact: Whether it matches what the rule's own expression matches, apart from its validator.
    """

    pattern: str
    exact: bool


def translate(rule: Rule) -> Translation:
    """Write a rule in RE2 syntax. Where that can't say all, the result matches more, never less.

    Args:
        rule: Of a pack, or of a file.
    """
    if rule.finder == "pem":
        return Translation(f"(){rule.exact}{_PEM_END}()", exact=False)
    if rule.finder == "email":
        return Translation(f"({_BEFORE['word']}){_EMAIL}{_utf8(rule.exact)}()", exact=False)
    left = _BEFORE[rule.left]
    if rule.context:
        words = "|".join(map(re.escape, rule.context))
        left = rf"(?i:{words})[\s\S]{{0,{_CONTEXT_BYTES}}}?{left}"
    exact, behind, faithful = _without_lookahead(rule.exact)
    if not faithful or _LOOK.search(exact):
        exact, faithful = _LOOK_SIMPLE.sub("", exact), False
    if _LOOK.search(exact) or "(?P=" in exact:
        return Translation(f"({left}){_utf8(rule.seed)}{_REST_OF_LINE}()", exact=False)
    before, value, after = _around_value(exact)
    return Translation(f"({left}{_utf8(before)}){_utf8(value)}({_utf8(after)}{behind})", exact=faithful)


def _without_lookahead(exact: str) -> tuple[str, str, bool]:
    """Take the negative look-ahead off the end of an expression; return the rest, and what consumes instead of it."""
    start = exact.rfind("(?!")
    if start < 0 or _closing(exact, start) != len(exact) - 1 or _depth(exact, start):
        return exact, "", True
    firsts: list[str] = []
    seconds: list[tuple[str, str]] = []
    for alternative in _alternatives(exact[start + 3 : -1]):
        parts = _CLASSES.fullmatch(alternative)
        if parts is None:
            return exact[:start], "", False
        if parts["second"] is None:
            firsts.append(parts["first"])
        else:
            seconds.append((parts["first"], parts["second"]))
    never = "".join([*firsts, *(first for first, _ in seconds)])
    ways = ["$", f"[^{_hyphen_last(never)}]"]
    ways += [f"[{first}](?:$|[^{second}])" for first, second in seconds]
    return exact[:start], f"(?:{'|'.join(ways)})", True


_CLASSES: Final = re.compile(r"\[(?P<first>(?:\\.|[^\]\\])+)\](?:\[(?P<second>(?:\\.|[^\]\\])+)\])?")


def _hyphen_last(members: str) -> str:
    """Several classes in one: a hyphen that stood at an end must not become a range."""
    cleaned = re.sub(r"(?<![0-9A-Za-z])-|-(?![0-9A-Za-z])", "", members)
    return cleaned + ("-" if cleaned != members else "")


def _around_value(exact: str) -> tuple[str, str, str]:
    """Cut an expression at the group that is replaced; if it is not at the top, all of it is."""
    start = exact.find(_VALUE)
    if start < 0 or _depth(exact, start) or _WEAK_VALUE in exact:
        return "", exact.replace(_VALUE, "(?:").replace(_WEAK_VALUE, "(?:"), ""
    end = _closing(exact, start)
    return exact[:start], f"(?:{exact[start + len(_VALUE) : end]})", exact[end + 1 :]


def _utf8(expression: str) -> str:
    """Ours run on bytes, Go's on characters; and a repeat of more than a thousand is one without an end there."""
    expression = re.sub(r"\{(\d+),\d{4,}\}", r"{\1,}", expression)
    expression = re.sub(r"[\x80-\xff]", lambda found: f"\\x{ord(found[0]):02x}", expression)
    expression = re.sub(r"\\x80-\\xff", r"\\x{80}-\\x{10FFFF}", expression)
    return _CHARACTERS.sub(_characters, expression)


_BYTE: Final = r"\\x[89a-fA-F][0-9a-fA-F]"
_CHARACTERS: Final = re.compile(rf"(?P<bytes>(?:{_BYTE})+)(?:\[(?P<last>(?:{_BYTE})+)\])?")


def _characters(found: re.Match[str]) -> str:
    """Decode bytes; a class behind them is of what ends a character."""
    head = bytes.fromhex(found["bytes"].replace("\\x", ""))
    if found["last"] is None:
        return head.decode()
    ends = bytes.fromhex(found["last"].replace("\\x", ""))
    return "[" + "".join((head + bytes([end])).decode() for end in ends) + "]"


# -- reading an expression, as far as needed ------------------------------------------------------------------------


def _tokens(expression: str) -> Iterator[tuple[int, str]]:
    """Yield the parentheses and bars of an expression outside of classes and escapes, with their places."""
    position, in_class = 0, False
    while position < len(expression):
        char = expression[position]
        if char == "\\":
            position += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char in "()|":
            yield position, char
        position += 1


def _depth(expression: str, place: int) -> int:
    depth = 0
    for position, char in _tokens(expression):
        if position >= place:
            break
        depth += {"(": 1, ")": -1, "|": 0}[char]
    # A bar at the top makes every part of the expression one of several ways.
    return depth or sum(1 for part in _alternatives(expression)[1:] if part)


def _closing(expression: str, opening: int) -> int:
    depth = 0
    for position, char in _tokens(expression):
        if position < opening:
            continue
        depth += {"(": 1, ")": -1, "|": 0}[char]
        if not depth:
            return position
    return -1


def _alternatives(expression: str) -> list[str]:
    depth, start, parts = 0, 0, list[str]()
    for position, char in _tokens(expression):
        depth += {"(": 1, ")": -1, "|": 0}[char]
        if char == "|" and not depth:
            parts.append(expression[start:position])
            start = position + 1
    return [*parts, expression[start:]]
