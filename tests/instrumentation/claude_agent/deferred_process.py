# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One process of a refund that is deferred in one and answered in another: ``python deferred_process.py OUT ANSWER [SESSION]``.

It writes its spans and its last result to OUT as JSON. ANSWER is what the hook says: defer, allow, deny or other (allow
with other arguments).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    HookMatcher,
    ResultMessage,
    create_sdk_mcp_server,
    tool,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runrecord.instrumentation.claude_agent import ClaudeAgentInstrumentor

OUT, ANSWER = Path(sys.argv[1]), sys.argv[2]
SESSION = sys.argv[3] if len(sys.argv) > 3 else None


def pay(arguments: dict[str, Any]) -> None:
    with Path("payments.jsonl").open("a") as file:
        file.write(json.dumps(arguments) + "\n")


@tool("create_refund", "Pay back.", {"amount": float})
async def create_refund(arguments: dict[str, Any]) -> dict[str, Any]:
    pay(arguments)
    return {"content": [{"type": "text", "text": "paid"}]}


async def refunds(_given: Any, _call_id: Any, _context: Any) -> Any:
    said: dict[str, Any] = {"hookEventName": "PreToolUse", "permissionDecision": ANSWER}
    if ANSWER == "other":
        said |= {"permissionDecision": "allow", "updatedInput": {"amount": 50}}
    return {"hookSpecificOutput": said}


refunds.metadata = {"runrecord.approval.actor.ref": "u-17"}  # type: ignore[attr-defined]


async def main() -> str:
    options = ClaudeAgentOptions(
        cwd=Path.cwd(),
        setting_sources=[],
        mcp_servers={"shop": create_sdk_mcp_server("shop", tools=[create_refund])},
        hooks={"PreToolUse": [HookMatcher(hooks=[refunds])]},
        resume=SESSION,
    )
    session = ""
    async with ClaudeSDKClient(options) as client:
        if SESSION is None:
            await client.query("Refund.")
        async for message in client.receive_response():
            if isinstance(message, ResultMessage):
                session = message.session_id
                assert (message.deferred_tool_use is not None) is (ANSWER == "defer")
    return session


exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
ClaudeAgentInstrumentor().instrument(tracer_provider=provider)
session = asyncio.run(main())
spans = [json.loads(span.to_json(indent=None)) for span in exporter.get_finished_spans()]
spans.sort(key=lambda span: (span["start_time"], span["attributes"]["runrecord.record.seq"]))
OUT.write_text(json.dumps({"session": session, "pid": os.getpid(), "spans": spans}))
