# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Packs by name: the curated ones, and those that installed distributions offer."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Final, cast

from runrecord.processors.errors import PolicyError
from runrecord.processors.redaction.packs import PACKS
from runrecord.processors.redaction.rule import Rule
from runrecord.processors.redaction.rule_files import check_examples

GROUP: Final = "runrecord.detectors"
"""The entry point group; each entry names an iterable of :class:`Rule`."""


def pack_names() -> list[str]:
    """The names of all packs there are."""
    return [*PACKS, *(entry.name for entry in entry_points(group=GROUP) if entry.name not in PACKS)]


def find_pack(name: str) -> tuple[Rule, ...]:
    """The rules of a pack; one that an installed distribution offers is held to its own examples.

    Raises:
        PolicyError: There is no such pack, or it holds something else than sound rules.
    """
    if name in PACKS:
        return PACKS[name]
    for entry in entry_points(group=GROUP, name=name):
        try:
            rules = tuple(cast("Iterable[object]", entry.load()))
        except (ImportError, AttributeError, TypeError) as error:
            raise PolicyError(
                f"pack {name!r} ({entry.value}) cannot be loaded: {type(error).__name__}"
            ) from error
        checked: list[Rule] = []
        for number, rule in enumerate(rules, start=1):
            if not isinstance(rule, Rule):
                raise PolicyError(f"pack {name!r} ({entry.value}): item {number} is no Rule")
            rule.check()
            check_examples(rule, f"pack {name!r}, rule {rule.id}")
            checked.append(rule)
        return tuple(checked)
    raise PolicyError(f"no pack {name!r}; there are {', '.join(pack_names())}")
