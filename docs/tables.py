# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the tables of the hand-written pages that come from code; ``--check`` only says whether they are up to date."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from runrecord.instrumentation.capabilities import markdown
from runrecord.processors.redaction import PACKS
from runrecord.semconv.conformance import RULES

HERE = Path(__file__).resolve().parent
PARTS = {
    "record": "One record of ours",
    "official": "The official part",
    "across": "Several records together",
    "metric": "Metrics",
}


def rules() -> str:
    """The rules of the check, a table for each part."""
    lines: list[str] = []
    for part, title in PARTS.items():
        lines += [
            "",
            f"### {title}",
            "",
            "| rule | severity | what is wrong | what to do |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{rule.id}` | {rule.severity.value} | {rule.brief} | {rule.next_step} |"
            for rule in RULES.values()
            if rule.part == part
        ]
    return "\n".join([*lines, "", ""])


def redaction_rules() -> str:
    """The rules of redaction, each once, with the packs that it is in."""
    packs: dict[str, list[str]] = {}
    for name, members in PACKS.items():
        for rule in members:
            packs.setdefault(rule.id, []).append(name)
    known = {rule.id: rule for members in PACKS.values() for rule in members}
    lines = ["| rule | what it finds | packs | severity | source | licence |", "|---|---|---|---|---|---|"]
    lines += [
        f"| `{rule.id}` | {rule.description} | {', '.join(packs[rule.id])} | {rule.severity} | {rule.source} | {rule.licence} |"
        for rule in known.values()
    ]
    return "\n".join([*lines, ""])


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "instrumentation.md": ("capabilities", markdown),
    "check.md": ("rules", rules),
    "redaction-rules.md": ("rules", redaction_rules),
}


def main() -> None:
    """Bring the pages up to date, or exit with 1 if one is not and ``--check`` is given."""
    for name, (marker, table) in TABLES.items():
        page, text = HERE / name, (HERE / name).read_text()
        place = re.compile(rf"(<!-- {marker}: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
        made = table()
        wanted = place.sub(lambda found, made=made: f"{found[1]}{made}{found[2]}", text)
        if "--check" not in sys.argv[1:]:
            page.write_text(wanted)
        elif wanted != text:
            sys.exit(f"docs/{name} is not up to date; run: make generate")


if __name__ == "__main__":
    main()
