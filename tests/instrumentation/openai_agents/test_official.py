# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside the official instrumentation and OpenInference's, in either order: one record of each run and call."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
from agents import Agent, RunConfig, Runner, Usage, function_tool
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor

pytestmark = [pytest.mark.sdk]

PACKAGES = {
    "official": "opentelemetry.instrumentation.genai.openai_agents",
    "openinference": "openinference.instrumentation.openai_agents",
}


@pytest.fixture(params=list(PACKAGES))
def theirs(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(PACKAGES[request.param])


@pytest.fixture(params=["ours", "theirs"])
def beside(
    request: pytest.FixtureRequest, theirs: Any, telemetry: Any, recorder: Any
) -> Generator[None, None, None]:
    ours, other = OpenAIAgentsInstrumentor(), theirs.OpenAIAgentsInstrumentor()
    steps = [
        lambda: ours.instrument(recorder=recorder),
        lambda: other.instrument(tracer_provider=telemetry.tracer_provider),
    ]
    for step in steps if request.param == "ours" else reversed(steps):
        step()
    yield
    other.uninstrument()
    ours.uninstrument()


@function_tool(needs_approval=True)
def refund(amount: float) -> str:
    """Pay back."""
    return "planted-1"


def step(*output: Any) -> ModelStep:
    return ModelStep(output=output, usage=Usage(requests=1, input_tokens=7, output_tokens=5, total_tokens=12))


def program() -> Agent[Any]:
    inner = Agent(name="inner", model=ScriptedModel([step(assistant_message("x"))], emit_traces=True))
    calls = [
        function_call("ask", '{"input": "x"}', call_id="c1"),
        function_call("refund", '{"amount": 80.0}', call_id="c2"),
    ]
    model = ScriptedModel([step(*calls), step(assistant_message("Done."))], emit_traces=True)
    return Agent(name="outer", model=model, tools=[refund, inner.as_tool("ask", "Ask.")])


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("streamed", [True, False])
def test_one_record_of_each_run_and_call(telemetry: Any, theirs: Any, streamed: bool) -> None:
    async def run(given: Any) -> Any:
        if not streamed:
            return await Runner.run(agent, given, run_config=config)
        result = Runner.run_streamed(agent, given, run_config=config)
        async for _ in result.stream_events():
            pass
        return result

    async def main() -> Any:
        first = await run("hi")
        state = first.to_state()
        state.approve(first.interruptions[0])
        return await run(state)

    agent, config = program(), RunConfig(trace_include_sensitive_data=False)
    assert asyncio.run(main()).final_output == "Done."
    governed = [span for span in telemetry.spans if "runrecord.record.seq" in span.attributes]
    assert len({span.attributes["runrecord.run.id"] for span in governed}) == 1
    assert len({span.context.trace_id for span in telemetry.spans}) == 1
    runs = [span for span in governed if "runrecord.run.segment" in span.attributes]
    assert sorted(span.attributes["runrecord.run.segment"] for span in runs) == [0, 1]
    # One span of each tool call that ran, and it is theirs. OpenInference's makes none when a run goes on.
    tools = {span.attributes["gen_ai.tool.call.id"]: span for span in governed if _is_tool(span)}
    assert sorted(tools) == ["c1", "c2"]
    assert len([span for span in governed if _is_tool(span)]) == 2
    continued = theirs.__name__ if theirs.__name__ == PACKAGES["official"] else "runrecord.instrumentation"
    made_by = [tools[call_id].instrumentation_scope.name for call_id in ("c1", "c2")]
    assert made_by == [theirs.__name__, continued]
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    digests = {
        request.attributes["runrecord.approval.subject.digest"],
        decision.attributes["runrecord.approval.subject.digest"],
        tools["c2"].attributes["runrecord.arguments.digest"],
    }
    assert len(digests) == 1
    # Of the agent inside there is their span and no other; tokens are not on ours.
    inner = [span for span in telemetry.spans if span.name.endswith("inner")]
    assert {span.instrumentation_scope.name for span in inner} == {theirs.__name__}
    for span in telemetry.spans:
        if span.instrumentation_scope.name.startswith("runrecord"):
            assert not [name for name in span.attributes if "token" in name]
    telemetry.check_counters()


def _is_tool(span: Any) -> bool:
    return bool(span.attributes.get("gen_ai.operation.name") == "execute_tool")
