# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example's three stories, in real processes under ``opentelemetry-instrument``, to a real OTLP receiver."""

from pathlib import Path

import pytest
from refund_story import EXAMPLES, Receiver, check, run

pytestmark = [pytest.mark.sdk]


def process(directory: Path, receiver: Receiver, *arguments: str) -> str:
    # Without the other instrumentation: the official one; test_official_spans.py is about it.
    example = EXAMPLES / "openai_agents" / "refund_agent.py"
    return run(
        example, directory, receiver, *arguments, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="openai_agents"
    )


BEFORE = [
    "invoke_agent refund-agent",
    "agent_step act",
    "execute_tool lookup_customer",
    "agent_step act",
    "execute_tool list_invoices",
    "agent_step act",
]
WAITS = [*BEFORE, "policy_decision refunds", "request_approval create_refund"]
GOES_ON = ["invoke_agent refund-agent", "agent_step act", "approval_decision create_refund"]


def test_a_refund_over_the_limit_that_a_person_approves_in_another_process(
    tmp_path: Path, receiver: Receiver
) -> None:
    who = ("--thread", "refund-a", "--customer", "c-100")
    assert process(tmp_path, receiver, "start", *who) == "waits for a person"
    assert not (tmp_path / "payments.jsonl").exists()
    said = process(tmp_path, receiver, "resume", *who, "--decision", "approve", "--reviewer", "u-17")
    assert said == "Your request has been dealt with."
    assert len((tmp_path / "payments.jsonl").read_text().splitlines()) == 1
    spans = check(receiver)
    assert [name for name, _ in spans] == [
        *WAITS,
        *GOES_ON,
        "policy_decision refunds",
        "execute_tool create_refund",
        "agent_step act",
    ]
    request = spans[len(WAITS) - 1][1]
    decision, guardrail, tool = (facts for _, facts in spans[len(WAITS) + 2 : len(WAITS) + 5])
    assert spans[0][1]["gen_ai.conversation.id"] == "refund-a"
    assert decision["runrecord.approval.status"] == "approved"
    assert decision["runrecord.approval.actor.ref"] == "u-17"
    assert guardrail["runrecord.policy.rule.id"] == "recent_chargeback"
    assert tool["runrecord.side_effect.type"] == "pay"
    assert tool["runrecord.side_effect.reversible"] is False
    assert (
        request["runrecord.approval.subject.digest"]
        == decision["runrecord.approval.subject.digest"]
        == tool["runrecord.arguments.digest"]
    )
    assert tool["runrecord.step.index"] == request["runrecord.step.index"] == 2


def test_a_refund_that_the_policy_denies(tmp_path: Path, receiver: Receiver) -> None:
    said = process(tmp_path, receiver, "start", "--thread", "refund-b", "--customer", "c-200")
    assert said == "Your request has been dealt with."
    assert not (tmp_path / "payments.jsonl").exists()
    spans = check(receiver)
    assert [name for name, _ in spans] == [*BEFORE, "policy_decision refunds", "agent_step act"]
    denial = spans[len(BEFORE)][1]
    assert denial["runrecord.decision.outcome"] == "deny"
    assert denial["runrecord.decision.action"] == "block"
    assert denial["runrecord.policy.rule.id"] == "recent_chargeback"
    assert denial["runrecord.policy.version"] == "14"


def test_a_refund_over_the_limit_that_the_person_denies(tmp_path: Path, receiver: Receiver) -> None:
    who = ("--thread", "refund-c", "--customer", "c-300")
    assert process(tmp_path, receiver, "start", *who) == "waits for a person"
    process(tmp_path, receiver, "resume", *who, "--decision", "reject")
    assert not (tmp_path / "payments.jsonl").exists()
    spans = check(receiver)
    assert [name for name, _ in spans] == [*WAITS, *GOES_ON, "agent_step act"]
    assert spans[len(WAITS) + 2][1]["runrecord.approval.status"] == "denied"
