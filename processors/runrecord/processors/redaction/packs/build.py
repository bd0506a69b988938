# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Make ``rules.json`` from the rule files under ``data/``; ``--check`` only says whether it is up to date.

The files are in the format of anyone's own rule files and are held to their examples in the same way. What is loaded at
start-up is the result: parsed in a millisecond, nothing left to check.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final

import yaml

from runrecord.processors.errors import PolicyError
from runrecord.processors.redaction.packs import PACK_NAMES, RULES_FILE, templates
from runrecord.processors.redaction.rule import Rule
from runrecord.processors.redaction.rule_files import check_examples, rule_from_mapping

DATA: Final = Path(__file__).resolve().parent / "data"
FILES: Final = (
    "cloud", "models", "code", "payments", "messaging", "observability", "credentials", "secrets-context",
    "pii", "pii-us", "pii-uk", "pii-eu",
)  # fmt: skip
"""In this order: the specific before the general, since an earlier rule names a match that two rules share."""
_EXAMPLES: Final = 2
_DEFAULTS: Final = {field.name: field.default for field in fields(Rule) if field.default is not MISSING}


def read() -> Iterator[dict[str, Any]]:
    """Read every rule, with its packs, and check it.

    Raises:
        PolicyError: A rule is unsound, names an unknown pack, or has too few examples.
    """
    seen: set[str] = set()
    for name in FILES:
        document = yaml.safe_load((DATA / f"{name}.yaml").read_text(encoding="utf-8"))
        for item in document["rules"]:
            where = f"{name}.yaml, rule {item.get('id')}"
            packs = item.pop("packs", document["packs"])
            rule = rule_from_mapping(item, where)
            check_examples(rule, where)
            if rule.id in seen or not set(packs) <= set(PACK_NAMES):
                raise PolicyError(f"{where}: the id is taken, or one of its packs is unknown")
            if min(len(rule.examples), len(rule.counter_examples)) < _EXAMPLES or not rule.description:
                raise PolicyError(
                    f"{where}: {_EXAMPLES} examples, {_EXAMPLES} counter-examples and a description are needed"
                )
            seen.add(rule.id)
            # The placeholders in examples stay as they are: filled in, they look like secrets to other scanners.
            values = {
                field: templates.regex(value) if field in {"seed", "exact"} else value
                for field, value in item.items()
                if _DEFAULTS.get(field) != value
            }
            yield {**values, "packs": packs}


def main() -> None:
    """Write the file, or exit with 1 if it is not up to date and ``--check`` is given."""
    lines = ",\n".join(json.dumps(rule, ensure_ascii=False) for rule in read())
    wanted = f"[\n{lines}\n]\n"
    if "--check" not in sys.argv[1:]:
        RULES_FILE.write_text(wanted, encoding="utf-8")
    elif RULES_FILE.read_text(encoding="utf-8") != wanted:
        sys.exit(f"{RULES_FILE.name} is not up to date; run: make generate")


if __name__ == "__main__":
    main()
