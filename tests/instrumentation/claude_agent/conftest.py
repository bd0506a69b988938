# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real SDK with the real program that its wheel brings along, against a scripted model on the loopback interface."""

import asyncio
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultMessage, create_sdk_mcp_server, tool
from claude_model import Model, text

from runrecord.instrumentation.claude_agent import ClaudeAgentInstrumentor


@pytest.fixture
def instrumented(recorder: Any) -> Generator[ClaudeAgentInstrumentor, None, None]:
    instrumentor = ClaudeAgentInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    instrumentor.uninstrument()


@pytest.fixture
def model() -> Generator[Model, None, None]:
    with Model(lambda _: [text("Done.")]).serving() as model:
        yield model


@tool("create_refund", "Pay back.", {"amount": float})
async def create_refund(arguments: dict[str, Any]) -> dict[str, Any]:
    if arguments["amount"] < 0:
        raise ValueError("planted exception")
    return {"content": [{"type": "text", "text": "planted result"}]}


@pytest.fixture
def options(model: Model, tmp_path: Path) -> Callable[..., ClaudeAgentOptions]:
    """Options of an agent with a shop; ``metadata`` is put where a program puts it."""
    home = tmp_path / "home"
    home.mkdir()

    def make(
        *, metadata: dict[str, str] | None = None, env: dict[str, str] | None = None, **given: Any
    ) -> ClaudeAgentOptions:
        shop = create_sdk_mcp_server("shop", tools=[create_refund])
        made = ClaudeAgentOptions(
            **{
                "cwd": home,
                "setting_sources": [],
                "mcp_servers": {"shop": shop},
                "env": {**model.environment(home), **(env or {})},
                **given,
            }
        )
        if metadata is not None:
            made.metadata = metadata  # type: ignore[attr-defined]
        return made

    return make


@pytest.fixture
def ask() -> Callable[..., ResultMessage]:
    """Ask an agent something through a client, and return how that ended."""

    async def main(options: ClaudeAgentOptions, prompt: str) -> ResultMessage:
        async with ClaudeSDKClient(options) as client:
            await client.query(prompt)
            messages = [message async for message in client.receive_response()]
        assert isinstance(messages[-1], ResultMessage)
        return messages[-1]

    return lambda options, prompt="planted prompt": asyncio.run(main(options, prompt))
