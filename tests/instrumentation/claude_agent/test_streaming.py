# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Streams that are finished, left, interrupted, cancelled or fail."""

import asyncio
import gc
from typing import Any

import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ClaudeSDKClient,
    CLINotFoundError,
    StreamEvent,
    create_sdk_mcp_server,
    query,
    tool,
)
from claude_model import call, text, turns

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

REFUND = "mcp__shop__create_refund"


def test_partial_messages_begin_a_step_once(telemetry: Any, options: Any) -> None:
    async def main() -> list[Any]:
        given = options(include_partial_messages=True)
        return [message async for message in query(prompt="planted prompt", options=given)]

    assert any(isinstance(message, StreamEvent) for message in asyncio.run(main()))
    assert telemetry.tree() == ["invoke_agent claude-agent", "  agent_step act"]


@pytest.mark.parametrize("how", ["break", "close"])
def test_a_stream_that_is_left(telemetry: Any, model: Any, options: Any, how: str) -> None:
    async def main() -> None:
        stream: Any = query(prompt="planted prompt", options=options(allowed_tools=["Bash"]))
        async for message in stream:
            if isinstance(message, AssistantMessage):
                break
        if how == "close":
            await stream.aclose()
        del stream
        gc.collect()
        # The SDK closes its connection in a task of its own.
        deadline = asyncio.get_running_loop().time() + 30
        while (  # noqa: ASYNC110  # nothing says when
            not telemetry.named("invoke_agent") and asyncio.get_running_loop().time() < deadline
        ):
            await asyncio.sleep(0.01)

    model.script = turns([call("toolu_1", "Bash", command="sleep 60", description="d")])
    asyncio.run(main())
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "abandoned"
    telemetry.check_counters()


def test_a_client_that_is_left(telemetry: Any, options: Any) -> None:
    async def main() -> None:
        async with ClaudeSDKClient(options()) as client:
            await client.query("planted prompt")

    asyncio.run(main())
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "abandoned"


def test_a_client_that_an_exception_leaves(telemetry: Any, options: Any) -> None:
    async def main() -> None:
        async with ClaudeSDKClient(options()) as client:
            await client.query("planted prompt")
            raise ValueError("planted exception")

    with pytest.raises(ValueError, match="planted exception"):
        asyncio.run(main())
    run = telemetry.one("invoke_agent")
    assert run.attributes["runrecord.run.outcome"] == "failure"
    assert run.attributes["error.type"] == "ValueError"
    assert "planted" not in telemetry.exported_text()


def test_a_tool_call_that_is_cut_off(telemetry: Any, model: Any, options: Any) -> None:
    async def main() -> None:
        called = asyncio.Event()

        @tool("wait", "Wait.", {})
        async def wait(_: Any) -> Any:
            called.set()
            await asyncio.Event().wait()

        async def consume() -> None:
            server = create_sdk_mcp_server("shop", tools=[wait])
            given = options(mcp_servers={"shop": server}, allowed_tools=["mcp__shop"])

            async for _ in query(prompt="planted prompt", options=given):
                pass

        task = asyncio.create_task(consume())
        await called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    model.script = turns([call("toolu_1", "mcp__shop__wait")])
    asyncio.run(main())
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "cancelled"
    called = telemetry.one("execute_tool")
    assert called.attributes["error.type"] in {"no_result", "cancelled"}
    assert called.status.status_code.name == "UNSET"
    assert "runrecord.result.digest" not in called.attributes
    telemetry.check_counters()


def test_a_run_that_is_interrupted(telemetry: Any, model: Any, options: Any) -> None:
    async def main() -> None:
        called = asyncio.Event()

        @tool("wait", "Wait.", {})
        async def wait(_: Any) -> Any:
            called.set()
            await asyncio.Event().wait()

        server = create_sdk_mcp_server("shop", tools=[wait])
        given = options(mcp_servers={"shop": server}, allowed_tools=["mcp__shop"])
        async with ClaudeSDKClient(given) as client:
            await client.query("planted prompt")
            await called.wait()
            await client.interrupt()
            async for _ in client.receive_response():
                pass
            model.script = turns([text("Done.")])
            await client.query("planted prompt")
            async for _ in client.receive_response():
                pass

    model.script = turns([call("toolu_1", "mcp__shop__wait")])
    asyncio.run(main())
    runs = telemetry.named("invoke_agent")
    assert [run.attributes["runrecord.run.outcome"] for run in runs] == ["cancelled", "success"]
    assert len(telemetry.named("execute_tool")) == 1
    telemetry.check_counters()


@pytest.mark.parametrize("how", ["query", "client"])
def test_a_program_that_is_not_there(telemetry: Any, options: Any, tmp_path: Any, how: str) -> None:
    async def main() -> None:
        given = options(cli_path=tmp_path / "nothing")
        if how == "query":
            async for _ in query(prompt="planted prompt", options=given):
                pass
        else:
            await ClaudeSDKClient(given).connect("planted prompt")

    with pytest.raises(CLINotFoundError):
        asyncio.run(main())
    run = telemetry.one("invoke_agent").attributes
    assert run["runrecord.run.outcome"] == "failure"
    assert run["error.type"] == "claude_agent_sdk._errors.CLINotFoundError"


def test_a_program_that_dies(telemetry: Any, options: Any, tmp_path: Any) -> None:
    dies = tmp_path / "dies"
    dies.write_text("#!/bin/sh\nread line\nexit 3\n")
    dies.chmod(0o755)

    async def main() -> None:
        async for _ in query(prompt="planted prompt", options=options(cli_path=dies)):
            pass

    with pytest.raises(Exception, match="exit code 3"):
        asyncio.run(main())
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "failure"
