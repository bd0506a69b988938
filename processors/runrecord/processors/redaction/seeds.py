# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""What is done to seeds before they are compiled, and to their hits before anything is visited.

The bytes before a match are looked at on the wire, where a text may begin behind a tag and a length of any value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise

from runrecord.processors.redaction.rule import Rule
from runrecord.processors.redaction.schema import text_tags

_ATOM = re.compile(r"\\x[0-9A-Fa-f]{2}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_CERTAIN = re.compile(r"\\(?:[^A-Za-z0-9]|x..)")
_LITERAL = re.compile(r"[A-Za-z0-9_.=:@/;~!$-]{2}")
_REPEATED = re.compile(r"\([^()]*\)(?:[?*]|\{0,[0-9]+\})|[^()](?:[?*+]|\{[^}]*\})")
_PLAIN = re.compile(r"(?:[^()|?*+.{}](?:\{[0-9]+\})?)+")
_ONE = re.compile(r"[^{}](?:\{([0-9]+)\})?")
_CAPITALS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGIT = re.compile(rb"[0-9]")
_DIGITS = frozenset(b"0123456789")
_DOT, _PERCENT = b".%"
_FARTHEST = 6  # the length of \\uXXXX, which is the most that is looked at before a number
_CONTINUES = 0x80
_WIRE_TYPE, _LEN = 7, 2


def strict_seed(seed: str) -> str:
    """The seed of a number with what may stand before it, as consumed bytes.

    A number begins behind what is neither digit nor dot, behind a dot that ends no number, behind an escape, or at the
    beginning of a text field whose number is known, where a tag and a length stand before it. So the seed must be where
    the rule's match begins: an optional part of the match before it would hide it.
    """
    tags = "".join(f"\\x{tag:02x}" for tag in text_tags())
    field = rf"[{tags}][\x80-\xff]{{0,4}}[\x00-\x7f]\.?"
    return rf"(?:[^0-9.]|[^0-9]\.|{field}|\\u[0-9A-Fa-f]{{4}}|%[0-9A-Fa-f]{{2}}){seed}"


def alternatives(seed: str) -> list[str]:
    """The alternatives of a seed that is one group of them, else the seed itself."""
    outline = _ATOM.sub(lambda atom: "a" * len(atom.group()), seed)
    if not outline.startswith("(?:") or not outline.endswith(")"):
        return [seed]
    depth, cuts = 0, [2]
    for position, char in enumerate(outline):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0 and position < len(outline) - 1:
            return [seed]  # the group ends before the seed does
        if char == "|" and depth == 1:
            cuts.append(position)
    cuts.append(len(seed) - 1)
    return [seed[begin + 1 : end] for begin, end in pairwise(cuts)]


def has_literal(seed: str) -> bool:
    """Whether a match always holds two certain bytes in a row, so far as a glance can tell."""
    outline = _ATOM.sub(lambda atom: "-" if _CERTAIN.fullmatch(atom.group()) else "\0", seed)
    outline = outline.replace("(?i:", "(").replace("(?:", "(")
    return _LITERAL.search(_REPEATED.sub("\0", outline)) is not None


def has_capitals(seed: str) -> bool:
    """Whether a class of the seed is mostly capital letters, and none of its letters are small."""
    return any(
        len(re.findall(atom.encode("latin-1"), _CAPITALS)) > len(_CAPITALS) // 2
        and not re.search(atom.encode("latin-1"), _CAPITALS.lower())
        for atom in _ATOM.findall(seed)
        if atom.startswith("[")
    )


class DigitAhead:
    """Tells whether a digit follows a hit: of the words before a number, few do stand before one.

    Args:
        within: The number of bytes to look at.
    """

    def __init__(self, within: int) -> None:
        self._within = within

    def __call__(self, body: bytes, end: int) -> bool:
        """Whether there is a digit in the last byte of a hit that ends before ``end``, or behind it."""
        return _DIGIT.search(body, end - 1, end + self._within) is not None


class NumberStart:
    """Tells from the bytes before a hit whether a number can begin there.

    Most hits of seeds that are digits lie inside a longer number, like a fraction; with them gone, the field need not be
    visited. Wherever a text field could begin, of whatever number, the answer is yes.

    Args:
        seed: A seed whose alternatives have a fixed length each.

    Raises:
        ValueError: They have not.
    """

    def __init__(self, seed: str) -> None:
        self._alternatives = [
            (_width(each), re.compile(each.encode("latin-1"), re.DOTALL).match) for each in alternatives(seed)
        ]
        self._widths = {width for width, _ in self._alternatives}

    def places(self, ends: Iterable[int]) -> list[int]:
        """Where the hits that end at these offsets may begin, in order."""
        return sorted({end - width for end in ends for width in self._widths if width <= end})

    def __call__(self, body: bytes, end: int) -> bool:
        """Whether a number may begin where a hit that ends before ``end`` does."""
        for width, match in self._alternatives:
            if width <= end and match(body, end - width) is not None and _may_begin(body, end - width):
                return True
        return False


def _width(alternative: str) -> int:
    outline = _ATOM.sub("a", alternative)
    if not _PLAIN.fullmatch(outline):
        raise ValueError("no fixed length")
    return sum(int(times or 1) for times in _ONE.findall(outline))


def _may_begin(body: bytes, start: int) -> bool:
    if start < _FARTHEST:
        return True
    before = body[start - 1]
    if before not in _DIGITS and (before != _DOT or body[start - 2] not in _DIGITS):
        return True
    return (
        _begins_field(body, start)
        or (before == _DOT and _begins_field(body, start - 1))
        or body[start - 3] == _PERCENT
        or body[start - 6 : start - 4] == b"\\u"
    )


def _begins_field(body: bytes, start: int) -> bool:
    tag = body[start - 2]
    return tag >= _CONTINUES or tag & _WIRE_TYPE == _LEN or body[start - 3] >= _CONTINUES


HitTest = DigitAhead | NumberStart


def hit_test(rule: Rule) -> HitTest | None:
    """What the hits of a rule must pass, if anything can be told about them before the field is visited."""
    return DigitAhead(rule.digit_within) if rule.digit_within else number_start(rule)


def number_start(rule: Rule) -> NumberStart | None:
    """Where the matches of a rule begin, if its seeds tell."""
    if rule.left == "number":
        with suppress(ValueError):  # no fixed length
            return NumberStart(rule.seed)
    return None
