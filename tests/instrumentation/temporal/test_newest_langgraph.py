# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A graph in a workflow: the run is the workflow's, once, its nodes are steps, and what it asks is seen, over replays."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("temporalio.langgraph")

import langgraph_program
from langgraph_program import PLANTED, BatchWorkflow, GraphWorkflow
from temporalio.worker import Replayer, Worker

from runrecord.instrumentation.langgraph import LangGraphInstrumentor
from runrecord.instrumentation.temporal import answering

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


async def play(t: Any, plugin: Any, *, yes: bool, asked: Any, cached: int = 100) -> tuple[str, Any]:
    """Run the workflow; return its result and its history."""
    worker = Worker(
        t.client, task_queue=t.queue, workflows=[GraphWorkflow], plugins=[plugin], max_cached_workflows=cached
    )
    async with worker:
        handle = await t.client.start_workflow(GraphWorkflow.run, 80.0, id=f"w-{t.queue}", task_queue=t.queue)
        await asked(handle)
        with answering("u-17"):
            await handle.signal(GraphWorkflow.decide, yes)
        return await handle.result(), await handle.fetch_history()


@pytest.mark.parametrize("cached", [0, 100])
@pytest.mark.parametrize(("asks_in", "yes"), [("activity", True), ("workflow", False)])
@pytest.mark.parametrize("both", [True, False])
def test_a_graph_in_a_workflow(  # noqa: PLR0917
    telemetry: Any, recorder: Any, temporal: Any, until: Any, cached: int, asks_in: str, yes: bool, both: bool
) -> None:
    langgraph_program.paid.clear()
    plugin = langgraph_program.plugin(asks_in)

    async def main(t: Any) -> tuple[str, Any]:
        async def asked(_handle: Any) -> None:
            await until(lambda: telemetry.named("request_approval"))

        return await play(t, plugin, yes=yes, asked=asked, cached=cached)

    other = LangGraphInstrumentor()
    if both:
        other.instrument(recorder=recorder)
    try:
        result, history = temporal.run(main)
        made = len(telemetry.spans)
        asyncio.run(replay(plugin, history))
        assert len(telemetry.spans) == made
    finally:
        if both:
            other.uninstrument()
    assert result == str(yes)
    assert langgraph_program.paid == ([80.0] if yes else [])
    steps = telemetry.named("agent_step")
    assert [facts(step, "step.name")[0] for step in steps] == [
        "refund.look",
        *(["refund.ask"] if asks_in == "activity" else []),
        *(["refund.ask"] if asks_in == "activity" else []),
        "refund.pay",
    ]
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert [link.context.span_id for link in decision.links][:1] == [request.context.span_id]
    assert facts(request, "subject.type") == ["run"]
    assert facts(decision, "approval.status", "approval.actor.type", "approval.actor.ref") == [
        "approved" if yes else "denied",
        "human",
        "u-17",
    ]
    tools = telemetry.named("execute_tool")
    assert [tool.parent.span_id for tool in tools] == ([steps[-1].context.span_id] if yes and both else [])
    for tool in tools:
        assert facts(tool, "side_effect.type", "run.id") == ["pay", *facts(request, "run.id")]
        assert tool.attributes["gen_ai.tool.call.id"] == "call_1"
    assert not telemetry.named("invoke_agent")
    assert len({span.attributes["runrecord.run.id"] for span in telemetry.named("invoke_workflow")}) == 1
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("asks_in", ["activity", "workflow"])
def test_a_batch_in_a_stream(telemetry: Any, temporal: Any, until: Any, asks_in: str) -> None:
    async def main(t: Any) -> str:
        plugin = langgraph_program.plugin(asks_in)
        worker = Worker(
            t.client, task_queue=t.queue, workflows=[BatchWorkflow], plugins=[plugin], max_cached_workflows=0
        )
        async with worker:
            handle = await t.client.start_workflow(BatchWorkflow.run, id=f"w-{t.queue}", task_queue=t.queue)
            await until(lambda: len(telemetry.named("request_approval")) == 2)
            edited = {"name": "create_refund", "args": {"amount": 0.5, "note": PLANTED}}
            with answering("u-17"):
                await handle.execute_update(
                    BatchWorkflow.decide, [{"type": "approve"}, {"type": "edit", "edited_action": edited}]
                )
            return str(await handle.result())

    assert temporal.run(main) == "approve edit"
    requests, decisions = telemetry.named("request_approval"), telemetry.named("approval_decision")
    assert [span.name for span in requests] == ["request_approval create_refund"] * 2
    assert len({*facts(requests[0], "approval.id"), *facts(requests[1], "approval.id")}) == 2
    assert [facts(span, "approval.status", "approval.actor.ref", "subject.type") for span in decisions] == [
        ["approved", "u-17", "tool_call"],
        ["modified", "u-17", "tool_call"],
    ]
    for request, decision in zip(requests, decisions, strict=True):
        assert facts(request, "approval.id") == facts(decision, "approval.id")
        assert facts(request, "approval.subject.digest") == facts(decision, "approval.subject.digest")
    first, second = (facts(span, "approval.subject.modified_digest")[0] for span in decisions)
    assert first is None
    assert second not in {None, *facts(requests[1], "approval.subject.digest")}
    assert PLANTED not in telemetry.exported_text()
    telemetry.check_counters()


async def replay(plugin: Any, history: Any) -> None:
    """Replay a history, which fails where the workflow's code does not do the same again."""
    await Replayer(workflows=[GraphWorkflow], plugins=[plugin]).replay_workflow(history)


def test_a_history_without_us_replays_with_us(telemetry: Any, temporal: Any, instrumented: Any) -> None:
    instrumented.uninstrument()
    plugin = langgraph_program.plugin("workflow")

    async def main(t: Any) -> tuple[str, Any]:
        async def asked(handle: Any) -> None:
            while not await handle.query(GraphWorkflow.waiting):
                pass

        return await play(t, plugin, yes=True, asked=asked)

    result, history = temporal.run(main)
    assert result == "True"
    instrumented.instrument(recorder=telemetry.recorder())
    other = LangGraphInstrumentor()
    other.instrument(recorder=telemetry.recorder())
    try:
        asyncio.run(replay(plugin, history))
    finally:
        other.uninstrument()
    assert telemetry.spans == []
