# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tool calls of an agent's client, with the server in the same process: one record each, whatever the transport makes of it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations
from opentelemetry import trace

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

ERAS = ["auto", "legacy"]


def shop() -> MCPServer:
    server = MCPServer("shop")

    @server.tool(
        annotations=ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True
        ),
        meta={
            "runrecord.side_effect.type": "pay",
            "runrecord.side_effect.target": "payments",
            "runrecord.side_effect.reversible": False,
        },
    )
    async def refund(order: str) -> str:
        return f"paid {order}"

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def look(order: str) -> dict[str, Any]:
        with trace.get_tracer("shop", tracer_provider=server.tracers).start_as_current_span("lookup"):  # type: ignore[attr-defined]
            return {"order": order, "thread": threading.current_thread() is threading.main_thread()}

    @server.tool()
    def crash(order: str) -> str:
        raise LookupError(order)

    @server.tool()
    async def refuse(order: str) -> str:
        raise MCPError(code=-32050, message="closed")

    @server.tool()
    async def slow(order: str, ctx: Context) -> str:
        await ctx.report_progress(1, 2, order)
        await anyio.sleep(3600)
        return order

    return server


@pytest.fixture
def run(telemetry: Any, recorder: Any) -> Callable[..., Any]:
    """Run ``work(client)`` in an agent's run."""

    def start(work: Callable[[Client], Awaitable[Any]], *, era: str = "auto", server: Any = None) -> Any:
        async def main() -> Any:
            served = server or shop()
            served.tracers = telemetry.tracer_provider
            with recorder.run(agent="agent") as run, run.step("act"):
                async with Client(served, mode=era) as client:
                    await client.list_tools()
                    return await work(client)

        return asyncio.run(main())

    return start


def governed(telemetry: Any) -> list[str]:
    spans = [span for span in telemetry.spans if "runrecord.record.seq" in span.attributes]
    return [
        span.name
        for span in sorted(spans, key=lambda span: (span.start_time, span.attributes["runrecord.record.seq"]))
    ]


@pytest.mark.parametrize("era", ERAS)
def test_a_call_is_one_record_with_what_the_tool_declares(telemetry: Any, run: Any, era: str) -> None:
    result = run(lambda client: client.call_tool("refund", {"order": "o-1"}), era=era)
    assert result.structured_content == {"result": "paid o-1"}
    assert governed(telemetry) == ["invoke_agent agent", "agent_step act", "execute_tool refund"]
    tool = telemetry.one("execute_tool refund")
    facts = {
        name: value
        for name, value in tool.attributes.items()
        if "digest" not in name and "source" not in name and "seq" not in name
    }
    assert facts == {
        "gen_ai.agent.name": "agent",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.call.id": "mcp_id-2",
        "gen_ai.tool.name": "refund",
        "gen_ai.tool.type": "extension",
        "runrecord.run.id": "id-1",
        "runrecord.side_effect.committed": True,
        "runrecord.side_effect.reversible": False,
        "runrecord.side_effect.target": "payments",
        "runrecord.side_effect.type": "pay",
        "runrecord.step.index": 0,
        "runrecord.tool.destructive": True,
        "runrecord.tool.idempotent": False,
        "runrecord.tool.open_world": True,
        "runrecord.tool.read_only": False,
    }
    # The SDK's own span of the same call is below, and is no second record.
    (native,) = telemetry.named("tools/call refund")
    assert native.instrumentation_scope.name == "mcp-python-sdk"
    assert "runrecord.run.id" not in native.attributes
    telemetry.check_counters()


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "error"), [("crash", "tool_error"), ("refuse", "-32050"), ("nothing", "tool_error")]
)
def test_a_call_that_fails(telemetry: Any, run: Any, era: str, tool: str, error: str) -> None:
    async def work(client: Client) -> Any:
        try:
            return (await client.call_tool(tool, {"order": "o-1"})).is_error
        except MCPError as raised:
            return raised.error.message

    assert run(work, era=era) == ("closed" if tool == "refuse" else True)
    call = telemetry.one(f"execute_tool {tool}")
    assert call.status.status_code.name == "ERROR"
    assert call.attributes["error.type"] == error
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"
    telemetry.check_counters()


def test_a_synchronous_tool_keeps_its_parent_in_its_thread(telemetry: Any, run: Any) -> None:
    result = run(lambda client: client.call_tool("look", {"order": "o-1"}))
    assert result.structured_content == {"order": "o-1", "thread": False}
    (native,), (inner,) = telemetry.named("tools/call look"), telemetry.named("lookup")
    assert inner.parent.span_id == native.context.span_id
    assert telemetry.one("execute_tool look").attributes["runrecord.side_effect.type"] == "read"


@pytest.mark.parametrize("era", ERAS)
def test_ten_calls_at_once(telemetry: Any, run: Any, era: str) -> None:
    async def work(client: Client) -> Any:
        names = [("look" if number % 2 else "refund", {"order": f"o-{number}"}) for number in range(10)]
        return await asyncio.gather(*(client.call_tool(name, arguments) for name, arguments in names))

    results = run(work, era=era)
    assert all(f"o-{number}" in str(result.structured_content) for number, result in enumerate(results))
    calls = telemetry.named("execute_tool")
    assert len({call.attributes["gen_ai.tool.call.id"] for call in calls}) == 10
    assert len({call.attributes["runrecord.arguments.digest"] for call in calls}) == 10
    step = telemetry.one("agent_step")
    assert {call.parent.span_id for call in calls} == {step.context.span_id}
    parents = {call.context.span_id: call.name.split()[1] for call in calls}
    by_id = {span.context.span_id: span for span in telemetry.spans}
    for native in telemetry.named("tools/call"):
        above = native.parent.span_id
        assert parents.get(above) or parents[by_id[above].parent.span_id] == native.name.split()[1]
    telemetry.check_counters()


@pytest.mark.parametrize("era", ERAS)
def test_a_call_that_is_cancelled_after_it_reported_progress(telemetry: Any, run: Any, era: str) -> None:
    async def work(client: Client) -> Any:
        seen: list[Any] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            seen.append((done, total, message))
            scope.cancel()

        with anyio.CancelScope() as scope:
            await client.call_tool("slow", {"order": "o-1"}, progress_callback=progress)
        return seen

    assert run(work, era=era) == [(1.0, 2.0, "o-1")]
    call = telemetry.one("execute_tool slow")
    assert call.status.status_code.name == "UNSET"
    assert call.attributes["error.type"] == "cancelled"
    assert "runrecord.result.digest" not in call.attributes
    telemetry.check_counters()


def test_the_tool_span_of_an_agent_sdk_is_not_doubled(telemetry: Any, recorder: Any) -> None:
    async def main() -> None:
        server = shop()
        server.tracers = telemetry.tracer_provider  # type: ignore[attr-defined]
        async with Client(server) as client:
            await client.list_tools()
            with recorder.run(agent="agent") as run:
                # An agent SDK has started the call; some put the name of the server before the tool's.
                with run.tool("shop_refund", call_id="call_1", arguments={"order": "o-1"}) as call:
                    await client.call_tool("refund", {"order": "o-1"})
                    call.result("paid")
                # A local tool that calls another one is two calls.
                with run.tool("report", call_id="call_2") as call:
                    await client.call_tool("look", {"order": "o-1"})

    asyncio.run(main())
    assert governed(telemetry) == [
        "invoke_agent agent",
        "execute_tool shop_refund",
        "execute_tool report",
        "execute_tool look",
    ]
    assert telemetry.one("execute_tool shop_refund").attributes["runrecord.tool.destructive"] is True
    report, look = telemetry.one("execute_tool report"), telemetry.one("execute_tool look")
    assert look.parent.span_id == report.context.span_id
    telemetry.check_counters()


def test_outside_of_a_run_the_client_records_nothing(telemetry: Any) -> None:
    async def main() -> None:
        server = shop()
        async with Client(server) as client:
            server.middleware.insert(0, no_record)
            await client.call_tool("refund", {"order": "o-1"})

    async def no_record(ctx: Any, call_next: Any) -> Any:
        assert not telemetry.named("execute_tool")
        return await call_next(ctx)

    asyncio.run(main())
    assert not telemetry.named("execute_tool")


def test_a_low_level_server(telemetry: Any, run: Any) -> None:
    async def on_list(ctx: Any, params: Any) -> ListToolsResult:
        tool = Tool(
            name="echo", input_schema={"type": "object"}, annotations=ToolAnnotations(idempotent_hint=True)
        )
        return ListToolsResult(tools=[tool])

    async def on_call(ctx: Any, params: Any) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text=params.arguments["order"])])

    server = Server("bare", on_list_tools=on_list, on_call_tool=on_call)
    result = run(lambda client: client.call_tool("echo", {"order": "o-1"}), server=server)
    assert result.content[0].text == "o-1"
    assert telemetry.one("execute_tool echo").attributes["runrecord.tool.idempotent"] is True
    telemetry.check_counters()
