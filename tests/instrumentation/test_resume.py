# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A run goes on in another process, or in the same one, under one id and with counters that add up."""

from typing import Any

import pytest
from inline_snapshot import snapshot

from runrecord.instrumentation.recorder import durable_approval_id

ARGUMENTS = {"order": "o-1", "amount": 80}


def test_resume_continues_the_run_in_another_process(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a", conversation_id="thread-7") as run:
        with run.step():
            approval = run.request_approval(
                "c", tool="t", arguments=ARGUMENTS, key=("sdk", "thread-7", "i-1")
            )
        run.suspend(stop_reason="approval")
    first = telemetry.one("invoke_agent")
    telemetry.now += 3600
    other = telemetry.recorder(new_source=lambda: "f" * 16)
    with other.resume(approval.key) as run:
        assert run.approval.stored == telemetry.store.get(approval.key).approvals[0]
        run.approval.approved(actor="human", actor_ref="u-17")
        with run.step():
            run.tool("t", call_id="c", arguments=ARGUMENTS, approval_id=approval.approval_id).stop()
        assert run.approval.decided
    second = telemetry.named("invoke_agent")[1]
    assert telemetry.dump(second) == snapshot(
        {
            "name": "invoke_agent a",
            "kind": "INTERNAL",
            "status": "UNSET",
            "trace": 1,
            "span": 4,
            "parent": 1,
            "attributes": {
                "gen_ai.agent.name": "a",
                "gen_ai.conversation.id": "thread-7",
                "gen_ai.operation.name": "invoke_agent",
                "runrecord.record.seq": 0,
                "runrecord.run.id": "id-1",
                "runrecord.run.outcome": "success",
                "runrecord.run.records": 4,
                "runrecord.run.segment": 1,
                "runrecord.run.state": "completed",
                "runrecord.source.id": "ffffffffffffffff",
            },
            "links": [1],
        }
    )
    assert second.context.trace_id == first.context.trace_id
    assert second.parent.is_remote
    assert telemetry.dump(telemetry.one("approval_decision")) == snapshot(
        {
            "name": "approval_decision t",
            "kind": "CONSUMER",
            "status": "UNSET",
            "trace": 1,
            "span": 5,
            "parent": 4,
            "attributes": {
                "runrecord.approval.actor.ref": "u-17",
                "runrecord.approval.actor.type": "human",
                "runrecord.approval.id": "6d2e49e7c1154ff43e8eb2fd01310ca7",
                "runrecord.approval.request.span_id": "0000000000000003",
                "runrecord.approval.request.trace_id": "00000000000000000000000000000001",
                "runrecord.approval.status": "approved",
                "runrecord.approval.subject.digest": "hmac-sha256:d7b245a5784703f3c78f196cab24d9aa90eab9a5359d7c919a805d0162c4460c",
                "runrecord.approval.wait_seconds": 3600.0,
                "runrecord.record.seq": 1,
                "runrecord.run.id": "id-1",
                "runrecord.source.id": "ffffffffffffffff",
                "runrecord.subject.id": "c",
                "runrecord.subject.name": "t",
                "runrecord.subject.type": "tool_call",
            },
            "links": [3],
        }
    )
    assert telemetry.one("execute_tool").attributes["runrecord.step.index"] == 1
    telemetry.check_counters()


def test_resume_in_the_same_process_continues_the_counter(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        approval = run.request_approval("c", tool="t")
        run.suspend()
    approval.denied(actor="human")  # recorded between the segments: it counts itself
    with recorder.resume(approval.key):
        pass
    assert [s.attributes["runrecord.run.records"] for s in telemetry.named("invoke_agent")] == [2, 1]
    assert telemetry.one("approval_decision").attributes["runrecord.run.records"] == 1
    assert telemetry.named("invoke_agent")[1].attributes["runrecord.run.outcome"] == "denied"
    telemetry.check_counters()


def test_resume_without_a_stored_context_is_deterministic(telemetry: Any, recorder: Any) -> None:
    ids = set()
    for _ in range(2):
        with recorder.resume(("sdk", "thread", "interrupt"), agent="a") as run:
            ids.add(run.run_id)
            assert run.approvals == []
            assert run.segment == 1
    assert len(ids) == 1


@pytest.mark.breaks("decision-without-request")
def test_an_answer_is_recorded_without_a_link_where_the_store_knows_no_request(
    telemetry: Any, recorder: Any
) -> None:
    with recorder.resume(("sdk", "thread", "interrupt"), agent="a") as run:
        run.approval.denied(actor="human", actor_ref="u-17")
        assert run.approval.decided
    span = telemetry.one("approval_decision")
    assert span.attributes["runrecord.approval.status"] == "denied"
    assert span.attributes["runrecord.approval.id"] == durable_approval_id("sdk", "thread", "interrupt")
    assert not span.links


def test_the_tenant_of_the_run_is_that_of_its_answers_and_later_segments(
    telemetry: Any, recorder: Any
) -> None:
    with recorder.run("a", tenant_id="shop-eu") as run:
        approval = run.request_approval("c", tool="t")
        run.suspend()
    recorder.approval(approval.key).denied(actor="human")
    with recorder.resume(approval.key):
        pass
    assert {span.attributes["runrecord.tenant.id"] for span in telemetry.spans} == {"shop-eu"}
