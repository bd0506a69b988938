# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example's three stories, in real processes under ``opentelemetry-instrument``, to a real OTLP receiver."""

from pathlib import Path

import pytest
from refund_story import EXAMPLES, Receiver, check, run

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(300)]

SHOP = "mcp__shop__"


def process(directory: Path, receiver: Receiver, *arguments: str) -> str:
    # Without the other instrumentation: test_official.py is about it. The CLI's own telemetry stays off.
    example = EXAMPLES / "claude_agent" / "refund_agent.py"
    return run(
        example,
        directory,
        receiver,
        *arguments,
        timeout=140,
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="claude_agent_sdk,runrecord_mcp,mcp",
        CLAUDE_CODE_ENABLE_TELEMETRY="0",
    )


def names(spans: list[tuple[str, dict[str, object]]]) -> list[str]:
    """The records, without what the CLI's own rules allowed, of which older ones do not tell."""
    return [name for name, _ in spans if name != "policy_decision claude_code.permissions"]


BEFORE = [
    "invoke_agent refund-agent",
    "agent_step act",
    f"execute_tool {SHOP}lookup_customer",
    "agent_step act",
    f"execute_tool {SHOP}list_invoices",
    "agent_step act",
    "policy_decision refunds",
]
WAITS = [*BEFORE, f"request_approval {SHOP}create_refund"]
GOES_ON = ["invoke_agent refund-agent", "agent_step act", f"approval_decision {SHOP}create_refund"]


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
    assert names(spans) == [*WAITS, *GOES_ON, f"execute_tool {SHOP}create_refund", "agent_step act"]
    facts = dict(spans)
    request, decision = (
        facts[f"request_approval {SHOP}create_refund"],
        facts[f"approval_decision {SHOP}create_refund"],
    )
    tool = facts[f"execute_tool {SHOP}create_refund"]
    assert decision["runrecord.approval.status"] == "approved"
    assert decision["runrecord.approval.actor.ref"] == "u-17"
    assert facts["policy_decision refunds"]["runrecord.policy.version"] == "14"
    assert tool["runrecord.tool.destructive"] is True
    assert facts[f"execute_tool {SHOP}lookup_customer"]["runrecord.side_effect.type"] == "read"
    assert (
        request["runrecord.approval.subject.digest"]
        == decision["runrecord.approval.subject.digest"]
        == tool["runrecord.arguments.digest"]
    )


def test_a_refund_that_the_policy_denies(tmp_path: Path, receiver: Receiver) -> None:
    said = process(tmp_path, receiver, "start", "--thread", "refund-b", "--customer", "c-200")
    assert said == "Your request has been dealt with."
    assert not (tmp_path / "payments.jsonl").exists()
    spans = check(receiver)
    assert names(spans) == [*BEFORE, "agent_step act"]
    assert dict(spans)["policy_decision refunds"]["runrecord.decision.outcome"] == "deny"


def test_a_refund_over_the_limit_that_the_person_denies(tmp_path: Path, receiver: Receiver) -> None:
    who = ("--thread", "refund-c", "--customer", "c-300")
    assert process(tmp_path, receiver, "start", *who) == "waits for a person"
    process(tmp_path, receiver, "resume", *who, "--decision", "reject")
    assert not (tmp_path / "payments.jsonl").exists()
    spans = check(receiver)
    assert names(spans) == [*WAITS, *GOES_ON, "agent_step act"]
    assert dict(spans)[f"approval_decision {SHOP}create_refund"]["runrecord.approval.status"] == "denied"
