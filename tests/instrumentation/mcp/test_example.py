# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example as a user runs it: two processes of the client, each with a server of its own, all under opentelemetry-instrument."""

from pathlib import Path
from typing import Any

import pytest
from refund_story import EXAMPLES, Receiver, check, run

pytest.importorskip("runrecord.exporters.configurator")

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(300)]  # up to four processes, one after the other


def process(directory: Path, receiver: Receiver, *arguments: str) -> str:
    example = EXAMPLES / "mcp" / "refund_client.py"
    return run(example, directory, receiver, *arguments, timeout=110, OTEL_LOGS_EXPORTER="none")


def story(records: list[tuple[str, dict[str, Any]]], *starts: str) -> list[dict[str, Any]]:
    return [facts for name, facts in records if name.startswith(starts)]


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_refund_over_the_limit(tmp_path: Path, receiver: Receiver, decision: str) -> None:
    assert (
        process(tmp_path, receiver, "start", "--thread", "refund-a", "--customer", "c-100")
        == "waits for a person"
    )
    assert not (tmp_path / "payments.jsonl").exists()
    said = process(
        tmp_path, receiver, "resume", "--thread", "refund-a", "--decision", decision, "--reviewer", "u-17"
    )
    assert said == ("Refunded." if decision == "approve" else "Not refunded.")
    assert (tmp_path / "payments.jsonl").exists() is (decision == "approve")
    records = check(receiver)
    (request,), (answer,) = story(records, "request_approval"), story(records, "approval_decision")
    assert answer["runrecord.approval.status"] == ("approved" if decision == "approve" else "denied")
    assert answer["runrecord.approval.actor.ref"] == "u-17"
    waiting, going_on = story(records, "invoke_agent")
    assert (waiting["runrecord.run.state"], going_on["runrecord.run.state"]) == ("suspended", "completed")
    assert going_on["runrecord.run.outcome"] == ("success" if decision == "approve" else "denied")
    tools = story(records, "execute_tool create_refund", "tools/call create_refund")
    assert len(tools) == 4  # in each process, the client's and the server's
    assert {tool["runrecord.arguments.digest"] for tool in tools} == {
        request["runrecord.approval.subject.digest"]
    }
    assert {tool["gen_ai.tool.call.id"] for tool in tools} == {request["runrecord.subject.id"]}
    assert {tool["runrecord.side_effect.type"] for tool in tools} == {"pay"}
    assert {policy["runrecord.decision.outcome"] for policy in story(records, "policy_decision refunds")} == {
        "allow"
    }


def test_a_refund_that_the_policy_denies(tmp_path: Path, receiver: Receiver) -> None:
    said = process(tmp_path, receiver, "start", "--thread", "refund-b", "--customer", "c-200")
    assert said == "Refused: recent chargeback."
    assert not (tmp_path / "payments.jsonl").exists()
    records = check(receiver)
    denial = story(records, "policy_decision refunds")[-1]
    assert denial["runrecord.decision.outcome"] == "deny"
    assert denial["runrecord.policy.rule.id"] == "recent_chargeback"
    (asked,) = story(records, "execute_tool create_refund")
    assert denial["runrecord.subject.id"] == asked["gen_ai.tool.call.id"]
    assert not story(records, "tools/call create_refund")
