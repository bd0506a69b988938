# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Rules by attribute key: which key, of which tool, gets which action."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from runrecord.processors.errors import PolicyError

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
        tool: Only in records whose ``gen_ai.tool.name`` is this; None for all.
        inside_json: Also over the dotted path of keys in nested maps and in JSON text.
    """

    match: str
    action: str
    tool: str | None = None
    inside_json: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """The glob as a regex over lower-case bytes."""
        translated = fnmatch.translate(self.match.replace("[", "[[]"))
        return re.compile(translated.encode().lower().replace(b"\\z", b"\\Z"))

    @property
    def seed(self) -> str | None:
        """A byte regex that every key with a match contains; None if the glob has no literal of three characters."""
        separators = r"[*?\[\].]" if self.inside_json else r"[*?\[\]]"
        pieces = re.split(separators + r"|[^\x20-\x7e]", self.match)
        literal = max(pieces, key=len)
        if len(literal) < _FRAGMENT_MINIMUM:
            return None
        return f"(?i:{re.escape(literal)})"


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

    def find(self, path: bytes, tool: Callable[[], bytes | None], *, nested: bool) -> KeyRule | None:
        """The rule for a key.

        Args:
            path: The key, or the dotted path of keys of a nested value.
            tool: Tells the record's tool name; called only if a rule asks.
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
            if rule.tool is None or rule.tool.encode() == tool():
                return rule
        return None
