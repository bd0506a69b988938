# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An instrumented FastMCP server over stdio: ``server_process.py SPANS``; its spans are lines of that file."""

import sys
from pathlib import Path

from fastmcp import FastMCP
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from runrecord.instrumentation.fastmcp import FastMCPInstrumentor


def main() -> None:
    provider = TracerProvider()
    with Path(sys.argv[1]).open("a") as file:
        exporter = ConsoleSpanExporter(out=file, formatter=lambda span: f"{span.to_json(indent=None)}\n")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        FastMCPInstrumentor().instrument()
        server = FastMCP("shop")

        @server.tool
        def look(order: str) -> str:
            return order

        server.run(show_banner=False)


if __name__ == "__main__":
    main()
