# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Rules by attribute key: which key, of which tool, agent, tenant or environment, gets which action."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from runrecord.processors.errors import PolicyError
from runrecord.processors.redaction.context import Context, Fact

_FRAGMENT_MINIMUM = 3
_CACHE_LIMIT = 4096
_CACHED_PATH = 256
_PATH_LIMIT = 512
# \u0070 and its like: a letter, digit, dot, hyphen or underscore that is escaped although it need not be.
_ESCAPED_NAME = r"\\u00(?:2[dDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])"


def joined(path: bytes, key: bytes) -> bytes:
    """The dotted path of a key below another; of a very long one, the end."""
    return (path[-_PATH_LIMIT:] + b"." + key[-_PATH_LIMIT:])[-_PATH_LIMIT:]


@dataclass(frozen=True)
class KeyRule:
    """One rule by key.

    Attributes:
        match: Glob over the key (``*`` and ``?``), compared without regard to ASCII case.
        action: An action, or ``keep`` to leave the value to the pattern rules.
        inside_json: Also over the dotted path of keys in nested maps and in JSON text.
        conditions: For each fact that matters the globs of which one must fit, with regard to case.
    """

    match: str
    action: str
    inside_json: bool = False
    conditions: Mapping[Fact, Sequence[str]] = field(default_factory=dict[Fact, Sequence[str]])

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """The glob as a regex over lower-case bytes."""
        return _glob(self.match, lower=True)

    @cached_property
    def _needs(self) -> tuple[tuple[Fact, tuple[re.Pattern[bytes], ...]], ...]:
        return tuple((fact, tuple(_glob(glob) for glob in globs)) for fact, globs in self.conditions.items())

    def holds(self, context: Context) -> bool:
        """Whether all conditions hold; a fact that is not known fits no glob."""
        for fact, globs in self._needs:
            value = context.get(fact)
            if value is None or not any(glob.match(value) for glob in globs):
                return False
        return True

    @property
    def seed(self) -> str | None:
        """A byte regex that every key with a match contains; None if the glob has no literal of three characters."""
        separators = r"[*?\[\].]" if self.inside_json else r"[*?\[\]]"
        pieces = re.split(separators + r"|[^\x20-\x7e]", self.match)
        literal = max(pieces, key=len)
        if len(literal) < _FRAGMENT_MINIMUM:
            return None
        return f"(?i:{re.escape(literal)})"


def _glob(glob: str, *, lower: bool = False) -> re.Pattern[bytes]:
    translated = fnmatch.translate(glob.replace("[", "[[]")).encode()
    return re.compile((translated.lower() if lower else translated).replace(b"\\z", b"\\Z"))


class KeyRules:
    """All rules by key; the first that matches counts.

    Args:
        rules: The rules in order.

    Raises:
        PolicyError: A glob is empty.
    """

    def __init__(self, rules: Sequence[KeyRule]) -> None:
        self.rules = tuple(rules)
        for index, rule in enumerate(rules):
            if not rule.match:
                raise PolicyError(f"keys[{index}].match is empty; name a key, for instance '*.password'")
        self.inside_json = any(rule.inside_json for rule in rules)
        seeds = [rule.seed for rule in rules]
        # A glob like `*` cannot be looked for in the bytes; it makes every request take the full walk.
        self.needs_walk = None in seeds
        self.seeds: list[str] = list(dict.fromkeys(seed for seed in seeds if seed is not None))
        if self.inside_json:
            self.seeds.append(_ESCAPED_NAME)
        self._cache: dict[tuple[bytes, bool], tuple[KeyRule, ...]] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.rules)

    def find(self, path: bytes, context: Context, *, nested: bool) -> KeyRule | None:
        """The rule for a key.

        Args:
            path: The key, or the dotted path of keys of a nested value.
            context: The place of the text; asked only if a rule has conditions.
            nested: Whether ``path`` leads into a nested map or into JSON text.
        """
        cached = self._cache.get((path, nested))
        if cached is None:
            lowered = path.lower()
            cached = tuple(
                rule
                for rule in self.rules
                if (rule.inside_json or not nested) and rule.pattern.match(lowered)
            )
            if len(path) <= _CACHED_PATH:
                if len(self._cache) >= _CACHE_LIMIT:
                    self._cache.clear()
                self._cache[path, nested] = cached
        for rule in cached:
            if rule.holds(context):
                return rule
        return None
