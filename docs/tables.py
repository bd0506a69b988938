# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the tables of the hand-written pages that come from code; ``--check`` only says whether they are up to date."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from runrecord.instrumentation.capabilities import markdown
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


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "instrumentation.md": ("capabilities", markdown),
    "check.md": ("rules", rules),
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
