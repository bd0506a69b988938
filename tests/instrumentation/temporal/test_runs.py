# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Workflows as runs, activities as steps and tool calls."""

import asyncio
from typing import Any

import pytest
import temporal_program as program
from temporal_program import (
    PLANTED,
    ByHandWorkflow,
    ChainWorkflow,
    ParentWorkflow,
    PlainWorkflow,
    RefundWorkflow,
    RetriedWorkflow,
)
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def by_index(spans: list[Any]) -> list[Any]:
    return sorted(spans, key=lambda span: facts(span, "step.index"))


def runs(telemetry: Any) -> list[Any]:
    return sorted(telemetry.named("invoke_workflow"), key=lambda span: facts(span, "run.segment"))


def go(temporal: Any, run: Any, *args: Any, **options: Any) -> Any:
    async def main(t: Any) -> Any:
        async with t.worker():
            return await (await t.start(run, *args, **options)).result()

    return temporal.run(main)


def test_activities_are_steps_also_local_ones_and_those_in_threads(telemetry: Any, temporal: Any) -> None:
    assert go(temporal, PlainWorkflow.run, "steps") == f"sent {PLANTED}"
    run = telemetry.one("invoke_workflow PlainWorkflow")
    steps = by_index(telemetry.named("agent_step act"))
    assert [facts(span, "step.index", "step.name", "step.attempt") for span in steps] == [
        [0, "lookup", None],
        [1, "notify", None],
        [2, "notify", None],
        [3, "lookup", None],
        [4, "send_mail", None],
    ]
    assert {span.parent.span_id for span in steps} == {run.context.span_id}
    # In the thread of an activity that is not async, its step is the current span.
    inside = {span_id for span_id, thread in program.seen if thread.startswith("ThreadPoolExecutor")}
    assert inside == {span.context.span_id for span in steps if facts(span, "step.name") == ["lookup"]}
    assert facts(run, "run.segment", "run.state", "run.outcome", "run.stop_reason") == [
        0,
        "completed",
        "success",
        None,
    ]
    assert not telemetry.named("execute_tool")
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_tool_that_fails_and_is_tried_again(telemetry: Any, temporal: Any) -> None:
    assert go(temporal, PlainWorkflow.run, "flaky") == PLANTED
    calls = sorted(telemetry.named("execute_tool flaky"), key=lambda span: span.start_time)
    assert [
        (facts(span, "retry.attempt", "tool.read_only"), span.status.status_code.name) for span in calls
    ] == [
        ([None, True], "ERROR"),
        ([1, True], "ERROR"),
        ([2, True], "UNSET"),
    ]
    assert len({span.attributes["gen_ai.tool.call.id"] for span in calls}) == 1
    assert calls[0].attributes["error.type"] == "temporalio.exceptions.ApplicationError"
    assert facts(calls[2], "result.digest") != [None]
    steps = sorted(telemetry.named("agent_step"), key=lambda span: span.start_time)
    assert [facts(span, "step.index", "step.attempt") for span in steps] == [[0, None], [0, 1], [0, 2]]
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


def test_an_error_ends_the_run_as_a_failure(telemetry: Any, temporal: Any) -> None:
    with pytest.raises(WorkflowFailureError):
        go(temporal, PlainWorkflow.run, "error")
    run = telemetry.one("invoke_workflow")
    assert run.status.status_code.name == "ERROR"
    assert facts(run, "run.outcome") == ["failure"]
    assert run.attributes["error.type"] == "temporalio.exceptions.ActivityError"
    assert telemetry.one("agent_step").attributes["error.type"] == "RuntimeError"
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_cancellation_is_no_error(telemetry: Any, temporal: Any, until: Any) -> None:
    async def main(t: Any) -> None:
        async with t.worker():
            handle = await t.start(PlainWorkflow.run, "cancel")

            async def started() -> bool:
                pending = (await handle.describe()).raw_description.pending_activities
                return bool(pending) and pending[0].state == 2

            while not await started():
                pass
            await handle.cancel()
            with pytest.raises(WorkflowFailureError):
                await handle.result()
            await until(lambda: telemetry.named("agent_step"))

    temporal.run(main)
    assert facts(telemetry.one("invoke_workflow"), "run.state", "run.outcome") == ["completed", "cancelled"]
    assert {span.status.status_code.name for span in telemetry.spans} == {"UNSET"}
    telemetry.check_counters()


def test_an_activity_that_somebody_else_completes_claims_no_success(
    telemetry: Any, temporal: Any, until: Any
) -> None:
    async def main(t: Any) -> str:
        async with t.worker():
            handle = await t.start(PlainWorkflow.run, "later")
            await until(lambda: program.tokens)
            await t.client.get_async_activity_handle(task_token=program.tokens[0]).complete("by hand")
            return await handle.result()

    assert temporal.run(main) == "by hand"
    assert telemetry.one("agent_step act").status.status_code.name == "UNSET"
    assert facts(telemetry.one("invoke_workflow"), "run.outcome") == ["success"]
    telemetry.check_counters()


def test_a_child_workflow_is_a_run_of_its_own_in_the_same_trace(telemetry: Any, temporal: Any) -> None:
    assert go(temporal, ParentWorkflow.run, "bob") == "child"
    parent, child = (
        telemetry.one("invoke_workflow ParentWorkflow"),
        telemetry.one("invoke_workflow PlainWorkflow"),
    )
    assert child.parent.span_id == parent.context.span_id
    assert facts(parent, "run.id") != facts(child, "run.id")
    telemetry.check_counters()


def test_what_continues_as_new_is_the_next_segment(telemetry: Any, temporal: Any) -> None:
    assert go(temporal, ChainWorkflow.run, 2) == "done"
    assert [
        facts(span, "run.segment", "run.state", "run.stop_reason", "run.outcome") for span in runs(telemetry)
    ] == [
        [0, "suspended", "continued_as_new", None],
        [1, "suspended", "continued_as_new", None],
        [2, "completed", None, "success"],
    ]
    assert [facts(span, "step.index") for span in by_index(telemetry.named("agent_step"))] == [[0], [1], [2]]
    assert len({facts(span, "run.id")[0] for span in telemetry.spans}) == 1
    assert len({span.context.trace_id for span in telemetry.spans}) == 1
    telemetry.check_counters()


def test_a_worker_that_stops_hands_the_segment_over(telemetry: Any, temporal: Any, until: Any) -> None:
    async def main(t: Any) -> None:
        async with t.worker():
            handle = await t.start(PlainWorkflow.run, "random")
            await until(lambda: telemetry.named("agent_step"))
            await handle.query("__stack_trace")
        async with t.worker():
            await handle.execute_update(PlainWorkflow.set_go, True)
            await handle.result()

    temporal.run(main)
    first, second = sorted(telemetry.named("invoke_workflow"), key=lambda span: span.start_time)
    said = ("run.segment", "run.state", "run.stop_reason", "run.outcome")
    assert facts(first, *said) == [0, "suspended", "handed_over", None]
    assert facts(second, *said) == [0, "completed", None, "success"]
    assert second.parent.span_id == first.context.span_id
    assert second.links[0].context.span_id == first.context.span_id
    assert telemetry.one("agent_step")
    telemetry.check_counters()


def test_a_workflow_that_is_tried_again_is_the_next_segment(telemetry: Any, temporal: Any) -> None:
    policy = RetryPolicy(initial_interval=program.timedelta(milliseconds=10))
    assert go(temporal, RetriedWorkflow.run, retry_policy=policy) == "third"
    assert [
        facts(span, "run.segment", "run.state", "run.stop_reason", "run.outcome") for span in runs(telemetry)
    ] == [
        [0, "suspended", "retry", None],
        [1, "suspended", "retry", None],
        [2, "completed", None, "success"],
    ]
    assert len({facts(span, "run.id")[0] for span in telemetry.spans}) == 1
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_retry_policy_that_is_used_up_ends_the_run(telemetry: Any, temporal: Any) -> None:
    policy = RetryPolicy(initial_interval=program.timedelta(milliseconds=10), maximum_attempts=2)
    with pytest.raises(WorkflowFailureError):
        go(temporal, RetriedWorkflow.run, retry_policy=policy)
    assert [facts(span, "run.state", "run.outcome") for span in runs(telemetry)] == [
        ["suspended", None],
        ["completed", "failure"],
    ]
    telemetry.check_counters()


def test_ten_workflows_at_once_keep_to_themselves(telemetry: Any, temporal: Any) -> None:
    async def main(t: Any) -> list[str]:
        async with t.worker(max_cached_workflows=4):
            handles = [await t.start(RefundWorkflow.run, f"c-{number}", 20.0) for number in range(10)]
            return await asyncio.gather(*(handle.result() for handle in handles))

    assert temporal.run(main) == ["paid 20.0"] * 10
    by_run: dict[str, list[str]] = {}
    trace_of: dict[str, set[int]] = {}
    for span in telemetry.spans:
        (run,) = facts(span, "run.id")
        trace_of.setdefault(run, set()).add(span.context.trace_id)
        if "handed_over" not in facts(span, "run.stop_reason"):
            by_run.setdefault(run, []).append(span.name)
    assert len(by_run) == 10
    for run, names in by_run.items():
        assert sorted(names) == [
            "agent_step act",
            "agent_step act",
            "execute_tool create_refund",
            "invoke_workflow RefundWorkflow",
            "policy_decision refunds",
        ], run
    assert all(len(traces) == 1 for traces in trace_of.values())
    assert len(set.union(*trace_of.values())) == 10
    telemetry.check_counters()


@pytest.mark.parametrize("cached", [0, 100])
def test_records_by_hand_in_a_workflow_are_made_once(
    telemetry: Any, temporal: Any, until: Any, cached: int
) -> None:
    async def main(t: Any) -> str:
        async with t.worker(max_cached_workflows=cached):
            handle = await t.start(ByHandWorkflow.run)
            await until(lambda: telemetry.named("agent_step plan"))
            await handle.signal(ByHandWorkflow.proceed)
            return await handle.result()

    assert temporal.run(main) == "with a scope"
    assert telemetry.one("agent_step plan")
    assert sorted(facts(span, "decision.outcome")[0] for span in telemetry.named("policy_decision")) == [
        "allow",
        "deny",
    ]
    telemetry.check_counters()


def test_what_the_memo_says_of_the_run(telemetry: Any, temporal: Any) -> None:
    memo = {
        "runrecord.run.autonomy": "execute_with_approval",
        "runrecord.version.prompt": "p-7",
        "other": PLANTED,
    }
    assert go(temporal, PlainWorkflow.run, PLANTED, memo=memo, id="w-memo") == PLANTED
    run = telemetry.one("invoke_workflow")
    assert facts(run, "run.autonomy", "version.prompt") == ["execute_with_approval", "p-7"]
    assert run.attributes["gen_ai.conversation.id"] == "w-memo"
    assert PLANTED not in telemetry.exported_text()


def test_the_client_s_span_is_above_the_run(telemetry: Any, temporal: Any) -> None:
    async def main(t: Any) -> None:
        async with t.worker():
            with telemetry.tracer_provider.get_tracer("web").start_as_current_span("POST /refunds"):
                handle = await t.start(PlainWorkflow.run, "x")
            await handle.result()

    temporal.run(main)
    assert telemetry.one("invoke_workflow").parent.span_id == telemetry.one("POST").context.span_id


def test_content_is_recorded_where_it_is_asked_for(
    telemetry: Any, temporal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    assert go(temporal, PlainWorkflow.run, "flaky") == PLANTED
    calls = [span for span in telemetry.named("execute_tool") if span.status.status_code.name == "UNSET"]
    assert calls[0].attributes["gen_ai.tool.call.arguments"] == '{"times": 2}'
    assert calls[0].attributes["gen_ai.tool.call.result"] == PLANTED
    run = telemetry.one("invoke_workflow")
    assert PLANTED in run.attributes["gen_ai.output.messages"]
    assert "flaky" in run.attributes["gen_ai.input.messages"]


def test_a_validator_names_its_policy(telemetry: Any, temporal: Any) -> None:
    async def main(t: Any) -> str:
        async with t.worker():
            handle = await t.start(PlainWorkflow.run, "random")
            await handle.execute_update(PlainWorkflow.set_go, True)
            return await handle.result()

    temporal.run(main)
    assert facts(telemetry.one("policy_decision"), "policy.id", "policy.version", "decision.outcome") == [
        "going",
        "2",
        "allow",
    ]
    telemetry.check_counters()
