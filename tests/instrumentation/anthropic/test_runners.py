# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tool runner of the Messages API: a run with a step a turn, and the tools that it calls."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from anthropic import Anthropic, InternalServerError, beta_async_tool, beta_tool
from anthropic.lib.tools import ToolError
from opentelemetry import trace as otel

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def inside(telemetry: Any) -> Any:
    return telemetry.tracer_provider.get_tracer("app").start_as_current_span("in the tool")


def sync_tool(body: Any = None) -> Any:
    @beta_tool
    def lookup(order: str) -> str:
        """Look up an order."""
        return body(order) if body else f"found {order}"

    lookup.func.metadata = {"readOnlyHint": True}
    return lookup


def async_tool(body: Any = None) -> Any:
    @beta_async_tool
    async def lookup(order: str) -> str:
        """Look up an order."""
        await asyncio.sleep(0)
        return body(order) if body else f"found {order}"

    lookup.func.metadata = {"readOnlyHint": True}
    return lookup


PARAMS: Any = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def drive(client: Any, tool: Any, *, stream: bool = False, named: bool = True, **more: Any) -> Any:
    """Run a synchronous runner to its end."""
    runner = client.beta.messages.tool_runner(**PARAMS, tools=[tool], stream=stream, **more)
    if named:
        runner.metadata = {"gen_ai.agent.name": "refund-agent"}
    return runner.until_done()


async def adrive(make: Any, tool: Any, *, stream: bool = False, **more: Any) -> Any:
    async with make() as client:
        runner = client.beta.messages.tool_runner(**PARAMS, tools=[tool], stream=stream, **more)
        runner.metadata = {"gen_ai.agent.name": "refund-agent"}
        return await runner.until_done()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_with_a_tool_call(  # noqa: PLR0917
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool, stream: bool
) -> None:
    server.script(server.calls(server.use()), server.message())

    def body(order: str) -> str:
        with inside(telemetry):
            return f"found {order}"

    if asynchronous:
        result = asyncio.run(adrive(async_client, async_tool(body), stream=stream))
    else:
        result = drive(client, sync_tool(body), stream=stream)
    assert result.content[0].text == "Done."
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    execute_tool lookup",
        "      in the tool",
        "  agent_step act",
    ]
    tool = telemetry.one("execute_tool")
    assert facts(tool, "tool.read_only", "side_effect.type", "step.index") == [True, "read", 0]
    assert tool.attributes["gen_ai.tool.call.id"] == "toolu_1"
    assert "runrecord.result.digest" in tool.attributes
    assert facts(telemetry.one("invoke_agent"), "run.state", "run.outcome", "run.records") == [
        "completed",
        "success",
        4,
    ]
    telemetry.check_counters()


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("error", [ToolError("secret-content"), ValueError("secret-content")])
def test_a_tool_that_fails(  # noqa: PLR0917
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool, error: Exception
) -> None:
    server.script(server.calls(server.use()), server.message())

    def body(order: str) -> str:
        raise error

    if asynchronous:
        asyncio.run(adrive(async_client, async_tool(body)))
    else:
        drive(client, sync_tool(body))
    tool = telemetry.one("execute_tool")
    assert tool.status.status_code.name == "ERROR"
    assert tool.attributes["error.type"].rpartition(".")[2] in {"tool_error", "ToolError", "ValueError"}
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["success"]
    assert "secret-content" not in telemetry.exported_text()
    assert server.requests[1]["messages"][-1]["content"][0]["is_error"] is True
    telemetry.check_counters()


def test_two_calls_of_one_tool_keep_their_ids(telemetry: Any, server: Any, client: Any) -> None:
    uses = [server.use(call_id=f"toolu_{n}", order=f"o-{n}") for n in (1, 2)]
    server.script(server.calls(*uses), server.message())
    drive(client, sync_tool())
    tools = telemetry.named("execute_tool")
    assert [tool.attributes["gen_ai.tool.call.id"] for tool in tools] == ["toolu_1", "toolu_2"]
    assert len({tool.attributes["runrecord.arguments.digest"] for tool in tools}) == 2


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [("max_tokens", "budget_exceeded"), ("stop_sequence", "success"), ("refusal", "denied")],
)
def test_how_it_stops(telemetry: Any, server: Any, client: Any, stop: str, outcome: str) -> None:
    server.script(server.message(stop=stop))
    drive(client, sync_tool())
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == [outcome]
    assert len(telemetry.named("policy_decision refusal")) == (1 if stop == "refusal" else 0)
    telemetry.check_counters()


def test_the_most_turns(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.calls(server.use()))
    drive(client, sync_tool(), max_iterations=1)
    assert facts(telemetry.one("invoke_agent"), "run.outcome", "run.stop_reason") == [
        "budget_exceeded",
        "max_iterations",
    ]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_of_the_model_that_fails(
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool
) -> None:
    server.script(server.calls(server.use()), (500, {"type": "error", "error": {"type": "api_error"}}))
    with pytest.raises(InternalServerError):
        asyncio.run(adrive(async_client, async_tool())) if asynchronous else drive(client, sync_tool())
    run = telemetry.one("invoke_agent")
    assert facts(run, "run.outcome") == ["failure"]
    assert run.attributes["error.type"].endswith("InternalServerError")
    telemetry.check_counters()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_application_that_goes_away(
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool
) -> None:
    server.script(server.calls(server.use()), server.message())

    async def main() -> None:
        async with async_client() as made:
            runner = made.beta.messages.tool_runner(**PARAMS, tools=[async_tool()])
            async for _ in runner:
                break
            del runner

    if asynchronous:
        asyncio.run(main())
    else:
        runner = client.beta.messages.tool_runner(**PARAMS, tools=[sync_tool()])
        for _ in runner:
            break
        del runner
    gc.collect()  # a runner and its generator refer to each other
    assert telemetry.named("execute_tool") == []
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["abandoned"]
    telemetry.check_counters()


def test_an_application_that_stops_at_the_final_message(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.message())
    runner = client.beta.messages.tool_runner(**PARAMS, tools=[sync_tool()])
    for _ in runner:
        break
    del runner
    gc.collect()
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["success"]


@pytest.mark.parametrize("cut", [1, 2])
def test_a_stream_that_breaks(telemetry: Any, server: Any, client: Any, cut: int) -> None:
    server.script(server.message())
    server.cut = cut
    with pytest.raises(Exception):  # noqa: B017  # of the HTTP library
        drive(client, sync_tool(), stream=True)
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["failure"]
    telemetry.check_counters()


def test_a_cancelled_run(telemetry: Any, server: Any, async_client: Any) -> None:
    server.script(server.calls(server.use()), server.message())
    entered = asyncio.Event()

    @beta_async_tool
    async def lookup(order: str) -> str:
        """Look up an order."""
        entered.set()
        await asyncio.sleep(60)
        return order

    async def main() -> None:
        task = asyncio.create_task(adrive(async_client, lookup))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["cancelled"]
    assert telemetry.one("execute_tool").status.status_code.name == "UNSET"
    telemetry.check_counters()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_ten_runs_at_once(telemetry: Any, server: Any, async_client: Any, asynchronous: bool) -> None:
    barrier = threading.Barrier(10)

    def answer(request: Any) -> Any:
        order = request["messages"][-1]["content"]
        if isinstance(order, list):  # the result of the tool
            return server.message()
        if not asynchronous:
            barrier.wait(30)
        return server.calls(server.use(call_id=f"toolu_{order}", order=order))

    server.script(answer)

    def one(number: int) -> None:
        with Anthropic(base_url=server.url, api_key="none", max_retries=0) as client:
            messages: Any = [{"role": "user", "content": str(number)}]
            runner = client.beta.messages.tool_runner(**{**PARAMS, "messages": messages}, tools=[sync_tool()])
            runner.metadata = {"gen_ai.agent.name": f"agent-{number}"}
            runner.until_done()

    async def many() -> None:
        async with async_client() as client:

            async def aone(number: int) -> None:
                messages: Any = [{"role": "user", "content": str(number)}]
                runner = client.beta.messages.tool_runner(
                    **{**PARAMS, "messages": messages}, tools=[async_tool()]
                )
                runner.metadata = {"gen_ai.agent.name": f"agent-{number}"}
                await runner.until_done()

            await asyncio.gather(*(aone(number) for number in range(10)))

    if asynchronous:
        asyncio.run(many())
    else:
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(one, range(10)))
    runs = {run.attributes["runrecord.run.id"]: run for run in telemetry.named("invoke_agent")}
    assert len(runs) == 10
    for tool in telemetry.named("execute_tool"):
        run = runs[tool.attributes["runrecord.run.id"]]
        assert run.attributes["gen_ai.agent.name"] == f"agent-{tool.attributes['gen_ai.tool.call.id'][6:]}"
        assert tool.context.trace_id == run.context.trace_id
    telemetry.check_counters()


def test_a_tool_that_uses_a_thread_pool_keeps_its_parent(
    telemetry: Any, recorder: Any, server: Any, client: Any
) -> None:
    from opentelemetry.instrumentation.threading import ThreadingInstrumentor

    def body(order: str) -> str:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(work).result()

    def work() -> str:
        with inside(telemetry):
            return "found"

    server.script(server.calls(server.use()), server.message())
    threads = ThreadingInstrumentor()
    threads.instrument()
    try:
        drive(client, sync_tool(body))
    finally:
        threads.uninstrument()
    assert telemetry.one("in the tool").parent.span_id == telemetry.one("execute_tool").context.span_id


def test_in_a_run_of_the_application(telemetry: Any, recorder: Any, server: Any, client: Any) -> None:
    server.script(server.calls(server.use()), server.message())
    with recorder.run(agent="outer"):
        drive(client, sync_tool())
    assert telemetry.tree() == [
        "invoke_agent outer",
        "  agent_step act",
        "    execute_tool lookup",
        "  agent_step act",
    ]
    telemetry.check_counters()


def test_a_builtin_tool(telemetry: Any, server: Any, client: Any) -> None:
    from anthropic.lib.tools import BetaBuiltinFunctionTool

    class Shell(BetaBuiltinFunctionTool):
        metadata: ClassVar[Any] = {"destructiveHint": True}

        def to_dict(self) -> Any:
            return {"type": "bash_20250124", "name": "bash"}

        def call(self, input: object) -> str:  # noqa: A002
            return "ok"

    server.script(server.calls(server.use("bash", command="ls")), server.message())
    drive(client, Shell())
    tool = telemetry.one("execute_tool bash")
    assert facts(tool, "tool.destructive") == [True]
    assert tool.attributes["gen_ai.tool.call.id"] == "toolu_1"


def test_no_span_is_current_in_the_application(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.calls(server.use()), server.message())
    runner = client.beta.messages.tool_runner(**PARAMS, tools=[sync_tool()])
    assert [otel.get_current_span().get_span_context().is_valid for _ in runner] == [False, False]
