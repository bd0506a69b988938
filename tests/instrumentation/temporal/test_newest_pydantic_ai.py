# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An agent of Pydantic AI in a workflow: the run is the workflow's, once, and its approvals are seen, over replays."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("pydantic_ai.durable_exec.temporal")

import pydantic_program
from pydantic_ai.durable_exec.temporal import AgentPlugin, PydanticAIPlugin
from pydantic_program import PydanticWorkflow
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

from runrecord.instrumentation.pydantic_ai import PydanticAIInstrumentor
from runrecord.instrumentation.temporal import answering

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


@pytest.mark.parametrize(("cached", "yes"), [(0, True), (100, False)])
@pytest.mark.parametrize("both", [True, False])
def test_an_approval_of_an_agent_in_a_workflow(
    telemetry: Any, recorder: Any, temporal: Any, until: Any, *, cached: int, yes: bool, both: bool
) -> None:
    pydantic_program.paid.clear()

    async def main(t: Any) -> tuple[str, Any]:
        client = await Client.connect(t.server, plugins=[PydanticAIPlugin()])
        worker = Worker(
            client,
            task_queue=t.queue,
            workflows=[PydanticWorkflow],
            plugins=[AgentPlugin(pydantic_program.agent)],
            max_cached_workflows=cached,
        )
        async with worker:
            handle = await client.start_workflow(
                PydanticWorkflow.run, 80.0, id=f"w-{t.queue}", task_queue=t.queue
            )
            await until(lambda: telemetry.named("request_approval"))
            with answering("u-17"):
                await handle.signal(PydanticWorkflow.decide, yes)
            return await handle.result(), await handle.fetch_history()

    other = PydanticAIInstrumentor()
    if both:
        other.instrument(recorder=recorder)
    try:
        result, history = temporal.run(main)
        made = len(telemetry.spans)
        replayer = Replayer(
            workflows=[PydanticWorkflow],
            plugins=[PydanticAIPlugin(), AgentPlugin(pydantic_program.agent)],
        )
        asyncio.run(replayer.replay_workflow(history))
        assert len(telemetry.spans) == made
    finally:
        if both:
            other.uninstrument()
    assert result == "Done."
    assert pydantic_program.paid == ([80.0] if yes else [])
    assert not telemetry.named("invoke_agent")
    assert len(telemetry.named("agent_step plan")) == 2
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert facts(telemetry.one("policy_decision"), "decision.outcome", "policy.id") == [
        "require_approval",
        "requires_approval",
    ]
    assert facts(request, "subject.id") == ["call_1"]
    assert [link.context.span_id for link in decision.links][:1] == [request.context.span_id]
    assert facts(decision, "approval.status", "approval.actor.type", "approval.actor.ref") == [
        "approved" if yes else "denied",
        "human",
        "u-17",
    ]
    ended = [span for span in telemetry.named("invoke_workflow") if facts(span, "run.state") == ["completed"]]
    assert [facts(span, "run.outcome") for span in ended] == [["success" if yes else "denied"]]
    if yes:
        call = telemetry.one("execute_tool create_refund")
        assert call.attributes["gen_ai.tool.call.id"] == "call_1"
        assert facts(call, "approval.id") == facts(request, "approval.id")
        assert facts(call, "arguments.digest") == facts(request, "approval.subject.digest")
    else:
        assert not telemetry.named("execute_tool")
    assert pydantic_program.PLANTED not in telemetry.exported_text()
    telemetry.check_counters()
