# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Decide, on one text field, what exactly a rule found: the one step that all engines share."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from runrecord.processors.errors import RedactionError
from runrecord.processors.redaction.actions import markers, plain
from runrecord.processors.redaction.boundaries import escape_around, settle_end, settle_start
from runrecord.processors.redaction.packs import PACKS
from runrecord.processors.redaction.rule import Rule
from runrecord.processors.redaction.seeds import NumberStart, number_start
from runrecord.processors.redaction.validators import VALIDATORS, Validator

_CONTEXT_WINDOW = 80
_PEM_LIMIT = 65536
_PEM_BODY = re.compile(rb"(?:[A-Za-z0-9+/=:,. -]|\\{1,15}[nrt/]|[\r\n\t]){0,65536}")
_LOCAL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-"
_LOCAL_LIMIT = 64
_ENCODED_PLUS = re.compile(rb"\\{1,15}u002[bB]\Z")
_MARKER_LIMIT = 96
_NO_KEYWORD = (b"",)

Ends = Sequence[int] | None
Search = Callable[[bytes, int], re.Match[bytes] | None]


class Match(NamedTuple):
    """What a rule found: byte offsets into the text, and the rule's place in the order of rules."""

    start: int
    end: int
    order: int


class LeafBudgetError(Exception):
    """One text field has more candidates than the policy allows; the field is replaced as a whole."""


@dataclass
class Work:
    """What the confirm step did and may still do, counted over one request.

    Attributes:
        leaf_limit: Candidates allowed in one text field.
        request_limit: Candidates allowed in one request.
        confirms: Candidates so far.
    """

    leaf_limit: int
    request_limit: int
    confirms: int = 0
    _leaf: int = field(default=0, init=False)

    def next_leaf(self) -> None:
        """Begin another text field."""
        self._leaf = 0

    def confirm(self) -> None:
        """Count one candidate.

        Raises:
            LeafBudgetError: The field has too many.
            RedactionError: The request has too many.
        """
        self.confirms += 1
        self._leaf += 1
        if self.confirms > self.request_limit:
            raise RedactionError(
                f"more than {self.request_limit} candidates in one request: send smaller batches, "
                "or raise limits.request_confirms"
            )
        if self._leaf > self.leaf_limit:
            raise LeafBudgetError


class Confirmer:
    """Runs exact rules on single text fields.

    Args:
        rules: The rules in their order; the earlier one names a match that two rules share.
        allowed: Texts that are exempt when a match is exactly that text.
    """

    def __init__(self, rules: Sequence[Rule], allowed: Iterable[str] = ()) -> None:
        self.rules = tuple(rules)
        self._allowed = frozenset(text.encode() for text in allowed)
        self._validators: list[Validator | None] = [
            VALIDATORS[rule.validator] if rule.validator else None for rule in rules
        ]
        self._finders = [
            {"regex": self._regex, "pem": self._pem, "email": self._email}[rule.finder] for rule in rules
        ]
        self._number_starts: list[NumberStart | None] = [number_start(rule) for rule in self.rules]
        kinds = {rule.kind.upper() for pack in (*PACKS.values(), self.rules) for rule in pack} | {"REDACTED"}
        self._marker = re.compile(markers(kinds).encode())

    def find(
        self,
        text: bytes,
        orders: Iterable[int],
        work: Work,
        ends: Mapping[int, Sequence[int]] | None = None,
    ) -> list[Match]:
        """Find what the given rules match in one text field.

        Args:
            text: The whole field.
            orders: Which rules, by their place in the order.
            work: The counter of candidates.
            ends: For some rules, the offsets at which all hits of the seed in this text end.

        Returns:
            Matches sorted by offset, without overlaps: where two overlap, they are one match from the start of the
            first to the end of the last, in the name of the first (of the earlier rule, if they start together).

        Raises:
            LeafBudgetError: Too many candidates in this field.
            RedactionError: Too many candidates in this request.
        """
        work.next_leaf()
        found: list[Match] = []
        lowered = text.lower()
        for order in orders:
            rule = self.rules[order]
            # Searching for a word is a hundred times as fast as the exact regex.
            if any(word in lowered for word in rule.keyword_bytes or _NO_KEYWORD) and any(
                word in lowered for word in rule.context_bytes or _NO_KEYWORD
            ):
                found += self._finders[order](text, lowered, order, work, ends.get(order) if ends else None)
        return merge(found)

    def _accept(self, text: bytes, lowered: bytes, order: int, start: int, end: int) -> Match | None:
        rule = self.rules[order]
        context = rule.context_bytes
        if context:
            before = lowered[max(0, start - _CONTEXT_WINDOW) : start]
            if not any(word in before for word in context):
                return None
        start, end = settle_start(text, start), settle_end(text, start, end)
        if start >= end:
            return None
        if self._is_marker(text, start, end):
            return None
        if self._allowed and plain(text[start:end]) in self._allowed:
            return None
        return Match(start, end, order)

    def _is_marker(self, text: bytes, start: int, end: int) -> bool:
        """Whether a match lies in what an earlier pass has put there; only kinds that exist count."""
        floor = max(0, start - _MARKER_LIMIT)
        for begin in (
            text.rfind(b"[", floor, start + 1),
            text.rfind(b"hmac-sha256:", floor, start + 12),
            start,
        ):
            marker = self._marker.match(text, begin) if begin >= 0 else None
            if marker is not None and marker.end() >= end:
                return True
        return False

    def _regex(self, text: bytes, lowered: bytes, order: int, work: Work, ends: Ends) -> Iterator[Match]:
        pattern, number_start = self.rules[order].pattern, self._number_starts[order]
        search: Search = pattern.search
        if ends and number_start is not None:
            search = partial(_match_at, pattern, number_start.places(ends))
        validator = self._validators[order]
        position = 0
        while (candidate := search(text, position)) is not None:
            work.confirm()
            begin = candidate.start()
            behind, is_unicode = escape_around(text, begin)
            if is_unicode:
                position = behind
                continue
            start, end = candidate.span(candidate.lastgroup or 0)
            if start == begin:
                start = behind  # what follows a backslash is its escape, and stays
            if validator is not None and start < end:
                end = validator(text, start, end)
            match = self._accept(text, lowered, order, start, end) if start < end else None
            if match is None:
                position = begin + 1
            else:
                yield match
                position = max(match.end, begin + 1)

    def _pem(self, text: bytes, lowered: bytes, order: int, work: Work, _: Ends) -> Iterator[Match]:
        """Private key blocks: the END is looked up once, however many BEGINs there are."""
        search = self.rules[order].pattern.search
        position = 0
        footer = 0
        while (header := search(text, position)) is not None:
            work.confirm()
            if 0 <= footer < header.end():
                footer = text.find(b"-----END", header.end())
            if 0 <= footer <= header.end() + _PEM_LIMIT:
                close = text.find(b"-----", footer + 8, footer + 80)
                end = close + 5 if close >= 0 else footer + 8
            else:
                body = _PEM_BODY.match(text, header.end())
                end = body.end() if body else header.end()
            match = self._accept(text, lowered, order, header.start(), end)
            if match is not None:
                yield match
            position = max(header.end(), end)

    def _email(self, text: bytes, lowered: bytes, order: int, work: Work, _: Ends) -> Iterator[Match]:
        """E-mail addresses: from the ``@`` to both sides, so that a long word without one costs nothing."""
        rule = self.rules[order]
        written_otherwise = any(word in lowered for word in rule.keyword_bytes if word != b"@")
        search = rule.pattern.search if written_otherwise else partial(_match_at_sign, rule.pattern)
        position = 0
        while (domain := search(text, position)) is not None:
            work.confirm()
            start = _local_part(text, domain.start())
            match = None
            if start < domain.start() and not _in_url_credentials(text, start):
                match = self._accept(text, lowered, order, start, domain.end())
            if match is not None:
                yield match
            position = domain.end() if match is not None else domain.start() + 1


def merge(found: list[Match]) -> list[Match]:
    """Sort matches and join those that overlap, so that no byte of any of them remains."""
    if len(found) < 2:  # noqa: PLR2004
        return found
    found.sort(key=lambda match: (match.start, match.order, -match.end))
    merged = [found[0]]
    for match in found[1:]:
        last = merged[-1]
        if match.start >= last.end:
            merged.append(match)
        elif match.end > last.end:
            merged[-1] = Match(last.start, match.end, last.order)
    return merged


def _match_at(
    pattern: re.Pattern[bytes], places: Sequence[int], text: bytes, position: int
) -> re.Match[bytes] | None:
    """Search for a regex whose matches begin at certain places, without looking at what lies between."""
    for place in places[bisect_left(places, position) :]:
        found = pattern.match(text, place)
        if found is not None:
            return found
    return None


def _match_at_sign(pattern: re.Pattern[bytes], text: bytes, position: int) -> re.Match[bytes] | None:
    """Search for a regex whose matches begin with ``@``; looking for the byte is a hundred times as fast."""
    while (at := text.find(b"@", position)) >= 0:
        found = pattern.match(text, at)
        if found is not None:
            return found
        position = at + 1
    return None


def _local_part(text: bytes, at: int) -> int:
    """The start of the local part that ends at ``at``; ``at`` itself if there is none."""
    floor = max(0, at - _LOCAL_LIMIT)
    start = end = at
    while True:
        start = floor + len(text[floor:end].rstrip(_LOCAL))
        behind, is_unicode = escape_around(text, start)
        if behind == start or behind > end:
            return start
        start = behind
        plus = _ENCODED_PLUS.search(text[max(floor, start - 20) : start]) if is_unicode else None
        if plus is None:
            return start
        end = start - (plus.end() - plus.start())


def _in_url_credentials(text: bytes, start: int) -> bool:
    """Whether what looks like a local part is the password of ``scheme://user:password@host``."""
    if text[start - 1 : start] != b":":
        return False
    before = text[max(0, start - 80) : start - 1]
    slashes = before.rfind(b"/")
    return slashes > 0 and before[slashes - 1 : slashes] in {b"/", b"\\"} and not before[slashes:].count(b" ")
