# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside OpenInference's instrumentation of MCP, which carries the trace context, the records are the same."""

import asyncio
from typing import Any

import pytest
from fastmcp import Client, FastMCP

pytest.importorskip("openinference.instrumentation.mcp")

from openinference.instrumentation.mcp import MCPInstrumentor as OpenInference

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


@pytest.mark.parametrize("era", ["auto", "legacy"])
def test_one_record_of_each_call(telemetry: Any, recorder: Any, era: str) -> None:
    server = FastMCP("shop")

    @server.tool
    async def look(order: str) -> str:
        return order

    async def main() -> None:
        async with Client(server, mode=era) as client:
            with recorder.run(agent="agent"):
                await client.call_tool("look", {"order": "o-1"})

    theirs = OpenInference()
    theirs.instrument(tracer_provider=telemetry.tracer_provider)
    try:
        asyncio.run(main())
    finally:
        theirs.uninstrument()
    governed = [span.name for span in telemetry.spans if "runrecord.record.seq" in span.attributes]
    assert sorted(governed) == ["invoke_agent agent", "tools/call look"]
    telemetry.check_counters()
