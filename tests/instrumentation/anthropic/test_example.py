# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example's three stories, in real processes under ``opentelemetry-instrument``, to a real OTLP receiver."""

from pathlib import Path

import pytest
from refund_story import EXAMPLES, Receiver, check, run

pytestmark = [pytest.mark.sdk]


def process(directory: Path, receiver: Receiver, *arguments: str) -> str:
    # Without the others: the official one and the SDK's own spans, of which other modules are about.
    example = EXAMPLES / "anthropic" / "refund_agent.py"
    return run(
        example,
        directory,
        receiver,
        *arguments,
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="anthropic",
        ANTHROPIC_OPEN_TELEMETRY="false",
    )


BEFORE = [
    "invoke_agent refund-agent",
    "agent_step act",
    "policy_decision permission_policy",
    "execute_tool lookup_customer",
    "policy_decision permission_policy",
    "execute_tool list_invoices",
]
WAITS = [*BEFORE, "policy_decision permission_policy", "request_approval create_refund"]
GOES_ON = ["approval_decision create_refund", "invoke_agent refund-agent", "agent_step act"]


def test_a_refund_that_a_person_approves_in_another_process(tmp_path: Path, receiver: Receiver) -> None:
    who = ("--thread", "refund-a", "--customer", "c-100")
    assert process(tmp_path, receiver, "start", *who) == "waits for a person"
    assert not (tmp_path / "payments.jsonl").exists()
    said = process(tmp_path, receiver, "resume", *who, "--decision", "approve", "--reviewer", "u-17")
    assert said == "Your request has been dealt with."
    assert len((tmp_path / "payments.jsonl").read_text().splitlines()) == 1
    spans = check(receiver)
    assert [name for name, _ in spans] == [*WAITS, *GOES_ON, "execute_tool create_refund"]
    request, decision, tool = spans[len(WAITS) - 1][1], spans[len(WAITS)][1], spans[-1][1]
    assert tool["runrecord.approval.id"] == request["runrecord.approval.id"]
    assert decision["runrecord.approval.status"] == "approved"
    assert decision["runrecord.approval.actor.ref"] == "u-17"
    assert (
        request["runrecord.approval.subject.digest"]
        == decision["runrecord.approval.subject.digest"]
        == tool["runrecord.arguments.digest"]
    )
    assert [said["runrecord.run.segment"] for _, said in spans if "runrecord.run.segment" in said] == [0, 1]


def test_a_refund_that_the_model_refuses(tmp_path: Path, receiver: Receiver) -> None:
    assert process(tmp_path, receiver, "start", "--thread", "refund-b", "--customer", "c-200") == "Refused."
    assert not (tmp_path / "payments.jsonl").exists()
    spans = check(receiver)
    assert [name for name, _ in spans] == [*BEFORE, "policy_decision refusal"]
    assert spans[-1][1]["runrecord.decision.outcome"] == "deny"
    assert spans[0][1]["runrecord.run.outcome"] == "denied"


def test_a_refund_that_the_person_denies(tmp_path: Path, receiver: Receiver) -> None:
    who = ("--thread", "refund-c", "--customer", "c-300")
    assert process(tmp_path, receiver, "start", *who) == "waits for a person"
    process(tmp_path, receiver, "resume", *who, "--decision", "reject")
    assert not (tmp_path / "payments.jsonl").exists()
    spans = check(receiver)
    assert [name for name, _ in spans] == [*WAITS, *GOES_ON[:-1]]
    assert spans[len(WAITS)][1]["runrecord.approval.status"] == "denied"
    assert spans[len(WAITS) + 1][1]["runrecord.run.outcome"] == "denied"
