# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside the official instrumentation, its ``execute_tool`` span is enriched instead of doubled.

The processor here makes the spans that opentelemetry-instrumentation-genai-openai-agents 1.3b0 makes, in the same callbacks; where
that package is installed, it is used itself.
"""

from collections.abc import Generator
from typing import Any

import pytest
from agents import Agent, Runner, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tracing import (
    AgentSpanData,
    FunctionSpanData,
    TracingProcessor,
    add_trace_processor,
    get_trace_provider,
    set_trace_processors,
)
from opentelemetry import context as otel_context
from opentelemetry import trace as otel

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("official", "instrumented")]


class Official(TracingProcessor):
    def __init__(self, tracer: Any) -> None:
        self.tracer, self.open = tracer, {}

    def start(self, key: Any, operation: str, name: str, **attributes: Any) -> None:
        attributes = {"gen_ai.operation.name": operation, **attributes}
        span = self.tracer.start_span(f"{operation} {name}", attributes=attributes)
        self.open[id(key)] = (span, otel_context.attach(otel.set_span_in_context(span)))

    def end(self, key: Any) -> None:
        span, token = self.open.pop(id(key), (None, None))
        if span is not None:
            otel_context.detach(token)
            span.end()

    def on_trace_start(self, trace: Any) -> None:
        self.start(trace, "invoke_workflow", trace.name)

    def on_trace_end(self, trace: Any) -> None:
        self.end(trace)

    def on_span_start(self, span: Any) -> None:
        data = span.span_data
        if isinstance(data, AgentSpanData):
            self.start(span, "invoke_agent", data.name)
        elif isinstance(data, FunctionSpanData):
            self.start(span, "execute_tool", data.name, **{"gen_ai.tool.name": data.name})

    def on_span_end(self, span: Any) -> None:
        self.end(span)

    def shutdown(self) -> None: ...
    def force_flush(self) -> None: ...


@pytest.fixture
def official(telemetry: Any) -> Generator[None, None, None]:
    try:
        from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor
    except ImportError:
        processor = Official(telemetry.tracer_provider.get_tracer("official"))
        add_trace_processor(processor)
        yield
        now = get_trace_provider()._multi_processor._processors  # type: ignore[attr-defined]
        set_trace_processors([other for other in now if other is not processor])
    else:
        instrumentor = OpenAIAgentsInstrumentor()
        instrumentor.instrument(tracer_provider=telemetry.tracer_provider)
        yield
        instrumentor.uninstrument()


@function_tool(needs_approval=True)
def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


CALL = [function_call("refund", '{"amount": 80.0}', call_id="call_1")]
DONE = [assistant_message("Done.")]


def test_the_official_tool_span_gets_our_facts(telemetry: Any) -> None:
    agent = Agent(name="refund-agent", model=ScriptedModel([CALL, DONE]), tools=[refund])
    first = Runner.run_sync(agent, "hi")
    state = first.to_state()
    state.approve(first.interruptions[0])
    Runner.run_sync(agent, state)
    waiting, executed = sorted(telemetry.named("execute_tool"), key=lambda span: span.start_time)
    assert "runrecord.run.id" not in waiting.attributes  # the SDK's span of a call that did not run
    assert executed.instrumentation_scope.name != "runrecord.instrumentation"
    assert executed.attributes["gen_ai.tool.call.id"] == "call_1"
    request = telemetry.one("request_approval")
    assert (
        executed.attributes["runrecord.arguments.digest"]
        == request.attributes["runrecord.approval.subject.digest"]
    )
    assert "runrecord.result.digest" in executed.attributes
    telemetry.check_counters()


def test_an_agent_inside_of_a_tool_has_one_span(telemetry: Any) -> None:
    inner = Agent(name="inner", model=ScriptedModel([DONE]))
    outer = Agent(
        name="outer",
        model=ScriptedModel([[function_call("ask", '{"input": "x"}', call_id="a")], DONE]),
        tools=[inner.as_tool("ask", "Ask.")],
    )
    Runner.run_sync(outer, "hi")
    assert telemetry.one("invoke_agent inner").instrumentation_scope.name != "runrecord.instrumentation"
    assert telemetry.one("execute_tool ask").attributes["runrecord.run.id"]
    telemetry.check_counters()
