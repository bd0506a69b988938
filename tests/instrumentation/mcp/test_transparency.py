# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The program is the same with and without us, nothing of its content leaves, and we are switched off without a trace."""

import asyncio
import inspect
import json
import logging
from typing import Annotated, Any

import mcp
import pytest
from mcp import Client, ClientSession, MCPError
from mcp.client.streamable_http import StreamableHTTPTransport
from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.server.mcpserver.tools.base import Tool
from mcp.server.runner import ServerRunner
from mcp.server.session import ServerSession
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp_types import ElicitResult
from pydantic import BaseModel

from runrecord.instrumentation import DependencyConflictError
from runrecord.instrumentation.capabilities import integrations
from runrecord.instrumentation.mcp import CAPABILITIES, MCPInstrumentor

pytestmark = [pytest.mark.sdk]

PLANTED = "planted-7f3a"
PERSONAL = f"ada-{PLANTED}@mail.example.org"


class Reply(BaseModel):
    note: str


def shop(seen: list[Any]) -> MCPServer:
    server = MCPServer("shop")

    @server.tool()
    def look(customer: str, ctx: Context) -> str:
        seen.append(["meta", ctx.request_context.meta and sorted(ctx.request_context.meta)])
        return f"{customer} {PERSONAL}"

    @server.tool()
    async def fail(customer: str) -> str:
        raise ValueError(f"{customer} {PERSONAL}")

    @server.tool()
    async def refuse(customer: str) -> str:
        raise MCPError(code=-32050, message=f"no, {customer}")

    async def ask(customer: str) -> Elicit[Reply]:
        return Elicit(f"Shall {customer} get it?", Reply)

    @server.tool()
    async def refund(customer: str, reply: Annotated[Reply, Resolve(ask)]) -> str:
        return f"paid {customer}, {reply.note}"

    return server


async def story(recorder: Any, era: str) -> list[Any]:
    """Everything that an application can see, on both sides."""
    seen: list[Any] = []

    async def callback(context: Any, params: Any) -> ElicitResult:
        # Without `_meta`, in which the SDK itself sends the trace context.
        seen.append(["asked", params.model_dump(mode="json", exclude={"meta"}), type(context).__name__])
        return ElicitResult(action="accept", content={"note": PERSONAL})

    async with Client(shop(seen), mode=era, elicitation_callback=callback) as client:
        seen.append([tool.name for tool in (await client.list_tools()).tools])
        for name in ("look", "fail", "refund", "refuse", "nothing"):
            try:
                result = await client.call_tool(name, {"customer": PERSONAL}, meta={"mine": "1"})  # type: ignore[typeddict-unknown-key]
                seen.append(result.model_dump(mode="json"))
            except MCPError as error:
                seen.append([type(error).__name__, error.error.model_dump(mode="json")])
        with pytest.raises(RuntimeError) as caught:
            await client.session.call_tool("refund", {"customer": PERSONAL}) if era == "auto" else _raise()
        seen.append(str(caught.value))
    return seen


def _raise() -> None:
    raise RuntimeError("only in one era")


@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize("in_a_run", [True, False])
def test_same_program_with_and_without_and_no_content_leaves(
    telemetry: Any, recorder: Any, era: str, in_a_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[Any]:
        if not in_a_run:
            return await story(recorder, era)
        with recorder.run(agent="agent"):
            return await story(recorder, era)

    from mcp.shared import _otel
    from opentelemetry.trace import NoOpTracer

    monkeypatch.setattr(_otel, "_tracer", NoOpTracer())  # the SDK's own spans hold texts of exceptions
    without = asyncio.run(main())
    telemetry.span_exporter.clear()
    telemetry.log_exporter.clear()
    instrumentor = MCPInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        with_us = asyncio.run(main())
    finally:
        instrumentor.uninstrument()
    assert json.dumps(with_us, sort_keys=True) == json.dumps(without, sort_keys=True)
    assert len(telemetry.spans) >= 8
    assert PLANTED not in telemetry.exported_text()
    assert PLANTED not in "".join(entry.to_json() for entry in telemetry.store._entries.values())
    telemetry.check_counters()


def test_content_is_captured_where_the_standard_variable_says_so(
    telemetry: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    instrumentor = MCPInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        asyncio.run(story(recorder, "auto"))
    finally:
        instrumentor.uninstrument()
    (call,) = telemetry.named("tools/call look")
    assert json.loads(call.attributes["gen_ai.tool.call.arguments"]) == {"customer": PERSONAL}
    assert json.loads(call.attributes["gen_ai.tool.call.result"]) == {"result": f"{PERSONAL} {PERSONAL}"}


def _patched() -> list[Any]:
    from mcp.client import stdio

    return [
        Client.__dict__["call_tool"],
        ClientSession.__dict__["call_tool"],
        ClientSession.__dict__["list_tools"],
        ClientSession.__dict__["dispatch_input_request"],
        StreamableHTTPTransport.__dict__["post_writer"],
        stdio._create_platform_compatible_process,
        JSONRPCDispatcher.__dict__["__init__"],
        ServerRunner.__dict__["_compose_server_middleware"],
        OpenTelemetryMiddleware.__dict__["__call__"],
        Tool.__dict__["run"],
        ServerSession.__dict__["send_request"],
    ]


def test_switched_off_the_sdk_is_what_it_was(telemetry: Any, recorder: Any) -> None:
    before = _patched()
    instrumentor = MCPInstrumentor()
    for _ in range(2):
        instrumentor.instrument(recorder=recorder)
        assert all(now is not then for now, then in zip(_patched(), before, strict=True))
        assert inspect.iscoroutinefunction(Client.call_tool)
        instrumentor.uninstrument()
    assert all(now is then for now, then in zip(_patched(), before, strict=True))
    asyncio.run(story(recorder, "auto"))
    assert not [span for span in telemetry.spans if "runrecord.run.id" in span.attributes]


def test_a_seam_that_a_release_lacks_costs_records_only(
    telemetry: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mcp.client import stdio

    monkeypatch.delattr(stdio, "_create_platform_compatible_process")
    instrumentor = MCPInstrumentor()
    with caplog.at_level(logging.WARNING):
        instrumentor.instrument(recorder=recorder)
    try:
        asyncio.run(story(recorder, "auto"))
    finally:
        instrumentor.uninstrument()
    assert "has no mcp.client.stdio._create_platform_compatible_process" in caplog.text
    assert telemetry.named("invoke_workflow shop")
    telemetry.check_counters()


def test_an_sdk_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MCPInstrumentor, "instrumentation_dependencies", lambda _: ("mcp >= 99",))
    with pytest.raises(DependencyConflictError):
        MCPInstrumentor().instrument(raise_exception_on_conflict=True)
    assert mcp.ClientSession is ClientSession


def test_the_table_names_this_integration() -> None:
    assert integrations()["mcp"] is CAPABILITIES
