# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder writes the spans and events of the conventions, and nothing without an SDK."""

from typing import Any

import pytest
from inline_snapshot import snapshot

from runrecord.instrumentation import SpanRef
from runrecord.instrumentation import recorder as api

ARGUMENTS = {"order": "o-1", "amount": 80}


def test_a_run_with_every_kind_of_record(telemetry: Any, recorder: Any) -> None:
    with (
        recorder.run(
            agent="refund-agent", autonomy="execute_with_approval", conversation_id="thread-7"
        ) as run,
        run.step(kind="act", index=3, name="refund"),
    ):
        decision = run.decision("refunds", version="14", subject="call_1", arguments=ARGUMENTS)
        decision.require_approval(rule="over_50_usd")
        approval = run.request_approval("call_1", tool="create_refund", arguments=ARGUMENTS)
        telemetry.now += 412.5
        approval.approved(actor="human", actor_ref="u-17")
        with run.tool(
            "create_refund", call_id="call_1", arguments=ARGUMENTS, effect="pay", reversible=True
        ) as call:
            call.result({"refund": "r-1"})
            call.effect(committed=True)
        run.verification("refund_matches_order", subject="call_1").passed()
        run.compensation("create_refund", subject_id="call_1", of=call).outcome("succeeded")
    assert [telemetry.dump(span) for span in telemetry.spans] == snapshot(
        [
            {
                "name": "policy_decision refunds",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 3,
                "parent": 2,
                "attributes": {
                    "runrecord.decision.id": "id-2",
                    "runrecord.decision.outcome": "require_approval",
                    "runrecord.policy.id": "refunds",
                    "runrecord.policy.rule.id": "over_50_usd",
                    "runrecord.policy.version": "14",
                    "runrecord.record.seq": 2,
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                    "runrecord.subject.digest": "hmac-sha256:d7b245a5784703f3c78f196cab24d9aa90eab9a5359d7c919a805d0162c4460c",
                    "runrecord.subject.id": "call_1",
                    "runrecord.subject.type": "tool_call",
                },
            },
            {
                "name": "request_approval create_refund",
                "kind": "PRODUCER",
                "status": "UNSET",
                "trace": 1,
                "span": 4,
                "parent": 2,
                "attributes": {
                    "runrecord.approval.id": "id-3",
                    "runrecord.approval.status": "pending",
                    "runrecord.approval.subject.digest": "hmac-sha256:d7b245a5784703f3c78f196cab24d9aa90eab9a5359d7c919a805d0162c4460c",
                    "runrecord.record.seq": 3,
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                    "runrecord.subject.id": "call_1",
                    "runrecord.subject.name": "create_refund",
                    "runrecord.subject.type": "tool_call",
                },
            },
            {
                "name": "approval_decision create_refund",
                "kind": "CONSUMER",
                "status": "UNSET",
                "trace": 1,
                "span": 5,
                "parent": 2,
                "attributes": {
                    "runrecord.approval.actor.ref": "u-17",
                    "runrecord.approval.actor.type": "human",
                    "runrecord.approval.id": "id-3",
                    "runrecord.approval.request.span_id": "0000000000000004",
                    "runrecord.approval.request.trace_id": "00000000000000000000000000000001",
                    "runrecord.approval.status": "approved",
                    "runrecord.approval.subject.digest": "hmac-sha256:d7b245a5784703f3c78f196cab24d9aa90eab9a5359d7c919a805d0162c4460c",
                    "runrecord.approval.wait_seconds": 412.5,
                    "runrecord.record.seq": 4,
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                    "runrecord.subject.id": "call_1",
                    "runrecord.subject.name": "create_refund",
                    "runrecord.subject.type": "tool_call",
                },
                "links": [4],
            },
            {
                "name": "execute_tool create_refund",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 6,
                "parent": 2,
                "attributes": {
                    "gen_ai.agent.name": "refund-agent",
                    "gen_ai.conversation.id": "thread-7",
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.call.id": "call_1",
                    "gen_ai.tool.name": "create_refund",
                    "runrecord.arguments.digest": "hmac-sha256:d7b245a5784703f3c78f196cab24d9aa90eab9a5359d7c919a805d0162c4460c",
                    "runrecord.record.seq": 5,
                    "runrecord.result.digest": "hmac-sha256:71d7f1853927683707829db63739f6912e7a4d6d0c3ef538968fedc49061bfed",
                    "runrecord.run.id": "id-1",
                    "runrecord.side_effect.committed": True,
                    "runrecord.side_effect.reversible": True,
                    "runrecord.side_effect.type": "pay",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                },
            },
            {
                "name": "verify refund_matches_order",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 7,
                "parent": 2,
                "attributes": {
                    "runrecord.record.seq": 6,
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                    "runrecord.verification.name": "refund_matches_order",
                    "runrecord.verification.outcome": "pass",
                    "runrecord.verification.subject.id": "call_1",
                    "runrecord.verification.type": "rule",
                },
            },
            {
                "name": "compensate create_refund",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 8,
                "parent": 2,
                "attributes": {
                    "runrecord.compensation.outcome": "succeeded",
                    "runrecord.compensation.subject.id": "call_1",
                    "runrecord.record.seq": 7,
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                    "runrecord.subject.name": "create_refund",
                },
                "links": [6],
            },
            {
                "name": "agent_step act",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 2,
                "parent": 1,
                "attributes": {
                    "runrecord.record.seq": 1,
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                    "runrecord.step.kind": "act",
                    "runrecord.step.name": "refund",
                },
            },
            {
                "name": "invoke_agent refund-agent",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 1,
                "parent": None,
                "attributes": {
                    "gen_ai.agent.name": "refund-agent",
                    "gen_ai.conversation.id": "thread-7",
                    "gen_ai.operation.name": "invoke_agent",
                    "runrecord.record.seq": 0,
                    "runrecord.run.autonomy": "execute_with_approval",
                    "runrecord.run.id": "id-1",
                    "runrecord.run.outcome": "success",
                    "runrecord.run.records": 8,
                    "runrecord.run.segment": 0,
                    "runrecord.run.state": "completed",
                    "runrecord.source.id": "0000000000000001",
                },
            },
        ]
    )
    assert telemetry.events == snapshot(
        [
            (
                "runrecord.run.opened",
                {
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.record.seq": 0,
                    "runrecord.subject.type": "run",
                    "runrecord.subject.name": "refund-agent",
                    "runrecord.run.segment": 0,
                    "runrecord.run.autonomy": "execute_with_approval",
                },
            ),
            (
                "runrecord.policy.decided",
                {
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                    "runrecord.policy.id": "refunds",
                    "runrecord.policy.version": "14",
                    "runrecord.subject.type": "tool_call",
                    "runrecord.subject.id": "call_1",
                    "runrecord.subject.digest": "hmac-sha256:d7b245a5784703f3c78f196cab24d9aa90eab9a5359d7c919a805d0162c4460c",
                    "runrecord.decision.id": "id-2",
                    "runrecord.decision.outcome": "require_approval",
                    "runrecord.policy.rule.id": "over_50_usd",
                },
            ),
            (
                "runrecord.approval.requested",
                {
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                    "runrecord.approval.id": "id-3",
                    "runrecord.subject.type": "tool_call",
                    "runrecord.subject.id": "call_1",
                    "runrecord.subject.name": "create_refund",
                    "runrecord.approval.subject.digest": "hmac-sha256:d7b245a5784703f3c78f196cab24d9aa90eab9a5359d7c919a805d0162c4460c",
                    "runrecord.approval.status": "pending",
                },
            ),
            (
                "runrecord.approval.decided",
                {
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 3,
                    "runrecord.approval.id": "id-3",
                    "runrecord.subject.type": "tool_call",
                    "runrecord.subject.id": "call_1",
                    "runrecord.subject.name": "create_refund",
                    "runrecord.approval.subject.digest": "hmac-sha256:d7b245a5784703f3c78f196cab24d9aa90eab9a5359d7c919a805d0162c4460c",
                    "runrecord.approval.status": "approved",
                    "runrecord.approval.actor.type": "human",
                    "runrecord.approval.actor.ref": "u-17",
                    "runrecord.approval.wait_seconds": 412.5,
                    "runrecord.approval.request.trace_id": "00000000000000000000000000000001",
                    "runrecord.approval.request.span_id": "0000000000000004",
                },
            ),
            (
                "runrecord.tool.intent",
                {
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.record.seq": 5,
                    "runrecord.step.index": 3,
                    "runrecord.subject.type": "tool_call",
                    "runrecord.subject.name": "create_refund",
                    "runrecord.subject.id": "call_1",
                    "runrecord.arguments.digest": "hmac-sha256:d7b245a5784703f3c78f196cab24d9aa90eab9a5359d7c919a805d0162c4460c",
                    "runrecord.side_effect.type": "pay",
                    "runrecord.side_effect.reversible": True,
                },
            ),
            (
                "gen_ai.evaluation.result",
                {
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "gen_ai.evaluation.name": "refund_matches_order",
                    "gen_ai.evaluation.score.label": "pass",
                },
            ),
            (
                "runrecord.run.closed",
                {
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.run.segment": 0,
                    "runrecord.run.state": "completed",
                    "runrecord.run.outcome": "success",
                    "runrecord.run.records": 8,
                    "runrecord.run.root": "sha256:4b3d185d8b7767703f0e332ce5f50cbcaf4d4c21e8ea667fadcd80732af2e37b",
                },
            ),
        ]
    )
    telemetry.check_counters()


def test_a_decision_without_an_outcome_is_an_error_of_the_engine(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run, pytest.raises(RuntimeError), run.decision("p"):
        raise RuntimeError
    with recorder.run("a") as run, run.decision("q"):
        pass
    kinds = [span.attributes["error.type"] for span in telemetry.named("policy_decision")]
    assert kinds == ["RuntimeError", "no_outcome"]


def test_an_escalation_is_an_event_and_on_the_run(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run, run.step():
        run.escalate("low_confidence", target_type="on_call")
    attributes = telemetry.one("invoke_agent").attributes
    assert attributes["runrecord.run.outcome"] == "escalated"
    assert attributes["runrecord.escalation.reason_code"] == "low_confidence"
    assert telemetry.events[1] == snapshot(
        (
            "runrecord.escalation",
            {
                "runrecord.run.id": "id-1",
                "runrecord.source.id": "0000000000000001",
                "runrecord.escalation.reason_code": "low_confidence",
                "runrecord.escalation.target.type": "on_call",
                "runrecord.step.index": 0,
            },
        )
    )


def test_without_a_configured_sdk_everything_is_a_no_op() -> None:
    with (
        api.run(agent="a", conversation_id="t") as run,
        run.step(),
        run.tool("t", arguments=ARGUMENTS) as call,
    ):
        call.result(None)
        approval = run.request_approval("c", tool="t", arguments=ARGUMENTS)
        run.suspend()
    with api.resume(approval.key) as run:
        assert run.approval is not None
        run.approval.approved()
    assert run.segment == 1
    api.set_default(None)


def test_a_span_reference_survives_text() -> None:
    reference = SpanRef("0" * 31 + "1", "0" * 15 + "2", 1, "vendor=x")
    assert SpanRef.of(reference.span_context()) == reference
