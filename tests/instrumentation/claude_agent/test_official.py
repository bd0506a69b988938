# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside OpenInference's instrumentation and our own of MCP: one record of each run and call."""

import asyncio
from collections.abc import Generator
from typing import Any

import claude_agent_sdk
import pytest
from claude_agent_sdk import ClaudeSDKClient
from claude_model import call, text, turns

from runrecord.instrumentation.claude_agent import ClaudeAgentInstrumentor
from runrecord.instrumentation.mcp import MCPInstrumentor

pytestmark = [pytest.mark.sdk]

openinference = pytest.importorskip("openinference.instrumentation.claude_agent_sdk")
REFUND = "mcp__shop__create_refund"


@pytest.fixture(params=["ours", "theirs"])
def beside(request: pytest.FixtureRequest, telemetry: Any, recorder: Any) -> Generator[None, None, None]:
    ours, other = ClaudeAgentInstrumentor(), openinference.ClaudeAgentSDKInstrumentor()
    steps = [
        lambda: ours.instrument(recorder=recorder),
        lambda: other.instrument(tracer_provider=telemetry.tracer_provider),
    ]
    for step in steps if request.param == "ours" else reversed(steps):
        step()
    yield
    other.uninstrument()
    ours.uninstrument()


def governed(telemetry: Any) -> list[Any]:
    return [span for span in telemetry.spans if "runrecord.record.seq" in span.attributes]


@pytest.mark.usefixtures("beside")
def test_the_span_of_openinferences_agent_is_the_run(telemetry: Any, model: Any, options: Any) -> None:
    async def main() -> None:
        given = options(allowed_tools=[REFUND])
        async for _ in claude_agent_sdk.query(prompt="planted prompt", options=given):
            pass

    model.script = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])
    asyncio.run(main())
    (run,) = [span for span in governed(telemetry) if "runrecord.run.segment" in span.attributes]
    assert run.instrumentation_scope.name == openinference.__name__
    assert run.attributes["runrecord.run.outcome"] == "success"
    assert (
        len([span for span in telemetry.spans if span.attributes.get("openinference.span.kind") == "AGENT"])
        == 1
    )
    (tool,) = [span for span in governed(telemetry) if span.name.startswith("execute_tool")]
    assert tool.attributes["gen_ai.tool.call.id"] == "toolu_1"
    assert len({span.context.trace_id for span in telemetry.spans}) == 1
    # Tokens are counted once, on their span.
    assert len([span for span in telemetry.spans if "llm.token_count.prompt" in span.attributes]) == 1
    telemetry.check_counters()


@pytest.mark.usefixtures("beside")
def test_a_client_beside_openinference(telemetry: Any, model: Any, options: Any) -> None:
    async def main() -> None:
        async with ClaudeSDKClient(options(allowed_tools=[REFUND])) as client:
            await client.query("planted prompt")
            async for _ in client.receive_response():
                pass

    model.script = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])
    asyncio.run(main())
    assert len([span for span in governed(telemetry) if "runrecord.run.segment" in span.attributes]) == 1
    assert len([span for span in governed(telemetry) if span.name.startswith("execute_tool")]) == 1
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_a_server_of_the_program_that_our_integration_of_mcp_records(
    telemetry: Any, recorder: Any, model: Any, options: Any, ask: Any
) -> None:
    mcp = MCPInstrumentor()
    mcp.instrument(recorder=recorder)
    try:
        model.script = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])
        ask(options(allowed_tools=[REFUND]))
    finally:
        mcp.uninstrument()
    records = governed(telemetry)
    assert len([span for span in records if "runrecord.run.segment" in span.attributes]) == 1
    assert len([s for s in records if s.attributes.get("gen_ai.operation.name") == "execute_tool"]) == 1
    telemetry.check_counters()
