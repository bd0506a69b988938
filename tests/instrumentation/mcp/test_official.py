# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside OpenInference's instrumentation of MCP, which carries the trace context, the records are the same."""

import asyncio
import json
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.server.mcpserver import MCPServer

pytest.importorskip("openinference.instrumentation.mcp")

from openinference.instrumentation.mcp import MCPInstrumentor as OpenInference

pytestmark = [pytest.mark.sdk]


@pytest.fixture(params=["before", "after"])
def beside(request: pytest.FixtureRequest, telemetry: Any, recorder: Any) -> Generator[None, None, None]:
    from runrecord.instrumentation.mcp import MCPInstrumentor

    ours, theirs = MCPInstrumentor(), OpenInference()
    steps = [
        lambda: ours.instrument(recorder=recorder),
        lambda: theirs.instrument(tracer_provider=telemetry.tracer_provider),
    ]
    for step in steps if request.param == "after" else reversed(steps):
        step()
    yield
    theirs.uninstrument()
    ours.uninstrument()


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("era", ["auto", "legacy"])
def test_one_record_of_each_call(telemetry: Any, recorder: Any, era: str) -> None:
    server = MCPServer("shop")

    @server.tool()
    async def look(order: str) -> str:
        return order

    async def main() -> None:
        async with Client(server, mode=era) as client:
            with recorder.run(agent="agent"):
                await client.call_tool("look", {"order": "o-1"})
            await client.call_tool("look", {"order": "o-2"})

    asyncio.run(main())
    governed = [span for span in telemetry.spans if "runrecord.record.seq" in span.attributes]
    assert sorted(span.name for span in governed) == [
        "execute_tool look",
        "invoke_agent agent",
        "invoke_workflow shop",
        "tools/call look",
    ]
    telemetry.check_counters()


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("era", ["auto", "legacy"])
def test_a_server_in_another_process_takes_part_in_the_run(
    telemetry: Any, recorder: Any, tmp_path: Path, era: str
) -> None:
    from mcp.client.stdio import stdio_client  # the one that OpenInference has wrapped

    script = str(Path(__file__).with_name("server_process.py"))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "OTEL_"))}
    parameters = StdioServerParameters(
        command=sys.executable, args=[script, str(tmp_path / "spans"), "stdio"], env=kept
    )

    async def main() -> None:
        with recorder.run(agent="agent"):
            async with Client(stdio_client(parameters), mode=era) as client:
                await client.call_tool("look", {"order": "o-1"})

    asyncio.run(main())
    remote = [json.loads(line)["attributes"] for line in (tmp_path / "spans").read_text().splitlines()]
    assert {facts["runrecord.run.id"] for facts in remote if "runrecord.record.seq" in facts} == {"id-1"}
    telemetry.check_counters()
