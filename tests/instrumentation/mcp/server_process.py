# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An instrumented server in a process of its own: ``server_process.py SPANS (stdio | PORT)``; its spans are lines of a file."""

import sys
import threading
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.server.request_state import RequestStateSecurity
from mcp_types import ToolAnnotations
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from pydantic import BaseModel

from runrecord.instrumentation.mcp import MCPInstrumentor


class Agree(BaseModel):
    agree: bool


class Lines(SpanExporter):
    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()

    def export(self, spans: Any) -> SpanExportResult:
        with self._lock, self._path.open("a") as file:
            file.writelines(
                f"{span.to_json(indent=None)}\n" for span in spans if isinstance(span, ReadableSpan)
            )
        return SpanExportResult.SUCCESS


def build() -> MCPServer:
    server = MCPServer("refunds", request_state_security=RequestStateSecurity(keys=[b"k" * 32]))

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def look(order: str) -> str:
        return order

    async def ask(amount: float) -> Elicit[Agree]:
        return Elicit(f"Refund {amount}?", Agree)

    @server.tool(annotations=ToolAnnotations(destructive_hint=True))
    def refund(amount: float, agreed: Annotated[Agree, Resolve(ask)]) -> str:
        return "paid" if agreed.agree else "kept"

    @server.tool()
    async def confirm(amount: float, ctx: Context) -> str:
        answer = await ctx.elicit(f"Confirm {amount}?", Agree)
        return f"{answer.action} {amount}"

    return server


def main() -> None:
    spans, transport = Path(sys.argv[1]), sys.argv[2]
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Lines(spans)))
    trace.set_tracer_provider(provider)
    MCPInstrumentor().instrument()
    server = build()
    if transport == "stdio":
        server.run()
    else:
        server.run(transport="streamable-http", host="127.0.0.1", port=int(transport))


if __name__ == "__main__":
    main()
