# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example of a policy engine, in real processes under ``opentelemetry-instrument``: what it prints, and the spans it exports."""

from __future__ import annotations

from pathlib import Path

from refund_story import EXAMPLES, PERSONAL, Receiver, run
from refund_story import check as check_records

EXAMPLE = EXAMPLES / "policy_engines" / "refund_agent.py"


def check(
    directory: Path, engine: str, policy: str, rules: tuple[str | None, str | None], **settings: str
) -> None:
    """The rule allows 42 USD and refuses 120, by the rules of these names."""
    for customer, said, outcome, rule in (
        ("c-100", "refused: over 50 USD", "deny", rules[0]),
        ("c-200", "paid", "allow", rules[1]),
    ):
        with Receiver().serving() as receiver:
            arguments = ("--engine", engine, "--customer", customer)
            assert run(EXAMPLE, directory, receiver, *arguments, **settings) == said
        spans = dict(check_records(receiver, [*PERSONAL, "inv-7001", "inv-7002"]))
        facts = spans[f"policy_decision {policy}"]
        assert facts["runrecord.decision.outcome"] == outcome
        assert facts["runrecord.policy.engine"] == engine
        assert facts.get("runrecord.policy.rule.id") == rule
        assert facts["runrecord.subject.id"] == "call-1"
        run_span = spans["invoke_agent refund-agent"]
        assert run_span["runrecord.run.outcome"] == ("denied" if outcome == "deny" else "success")
    assert len((directory / "payments.jsonl").read_text().splitlines()) == 1
