# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The same agent with the tool runners of the model providers' clients, which a scripted transport answers instead of HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import cycle
from typing import Any

from bench import agents


def _transport(answers: list[dict[str, Any]]) -> Any:
    """A transport that answers a run's requests in turn, and those of the next run the same way."""
    import httpx2

    bodies = cycle([json.dumps(answer).encode() for answer in answers])
    kind = {"content-type": "application/json"}
    return httpx2.MockTransport(lambda request: httpx2.Response(200, headers=kind, content=next(bodies)))


def anthropic() -> Callable[[], object]:
    from anthropic import Anthropic, DefaultHttpxClient, beta_tool

    def answer(number: int, blocks: list[dict[str, Any]], stop: str) -> dict[str, Any]:
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": blocks,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {"input_tokens": 11, "output_tokens": 7},
        }

    turns = agents.calls(
        lambda call_id, arguments: {"type": "tool_use", "id": call_id, "name": "search", "input": arguments}
    )
    script = [answer(number, blocks, "tool_use") for number, blocks in enumerate(turns)]
    script.append(answer(len(turns), [{"type": "text", "text": "done"}], "end_turn"))
    http = DefaultHttpxClient(transport=_transport(script))
    client = Anthropic(api_key="none", max_retries=0, http_client=http)
    tool = beta_tool(agents.search)

    def once() -> object:
        said: Any = [{"role": "user", "content": "go"}]
        runner = client.beta.messages.tool_runner(
            model="scripted", max_tokens=100, messages=said, tools=[tool]
        )
        return runner.until_done()

    return once


def openai() -> Callable[[], object]:
    from openai import DefaultHttpxClient, OpenAI
    from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner

    def answer(number: int, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 1_800_000_000,
            "status": "completed",
            "model": "scripted",
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": 11,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 7,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 18,
            },
        }

    turns = agents.calls(
        lambda call_id, arguments: {
            "id": f"fc_{call_id}",
            "type": "function_call",
            "call_id": call_id,
            "name": "search",
            "arguments": json.dumps(arguments),
            "status": "completed",
        }
    )
    done = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "done", "annotations": []}],
    }
    script = [answer(number, output) for number, output in enumerate([*turns, [done]])]
    http = DefaultHttpxClient(transport=_transport(script))
    client = OpenAI(api_key="none", max_retries=0, http_client=http)
    declared: Any = {
        "type": "function",
        "name": "search",
        "description": "Search.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
        "strict": None,
    }

    def execute(arguments: dict[str, Any]) -> str:
        return agents.search(arguments["query"])

    def once() -> object:
        runner = ResponsesToolRunner(functions=[RegisteredFunction(declared, execute)])
        return runner.run(client, {"model": "scripted", "input": "go"})

    return once
