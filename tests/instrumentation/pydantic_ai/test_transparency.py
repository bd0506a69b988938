# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The program is the same with and without us, nothing of its content leaves, and we are switched off without a trace."""

import asyncio
import inspect
import json
import textwrap
from typing import Any, ClassVar

import pytest
from pydantic_ai import (
    Agent,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    Tool,
    ToolApproved,
    ToolDenied,
)
from pydantic_ai.capabilities import AbstractCapability, Hooks
from pydantic_ai.exceptions import SkipToolExecution
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.tool_manager import ToolManager
from pydantic_ai.toolsets import ApprovalRequiredToolset

from runrecord.instrumentation import DependencyConflictError, pydantic_ai
from runrecord.instrumentation._hooks import Hooks as Seams
from runrecord.instrumentation.capabilities import integrations
from runrecord.instrumentation.pydantic_ai import CAPABILITIES, PydanticAIInstrumentor

pytestmark = [pytest.mark.sdk]

PLANTED = "planted-7f3a"
PERSONAL = f"ada-{PLANTED}@mail.example.org"


def lookup(customer: str) -> str:
    """Look up."""
    return f"{customer} {PERSONAL}"


def failing(order: str) -> str:
    """Fail."""
    raise ModelRetry(f"{order} {PERSONAL}")


def refund(amount: float, note: str) -> str:
    """Pay back."""
    return f"paid {note}"


async def guard(ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
    if args.get("customer") == "nobody":
        raise SkipToolExecution(PERSONAL)
    return args


def program(call: Any, scripted: Any) -> Agent[Any, Any]:
    hooks: Any = Hooks(before_tool_execute=guard)
    return Agent(
        scripted(
            [call("lookup", "c1", customer=PERSONAL)],
            [call("failing", "c2", order=PERSONAL)],
            [call("lookup", "c3", customer="nobody")],
            [call("refund", f"c{number}", amount=80.0, note=PERSONAL) for number in (4, 5, 6)],
            f"Dear {PERSONAL}, done.",
        ),
        name="refund-agent",
        instructions=f"You help {PERSONAL}.",
        output_type=[str, DeferredToolRequests],
        tools=[lookup, failing, Tool(refund, requires_approval=True, metadata={"note": PERSONAL})],
        capabilities=[hooks],
    )


async def story(call: Any, scripted: Any, streamed: bool) -> list[Any]:
    """Everything that an application can see of its run, from the first call to the last."""
    seen: list[Any] = []

    async def run(*args: Any, **kwargs: Any) -> Any:
        if not streamed:
            result = await agent.run(*args, **kwargs)
            look(result, result.output, result.usage)
            return result
        async with agent.run_stream(*args, **kwargs) as result:
            look(result, await result.get_output(), result.usage)
            return result

    def look(result: Any, output: Any, usage: Any) -> None:
        messages = json.loads(ModelMessagesTypeAdapter.dump_json(result.all_messages()))
        for message in messages:
            message.pop("run_id", None)
            message.pop("timestamp", None)
            for part in message["parts"]:
                part.pop("timestamp", None)
        waiting = [part.args for part in output.approvals] if not isinstance(output, str) else output
        seen.append((waiting, messages, repr(usage() if inspect.ismethod(usage) else usage)))

    agent = program(call, scripted)
    first = await run(f"Hello from {PERSONAL}", conversation_id="thread-7")
    answers = {
        "c4": True,
        "c5": ToolDenied(f"No, {PERSONAL}"),
        "c6": ToolApproved(override_args={"amount": 40.0, "note": PERSONAL}),
    }
    results = DeferredToolResults(approvals=answers)
    await run(message_history=first.all_messages(), deferred_tool_results=results)
    broken = Agent(scripted(RuntimeError(PERSONAL)), name="a")
    with pytest.raises(RuntimeError, match=PLANTED) as caught:
        await broken.run(PERSONAL)
    seen.append((caught.type, str(caught.value)))
    return seen


@pytest.mark.parametrize("streamed", [False, True])
def test_same_program_with_and_without_and_no_content_leaves(
    telemetry: Any, recorder: Any, call: Any, scripted: Any, streamed: bool
) -> None:
    without = asyncio.run(story(call, scripted, streamed))
    instrumentor = PydanticAIInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        with_us = asyncio.run(story(call, scripted, streamed))
    finally:
        instrumentor.uninstrument()
    assert with_us == without
    assert len(telemetry.spans) > 15
    assert PLANTED not in telemetry.exported_text()
    assert PLANTED not in "".join(entry.to_json() for entry in telemetry.store._entries.values())
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_content_is_captured_where_the_standard_variable_says_so(
    telemetry: Any, call: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    asyncio.run(story(call, scripted, streamed=False))
    tool = telemetry.one("execute_tool lookup")
    assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"customer": PERSONAL}
    assert tool.attributes["gen_ai.tool.call.result"] == f"{PERSONAL} {PERSONAL}"
    first, second, failed = (span.attributes for span in telemetry.named("invoke_agent"))
    assert json.loads(first["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": f"Hello from {PERSONAL}"}]}
    ]
    (asked,) = json.loads(first["gen_ai.output.messages"])
    assert [part["type"] for part in asked["parts"]] == ["tool_call"] * 3
    assert "gen_ai.input.messages" not in second
    (said,) = json.loads(second["gen_ai.output.messages"])
    assert (said["role"], said["finish_reason"]) == ("assistant", "stop")
    assert "gen_ai.output.messages" not in failed


def _patched() -> list[Any]:
    return [
        Agent.__dict__["iter"],
        ApprovalRequiredToolset.__dict__["call_tool"],
        *(
            ToolManager.__dict__[name]
            for name in (
                "_run_validate_hooks",
                "_run_execute_hooks",
                "_raw_execute",
                "resolve_deferred_tool_calls",
            )
        ),
    ]


def test_switched_off_the_sdk_is_what_it_was(telemetry: Any, recorder: Any, scripted: Any) -> None:
    before, signature = _patched(), inspect.signature(Agent.iter)
    instrumentor = PydanticAIInstrumentor()
    for _ in range(2):
        instrumentor.instrument(recorder=recorder)
        assert all(now is not then for now, then in zip(_patched(), before, strict=True))
        assert inspect.signature(Agent.iter) == signature
        instrumentor.uninstrument()
    assert all(now is then for now, then in zip(_patched(), before, strict=True))
    Agent(scripted("x")).run_sync("hi")
    assert not telemetry.spans


def test_an_agent_without_a_name_gets_the_name_that_it_got_without_us(
    instrumented: Any, scripted: Any, telemetry: Any
) -> None:
    helper = Agent(scripted("x", "x"))
    helper.run_sync("hi")
    assert helper.name == "helper"
    assert telemetry.one("invoke_agent helper")


@pytest.mark.parametrize("gone", ["_raw_execute", "_run_execute_hooks", "resolve_deferred_tool_calls"])
def test_a_seam_that_a_release_lacks_costs_records_only(
    telemetry: Any, *, recorder: Any, call: Any, scripted: Any, gone: str, caplog: pytest.LogCaptureFixture
) -> None:
    from runrecord.instrumentation.pydantic_ai import patch

    class Release(Seams):
        def wrap(self, module: Any, path: str, wrapper: Any, *, optional: bool = False) -> bool:
            return super().wrap(module, path.replace(gone, f"{gone}_renamed"), wrapper, optional=optional)

    applied = patch.Patch(recorder)
    applied._hooks = Release("pydantic-ai")
    applied.apply()
    try:
        agent = Agent(scripted([call("lookup", customer="x")], "Done."), name="a", tools=[lookup])
        assert agent.run_sync("hi").output == "Done."
    finally:
        applied.remove()
    assert f"{gone}_renamed" in caplog.text
    tool = telemetry.one("execute_tool lookup")
    assert {"runrecord.arguments.digest", "runrecord.result.digest"} <= set(tool.attributes)
    assert not telemetry.named("policy_decision")
    telemetry.check_counters()


class Engine(AbstractCapability[Any]):
    """What a durable engine does with the capabilities of a single run, as pydantic_ai/durable_exec/_base.py has it."""

    refused: ClassVar[list[Any]] = []

    def _validate_runtime_capabilities(self, ctx: Any, capabilities: Any) -> None:
        Engine.refused.extend(one for one in capabilities if not one._safe_at_runtime)


@pytest.mark.newest
@pytest.mark.usefixtures("instrumented")
def test_a_durable_engine_does_not_refuse_us(telemetry: Any, scripted: Any) -> None:
    if not hasattr(AbstractCapability, "_validate_runtime_capabilities"):
        pytest.skip("this release asks no engine")
    Engine.refused.clear()
    Agent(scripted("x"), name="a", capabilities=[Engine()]).run_sync("hi")
    assert not Engine.refused
    assert telemetry.one("invoke_agent a")


@pytest.mark.newest
@pytest.mark.usefixtures("instrumented")
def test_inside_of_a_durable_workflow_nothing_is_recorded(
    telemetry: Any,
    scripted: Any,
    call: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from pydantic_ai import RunContext

    if not hasattr(RunContext, "in_durable_context"):
        pytest.skip("this release does not say that it is in a workflow")
    monkeypatch.setattr(RunContext, "in_durable_context", True)
    agent = Agent(scripted([call("lookup", customer="x")], "Done."), name="a", tools=[lookup])
    assert agent.run_sync("hi").output == "Done."
    assert not telemetry.spans
    assert "durable workflow" in caplog.text


def test_an_sdk_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        PydanticAIInstrumentor, "instrumentation_dependencies", lambda _: ("pydantic-ai-slim >= 99",)
    )
    with pytest.raises(DependencyConflictError):
        PydanticAIInstrumentor().instrument(raise_exception_on_conflict=True)


def test_the_table_names_this_integration() -> None:
    assert integrations()["pydantic_ai"] is CAPABILITIES


def test_the_example_of_the_page_runs(telemetry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page = inspect.getdoc(pydantic_ai) or ""
    code = page.partition("switch the recording on in code::")[2].partition("=====")[0]
    switch_on = PydanticAIInstrumentor.instrument
    recorder = telemetry.recorder()
    monkeypatch.setattr(PydanticAIInstrumentor, "instrument", lambda self: switch_on(self, recorder=recorder))
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda provider: provider.shutdown())
    try:
        exec(compile(textwrap.dedent(code), "example", "exec"), {})
    finally:
        PydanticAIInstrumentor().uninstrument()
    assert len(telemetry.named("invoke_agent refund-agent")) == 2
    assert telemetry.one("approval_decision create_refund")
