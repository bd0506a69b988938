# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside the SDK's own instrumentation: its spans get our facts, none is doubled, and its token counts stay as they are."""

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, Tool
from pydantic_ai.capabilities import Hooks
from pydantic_ai.exceptions import SkipToolExecution
from pydantic_ai.models.instrumented import InstrumentationSettings

from runrecord.instrumentation.pydantic_ai import PydanticAIInstrumentor

pytestmark = [pytest.mark.sdk]


def settings(provider: Any) -> InstrumentationSettings:
    return InstrumentationSettings(tracer_provider=provider, include_content=False)


@pytest.fixture
def native(telemetry: Any) -> Generator[None, None, None]:
    Agent.instrument_all(settings(telemetry.tracer_provider))
    yield
    Agent.instrument_all(False)


def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


def agent(model: Any, *tools: Any, **options: Any) -> Agent[Any, Any]:
    return Agent(model, name="refund-agent", tools=tools or [refund], **options)


def ours(span: Any) -> bool:
    return bool(span.instrumentation_scope.name.startswith("runrecord"))


def tokens(spans: Any) -> list[Any]:
    """The token counts of every span that has some."""
    return sorted(
        (span.name, name, value)
        for span in spans
        for name, value in (span.attributes or {}).items()
        if name.startswith(("gen_ai.usage", "gen_ai.aggregated_usage"))
    )


@pytest.mark.usefixtures("native", "instrumented")
def test_the_sdks_own_spans_get_our_facts(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    agent(scripted([call("refund", amount=80)], "Done.")).run_sync("hi")
    assert Counter(telemetry.tree()) == {  # the order of a step and its request depends on the release
        "invoke_agent refund-agent": 1,
        "  agent_step act": 2,
        "  chat scripted": 2,
        "  execute_tool refund": 1,
    }
    assert [span.name for span in telemetry.spans if ours(span)] == ["agent_step act", "agent_step act"]
    run, tool = telemetry.one("invoke_agent"), telemetry.one("execute_tool")
    assert facts(run, "run.outcome", "run.segment", "run.records") == ["success", 0, 4]
    assert facts(tool, "run.id", "step.index") == [*facts(run, "run.id"), 0]
    assert {"runrecord.arguments.digest", "runrecord.result.digest"} <= set(tool.attributes)
    assert tool.attributes["gen_ai.tool.call.id"] == "call_1"
    telemetry.check_counters()


def test_the_token_counts_are_what_they_are_without_us(telemetry: Any, scripted: Any, call: Any) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def run() -> list[Any]:
        exporter.clear()
        agent(scripted([call("refund", amount=80)], "Done.")).run_sync("hi")
        return tokens(exporter.get_finished_spans())

    Agent.instrument_all(settings(provider))
    without = run()
    instrumentor = PydanticAIInstrumentor()
    logs = LoggerProvider(shutdown_on_exit=False)
    instrumentor.instrument(recorder=telemetry.recorder(tracer_provider=provider, logger_provider=logs))
    try:
        assert run() == without
    finally:
        instrumentor.uninstrument()
        Agent.instrument_all(False)
    assert without
    assert not tokens(span for span in exporter.get_finished_spans() if ours(span))


@pytest.mark.usefixtures("native", "instrumented")
@pytest.mark.parametrize("inside", [False, True])
def test_a_run_that_goes_on_is_in_the_trace_of_its_beginning(
    telemetry: Any, scripted: Any, call: Any, facts: Any, inside: bool
) -> None:
    model = scripted([call("refund", amount=80)], "Done.")
    program = agent(model, Tool(refund, requires_approval=True), output_type=[str, DeferredToolRequests])
    first = program.run_sync("hi")

    def go_on() -> None:
        program.run_sync(
            message_history=first.all_messages(),
            deferred_tool_results=DeferredToolResults(approvals={"call_1": True}),
        )

    tracer = telemetry.tracer_provider.get_tracer("web")
    if inside:
        with tracer.start_as_current_span("POST /answers"):
            go_on()
    else:
        go_on()
    before, after = sorted(telemetry.named("invoke_agent"), key=lambda span: span.start_time)
    assert not ours(before)
    assert not ours(after)
    assert after.context.trace_id == before.context.trace_id
    assert after.parent.span_id == before.context.span_id
    linked = {link.context.span_id for link in after.links}
    web = {span.context.span_id for span in telemetry.named("POST")}
    assert linked == {before.context.span_id} | web
    request, tool = telemetry.one("request_approval"), telemetry.one("execute_tool")
    assert not ours(tool)
    assert facts(request, "approval.subject.digest") == facts(tool, "arguments.digest")
    assert facts(request, "approval.id") == facts(tool, "approval.id")
    assert len({span.attributes["runrecord.run.id"] for span in (before, after, tool)}) == 1
    telemetry.check_counters()


@pytest.mark.usefixtures("native", "instrumented")
def test_an_agent_inside_of_a_tool_has_one_span(telemetry: Any, scripted: Any, call: Any) -> None:
    inner = Agent(scripted([call("refund", amount=20)], "Paid."), name="inner", tools=[refund])

    async def ask() -> str:
        """Ask another agent."""
        return (await inner.run("please")).output

    agent(scripted([call("ask")], "Done."), ask).run_sync("hi")
    names = Counter(span.name for span in telemetry.spans if not span.name.startswith(("chat", "agent_step")))
    assert names == {
        "invoke_agent refund-agent": 1,
        "invoke_agent inner": 1,
        "execute_tool ask": 1,
        "execute_tool refund": 1,
    }
    assert not ours(telemetry.one("invoke_agent inner"))
    assert "runrecord.run.id" not in telemetry.one("invoke_agent inner").attributes
    assert "runrecord.run.id" in telemetry.one("execute_tool refund").attributes
    telemetry.check_counters()


@pytest.mark.usefixtures("native", "instrumented")
def test_a_hook_with_a_span_of_its_own_does_not_make_us_double_the_tools(
    telemetry: Any, scripted: Any, call: Any
) -> None:
    tracer = telemetry.tracer_provider.get_tracer("application")

    async def timed(ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
        with tracer.start_as_current_span("timed"):
            return await handler(args)

    hooks: Any = Hooks(tool_execute=timed)
    agent(scripted([call("refund", amount=80)], "Done."), capabilities=[hooks]).run_sync("hi")
    assert not ours(telemetry.one("execute_tool"))
    assert "runrecord.result.digest" in telemetry.one("execute_tool").attributes
    telemetry.check_counters()


@pytest.mark.usefixtures("native", "instrumented")
def test_a_tool_that_a_hook_kept_from_running_has_no_facts_of_a_call(
    telemetry: Any, scripted: Any, call: Any
) -> None:
    async def skip(ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
        raise SkipToolExecution("no")

    hooks: Any = Hooks(before_tool_execute=skip)
    agent(scripted([call("refund", amount=80)], "Done."), capabilities=[hooks]).run_sync("hi")
    for span in telemetry.named(
        "execute_tool"
    ):  # some releases have a span of it, which looks like a success
        assert "runrecord.run.id" not in span.attributes
    assert telemetry.one("policy_decision skip")
    telemetry.check_counters()


@pytest.mark.usefixtures("native", "instrumented")
def test_an_output_function_and_a_failing_tool(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    def pay_out(amount: float) -> str:
        """Pay, as the last act of the run."""
        return "paid"

    def broken() -> str:
        """Break."""
        raise LookupError("planted-1")

    agent(scripted([call("final_result", amount=80)]), output_type=pay_out).run_sync("hi")
    assert not ours(telemetry.one("execute_tool final_result"))
    with pytest.raises(LookupError):
        agent(scripted([call("broken")]), broken).run_sync("hi")
    tool = telemetry.one("execute_tool broken")
    assert tool.status.status_code is otel.StatusCode.ERROR
    assert tool.attributes["error.type"] == "LookupError"
    assert "planted-1" not in "".join(span.to_json() for span in telemetry.spans if ours(span))
    telemetry.check_counters()
