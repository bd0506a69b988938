# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Runs, steps and tool calls: the records, and that the program does not notice."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import pytest
from inline_snapshot import snapshot
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool, ToolException, tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from opentelemetry import trace

pytestmark = pytest.mark.sdk


def add(values: list[str], more: list[str]) -> list[str]:
    return values + more


class State(TypedDict):
    seen: Annotated[list[str], add]


@tool
def lookup(order: str) -> str:
    """Look an order up."""
    return f"order {order}"


@tool
def broken(order: str) -> str:
    """Fail."""
    raise LookupError(f"no order {order}")


def graph(**nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    builder = StateGraph(State)
    names = list(nodes)
    for name, node in nodes.items():
        builder.add_node(name, node)
    for before, after in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(before, after)
    return builder


def mark(name: str) -> Any:
    return lambda state: {"seen": [name]}


def test_a_tool_call_in_whole_spans(telemetry: Any, agents: Any, on: Any) -> None:
    metadata = {
        "readOnlyHint": True,
        "destructiveHint": None,
        "runrecord.side_effect.type": "read",
        "runrecord.side_effect.target": "orders",
    }
    looked_up = StructuredTool.from_function(lookup.func, name="lookup", metadata=metadata)
    agent = agents.make(
        [agents.call("lookup", order="o-1")], "done", tools=[looked_up], checkpointer=agents.saver()
    )
    agent.invoke(agents.ask, agents.config())
    assert telemetry.tree() == snapshot(
        [
            "invoke_agent helper",
            "  agent_step plan",
            "  agent_step act",
            "    execute_tool lookup",
            "  agent_step plan",
        ]
    )
    dumped = [telemetry.dump(span) for span in telemetry.spans]
    for span in dumped:
        if "runrecord.step.id" in span["attributes"]:  # the SDK's task id is random
            node, _, task = span["attributes"]["runrecord.step.id"].partition(":")
            assert node == span["attributes"]["runrecord.step.name"]
            assert task
            span["attributes"]["runrecord.step.id"] = node
    assert dumped == snapshot(
        [
            {
                "name": "agent_step plan",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 2,
                "parent": 1,
                "attributes": {
                    "runrecord.record.seq": 1,
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.id": "model",
                    "runrecord.step.index": 0,
                    "runrecord.step.kind": "plan",
                    "runrecord.step.name": "model",
                },
            },
            {
                "name": "execute_tool lookup",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 4,
                "parent": 3,
                "attributes": {
                    "gen_ai.agent.name": "helper",
                    "gen_ai.conversation.id": "thread-1",
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.call.id": "call_1",
                    "gen_ai.tool.name": "lookup",
                    "gen_ai.tool.type": "function",
                    "runrecord.arguments.digest": "hmac-sha256:ba41522c452f3d9b8df753d76bd49d39a79aa25a733ba32477f94ee9fe0e9cd6",
                    "runrecord.record.seq": 3,
                    "runrecord.result.digest": "hmac-sha256:62c4edaacaea995081a6fcc9c93446a76dc49e4fdcbaa7f6ad3b23ad3e3d1ad9",
                    "runrecord.run.id": "id-1",
                    "runrecord.side_effect.target": "orders",
                    "runrecord.side_effect.type": "read",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 1,
                    "runrecord.tool.read_only": True,
                },
            },
            {
                "name": "agent_step act",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 3,
                "parent": 1,
                "attributes": {
                    "runrecord.record.seq": 2,
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.id": "tools",
                    "runrecord.step.index": 1,
                    "runrecord.step.kind": "act",
                    "runrecord.step.name": "tools",
                },
            },
            {
                "name": "agent_step plan",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 5,
                "parent": 1,
                "attributes": {
                    "runrecord.record.seq": 4,
                    "runrecord.run.id": "id-1",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.id": "model",
                    "runrecord.step.index": 2,
                    "runrecord.step.kind": "plan",
                    "runrecord.step.name": "model",
                },
            },
            {
                "name": "invoke_agent helper",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 1,
                "parent": None,
                "attributes": {
                    "gen_ai.agent.name": "helper",
                    "gen_ai.conversation.id": "thread-1",
                    "gen_ai.operation.name": "invoke_agent",
                    "runrecord.record.seq": 0,
                    "runrecord.run.id": "id-1",
                    "runrecord.run.outcome": "success",
                    "runrecord.run.records": 5,
                    "runrecord.run.segment": 0,
                    "runrecord.run.state": "completed",
                    "runrecord.source.id": "0000000000000001",
                },
            },
        ]
    )
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_tool_error_is_the_users_and_says_no_text(telemetry: Any, agents: Any, on: Any, mode: str) -> None:
    agent = agents.make([agents.call("broken", order="secret-text")], tools=[broken])
    with pytest.raises(LookupError, match="secret-text"):
        agent.invoke(agents.ask) if mode == "sync" else asyncio.run(agent.ainvoke(agents.ask))
    for name in ("execute_tool broken", "agent_step act", "invoke_agent"):
        span = telemetry.one(name)
        assert (span.attributes["error.type"], span.status.status_code.name) == ("LookupError", "ERROR")
        assert (span.status.description, span.events) == (None, ())
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "failure"
    assert "secret-text" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_tool_that_handles_its_error_failed_all_the_same(telemetry: Any, agents: Any, on: Any) -> None:
    def refuse(order: str) -> str:
        """Refuse."""
        raise ToolException("secret-text")

    refusing = StructuredTool.from_function(refuse, handle_tool_error=True)
    agents.make([agents.call("refuse", order="o-1")], "done", tools=[refusing]).invoke(agents.ask)
    assert telemetry.one("execute_tool").attributes["error.type"] == "tool_error"
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"


@pytest.mark.parametrize("ends", ["returns", "answers with an error", "pauses"])
def test_an_effect_is_committed_if_the_tool_reports_success(
    telemetry: Any, agents: Any, on: Any, ends: str
) -> None:
    def pay(amount: float) -> str:
        """Pay."""
        if ends == "answers with an error":
            raise ToolException("secret-text")
        return interrupt("sure?") if ends == "pauses" else "paid"

    metadata = {"runrecord.side_effect.type": "pay", "runrecord.side_effect.reversible": False}
    paying = StructuredTool.from_function(pay, metadata=metadata, handle_tool_error=True)
    agent = agents.make([agents.call("pay", amount=1)], "done", tools=[paying], checkpointer=agents.saver())
    agent.invoke(agents.ask, agents.config())
    committed = telemetry.one("execute_tool").attributes.get("runrecord.side_effect.committed")
    assert committed is (True if ends == "returns" else None)


def test_a_read_only_tool_reads(telemetry: Any, agents: Any, on: Any) -> None:
    reading = StructuredTool.from_function(lookup.func, name="lookup", metadata={"readOnlyHint": True})
    agents.make([agents.call("lookup", order="o-1")], "done", tools=[reading]).invoke(agents.ask)
    assert telemetry.one("execute_tool").attributes["runrecord.side_effect.type"] == "read"


def test_the_applications_spans_in_a_tool_and_a_node_nest(telemetry: Any, agents: Any, on: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")

    @tool
    def fetch() -> str:
        """Fetch."""
        with tracer.start_as_current_span("http"):
            return "ok"

    def node(state: State) -> Any:
        with tracer.start_as_current_span("in node"):
            agents.make([agents.call("fetch")], "done", tools=[fetch], name="inner").invoke(agents.ask)
        return {"seen": ["node"]}

    with tracer.start_as_current_span("request"):
        graph(node=node).compile(name="outer").invoke({"seen": []})
        assert trace.get_current_span().name == "request"
    assert telemetry.tree() == snapshot(
        [
            "request",
            "  invoke_workflow outer",
            "    agent_step act",
            "      in node",
            "        agent_step plan",
            "        agent_step act",
            "          execute_tool fetch",
            "            http",
            "        agent_step plan",
        ]
    )
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_tools_in_a_thread_pool_keep_their_parent(telemetry: Any, agents: Any, on: Any, mode: str) -> None:
    barrier = threading.Barrier(4)
    tracer = telemetry.tracer_provider.get_tracer("app")

    @tool
    def slow(number: int) -> int:
        """Wait for the others."""
        with tracer.start_as_current_span(f"inside {number}"):
            barrier.wait(30)
        return number

    calls = [agents.call("slow", f"call_{number}", number=number) for number in range(4)]
    agent = agents.make(calls, "done", tools=[slow])
    agent.invoke(agents.ask) if mode == "sync" else asyncio.run(agent.ainvoke(agents.ask))
    by_id = {span.context.span_id: span for span in telemetry.spans}
    for inside in telemetry.named("inside"):
        call = by_id[inside.parent.span_id]
        assert call.attributes["gen_ai.tool.call.id"] == f"call_{inside.name.rpartition(' ')[2]}"
        assert by_id[call.parent.span_id].name == "agent_step act"
    assert len(telemetry.named("inside")) == 4
    telemetry.check_counters()


def test_ten_concurrent_runs_do_not_cross(telemetry: Any, agents: Any, on: Any) -> None:
    barrier = threading.Barrier(10)

    @tool
    def wait(number: int) -> int:
        """Wait for the others."""
        barrier.wait(30)
        return number

    def one(number: int) -> Any:
        agent = agents.make([agents.call("wait", f"call_{number}", number=number)], "done", tools=[wait])
        return agent.invoke(agents.ask, agents.config(f"thread-{number}"))

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(one, range(10)))
    runs = {run.attributes["runrecord.run.id"]: run for run in telemetry.named("invoke_agent")}
    assert len(runs) == 10
    for call in telemetry.named("execute_tool"):
        run = runs[call.attributes["runrecord.run.id"]]
        number = call.attributes["gen_ai.tool.call.id"].rpartition("_")[2]
        assert run.attributes["gen_ai.conversation.id"] == f"thread-{number}"
        assert call.context.trace_id == run.context.trace_id
    telemetry.check_counters()


def test_ten_concurrent_tasks_do_not_cross(telemetry: Any, agents: Any, on: Any) -> None:
    @tool
    async def wait(number: int) -> int:
        """Let the others run."""
        for _ in range(3):
            await asyncio.sleep(0)
        return number

    async def one(number: int) -> Any:
        agent = agents.make([agents.call("wait", f"call_{number}", number=number)], "done", tools=[wait])
        return await agent.ainvoke(agents.ask, agents.config(f"thread-{number}"))

    async def every() -> None:
        await asyncio.gather(*[one(number) for number in range(10)])
        assert trace.get_current_span() is trace.INVALID_SPAN

    asyncio.run(every())
    runs = {run.attributes["runrecord.run.id"]: run for run in telemetry.named("invoke_agent")}
    for call in telemetry.named("execute_tool"):
        number = call.attributes["gen_ai.tool.call.id"].rpartition("_")[2]
        run = runs[call.attributes["runrecord.run.id"]]
        assert run.attributes["gen_ai.conversation.id"] == f"thread-{number}"
    assert len(runs) == 10
    telemetry.check_counters()


def test_nodes_are_steps_in_order_and_nested_graphs_are_not_runs(telemetry: Any, on: Any) -> None:
    inner = graph(look=mark("look"), check_result=mark("check")).compile(name="inner")
    outer = graph(plan=mark("plan"), inner=inner, handoff_to_sales=mark("handoff")).compile(name="outer")
    assert outer.invoke({"seen": []})["seen"]
    steps = sorted(telemetry.named("agent_step"), key=lambda span: span.attributes["runrecord.step.index"])
    assert [
        (s.attributes["runrecord.step.name"], s.attributes["runrecord.step.kind"]) for s in steps
    ] == snapshot(
        [
            ("plan", "plan"),
            ("inner", "act"),
            ("look", "act"),
            ("check_result", "verify"),
            ("handoff_to_sales", "handoff"),
        ]
    )
    assert telemetry.tree() == snapshot(
        [
            "invoke_workflow outer",
            "  agent_step plan",
            "  agent_step act",
            "    agent_step act",
            "    agent_step verify",
            "  agent_step handoff",
        ]
    )
    telemetry.check_counters()


def test_parallel_nodes_have_indexes_of_their_own(telemetry: Any, on: Any) -> None:
    builder = StateGraph(State)
    builder.add_node("fan", mark("fan"))
    builder.add_node("work", mark("work"))
    builder.add_edge(START, "fan")
    builder.add_conditional_edges("fan", lambda state: [Send("work", state) for _ in range(3)])
    builder.compile().invoke({"seen": []})
    assert sorted(s.attributes["runrecord.step.index"] for s in telemetry.named("agent_step")) == [0, 1, 2, 3]
    telemetry.one("invoke_workflow LangGraph")


def test_a_retried_node_counts_its_attempts(telemetry: Any, on: Any) -> None:
    from langgraph.types import RetryPolicy

    tries: list[int] = []

    def flaky(state: State) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError
        return {"seen": ["ok"]}

    builder = StateGraph(State)
    builder.add_node(
        "flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.001, max_attempts=3, jitter=False)
    )
    builder.add_edge(START, "flaky")
    builder.compile().invoke({"seen": []})
    steps = telemetry.named("agent_step")
    assert [step.attributes.get("runrecord.step.attempt") for step in steps] == [None, 1, 2]
    assert [step.status.status_code.name for step in steps] == ["ERROR", "ERROR", "UNSET"]


def test_jumps_are_not_errors(telemetry: Any, on: Any) -> None:
    def leave(state: State) -> Any:
        return Command(graph=Command.PARENT, goto="last", update={"seen": ["left"]})

    inner = graph(leave=leave).compile(name="inner")
    builder = StateGraph(State)
    builder.add_node("inner", inner, destinations=("last",))
    builder.add_node("last", mark("last"))
    builder.add_edge(START, "inner")
    assert builder.compile().invoke({"seen": []})["seen"] == ["left", "last"]
    assert {span.status.status_code.name for span in telemetry.spans} == {"UNSET"}
    telemetry.check_counters()


def test_the_recursion_limit_is_a_budget(telemetry: Any, on: Any) -> None:
    from langgraph.errors import GraphRecursionError

    builder = StateGraph(State)
    builder.add_node("again", mark("again"))
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    with pytest.raises(GraphRecursionError):
        builder.compile().invoke({"seen": []}, {"recursion_limit": 3})
    run = telemetry.one("invoke_workflow")
    assert run.attributes["runrecord.run.outcome"] == "budget_exceeded"
    assert run.attributes["runrecord.run.stop_reason"] == "recursion_limit"
    assert run.status.status_code is trace.StatusCode.UNSET


def test_a_graph_in_a_recorded_run_is_no_run_of_its_own(telemetry: Any, agents: Any, instrument: Any) -> None:
    recorder = telemetry.recorder()
    instrument(recorder=recorder)
    with recorder.run("mine") as run:
        agents.make([agents.call("lookup", order="o-1")], "done", tools=[lookup]).invoke(agents.ask)
        assert run.span.is_recording()
    assert telemetry.tree() == snapshot(
        [
            "invoke_agent mine",
            "  agent_step plan",
            "  agent_step act",
            "    execute_tool lookup",
            "  agent_step plan",
        ]
    )
    telemetry.check_counters()


def test_chains_and_tools_outside_of_graphs_are_left_alone(telemetry: Any, on: Any) -> None:
    assert (RunnableLambda(lambda x: x + 1) | RunnableLambda(lambda x: x * 2)).invoke(1) == 4
    assert lookup.invoke({"order": "o-1"}) == "order o-1"
    assert telemetry.spans == []


def test_who_the_run_is_for_and_how_far_it_may_go(telemetry: Any, on: Any) -> None:
    config = {
        "configurable": {"thread_id": "t", "langgraph_auth_user_id": "u-1"},
        "metadata": {"runrecord.run.autonomy": "read_only"},
    }
    graph(one=mark("one")).compile(name="w").invoke({"seen": []}, config)
    attributes = telemetry.one("invoke_workflow w").attributes
    assert attributes["runrecord.principal.ref"] == "u-1"
    assert attributes["runrecord.run.autonomy"] == "read_only"


# streaming


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_stream_is_the_same_and_nothing_is_current_between_its_items(
    telemetry: Any, on: Any, mode: str
) -> None:
    compiled = graph(one=mark("1"), two=mark("2")).compile(name="w")
    seen = []

    async def consume() -> None:
        async for item in compiled.astream({"seen": []}):
            assert trace.get_current_span() is trace.INVALID_SPAN
            seen.append(item)

    if mode == "sync":
        for item in compiled.stream({"seen": []}):
            assert trace.get_current_span() is trace.INVALID_SPAN
            seen.append(item)
    else:
        asyncio.run(consume())
    assert seen == [{"one": {"seen": ["1"]}}, {"two": {"seen": ["2"]}}]
    assert telemetry.one("invoke_workflow").attributes["runrecord.run.outcome"] == "success"
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_abandoned_stream_ends_the_run_once(telemetry: Any, on: Any, mode: str) -> None:
    compiled = graph(one=mark("1"), two=mark("2")).compile(name="w")

    async def consume() -> None:
        stream = compiled.astream({"seen": []})
        async for _ in stream:
            break
        await stream.aclose()

    if mode == "sync":
        stream = compiled.stream({"seen": []})
        next(stream)
        stream.close()
    else:
        asyncio.run(consume())
    run = telemetry.one("invoke_workflow")
    assert run.attributes["runrecord.run.outcome"] == "abandoned"
    assert run.status.status_code is trace.StatusCode.UNSET
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_failing_stream_fails_the_run(telemetry: Any, on: Any, mode: str) -> None:
    def fail(state: State) -> Any:
        raise RuntimeError("secret-text")

    compiled = graph(one=mark("1"), two=fail).compile(name="w")
    seen = []

    async def consume() -> None:
        seen.extend([item async for item in compiled.astream({"seen": []})])

    def consume_all() -> None:
        if mode == "async":
            asyncio.run(consume())
        else:
            seen.extend(compiled.stream({"seen": []}))

    with pytest.raises(RuntimeError):
        consume_all()
    assert telemetry.one("invoke_workflow").attributes["runrecord.run.outcome"] == "failure"
    assert "secret-text" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_cancelled_run_is_no_error(telemetry: Any, on: Any) -> None:
    async def hang(state: State) -> Any:
        started.set()
        await asyncio.Event().wait()

    started = asyncio.Event()

    async def run() -> None:
        task = asyncio.create_task(graph(hang=hang).compile(name="w").ainvoke({"seen": []}))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    span = telemetry.one("invoke_workflow")
    assert span.attributes["runrecord.run.outcome"] == "cancelled"
    assert span.status.status_code is trace.StatusCode.UNSET
    telemetry.check_counters()


# the same program without


def program(agents: Any) -> list[Any]:
    """A program that shows its results, its exception and its stream."""
    shown: list[Any] = []
    agent = agents.make([agents.call("lookup", order="o-1")], "done", tools=[lookup])
    shown.extend((m.type, m.content) for m in agent.invoke(agents.ask)["messages"])
    failing = agents.make([agents.call("broken", order="o-1")], tools=[broken])
    try:
        failing.invoke(agents.ask)
    except LookupError as error:
        shown.append(repr(error))
    compiled = graph(one=mark("1"), two=mark("2")).compile()
    shown.extend(compiled.stream({"seen": []}, stream_mode=["values", "updates"]))
    callbacks: list[Any] = []
    compiled.invoke({"seen": []}, {"callbacks": callbacks})
    shown.append(callbacks)
    return shown


def test_the_program_gives_the_same_with_and_without(telemetry: Any, agents: Any, instrument: Any) -> None:
    without = program(agents)
    instrumentor = instrument()
    assert program(agents) == without
    assert len(telemetry.named("invoke_")) == 4
    instrumentor.uninstrument()
    assert program(agents) == without
    assert len(telemetry.named("invoke_")) == 4


def test_no_content_leaves_with_capture_off(telemetry: Any, agents: Any, on: Any) -> None:
    @tool
    def echo(text: str) -> str:
        """Echo."""
        return f"result-secret {text}"

    agent = agents.make([agents.call("echo", text="argument-secret")], "answer-secret", tools=[echo])
    agent.invoke({"messages": [("user", "prompt-secret")]}, agents.config())
    failing = agents.make([agents.call("broken", order="argument-secret")], tools=[broken])
    with pytest.raises(LookupError):
        failing.invoke({"messages": [("user", "prompt-secret")]}, agents.config())
    assert len(telemetry.spans) > 8
    assert "secret" not in telemetry.exported_text()


def test_content_is_recorded_where_it_is_asked_for(
    telemetry: Any, agents: Any, on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    agents.make([agents.call("lookup", order="o-1")], "done", tools=[lookup]).invoke(agents.ask)
    attributes = telemetry.one("execute_tool").attributes
    assert attributes["gen_ai.tool.call.arguments"] == '{"order": "o-1"}'
    assert attributes["gen_ai.tool.call.result"] == "order o-1"
    run = telemetry.one("invoke_agent").attributes
    assert json.loads(run["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "please"}]}
    ]
    assert json.loads(run["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "done"}], "finish_reason": "stop"}
    ]


def test_each_segment_has_its_own_content(
    telemetry: Any, agents: Any, on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    compiled = graph(ask=lambda state: {"seen": [interrupt("sure?")]}).compile(checkpointer=agents.saver())
    compiled.invoke({"seen": ["first"]}, agents.config())
    compiled.invoke(Command(resume="of course"), agents.config())
    first, second = (span.attributes for span in telemetry.named("invoke_workflow"))
    assert json.loads(first["gen_ai.input.messages"])[0]["parts"][0]["content"] == '{"seen": ["first"]}'
    assert json.loads(second["gen_ai.input.messages"])[0]["parts"][0]["content"] == "of course"
    said = json.loads(second["gen_ai.output.messages"])[0]["parts"][0]["content"]
    assert json.loads(said)["seen"] == ["first", "of course"]
