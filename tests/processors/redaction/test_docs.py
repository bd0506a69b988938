# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The policy and the rules on the page about redaction are what they say."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from runrecord.processors.redaction import RedactionPolicy, Redactor

PAGE = Path(__file__).parents[3] / "docs" / "redaction.md"


def test_the_policy_on_the_page_is_a_policy(tmp_path: Path) -> None:
    policies, rules = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "rules.yaml"
    path.write_text(rules)
    policy = yaml.safe_load(policies)["redaction"] | {"rule_files": [str(path)]}
    redactor = Redactor(RedactionPolicy.parse(policy), bytes(32))
    assert redactor.rules[-1].id == "order-number"
