# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write support.md, signal by SDK, from what the tests of each SDK saw; ``--check`` only says whether it is up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runrecord.instrumentation.capabilities import integrations
from runrecord.semconv.registry import Signal, load_registry

HERE = Path(__file__).resolve().parent
PAGE = HERE / "support.md"
VERSIONS = ("oldest", "newest")
HEAD = """# What was seen of which SDK

This page is made from test results: each SDK's tests run in an environment of its own, at the oldest and at the newest supported
release, and the session fails if what they recorded is no longer what this page says (`docs/support/*.json`). Do not edit it.

`ours`: we make the record. `native`: the SDK or an official instrumentation makes the span, and we add to it. After the
colon, the outcomes that were seen. `-`: nothing in the SDK tells of it; the [recorder](instrumentation.md#by-hand) records it by hand.

"""


def main() -> None:
    """Bring the page up to date, or exit with 1 if it is not and ``--check`` is given."""
    wanted = HEAD + _tables()
    if "--check" in sys.argv[1:]:
        is_up_to_date = PAGE.exists() and PAGE.read_text() == wanted
        sys.exit(0 if is_up_to_date else "docs/support.md is not up to date; run: make generate")
    PAGE.write_text(wanted)


def _tables() -> str:
    signals = list(load_registry().signals.values())
    results = {
        integration: {
            versions: json.loads(path.read_text())
            for versions in VERSIONS
            if (path := HERE / "support" / f"{name.replace('_', '-')}-{versions}.json").exists()
        }
        for name, integration in integrations().items()
    }
    results = {integration: seen for integration, seen in results.items() if seen}
    newest = [seen.get("newest", {}) for seen in results.values()]
    matrix = _table(
        ["signal", *(integration.sdk for integration in results)],
        [[_name(signal), *(_by(seen.get(signal.id, [])) for seen in newest)] for signal in signals],
    )
    sections = [f"At the newest releases:\n\n{matrix}"]
    for integration, seen in results.items():
        rows = [
            [_name(signal), *(_cell(facts.get(signal.id, [])) for facts in seen.values())]
            for signal in signals
        ]
        sections.append(
            f"## {integration.sdk}\n\n{integration.versions}\n\n{_table(['signal', *seen], rows)}"
        )
    return "\n".join(sections)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _name(signal: Signal) -> str:
    return f"`{signal.name}`"


def _by(facts: list[str]) -> str:
    return " and ".join(fact.removeprefix("by ") for fact in reversed(facts) if fact.startswith("by ")) or "-"


def _cell(facts: list[str]) -> str:
    seen = [fact.removeprefix("is ") for fact in facts if fact.startswith("is ")]
    return _by(facts) + (f": {', '.join(seen)}" if seen else "")


if __name__ == "__main__":
    main()
