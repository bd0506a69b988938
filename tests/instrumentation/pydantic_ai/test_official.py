# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""With OpenInference's package beside ours, which rewrites the SDK's own spans, there is still one span of everything."""

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, Tool
from pydantic_ai.models.instrumented import InstrumentationSettings

pytestmark = [pytest.mark.sdk]


@pytest.fixture
def openinference(telemetry: Any) -> Generator[None, None, None]:
    module = pytest.importorskip("openinference.instrumentation.pydantic_ai")
    processor = module.OpenInferenceSpanProcessor()
    telemetry.tracer_provider._active_span_processor._span_processors = (
        processor,
        *telemetry.tracer_provider._active_span_processor._span_processors,
    )
    settings = InstrumentationSettings(tracer_provider=telemetry.tracer_provider, include_content=False)
    Agent.instrument_all(settings)
    yield
    Agent.instrument_all(False)


def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


@pytest.mark.usefixtures("openinference", "instrumented")
def test_one_span_of_everything(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    program = Agent(
        scripted([call("refund", amount=80)], "Done."),
        name="refund-agent",
        tools=[Tool(refund, requires_approval=True)],
        output_type=[str, DeferredToolRequests],
    )
    first = program.run_sync("hi")
    program.run_sync(
        message_history=first.all_messages(),
        deferred_tool_results=DeferredToolResults(approvals={"call_1": True}),
    )
    names = Counter(span.name for span in telemetry.spans)
    assert names == {
        "invoke_agent refund-agent": 2,  # one a segment
        "chat scripted": 2,
        "execute_tool refund": 1,
        "agent_step act": 3,
        "policy_decision requires_approval": 1,
        "request_approval refund": 1,
        "approval_decision refund": 1,
    }
    tool = telemetry.one("execute_tool")
    assert tool.attributes["openinference.span.kind"] == "TOOL"
    request = telemetry.one("request_approval")
    assert facts(tool, "arguments.digest") == facts(request, "approval.subject.digest")
    counted = [
        span.name
        for span in telemetry.spans
        if any(name.startswith(("gen_ai.usage", "llm.token_count")) for name in span.attributes)
        and span.instrumentation_scope.name.startswith("runrecord")
    ]
    assert not counted
    telemetry.check_counters()
