# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The same agent in each SDK: 10 steps of a scripted model, 2 tool calls in each, and an answer."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any

STEPS = 10
CALLS_PER_STEP = 2
NAME = "bench-agent"


inside: list[Callable[[], None]] = []
"""What each tool call does besides: the place of bare spans."""

afterwards = ExitStack()
"""What ends with the measurement: servers that an agent needs."""


def search(query: str) -> str:
    """Search."""
    for extra in inside:
        extra()
    return f"nothing about {query}"


def calls(make: Callable[[str, dict[str, str]], Any]) -> list[list[Any]]:
    """What the model asks for in each step; ``make`` takes the call's id and its arguments."""
    return [
        [make(f"call-{step}-{i}", {"query": f"q{step}-{i}"}) for i in range(CALLS_PER_STEP)]
        for step in range(STEPS)
    ]


def langgraph() -> Callable[[], object]:
    from langchain.agents import create_agent
    from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.tools import StructuredTool

    class Scripted(FakeMessagesListChatModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

    turns = calls(lambda call_id, arguments: {"name": "search", "args": arguments, "id": call_id})
    script = [*(AIMessage("", tool_calls=calls) for calls in turns), AIMessage("done")]
    agent = create_agent(Scripted(responses=script), [StructuredTool.from_function(search)], name=NAME)
    question: Any = {"messages": [{"role": "user", "content": "go"}]}
    return lambda: agent.invoke(question, {"recursion_limit": 100})


def openai_agents() -> Callable[[], object]:
    os.environ.pop(
        "OPENAI_API_KEY", None
    )  # the SDK's own exporter stays, and has nowhere to send anything to
    from agents import Agent, Runner, function_tool
    from agents.testing import ScriptedModel, assistant_message, function_call

    tool = function_tool(search)
    turns = calls(lambda call_id, arguments: function_call("search", json.dumps(arguments), call_id=call_id))

    def once() -> object:
        model = ScriptedModel([*turns, [assistant_message("done")]])
        return Runner.run_sync(Agent(name=NAME, model=model, tools=[tool]), "go", max_turns=100)

    return once


def pydantic_ai() -> Callable[[], object]:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import FunctionModel
    from pydantic_ai.usage import UsageLimits

    turns = calls(lambda call_id, arguments: ToolCallPart("search", arguments, call_id))

    def model(messages: list[Any], info: Any) -> ModelResponse:
        step = sum(message.kind == "response" for message in messages)
        return ModelResponse(parts=turns[step] if step < STEPS else [TextPart("done")])

    agent = Agent(FunctionModel(model, model_name="scripted"), name=NAME, tools=[search])
    limits = UsageLimits(request_limit=100)
    loop = asyncio.new_event_loop()
    return lambda: loop.run_until_complete(agent.run("go", usage_limits=limits))


def mcp(recorder: Any = None) -> Callable[[], object]:
    """MCP has no agent: the program makes the steps, and with a ``recorder`` it says so."""
    from mcp import Client
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("bench-server")
    server.tool()(search)
    turns = calls(lambda call_id, arguments: arguments)

    async def agent() -> None:
        async with Client(server) as client:
            with recorder.run(NAME) if recorder is not None else nullcontext() as run:
                for arguments in turns:
                    with run.step() if run is not None else nullcontext():
                        for given in arguments:
                            await client.call_tool("search", given)

    loop = asyncio.new_event_loop()
    return lambda: loop.run_until_complete(agent())
