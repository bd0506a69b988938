# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The SDK's own spans, of the newer releases: they get our attributes, and none is doubled."""

import asyncio
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool, beta_tool

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

PARAMS: Any = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "secret-content"}]}
RUN, TOOL, CALL = "anthropic.messages.tool_runner", "anthropic.custom_tool_use", "anthropic.messages.create"


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


@pytest.fixture(autouse=True)
def no_native_spans() -> None:
    """They are what this is about."""


@pytest.fixture
def options(telemetry: Any, server: Any) -> Any:
    tracing = {"tracer_provider": telemetry.tracer_provider}
    return {"base_url": server.url, "api_key": "none", "max_retries": 0, "open_telemetry": tracing}


@beta_tool
def lookup(order: str) -> str:
    """Look up an order."""
    return f"found secret-content {order}"


@beta_async_tool(name="lookup")
async def alookup(order: str) -> str:
    """Look up an order."""
    await asyncio.sleep(0)
    return f"found secret-content {order}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_tool_runner(telemetry: Any, server: Any, options: Any, asynchronous: bool, stream: bool) -> None:
    async def main() -> None:
        async with AsyncAnthropic(**options) as client:
            await client.beta.messages.tool_runner(**PARAMS, tools=[alookup], stream=stream).until_done()

    server.script(server.calls(server.use()), server.message())
    if asynchronous:
        asyncio.run(main())
    else:
        with Anthropic(**options) as client:
            client.beta.messages.tool_runner(**PARAMS, tools=[lookup], stream=stream).until_done()
    assert sorted(telemetry.tree()) == sorted(
        [
            RUN,
            "  agent_step act",
            f"  {CALL}",
            f"    {TOOL} lookup",
            "  agent_step act",
            f"  {CALL}",
        ]
    )
    run, tool = telemetry.one(RUN), telemetry.one(TOOL)
    assert facts(run, "run.outcome", "run.records", "run.state") == ["success", 4, "completed"]
    assert facts(tool, "run.id") == facts(run, "run.id")
    assert tool.attributes["gen_ai.tool.call.id"] == "toolu_1"
    assert "runrecord.arguments.digest" in tool.attributes
    assert "runrecord.result.digest" in tool.attributes
    calls = sorted(telemetry.named(CALL), key=lambda span: span.start_time)
    assert [facts(span, "run.id", "step.index") for span in calls] == [
        [*facts(run, "run.id"), 0],
        [*facts(run, "run.id"), 1],
    ]
    usage = [span for span in telemetry.spans if "gen_ai.usage.input_tokens" in span.attributes]
    assert usage == telemetry.named(CALL)
    assert "secret-content" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_tool_that_fails(telemetry: Any, server: Any, options: Any) -> None:
    @beta_tool(name="lookup")
    def broken(order: str) -> str:
        """Look up an order."""
        raise ValueError("secret-content")

    server.script(server.calls(server.use()), server.message())
    with Anthropic(**options) as client:
        client.beta.messages.tool_runner(**PARAMS, tools=[broken]).until_done()
    tool = telemetry.one(TOOL)
    assert tool.attributes["error.type"] == "tool_error"
    assert tool.status.status_code.name == "ERROR"
    telemetry.check_counters()


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_in_a_plain_call(telemetry: Any, server: Any, options: Any, stream: bool) -> None:
    server.script(server.message(stop="refusal"))
    with Anthropic(**options) as client:
        if stream:
            with client.messages.stream(**PARAMS) as events:
                events.get_final_message()
        else:
            client.messages.create(**PARAMS)
    assert telemetry.tree() == [
        CALL,
        "  invoke_agent",
        "    agent_step act",
        "      policy_decision refusal",
    ]
    telemetry.check_counters()


def test_tools_that_run_before_the_message_is_over(telemetry: Any, server: Any, options: Any) -> None:
    server.script(server.calls(server.use(), server.use(call_id="toolu_2", order="o-2")), server.message())
    with Anthropic(**options) as client:
        runner = client.beta.messages.tool_runner(
            **PARAMS, tools=[lookup], stream=True, run_tools_eagerly=True
        )
        for stream in runner:
            for _ in stream:
                pass
    tools = telemetry.named(TOOL)
    assert [tool.attributes["gen_ai.tool.call.id"] for tool in tools] == ["toolu_1", "toolu_2"]
    assert (
        len({*facts(telemetry.one(RUN), "run.id"), *(tool.attributes["runrecord.run.id"] for tool in tools)})
        == 1
    )
    telemetry.check_counters()


def test_a_runner_that_is_closed(telemetry: Any, server: Any, options: Any) -> None:
    server.script(server.calls(server.use()))
    with Anthropic(**options) as client:
        runner = client.beta.messages.tool_runner(**PARAMS, tools=[lookup])
        next(runner)
        runner.close()
    assert facts(telemetry.one(RUN), "run.outcome") == ["abandoned"]
    telemetry.check_counters()


def test_a_tool_of_a_session(telemetry: Any, server: Any, options: Any) -> None:
    called = server.event("agent.custom_tool_use", name="lookup", input={"order": "o-1"})
    server.emit(*server.running(), called, server.idle("requires_action", event_ids=[called["id"]]))
    server.turns = [[*server.running(), server.idle()]]

    async def main() -> None:
        async with AsyncAnthropic(**options) as client:
            await client.beta.sessions.events.tool_runner(
                "sesn_1", tools=[lookup], max_idle=0.05
            ).until_done()

    asyncio.run(main())
    tool, run = telemetry.one(TOOL), telemetry.named("invoke_agent")[-1]
    assert telemetry.named("execute_tool") == []
    assert facts(tool, "run.id") == facts(run, "run.id")
    assert tool.context.trace_id == run.context.trace_id
    assert "runrecord.result.digest" in tool.attributes
    telemetry.check_counters()
