# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The program is the same with and without us, nothing of its content leaves, and we are switched off without a trace."""

import asyncio
import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

import fastmcp
import fastmcp.client.client
import fastmcp.server.low_level
import fastmcp.server.server
import fastmcp.tools.base
import pytest
from fastmcp import Client, Context, FastMCP
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport
from mcp import MCPError

from runrecord.instrumentation import DependencyConflictError
from runrecord.instrumentation.capabilities import integrations
from runrecord.instrumentation.fastmcp import CAPABILITIES, FastMCPInstrumentor
from runrecord.instrumentation.mcp import MCPInstrumentor

pytestmark = [pytest.mark.sdk]

PLANTED = "planted-7f3a"
PERSONAL = f"ada-{PLANTED}@mail.example.org"


def shop() -> FastMCP:
    server = FastMCP("shop")

    @server.tool
    def look(customer: str) -> str:
        return f"{customer} {PERSONAL}"

    @server.tool
    async def fail(customer: str) -> str:
        raise ValueError(f"{customer} {PERSONAL}")

    @server.tool
    async def refund(customer: str, ctx: Context) -> str:
        answer: Any = await ctx.elicit(f"Shall {customer} get it?", str)
        return f"paid {customer}, {answer.data}"

    return server


async def story(era: str) -> list[Any]:
    seen: list[Any] = []

    async def handler(message: str, response_type: Any, params: Any, context: Any) -> ElicitResult:
        seen.append([message, response_type.__name__])
        return ElicitResult(action="accept", content={"value": PERSONAL})

    async with Client(shop(), mode=era, elicitation_handler=handler) as client:
        seen.append([tool.name for tool in await client.list_tools()])
        for name in ("look", "fail", "refund", "nothing"):
            try:
                result = await client.call_tool_mcp(name, {"customer": PERSONAL})
                seen.append(result.model_dump(mode="json"))
            except MCPError as error:
                seen.append(error.error.model_dump(mode="json"))
    return seen


@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize("in_a_run", [True, False])
def test_same_program_with_and_without_and_no_content_leaves(
    telemetry: Any, recorder: Any, era: str, in_a_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[Any]:
        if not in_a_run:
            return await story(era)
        with recorder.run(agent="agent"):
            return await story(era)

    monkeypatch.setattr(fastmcp.settings, "telemetry_mode", "off")  # its own spans hold texts of exceptions
    without = asyncio.run(main())
    telemetry.span_exporter.clear()
    telemetry.log_exporter.clear()
    instrumentor = FastMCPInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        with_us = asyncio.run(main())
    finally:
        instrumentor.uninstrument()
    assert json.dumps(with_us, sort_keys=True) == json.dumps(without, sort_keys=True)
    ours = [span for span in telemetry.spans if "runrecord.record.seq" in span.attributes]
    assert len(ours) >= 5
    assert not [span.name for span in ours if PLANTED in span.to_json()]
    assert PLANTED not in "".join(entry.to_json() for entry in telemetry.store._entries.values())
    telemetry.check_counters()


def _patched() -> list[Any]:
    return [
        fastmcp.client.client.Client.call_tool_mcp,
        fastmcp.server.low_level.FastMCPServerMiddleware.__dict__["__call__"],
        fastmcp.server.server.FastMCP.__dict__["_run_middleware"],
        fastmcp.server.server.run_auth_checks,
        fastmcp.tools.base.Tool.__dict__["_run"],
    ]


def test_switched_off_fastmcp_is_what_it_was(telemetry: Any, recorder: Any) -> None:
    before = _patched()
    instrumentor = FastMCPInstrumentor()
    for _ in range(2):
        instrumentor.instrument(recorder=recorder)
        assert all(now is not then for now, then in zip(_patched(), before, strict=True))
        assert inspect.iscoroutinefunction(Client.call_tool_mcp)
        instrumentor.uninstrument()
    assert _patched() == before
    asyncio.run(story("auto"))
    assert not [span for span in telemetry.spans if "runrecord.run.id" in span.attributes]


@pytest.mark.parametrize("first", ["mcp", "fastmcp"])
def test_beside_the_integration_of_the_sdk_nothing_is_doubled(
    telemetry: Any, recorder: Any, first: str
) -> None:
    both = [MCPInstrumentor(), FastMCPInstrumentor()]
    for instrumentor in both if first == "mcp" else reversed(both):
        instrumentor.instrument(recorder=recorder)
    try:
        asyncio.run(story("auto"))
        both[0].uninstrument()
        asyncio.run(story("auto"))  # FastMCP's still has what it needs
    finally:
        for instrumentor in both:
            instrumentor.uninstrument()
    tools = [span for span in telemetry.named("tools/call look") if "runrecord.record.seq" in span.attributes]
    assert len(tools) == 2
    telemetry.check_counters()


def test_a_server_in_a_process_of_its_own(telemetry: Any, recorder: Any, tmp_path: Path) -> None:
    spans = tmp_path / "spans"
    script = str(Path(__file__).with_name("server_process.py"))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "OTEL_"))}
    transport = StdioTransport(command=sys.executable, args=[script, str(spans)], env=kept, keep_alive=False)

    async def main() -> None:
        with recorder.run(agent="agent") as run:
            async with Client(transport) as client:
                with run.step("act"):
                    assert (await client.call_tool("look", {"order": "o-1"})).data == "o-1"

    instrumentor = FastMCPInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        asyncio.run(main())
    finally:
        instrumentor.uninstrument()
    (client,) = [
        span for span in telemetry.named("tools/call look") if "runrecord.record.seq" in span.attributes
    ]
    remote = [json.loads(line) for line in spans.read_text().splitlines()]
    (server,) = [
        s for s in remote if s["name"] == "tools/call look" and "runrecord.record.seq" in s["attributes"]
    ]
    for name in (
        "runrecord.run.id",
        "gen_ai.tool.call.id",
        "runrecord.arguments.digest",
        "runrecord.step.index",
    ):
        assert server["attributes"][name] == client.attributes[name], name
    assert server["attributes"]["runrecord.source.id"] != client.attributes["runrecord.source.id"]
    assert int(server["context"]["trace_id"], 16) == client.context.trace_id
    telemetry.check_counters()


def test_an_sdk_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FastMCPInstrumentor, "instrumentation_dependencies", lambda _: ("fastmcp >= 99",))
    with pytest.raises(DependencyConflictError):
        FastMCPInstrumentor().instrument(raise_exception_on_conflict=True)
    assert fastmcp.FastMCP is FastMCP


def test_the_table_names_this_integration() -> None:
    assert integrations()["fastmcp"] is CAPABILITIES
