# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The page about redaction lists the rules that there are, and its policy is a policy."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from runrecord.processors.redaction import PACKS, RedactionPolicy, Redactor

PAGE = Path(__file__).parents[3] / "docs" / "redaction.md"


def table() -> str:
    lines = ["| rule | pack | severity | what it finds |", "|---|---|---|---|"]
    for name, rules in PACKS.items():
        lines += [f"| `{rule.id}` | {name} | {rule.severity} | {rule.description} |" for rule in rules]
    return "\n".join(lines)


def test_the_page_lists_the_rules() -> None:
    (listed,) = re.findall(r"<!-- rules: begin -->\n(.*)\n<!-- rules: end -->", PAGE.read_text(), re.DOTALL)
    assert listed == table()


def test_the_policy_on_the_page_is_a_policy(tmp_path: Path) -> None:
    policies, rules = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "rules.yaml"
    path.write_text(rules)
    policy = yaml.safe_load(policies)["redaction"] | {"rule_files": [str(path)]}
    redactor = Redactor(RedactionPolicy.parse(policy), bytes(32))
    assert redactor.rules[-1].id == "order-number"
