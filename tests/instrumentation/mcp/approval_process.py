# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An agent that asks in one process and goes on in another: ``approval_process.py (ask | accept | decline) FILE``.

Prints its spans, one JSON object a line. The server is a process of its own each time, which shares a key with the other one.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import ElicitResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runrecord.instrumentation import Recorder
from runrecord.instrumentation.mcp import MCPInstrumentor

ARGUMENTS = {"amount": 80.0}


async def main(step: str, file: Path, recorder: Recorder) -> None:
    spans = f"{file}.{step}"
    command = [str(Path(__file__).with_name("server_process.py")), spans, "stdio"]
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    if step == "ask":
        with recorder.run(agent="agent") as run:
            async with Client(stdio_client(server), mode="2026-07-28", elicitation_callback=never) as client:
                result = await client.session.call_tool("refund", ARGUMENTS, allow_input_required=True)
            state = {"state": result.request_state, "keys": list(result.input_requests)}
            file.write_text(json.dumps(state))  # noqa: ASYNC240
            run.suspend()
    else:
        # No run is open here: the request state is enough to find the one that waits.
        kept = json.loads(file.read_text())  # noqa: ASYNC240
        answer = ElicitResult(action=step, content={"agree": True} if step == "accept" else None)
        async with Client(stdio_client(server), mode="2026-07-28", elicitation_callback=never) as client:
            await client.session.call_tool(
                "refund",
                ARGUMENTS,
                input_responses=dict.fromkeys(kept["keys"], answer),
                request_state=kept["state"],
                allow_input_required=True,
            )


async def never(context: object, params: object) -> ElicitResult:
    raise AssertionError("the application drives the rounds")


if __name__ == "__main__":
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    recorder = Recorder(tracer_provider=provider)
    MCPInstrumentor().instrument(recorder=recorder)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), recorder))
    for span in exporter.get_finished_spans():
        data = {
            "process": "client",
            "name": span.name,
            "trace": span.context.trace_id,
            "span": span.context.span_id,
            "links": [link.context.span_id for link in span.links],
            "attributes": dict(span.attributes or {}),
        }
        print(json.dumps(data))
