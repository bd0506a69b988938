# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An agent in a workflow: the run is the workflow's, once, and its approvals are seen, over replays."""

from typing import Any

import pytest

pytest.importorskip("temporalio.openai_agents")

import agents_program
from agents_program import AgentWorkflow
from temporalio.openai_agents import ModelActivityParameters
from temporalio.openai_agents.testing import AgentEnvironment, ResponseBuilders, TestModel
from temporalio.worker import Worker

from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from runrecord.instrumentation.temporal import answering

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


@pytest.mark.parametrize("cached", [0, 100])
@pytest.mark.parametrize("yes", [True, False])
@pytest.mark.parametrize("both", [True, False])
def test_an_approval_of_an_agent_in_a_workflow(
    telemetry: Any, recorder: Any, temporal: Any, until: Any, *, cached: int, yes: bool, both: bool
) -> None:
    agents_program.paid.clear()
    other = OpenAIAgentsInstrumentor()
    if both:
        other.instrument(recorder=recorder)

    async def main(t: Any) -> str:
        replies = iter(
            [
                ResponseBuilders.tool_call('{"amount": 80.0}', "refund", call_id="call_1"),
                ResponseBuilders.output_message("Done."),
            ]
        )
        parameters = ModelActivityParameters(start_to_close_timeout=agents_program.timedelta(seconds=20))
        model = TestModel(lambda: next(replies))
        async with AgentEnvironment(model=model, model_params=parameters) as environment:
            client = environment.applied_on_client(t.client)
            async with Worker(
                client,
                task_queue=t.queue,
                workflows=[AgentWorkflow],
                activities=[agents_program.refund],
                max_cached_workflows=cached,
            ):
                handle = await client.start_workflow(
                    AgentWorkflow.run, "Refund me.", id=f"w-{t.queue}", task_queue=t.queue
                )
                await until(lambda: telemetry.named("request_approval"))
                with answering("u-17"):
                    await handle.signal(AgentWorkflow.decide, yes)
                return await handle.result()

    try:
        assert temporal.run(main) == "Done."
    finally:
        if both:
            other.uninstrument()
    assert agents_program.paid == ([80.0] if yes else [])
    assert not telemetry.named("invoke_agent")
    assert len(telemetry.named("agent_step plan")) == 2
    request, decision = telemetry.one("request_approval refund"), telemetry.one("approval_decision refund")
    assert facts(telemetry.one("policy_decision"), "decision.outcome", "subject.id") == [
        "require_approval",
        "call_1",
    ]
    assert facts(decision, "approval.status", "approval.actor.type", "approval.actor.ref") == [
        "approved" if yes else "denied",
        "human",
        "u-17",
    ]
    assert facts(request, "subject.id") == ["call_1"]
    ended = [span for span in telemetry.named("invoke_workflow") if facts(span, "run.state") == ["completed"]]
    assert [facts(span, "run.outcome") for span in ended] == [["success" if yes else "denied"]]
    if yes:
        call = telemetry.one("execute_tool refund")
        assert call.attributes["gen_ai.tool.call.id"] == "call_1"
        assert facts(call, "approval.id") == facts(request, "approval.id")
        assert facts(call, "arguments.digest") == facts(request, "approval.subject.digest")
    else:
        assert not telemetry.named("execute_tool")
    telemetry.check_counters()
