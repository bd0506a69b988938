# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The same agent with the Claude Agent SDK: Claude Code and the model that it asks are processes of their own.

As a program it is that model: it prints its environment for Claude Code, and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import agents

_PLUGINS = Path(__file__).parents[1] / "tests" / "plugins"
TOOL = "mcp__bench__search"


def agent() -> Callable[[], object]:
    import claude_agent_sdk
    from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, create_sdk_mcp_server, tool

    home = tempfile.TemporaryDirectory(prefix="runrecord-bench-claude-")
    command = [sys.executable, "-m", "bench.agents_claude", home.name]
    model = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert model.stdout is not None
    environment: dict[str, str] = json.loads(model.stdout.readline())

    def stop() -> None:
        model.communicate()
        home.cleanup()

    agents.afterwards.callback(stop)

    @tool("search", "Search.", {"query": str})
    async def search(arguments: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": agents.search(arguments["query"])}]}

    options = ClaudeAgentOptions(
        cwd=home.name,
        setting_sources=[],
        tools=[],
        mcp_servers={"bench": create_sdk_mcp_server("bench", tools=[search])},
        allowed_tools=[TOOL],
        env=environment,
    )

    async def once() -> None:
        messages = [message async for message in claude_agent_sdk.query(prompt="go", options=options)]
        assert isinstance(messages[-1], ResultMessage)
        assert messages[-1].num_turns > agents.STEPS, messages[-1]

    loop = asyncio.new_event_loop()
    return lambda: loop.run_until_complete(once())


def _serve(home: Path) -> None:
    sys.path.insert(0, str(_PLUGINS))
    from claude_model import Model, call, text, turns

    asked = agents.calls(lambda call_id, arguments: call(call_id, TOOL, **arguments))
    with Model(turns(*asked, [text("done")])).serving() as model:
        print(json.dumps(model.environment(home)), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
