# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Runs, steps and tool calls of the real SDK become the spans of the conventions."""

import asyncio
import json
import threading
from typing import Any

import pytest
from inline_snapshot import snapshot
from mcp.types import ToolAnnotations
from opentelemetry import trace as otel
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, RunContext, Tool

from runrecord.instrumentation.recorder import current

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

PAID = {
    "readOnlyHint": False,
    "runrecord.side_effect.type": "pay",
    "runrecord.side_effect.target": "payments",
}
ONE_CALL = [
    "invoke_agent refund-agent",
    "  agent_step act",
    "    execute_tool refund",
    "  agent_step act",
]


def refund(amount: float) -> str:
    """Pay back."""
    return json.dumps({"paid": amount})


def agent(model: Any, *tools: Any, **options: Any) -> Agent[Any, Any]:
    return Agent(model, name="refund-agent", tools=tools or [Tool(refund, metadata=PAID)], **options)


def test_a_run_with_one_tool_call(telemetry: Any, scripted: Any, call: Any) -> None:
    program = agent(
        scripted([call("refund", amount=80)], "Done."), metadata={"runrecord.version.prompt": "p-7"}
    )
    result = program.run_sync(
        "hi", conversation_id="thread-7", metadata={"runrecord.run.autonomy": "execute_with_approval", "x": 1}
    )
    assert result.output == "Done."
    assert telemetry.tree() == ONE_CALL
    telemetry.check_counters()
    root, tool = telemetry.dump(telemetry.one("invoke_agent")), telemetry.dump(telemetry.one("execute_tool"))
    assert root["attributes"].pop("runrecord.run.id") == tool["attributes"].pop("runrecord.run.id")
    for name in ("runrecord.arguments.digest", "runrecord.result.digest"):
        assert tool["attributes"].pop(name)  # keyed by the run, whose id is new each time
    assert [root, tool] == snapshot(
        [
            {
                "name": "invoke_agent refund-agent",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 1,
                "parent": None,
                "attributes": {
                    "gen_ai.agent.name": "refund-agent",
                    "gen_ai.conversation.id": "thread-7",
                    "gen_ai.operation.name": "invoke_agent",
                    "runrecord.record.seq": 0,
                    "runrecord.run.autonomy": "execute_with_approval",
                    "runrecord.run.outcome": "success",
                    "runrecord.run.records": 4,
                    "runrecord.run.segment": 0,
                    "runrecord.run.state": "completed",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.version.prompt": "p-7",
                },
            },
            {
                "name": "execute_tool refund",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 3,
                "parent": 2,
                "attributes": {
                    "gen_ai.agent.name": "refund-agent",
                    "gen_ai.conversation.id": "thread-7",
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.call.id": "call_1",
                    "gen_ai.tool.name": "refund",
                    "gen_ai.tool.type": "function",
                    "runrecord.record.seq": 2,
                    "runrecord.side_effect.committed": True,
                    "runrecord.side_effect.target": "payments",
                    "runrecord.side_effect.type": "pay",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 0,
                    "runrecord.tool.read_only": False,
                },
            },
        ]
    )


def test_the_digest_of_a_result_is_of_what_the_tool_returned(
    telemetry: Any, scripted: Any, call: Any
) -> None:
    from pydantic_ai import ToolReturn

    def plain() -> str:
        """Plain."""
        return "paid"

    def wrapped() -> Any:
        """With metadata that the model does not see."""
        return ToolReturn("paid", metadata={"row": 7})

    agent(scripted([call("plain", "a"), call("wrapped", "b")], "Done."), plain, wrapped).run_sync("hi")
    digests = {span.attributes["runrecord.result.digest"] for span in telemetry.named("execute_tool")}
    assert len(digests) == 1


@pytest.mark.parametrize("way", ["run", "stream", "iter", "next", "events"])
def test_every_way_of_running(telemetry: Any, scripted: Any, call: Any, way: str) -> None:
    program = agent(scripted([call("refund", amount=80.0)], "All done."))

    async def main() -> Any:
        if way == "run":
            return (await program.run("hi")).output
        if way == "stream":
            async with program.run_stream("hi") as streamed:
                return [text async for text in streamed.stream_text()][-1]
        if way == "events":
            async with program.run_stream_events("hi") as events:
                return [event async for event in events][-1].result.output
        async with program.iter("hi") as run:
            if way == "iter":
                async for _ in run:
                    pass
            else:
                node = run.next_node
                while run.result is None:
                    node = await run.next(node)
            return run.result.output

    assert asyncio.run(main()).strip() == "All done."
    assert telemetry.tree() == ONE_CALL
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"
    telemetry.check_counters()


def test_a_tool_that_fails(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    def broken() -> str:
        """Break."""
        raise LookupError("planted-1")

    with pytest.raises(LookupError, match="planted-1"):
        agent(scripted([call("broken")], "Done."), broken).run_sync("hi")
    tool = telemetry.one("execute_tool")
    assert tool.status.status_code is otel.StatusCode.ERROR
    assert tool.attributes["error.type"] == "LookupError"
    assert "runrecord.result.digest" not in tool.attributes
    assert ended() == ["failure", None, "ERROR"]
    assert "planted-1" not in telemetry.exported_text()


def test_a_tool_that_asks_the_model_to_try_again(
    telemetry: Any, scripted: Any, call: Any, ended: Any
) -> None:
    def choosy(amount: int) -> str:
        """Choose."""
        if amount > 50:
            raise ModelRetry("planted-1")
        return "paid"

    model = scripted([call("choosy", amount=80)], [call("choosy", "call_2", amount=20)], "Done.")
    assert agent(model, choosy).run_sync("hi").output == "Done."
    first, second = sorted(telemetry.named("execute_tool"), key=lambda span: span.start_time)
    assert first.attributes["error.type"] == "pydantic_ai.exceptions.ModelRetry"
    assert second.status.status_code is otel.StatusCode.UNSET
    assert not telemetry.named("policy_decision")  # the tool itself spoke, and it had run
    assert ended() == ["success", None, "UNSET"]
    assert "planted-1" not in telemetry.exported_text()


@pytest.mark.newest
def test_a_tool_that_reports_a_failure(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    import pydantic_ai

    failed = getattr(pydantic_ai, "ToolFailed", None)
    if failed is None:
        pytest.skip("this release has no ToolFailed")

    def broken() -> str:
        """Break."""
        raise failed("planted-1")

    assert agent(scripted([call("broken")], "Done."), broken).run_sync("hi").output == "Done."
    tool = telemetry.one("execute_tool")
    assert tool.attributes["error.type"] == "pydantic_ai.exceptions.ToolFailed"
    assert not telemetry.named("policy_decision")
    assert ended() == ["success", None, "UNSET"]


def test_a_model_that_fails(telemetry: Any, scripted: Any, ended: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        agent(scripted(ZeroDivisionError("planted-1"))).run_sync("hi")
    assert ended() == ["failure", None, "ERROR"]
    step = telemetry.one("agent_step")
    assert step.status.status_code is otel.StatusCode.ERROR
    assert "planted-1" not in telemetry.exported_text()


def test_an_application_that_fails_inside_of_its_run(telemetry: Any, scripted: Any, ended: Any) -> None:
    async def main() -> None:
        async with agent(scripted("Done.")).iter("hi"):
            raise LookupError("planted-1")

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert ended() == ["failure", None, "ERROR"]


def test_what_a_tool_makes_is_below_it_also_in_a_thread(telemetry: Any, scripted: Any, call: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("application")
    threads: set[int] = set()

    def in_thread() -> str:
        """Run in a worker thread."""
        threads.add(threading.get_ident())
        with tracer.start_as_current_span("sync work"):
            scope = current()
            return scope.run_id if scope is not None else "nothing"

    async def in_loop() -> str:
        """Run in the event loop."""
        with tracer.start_as_current_span("async work"):
            return "x"

    model = scripted([call("in_thread", "a"), call("in_loop", "b")], "Done.")
    result = agent(model, in_thread, in_loop).run_sync("hi")
    assert threads != {threading.get_ident()}
    by_id = {span.context.span_id: span.name for span in telemetry.spans}
    for work, tool in (("sync work", "execute_tool in_thread"), ("async work", "execute_tool in_loop")):
        assert by_id[telemetry.one(work).parent.span_id] == tool
    run_id = telemetry.one("invoke_agent").attributes["runrecord.run.id"]
    assert run_id in str(result.all_messages())


def test_ten_runs_at_once(telemetry: Any, scripted: Any, call: Any) -> None:
    everybody, here = asyncio.Event(), set[int]()

    async def wait(number: int) -> str:
        """Wait for all."""
        here.add(number)
        if len(here) == 10:
            everybody.set()
        await everybody.wait()
        return str(number)

    async def one(number: int) -> None:
        model = scripted([call("wait", f"call-{number}", number=number)], "Done.")
        await agent(model, wait).run("hi", conversation_id=f"thread-{number}")

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(10)))

    asyncio.run(main())
    runs = {span.attributes["gen_ai.conversation.id"]: span for span in telemetry.named("invoke_agent")}
    assert len(runs) == 10
    for span in telemetry.named("execute_tool"):
        run = runs[span.attributes["gen_ai.conversation.id"]]
        number = span.attributes["gen_ai.conversation.id"].removeprefix("thread-")
        assert span.attributes["gen_ai.tool.call.id"] == f"call-{number}"
        assert span.attributes["runrecord.run.id"] == run.attributes["runrecord.run.id"]
        assert span.context.trace_id == run.context.trace_id
    telemetry.check_counters()


@pytest.mark.parametrize("where", ["model", "tool"])
def test_a_run_that_is_cancelled(telemetry: Any, scripted: Any, call: Any, ended: Any, where: str) -> None:
    from pydantic_ai.models.function import FunctionModel

    there = asyncio.Event()

    async def stuck(*_: Any) -> Any:
        there.set()
        await asyncio.Event().wait()

    async def tool() -> str:
        """Wait."""
        return str(await stuck())

    model = FunctionModel(stuck) if where == "model" else scripted([call("tool")], "Done.")

    async def main() -> None:
        task = asyncio.create_task(agent(model, tool).run("hi"))
        await there.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended() == ["cancelled", None, "UNSET"]
    for span in telemetry.named("execute_tool"):
        assert span.status.status_code is otel.StatusCode.UNSET
        assert span.attributes["error.type"] == "CancelledError"


def test_a_run_that_is_given_up(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    async def main() -> None:
        async with agent(scripted([call("refund", amount=80.0)], "Done.")).iter("hi") as run:
            async for _ in run:
                break

    asyncio.run(main())
    span = telemetry.one("invoke_agent")
    assert facts(span, "run.state") == ["completed"]
    assert facts(span, "run.outcome")[0] in {"abandoned", "cancelled"}  # Python 3.10 can't tell
    assert span.status.status_code is otel.StatusCode.UNSET
    telemetry.check_counters()


def test_an_agent_that_a_tool_calls_is_part_of_the_run(telemetry: Any, scripted: Any, call: Any) -> None:
    inner = Agent(scripted([call("refund", amount=20.0)], "Paid."), name="inner", tools=[refund])

    async def ask(context: RunContext[Any]) -> str:
        """Ask another agent."""
        return (await inner.run("please", usage=context.usage)).output

    agent(scripted([call("ask")], "Done."), ask).run_sync("hi")
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    execute_tool ask",
        "      invoke_agent inner",
        "        agent_step act",
        "          execute_tool refund",
        "        agent_step act",
        "  agent_step act",
    ]
    governed = [span for span in telemetry.spans if "runrecord.run.id" in span.attributes]
    assert len({span.attributes["runrecord.run.id"] for span in governed}) == 1
    assert "runrecord.run.id" not in telemetry.one("invoke_agent inner").attributes
    telemetry.check_counters()


def test_an_inner_agent_that_fails(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    inner = Agent(scripted(LookupError("planted-1")), name="inner")

    async def ask() -> str:
        """Ask another agent, which fails, and get over it."""
        with pytest.raises(LookupError):
            await inner.run("please")
        return "never mind"

    agent(scripted([call("ask")], "Done."), ask).run_sync("hi")
    assert telemetry.one("invoke_agent inner").status.status_code is otel.StatusCode.ERROR
    assert facts(telemetry.one("invoke_agent refund-agent"), "run.outcome") == ["success"]
    assert "planted-1" not in telemetry.exported_text()


class Answer(BaseModel):
    """An answer."""

    amount: float


def pay_out(amount: float) -> str:
    """Pay, as the last act of the run."""
    return f"paid {amount}"


def test_an_output_function_is_a_tool_call(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    program = Agent(scripted([call("final_result", amount=80)]), name="refund-agent", output_type=pay_out)
    assert program.run_sync("hi").output == "paid 80.0"
    tool = telemetry.one("execute_tool")
    assert tool.attributes["gen_ai.tool.call.id"] == "call_1"
    assert {"runrecord.arguments.digest", "runrecord.result.digest"} <= set(tool.attributes)
    assert ended() == ["success", None, "UNSET"]


def test_an_output_that_runs_nothing_is_no_tool_call(telemetry: Any, scripted: Any, call: Any) -> None:
    program = Agent(scripted([call("final_result", amount=80)]), name="refund-agent", output_type=Answer)
    assert program.run_sync("hi").output == Answer(amount=80)
    assert telemetry.tree() == ["invoke_agent refund-agent", "  agent_step act"]


def test_a_tool_of_an_mcp_server(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    from pydantic_ai.mcp import MCPToolset

    try:
        from mcp.server import MCPServer
    except ImportError:  # what it is called in mcp 1
        from mcp.server.fastmcp import FastMCP as MCPServer  # type: ignore[import-not-found,no-redef]
    server = MCPServer("shop")

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
    def look_up(customer: str) -> str:
        """Look up."""
        return customer.upper()

    model = scripted([call("look_up", customer="c-100")], "Done.")
    program = Agent(model, name="refund-agent", toolsets=[MCPToolset(server)])
    assert program.run_sync("hi").output == "Done."
    tool = telemetry.one("execute_tool look_up")
    assert facts(tool, "tool.read_only", "side_effect.type") == [True, "read"]
    assert "runrecord.result.digest" in tool.attributes
    telemetry.check_counters()
