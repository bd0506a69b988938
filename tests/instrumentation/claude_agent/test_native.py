# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""With the CLI's own telemetry on: its spans are in the run's trace, below the run."""

import asyncio
import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from claude_agent_sdk import query
from claude_model import call, text, turns

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

REFUND = "mcp__shop__create_refund"


@pytest.fixture
def otlp() -> Generator[tuple[str, list[Any]], None, None]:
    """An OTLP receiver for the CLI, which writes JSON; the spans that it got."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            for resource in body.get("resourceSpans", []):
                for scope in resource["scopeSpans"]:
                    spans.extend(scope["spans"])
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    thread.join()
    server.server_close()


def test_its_spans_are_below_the_run(telemetry: Any, model: Any, options: Any, otlp: Any) -> None:
    async def main() -> None:
        env = {
            "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
            "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
            "DISABLE_TELEMETRY": "",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp[0],
        }
        async for _ in query(prompt="planted prompt", options=options(allowed_tools=[REFUND], env=env)):
            pass

    model.script = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])
    asyncio.run(main())
    run, tool = telemetry.one("invoke_agent"), telemetry.one("execute_tool")
    theirs = {span["name"]: span for span in otlp[1]}
    assert {int(span["traceId"], 16) for span in otlp[1]} == {run.context.trace_id}
    assert int(theirs["claude_code.interaction"]["parentSpanId"], 16) == run.context.span_id
    their_tool = {item["key"]: item["value"] for item in theirs["claude_code.tool"]["attributes"]}
    assert their_tool["gen_ai.tool.call.id"]["stringValue"] == tool.attributes["gen_ai.tool.call.id"]
    # Tokens and model calls are theirs to count.
    for span in telemetry.spans:
        assert not [name for name in span.attributes if "token" in name]
