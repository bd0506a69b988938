# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The curated rules in packs: secrets by their own form or by the name beside them, personal data everywhere or by region.

They are written in ``data/*.yaml`` and built into ``rules.json`` (see :mod:`.build`), which is what is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from runrecord.processors.redaction.packs import templates
from runrecord.processors.redaction.rule import Rule

PACKS_VERSION: Final = 2
"""Raised whenever a rule changes what it finds."""
PACK_NAMES: Final = ("secrets", "secrets-context", "pii", "pii-us", "pii-uk", "pii-eu", "pii-optional")
RULES_FILE: Final = Path(__file__).resolve().parent / "rules.json"
_LISTS: Final = ("keywords", "context")
_EXAMPLES: Final = ("examples", "counter_examples")


def _load() -> dict[str, tuple[Rule, ...]]:
    packs: dict[str, list[Rule]] = {name: [] for name in PACK_NAMES}
    data: list[dict[str, Any]] = (
        json.loads(RULES_FILE.read_text(encoding="utf-8")) if RULES_FILE.exists() else []
    )
    for item in data:
        names = item.pop("packs")
        for field in _LISTS:
            if field in item:
                item[field] = tuple(item[field])
        for field in _EXAMPLES:
            item[field] = tuple(map(templates.example, item[field]))
        rule = Rule(**item)
        for name in names:
            packs[name].append(rule)
    return {name: tuple(rules) for name, rules in packs.items()}


# The order settles whose name a match gets that two rules share: the specific before the general.
PACKS: Final[dict[str, tuple[Rule, ...]]] = _load()

__all__ = ["PACKS", "PACKS_VERSION", "PACK_NAMES"]
