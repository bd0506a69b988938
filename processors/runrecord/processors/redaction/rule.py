# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a rule is: data that says how to find one kind of text, how to confirm it, and what to do with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from runrecord.processors.errors import PolicyError
from runrecord.processors.redaction.boundaries import Left, anchored
from runrecord.processors.redaction.validators import VALIDATORS

Action = Literal["token", "pseudonym", "mask", "hash", "drop", "drop_span", "tag"]
Severity = Literal["low", "medium", "high", "critical"]
Finder = Literal["regex", "pem", "email"]

OWN = "Runrecord, from the vendor's public description of the format"
_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
# An assertion would look at the neighbouring bytes, which on the wire are lengths and tags.
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_ASSERTION = re.compile(r"[\^$]|\((?!\?i?:)|\\[bBAZz]")
# An open tail makes an automaton report every further byte as another match.
_OPEN_TAIL = re.compile(r"(?:[*+?]|\{\d*,\d*\})\)*$")


def _outline(seed: str) -> str:
    """The seed with every class and every escaped character replaced by one letter."""
    return _ATOM.sub(lambda atom: atom.group() if atom.group() in _ZERO_WIDTH else "a", seed)


_ZERO_WIDTH = frozenset(f"\\{letter}" for letter in "bBAZz")


@dataclass(frozen=True)
class Rule:
    r"""One kind of text to find in a request.

    Attributes:
        id: Lower-case words joined by hyphens; ``aws-access-key`` replaces by ``[AWS_ACCESS_KEY]``.
        seed: Byte regex for the multi-pattern scan of the serialised request. Every text that ``exact`` matches
            contains a match of it. No assertions, no open tail, only what RE2, Hyperscan and ``re`` read alike.
        exact: Byte regex that runs on one text field only. The group ``v`` (or ``w``), if it took part, is what is
            replaced, otherwise the whole match is. It must not backtrack over unbounded repeats.
        description: What the text is, for people.
        left: What may stand before a match. Every kind but ``any`` knows that ``\n``, ``\u00e9`` and ``%3D`` end in
            letters and are boundaries nevertheless.
        digit_within: A digit must come within so many bytes behind a hit of the seed, if this is not 0: for a number
            that only the word before it tells, so that the word alone costs nothing.
        keywords: Lower-case texts of which every match contains at least one; a cheap test before ``exact``.
        context: Lower-case words of which one must stand within 80 bytes before the match, if any are given.
        validator: Name of a function of :mod:`.validators` that a match must also pass.
        finder: How candidates are found: by ``exact``, or by one of the two extractors that need linear time
            where a regex would not (PEM blocks, e-mail addresses).
        action: What replaces a match unless the policy says otherwise.
        severity: How bad a leak of it is.
        examples: Texts that must be found (placeholders in the right shape, never real secrets).
        counter_examples: Texts that must be left alone.
        source: Where the knowledge of the format comes from.
        licence: Licence of the rule's data (SPDX).
    """

    id: str
    seed: str
    exact: str
    description: str = ""
    left: Left = "word"
    digit_within: int = 0
    keywords: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    validator: str | None = None
    finder: Finder = "regex"
    action: Action = "token"
    severity: Severity = "high"
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()
    source: str = OWN
    licence: str = "Apache-2.0"

    def check(self) -> None:
        """Refuse a rule that the engines could not run soundly.

        Whoever takes rules from outside calls this. The curated rules were checked when they were built, so that a
        program that imports them compiles the regexes of none before it needs them.

        Raises:
            PolicyError: The rule is unusable; the message names the rule and the field.
        """
        if not _ID.fullmatch(self.id):
            raise PolicyError(
                f"rule id {self.id!r}: use lower-case words joined by hyphens, like 'aws-access-key'"
            )
        if self.validator is not None and self.validator not in VALIDATORS:
            raise PolicyError(
                f"rule {self.id}: no validator {self.validator!r}; there are {', '.join(VALIDATORS)}"
            )
        outline = _outline(self.seed)
        if _ASSERTION.search(outline):
            raise PolicyError(
                f"rule {self.id}: the seed must not hold assertions, anchors or capturing groups; it runs over bytes "
                "whose neighbours are lengths and tags, so put boundaries into 'exact' or 'left'"
            )
        if _OPEN_TAIL.search(outline):
            raise PolicyError(
                f"rule {self.id}: the seed must not end in an open repeat; end it where the text is distinctive, "
                "for instance {20} instead of {20,}"
            )
        for name in ("seed", "exact"):
            try:
                re.compile(getattr(self, name).encode("latin-1"))
            except (re.error, UnicodeEncodeError, OverflowError) as error:
                raise PolicyError(f"rule {self.id}: {name} is no byte regex: {error}") from None
        if any(word != word.lower() for word in (*self.keywords, *self.context)):
            raise PolicyError(f"rule {self.id}: keywords and context words are compared in lower case")

    @property
    def kind(self) -> str:
        """The kind as it appears in ``runrecord.redaction.kinds``, like ``aws_access_key``."""
        return self.id.replace("-", "_")

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """``exact`` with its left boundary, compiled for byte strings."""
        return re.compile(anchored(self.exact, self.left).encode("latin-1"))

    @cached_property
    def keyword_bytes(self) -> tuple[bytes, ...]:
        """The keywords as bytes."""
        return tuple(word.encode() for word in self.keywords)

    @cached_property
    def context_bytes(self) -> tuple[bytes, ...]:
        """The context words as bytes."""
        return tuple(word.encode() for word in self.context)
