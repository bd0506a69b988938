# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tool calls through FastMCP's client and server: its own spans are the records, ours stand in where it makes none."""

import asyncio
import threading
from typing import Any

import anyio
import fastmcp
import pytest
from fastmcp import Client, Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.telemetry import suppress_fastmcp_telemetry
from mcp_types import ToolAnnotations
from opentelemetry import trace

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

ERAS = ["auto", "legacy"]


def shop(telemetry: Any) -> FastMCP:
    server = FastMCP("shop")
    tracer = trace.get_tracer("shop", tracer_provider=telemetry.tracer_provider)

    @server.tool(
        annotations=ToolAnnotations(destructive_hint=True),
        meta={"runrecord.side_effect.type": "pay", "runrecord.side_effect.target": "payments"},
    )
    async def refund(order: str) -> str:
        return f"paid {order}"

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def look(order: str) -> dict[str, Any]:
        with tracer.start_as_current_span("lookup"):
            return {"order": order, "main": threading.current_thread() is threading.main_thread()}

    @server.tool
    def crash(order: str) -> str:
        raise LookupError(order)

    @server.tool
    def decline(order: str) -> str:
        raise ToolError("not today")

    @server.tool
    async def slow(order: str, ctx: Context) -> str:
        await ctx.report_progress(1, 2, order)
        await anyio.sleep(3600)
        return order

    return server


def in_a_run(recorder: Any, server: FastMCP, work: Any, era: str = "auto") -> Any:
    async def main() -> Any:
        with recorder.run(agent="agent"):
            async with Client(server, mode=era) as client:
                await client.list_tools()
                return await work(client)

    return asyncio.run(main())


def governed(telemetry: Any) -> list[tuple[str, str]]:
    spans = [span for span in telemetry.spans if "runrecord.record.seq" in span.attributes]
    spans.sort(key=lambda span: span.attributes["runrecord.record.seq"])
    return [(span.name, span.instrumentation_scope.name) for span in spans]


@pytest.mark.parametrize("era", ERAS)
def test_the_clients_span_is_the_record_of_the_call(telemetry: Any, recorder: Any, era: str) -> None:
    in_a_run(recorder, shop(telemetry), lambda client: client.call_tool("refund", {"order": "o-1"}), era)
    assert governed(telemetry) == [
        ("invoke_agent agent", "runrecord.instrumentation"),
        ("tools/call refund", "fastmcp"),
    ]
    assert not telemetry.named("execute_tool")
    client, server = sorted(telemetry.named("tools/call refund"), key=lambda span: span.start_time)
    assert client.attributes["runrecord.tool.destructive"] is True
    assert client.attributes["runrecord.side_effect.type"] == "pay"
    assert client.attributes["runrecord.side_effect.committed"] is True
    assert client.attributes["gen_ai.tool.call.id"] == "mcp_id-2"
    assert "runrecord.run.id" not in server.attributes
    telemetry.check_counters()


@pytest.mark.parametrize("era", ERAS)
def test_without_a_run_the_servers_span_is_the_record(telemetry: Any, era: str) -> None:
    async def main() -> None:
        async with Client(shop(telemetry), mode=era) as client:
            await client.call_tool("look", {"order": "o-1"})

    asyncio.run(main())
    assert governed(telemetry) == [
        ("invoke_workflow shop", "runrecord.instrumentation"),
        ("tools/call look", "fastmcp"),
    ]
    (inner,) = telemetry.named("lookup")
    tool = next(span for span in telemetry.named("tools/call") if "runrecord.run.id" in span.attributes)
    assert inner.parent.span_id == tool.context.span_id  # also in its thread
    assert tool.kind is trace.SpanKind.SERVER
    assert tool.parent.span_id == telemetry.one("invoke_workflow").context.span_id
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["propagation_only", "off", "suppressed"])
@pytest.mark.parametrize("agent", [True, False])
def test_where_fastmcp_makes_no_spans_ours_are_the_records(
    telemetry: Any, recorder: Any, mode: str, agent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode != "suppressed":
        monkeypatch.setattr(fastmcp.settings, "telemetry_mode", mode)

    async def work(client: Client) -> None:
        if mode == "suppressed":
            with suppress_fastmcp_telemetry():
                await client.call_tool("look", {"order": "o-1"})
        else:
            await client.call_tool("look", {"order": "o-1"})

    async def alone() -> None:
        async with Client(shop(telemetry)) as client:
            await work(client)

    if agent:
        in_a_run(recorder, shop(telemetry), work)
    else:
        asyncio.run(alone())
    names = [name for name, _ in governed(telemetry)]
    assert names == (
        ["invoke_agent agent", "execute_tool look"]
        if agent
        else ["invoke_workflow shop", "execute_tool look"]
    )
    (inner,), tool = telemetry.named("lookup"), telemetry.one("execute_tool look")
    assert inner.context.trace_id == tool.context.trace_id
    telemetry.check_counters()


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", ["crash", "decline", "nothing"])
@pytest.mark.parametrize("agent", [True, False])
def test_a_call_that_fails(telemetry: Any, recorder: Any, era: str, tool: str, agent: bool) -> None:
    async def work(client: Client) -> None:
        with pytest.raises(ToolError):
            await client.call_tool(tool, {"order": "o-1"})

    async def alone() -> None:
        async with Client(shop(telemetry), mode=era) as client:
            await work(client)

    if agent:
        in_a_run(recorder, shop(telemetry), work, era)
    else:
        asyncio.run(alone())
    (call,) = [span for span in telemetry.named("tools/call") if "runrecord.record.seq" in span.attributes]
    assert call.status.status_code.name == "ERROR"
    assert call.attributes["error.type"]
    assert not telemetry.named("execute_tool")
    assert not telemetry.named("policy_decision")  # a tool that fails is no policy
    telemetry.check_counters()


@pytest.mark.parametrize("era", ERAS)
def test_ten_calls_at_once(telemetry: Any, recorder: Any, era: str) -> None:
    async def work(client: Client) -> Any:
        calls = [client.call_tool("look" if n % 2 else "refund", {"order": f"o-{n}"}) for n in range(10)]
        return await asyncio.gather(*calls)

    results = in_a_run(recorder, shop(telemetry), work, era)
    assert all(f"o-{number}" in str(result.structured_content) for number, result in enumerate(results))
    calls = [span for span in telemetry.named("tools/call") if "runrecord.record.seq" in span.attributes]
    assert len({span.attributes["gen_ai.tool.call.id"] for span in calls}) == len(calls) == 10
    assert len({span.attributes["runrecord.arguments.digest"] for span in calls}) == 10
    telemetry.check_counters()


@pytest.mark.parametrize("era", ERAS)
def test_a_call_that_is_cancelled_after_it_reported_progress(telemetry: Any, recorder: Any, era: str) -> None:
    async def work(client: Client) -> Any:
        seen: list[Any] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            seen.append((done, total, message))
            scope.cancel()

        with anyio.CancelScope() as scope:
            await client.call_tool("slow", {"order": "o-1"}, progress_handler=progress)
        return seen

    assert in_a_run(recorder, shop(telemetry), work, era) == [(1.0, 2.0, "o-1")]
    (call,) = [
        span for span in telemetry.named("tools/call slow") if "runrecord.record.seq" in span.attributes
    ]
    assert call.attributes["error.type"] == "cancelled"
    assert "runrecord.result.digest" not in call.attributes
    telemetry.check_counters()


@pytest.mark.breaks(
    "official-wrong-kind"
)  # FastMCP's span of the delegation, which names the method of the request
def test_a_server_that_is_mounted_in_another(telemetry: Any) -> None:
    outer = FastMCP("mall")
    outer.mount(shop(telemetry), namespace="shop")

    async def main() -> None:
        async with Client(outer) as client:
            await client.call_tool("shop_refund", {"order": "o-1"})

    asyncio.run(main())
    names = [name for name, _ in governed(telemetry)]
    assert names == ["invoke_workflow mall", names[1]]
    tool = next(span for span in telemetry.named(names[1]) if "runrecord.record.seq" in span.attributes)
    assert tool.attributes["runrecord.tool.destructive"] is True
    telemetry.check_counters()
