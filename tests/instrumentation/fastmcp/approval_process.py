# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An agent that asks in one process and goes on in another: ``approval_process.py (ask | accept | decline) FILE``.

Prints its spans, one JSON object a line. The server is in the agent's process; both have the same key for what it asks with.
"""

import asyncio
import json
import sys
from pathlib import Path

from fastmcp import Client, Context, FastMCP
from fastmcp.exceptions import ToolError
from mcp.server.request_state import RequestStateSecurity
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runrecord.instrumentation import Recorder
from runrecord.instrumentation.fastmcp import FastMCPInstrumentor

ARGUMENTS = {"amount": 80.0}
FORM = {"type": "object", "properties": {"agree": {"type": "boolean"}}, "required": ["agree"]}

server = FastMCP("shop", request_state_security=RequestStateSecurity(keys=[b"k" * 32]))


@server.tool
async def refund(amount: float, ctx: Context) -> str | InputRequiredResult:
    if ctx.input_responses is None:
        asked = ElicitRequest(
            params=ElicitRequestFormParams(message=f"Refund {amount}?", requested_schema=FORM)
        )
        return InputRequiredResult(input_requests={"ok": asked}, request_state="asked")
    answer = ctx.input_responses["ok"]
    if not isinstance(answer, ElicitResult) or answer.action != "accept":
        raise ToolError("kept")
    return "paid"


async def main(step: str, file: Path, recorder: Recorder) -> None:
    if step == "ask":
        with recorder.run(agent="agent") as run:
            async with Client(server, mode="auto") as client:
                result = await client.session.call_tool("refund", ARGUMENTS, allow_input_required=True)
            assert isinstance(result, InputRequiredResult)
            file.write_text(str(result.request_state))  # noqa: ASYNC240
            run.suspend()
    else:
        # No run is open here: the request state is enough to find the one that waits.
        answer = ElicitResult(action=step, content={"agree": True} if step == "accept" else None)  # type: ignore[arg-type]
        async with Client(server, mode="auto") as client:
            await client.session.call_tool(
                "refund",
                ARGUMENTS,
                input_responses={"ok": answer},
                request_state=file.read_text(),  # noqa: ASYNC240
                allow_input_required=True,
            )


if __name__ == "__main__":
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    recorder = Recorder(tracer_provider=provider)
    FastMCPInstrumentor().instrument(recorder=recorder)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), recorder))
    for span in exporter.get_finished_spans():
        data = {
            "name": span.name,
            "trace": span.context.trace_id,
            "span": span.context.span_id,
            "links": [link.context.span_id for link in span.links],
            "attributes": dict(span.attributes or {}),
        }
        print(json.dumps(data))
