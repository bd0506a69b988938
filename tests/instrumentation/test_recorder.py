# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder writes the spans and events of the conventions, finishes each once, and never raises."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from inline_snapshot import snapshot
from opentelemetry import baggage, trace

from runrecord.instrumentation import MemoryContextStore, SpanRef, StoredContext, _safety
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
                "runrecord.run.closed",
                {
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.run.segment": 0,
                    "runrecord.run.state": "completed",
                    "runrecord.run.outcome": "success",
                    "runrecord.run.records": 8,
                },
            ),
        ]
    )
    telemetry.check_counters()


def test_what_was_approved_is_what_ran(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        run.request_approval("c", tool="t", arguments='{"amount": 80, "order": "o-1"}').approved()
        run.tool("t", call_id="c", arguments=ARGUMENTS).stop()
    shown = telemetry.one("request_approval").attributes["runrecord.approval.subject.digest"]
    assert shown == telemetry.one("execute_tool").attributes["runrecord.arguments.digest"]


def test_a_modified_answer_commits_to_both(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        approval = run.request_approval("c", tool="t", arguments=ARGUMENTS)
        approval.modified(arguments={"order": "o-1", "amount": 40})
        run.tool("t", call_id="c", arguments={"order": "o-1", "amount": 40}).stop()
    decided = telemetry.one("approval_decision").attributes
    ran = telemetry.one("execute_tool").attributes["runrecord.arguments.digest"]
    assert decided["runrecord.approval.subject.modified_digest"] == ran
    assert decided["runrecord.approval.subject.digest"] != ran


@pytest.mark.parametrize("status", ["approved", "denied", "modified", "expired", "cancelled"])
def test_no_answer_is_an_error(telemetry: Any, recorder: Any, status: str) -> None:
    with recorder.run("a") as run:
        approval = run.request_approval("c", tool="t")
        getattr(approval, status)()
        approval.denied()  # the second answer is not recorded
    decided = telemetry.one("approval_decision")
    assert decided.attributes["runrecord.approval.status"] == status
    assert decided.status.status_code is trace.StatusCode.UNSET
    assert [link.context.span_id for link in decided.links] == [
        telemetry.one("request_approval").context.span_id
    ]


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
    approval.denied(actor="human")  # recorded between the segments: the next one counts it
    with recorder.resume(approval.key):
        pass
    assert [s.attributes["runrecord.run.records"] for s in telemetry.named("invoke_agent")] == [2, 2]
    telemetry.check_counters()


def test_resume_without_a_stored_context_is_deterministic(telemetry: Any, recorder: Any) -> None:
    ids = set()
    for _ in range(2):
        with recorder.resume(("sdk", "thread", "interrupt"), agent="a") as run:
            ids.add(run.run_id)
            assert run.approval is None
            assert run.segment == 1
    assert len(ids) == 1


def test_a_replayed_request_is_recorded_once(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        approvals = [run.request_approval("c", tool="t", key=("sdk", "thread", "i")) for _ in range(2)]
    assert [item.replayed for item in approvals] == [False, True]
    telemetry.one("request_approval")


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        (ValueError("secret-text"), "failure", "ERROR"),
        (asyncio.CancelledError(), "cancelled", "UNSET"),
        (KeyboardInterrupt(), "cancelled", "UNSET"),
        (GeneratorExit(), "abandoned", "UNSET"),
    ],
)
def test_how_a_run_is_left_is_its_outcome(
    telemetry: Any, recorder: Any, error: BaseException, outcome: str, status: str
) -> None:
    with pytest.raises(type(error)), recorder.run("a"):
        raise error
    span = telemetry.one("invoke_agent")
    assert (span.attributes["runrecord.run.outcome"], span.status.status_code.name) == (outcome, status)
    assert "secret-text" not in telemetry.exported_text()


def test_what_the_caller_says_of_the_end_wins(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        run.finish("budget_exceeded", stop_reason="max_tokens")
        run.stop()
        run.fail(ValueError())
    attributes = telemetry.one("invoke_agent").attributes
    assert attributes["runrecord.run.outcome"] == "budget_exceeded"
    assert "error.type" not in attributes


def test_an_escalation_is_an_event_and_on_the_run(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run, run.step():
        run.escalate("low_confidence", target_type="on_call")
    attributes = telemetry.one("invoke_agent").attributes
    assert attributes["runrecord.run.outcome"] == "escalated"
    assert attributes["runrecord.escalation.reason_code"] == "low_confidence"
    assert telemetry.events[0] == snapshot(
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


def test_a_failed_tool_says_its_type_and_no_text(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        call = run.tool("t", arguments={"a": "secret-text"})
        call.result("secret-text")
        call.fail(ValueError("secret-text"))
    span = telemetry.one("execute_tool")
    assert span.attributes["error.type"] == "ValueError"
    assert span.status.status_code is trace.StatusCode.ERROR
    assert "secret-text" not in telemetry.exported_text()


@pytest.mark.parametrize("value", ["SPAN_ONLY", "SPAN_AND_EVENT", "true", "span_only"])
def test_content_is_recorded_where_it_is_asked_for(
    telemetry: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    with recorder.run("a") as run:
        call = run.tool("t", arguments=ARGUMENTS)
        call.result({"refund": "r-1"})
        call.fail(ValueError("why"))
    span = telemetry.one("execute_tool")
    assert span.attributes["gen_ai.tool.call.arguments"] == '{"order": "o-1", "amount": 80}'
    assert span.attributes["gen_ai.tool.call.result"] == '{"refund": "r-1"}'
    assert span.status.description == "why"


def test_a_decision_without_an_outcome_is_an_error_of_the_engine(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run, pytest.raises(RuntimeError), run.decision("p"):
        raise RuntimeError
    with recorder.run("a") as run, run.decision("q"):
        pass
    kinds = [span.attributes["error.type"] for span in telemetry.named("policy_decision")]
    assert kinds == ["RuntimeError", "no_outcome"]


def test_existing_spans_are_enriched_and_not_doubled(telemetry: Any, recorder: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("official")
    agent = {"gen_ai.operation.name": "invoke_agent"}
    call = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "c"}
    with (
        tracer.start_as_current_span("invoke_agent x", attributes=agent),
        recorder.run("x") as run,
        tracer.start_as_current_span("execute_tool t", attributes=call),
    ):
        run.tool("t", call_id="c", arguments={}).stop()
        run.tool("t", call_id="other", arguments={}).stop()
    assert telemetry.tree() == snapshot(["invoke_agent x", "  execute_tool t", "    execute_tool t"])
    assert telemetry.one("invoke_agent").attributes["runrecord.run.state"] == "completed"
    telemetry.check_counters()


def test_children_keep_the_applications_own_spans_between(telemetry: Any, recorder: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")
    with recorder.run("a") as run:
        with run.step() as step, tracer.start_as_current_span("mine"):
            step.tool("inner").stop()
            run.decision("p").allow()
        step2 = run.step()
        step2.tool("not attached").stop()
        step2.stop()
    assert telemetry.tree() == snapshot(
        [
            "invoke_agent a",
            "  agent_step act",
            "    mine",
            "      execute_tool inner",
            "      policy_decision p",
            "  agent_step act",
            "    execute_tool not attached",
        ]
    )


def test_nothing_is_attached_without_with(telemetry: Any, recorder: Any) -> None:
    run = recorder.run("a")
    step = run.step()
    assert trace.get_current_span() is trace.INVALID_SPAN
    with ThreadPoolExecutor(4) as pool:
        for call in [pool.submit(step.tool, f"t{number}", context=step.context) for number in range(8)]:
            call.result().stop()
    step.stop()
    run.stop()
    parents = {span.parent.span_id for span in telemetry.named("execute_tool")}
    assert parents == {step.span_context.span_id}
    assert {span.attributes["runrecord.step.index"] for span in telemetry.named("execute_tool")} == {0}
    telemetry.check_counters()


def test_run_and_step_are_in_no_baggage_since_that_goes_to_every_host(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run, run.step(index=2) as step:
        assert not baggage.get_all()
        assert api.current() is step


def test_concurrent_runs_keep_their_ids(telemetry: Any, recorder: Any) -> None:
    barrier = threading.Barrier(10)

    def one(number: int) -> None:
        with recorder.run(f"agent-{number}", run_id=f"run-{number}") as run:
            barrier.wait(30)
            for _ in range(5):
                with run.step(), run.tool(f"tool-{number}"):
                    pass

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(one, range(10)))
    for span in telemetry.named("execute_tool"):
        number = span.name.rpartition("-")[2]
        assert span.attributes["runrecord.run.id"] == f"run-{number}"
    assert len({span.context.trace_id for span in telemetry.spans}) == 10
    telemetry.check_counters()


class _BrokenStore(MemoryContextStore):
    def get(self, key: Any) -> StoredContext | None:
        raise OSError("secret-text")

    def put(self, key: Any, context: StoredContext) -> None:
        raise OSError("secret-text")


def test_an_internal_error_costs_telemetry_only(
    telemetry: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr(_safety, "_seen", set())

    def no_key() -> Any:
        raise OSError("secret-text")

    broken = telemetry.recorder(store=_BrokenStore())
    broken._core.tenant_key = no_key
    with caplog.at_level(logging.WARNING), broken.run("a") as run:
        for _ in range(3):
            approval = run.request_approval("c", tool="t", arguments=ARGUMENTS)
            approval.approved()
            run.tool("t", arguments=ARGUMENTS).result(object())
    assert len(telemetry.named("request_approval")) == 3
    assert len(telemetry.named("approval_decision")) == 3
    assert len(caplog.messages) == len(set(caplog.messages)) > 0
    assert "secret-text" not in caplog.text


def test_an_internal_error_is_raised_under_pytest(telemetry: Any) -> None:
    with pytest.raises(OSError), telemetry.recorder(store=_BrokenStore()).run("a") as run:
        run.request_approval("c", tool="t")


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
        run.approval.approved()
    assert run.segment == 1
    api.set_default(None)


def test_a_span_reference_survives_text() -> None:
    reference = SpanRef("0" * 31 + "1", "0" * 15 + "2", 1, "vendor=x")
    assert SpanRef.of(reference.span_context()) == reference
