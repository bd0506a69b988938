# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The program is the same with and without us, nothing of its content leaves, and we are switched off without a trace."""

import asyncio
import inspect
import json
from typing import Any

import agents
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    RunConfig,
    Runner,
    RunState,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    function_tool,
)
from agents.run import AgentRunner
from agents.run_context import RunContextWrapper
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tracing import get_trace_provider

from runrecord.instrumentation import DependencyConflictError
from runrecord.instrumentation.capabilities import integrations
from runrecord.instrumentation.openai_agents import CAPABILITIES, OpenAIAgentsInstrumentor

pytestmark = [pytest.mark.sdk]

PLANTED = "planted-7f3a"
PERSONAL = f"ada-{PLANTED}@mail.example.org"


def lookup(customer: str) -> str:
    """Look up."""
    return f"{customer} {PERSONAL}"


def failing(order: str) -> str:
    """Fail."""
    raise ValueError(f"{order} {PERSONAL}")


def refund(amount: float, note: str) -> str:
    """Pay back."""
    return f"paid {note}"


def allow(data: Any) -> ToolGuardrailFunctionOutput:
    return ToolGuardrailFunctionOutput.allow(output_info=PERSONAL)


def program() -> Agent[Any]:
    return Agent(
        name="refund-agent",
        instructions=f"You help {PERSONAL}.",
        model=ScriptedModel(
            [
                [function_call("lookup", json.dumps({"customer": PERSONAL}), call_id="c1")],
                [function_call("failing", json.dumps({"order": PERSONAL}), call_id="c2")],
                [
                    function_call("refund", json.dumps({"amount": 80.0, "note": PERSONAL}), call_id="c3"),
                    function_call("refund", json.dumps({"amount": 90.0, "note": PERSONAL}), call_id="c4"),
                ],
                [assistant_message(f"Dear {PERSONAL}, done.")],
            ]
        ),
        tools=[
            function_tool(lookup),
            function_tool(failing),
            function_tool(refund, needs_approval=True, tool_input_guardrails=[ToolInputGuardrail(allow)]),
        ],
        input_guardrails=[
            InputGuardrail(lambda *_: GuardrailFunctionOutput(PERSONAL, tripwire_triggered=False), name="in")
        ],
    )


async def story(streamed: bool) -> list[Any]:
    """Everything that an application can see of its run, from the first call to the last."""
    seen: list[Any] = []

    async def run(given: Any, **kwargs: Any) -> Any:
        if not streamed:
            return await Runner.run(agent, given, **kwargs)
        result = Runner.run_streamed(agent, given, **kwargs)
        seen.extend([(event.type, getattr(event, "name", None)) async for event in result.stream_events()])
        return result

    def look(result: Any) -> None:
        seen.append([(type(item).__name__, getattr(item, "output", None)) for item in result.new_items])
        seen.append([item.arguments for item in result.interruptions])
        seen.append((result.final_output, result.to_input_list(), len(result.raw_responses)))

    agent = program()
    config = RunConfig(trace_id="trace_" + "cd" * 16, group_id="thread-7")
    first = await run(f"Hello from {PERSONAL}", run_config=config)
    look(first)
    state = await RunState.from_json(agent, json.loads(json.dumps(first.to_state().to_json())))
    one, other = state.get_interruptions()
    state.approve(one)
    state.reject(other, rejection_message=f"No, {PERSONAL}")
    seen.append(state.to_json())
    look(await run(state))
    failed = Agent(name="a", model=ScriptedModel([RuntimeError(PERSONAL)]))
    with pytest.raises(RuntimeError, match=PLANTED) as caught:
        await Runner.run(failed, PERSONAL)
    seen.append((caught.type, str(caught.value)))
    return seen


@pytest.mark.parametrize("streamed", [False, True])
def test_same_program_with_and_without_and_no_content_leaves(
    telemetry: Any, recorder: Any, streamed: bool
) -> None:
    without = asyncio.run(story(streamed))
    instrumentor = OpenAIAgentsInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        with_us = asyncio.run(story(streamed))
    finally:
        instrumentor.uninstrument()
    assert json.dumps(with_us, default=str, sort_keys=True) == json.dumps(
        without, default=str, sort_keys=True
    )
    assert len(telemetry.spans) > 15
    assert PLANTED not in telemetry.exported_text()
    assert PLANTED not in "".join(entry.to_json() for entry in telemetry.store._entries.values())
    telemetry.check_counters()


def test_content_is_captured_where_the_standard_variable_says_so(
    telemetry: Any, instrumented: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    asyncio.run(story(streamed=False))
    (call,) = telemetry.named("execute_tool lookup")
    assert json.loads(call.attributes["gen_ai.tool.call.arguments"]) == {"customer": PERSONAL}
    assert call.attributes["gen_ai.tool.call.result"] == f"{PERSONAL} {PERSONAL}"
    first, second, failed = (span.attributes for span in telemetry.named("invoke_agent"))
    assert json.loads(first["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": f"Hello from {PERSONAL}"}]}
    ]
    (asked,) = json.loads(first["gen_ai.output.messages"])
    assert [part["type"] for part in asked["parts"]] == ["tool_call", "tool_call"]
    assert "gen_ai.input.messages" not in second
    (said,) = json.loads(second["gen_ai.output.messages"])
    assert (said["role"], said["finish_reason"]) == ("assistant", "stop")
    assert "gen_ai.output.messages" not in failed


def _patched() -> list[Any]:
    from agents import guardrail, run_state, tool, tool_guardrails
    from agents.realtime.session import RealtimeSession
    from agents.run_internal import tool_actions, tool_execution
    from agents.tracing.provider import DefaultTraceProvider

    return [
        AgentRunner.__dict__["run"],
        AgentRunner.__dict__["run_streamed"],
        DefaultTraceProvider.__dict__["gen_trace_id"],
        guardrail.InputGuardrail.__dict__["run"],
        guardrail.OutputGuardrail.__dict__["run"],
        tool_guardrails.ToolInputGuardrail.__dict__["run"],
        tool_guardrails.ToolOutputGuardrail.__dict__["run"],
        RunContextWrapper.__dict__["approve_tool"],
        RunContextWrapper.__dict__["reject_tool"],
        RunContextWrapper.__dict__["get_approval_status"],
        RealtimeSession.__dict__["on_event"],
        RealtimeSession.__dict__["close"],
        tool_actions.ShellAction.__dict__["execute"],
        run_state.RunState.__dict__["approve"],
        run_state.RunState.__dict__["reject"],
        tool.maybe_invoke_function_tool_failure_error_function,
        getattr(tool_execution, "_invoke_function_tool_with_metadata", None)
        or tool_execution.invoke_function_tool,  # type: ignore[attr-defined]
    ]


def test_switched_off_the_sdk_is_what_it_was(telemetry: Any, recorder: Any) -> None:
    before = _patched()
    processors = get_trace_provider()._multi_processor._processors  # type: ignore[attr-defined]
    instrumentor = OpenAIAgentsInstrumentor()
    for _ in range(2):
        instrumentor.instrument(recorder=recorder)
        assert all(now is not then for now, then in zip(_patched(), before, strict=True))
        assert inspect.iscoroutinefunction(AgentRunner.run)
        instrumentor.uninstrument()
    assert all(now is then for now, then in zip(_patched(), before, strict=True))
    after = get_trace_provider()._multi_processor._processors  # type: ignore[attr-defined]
    assert after[: len(processors)] == processors  # the SDK's own stay, and ours is there at most once
    assert len(after) <= len(processors) + 1
    Runner.run_sync(Agent(name="a", model=ScriptedModel([[assistant_message("x")]])), "hi")
    assert not telemetry.spans


def test_a_seam_that_a_release_lacks_costs_records_only(
    telemetry: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from runrecord.instrumentation.openai_agents import patch

    monkeypatch.setattr(patch, "_TOOL_EXECUTION", "agents.run_internal.gone")
    instrumentor = OpenAIAgentsInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        tool = function_tool(lookup)
        model = ScriptedModel(
            [[function_call("lookup", '{"customer": "x"}', call_id="c1")], [assistant_message("Done.")]]
        )
        Runner.run_sync(Agent(name="a", model=model, tools=[tool]), "hi")
    finally:
        instrumentor.uninstrument()
    assert "invokes tools elsewhere" in caplog.text
    call = telemetry.one("execute_tool lookup")
    assert call.attributes["gen_ai.tool.call.id"] == "c1"
    assert "runrecord.result.digest" in call.attributes
    telemetry.check_counters()


def test_an_sdk_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        OpenAIAgentsInstrumentor, "instrumentation_dependencies", lambda _: ("openai-agents >= 99",)
    )
    with pytest.raises(DependencyConflictError):
        OpenAIAgentsInstrumentor().instrument(raise_exception_on_conflict=True)
    assert agents.Runner is Runner


def test_the_table_names_this_integration() -> None:
    assert integrations()["openai_agents"] is CAPABILITIES
