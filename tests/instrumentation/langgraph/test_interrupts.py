# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Interrupts of the application: questions in nodes, tools and sub-graphs, and breakpoints."""

import asyncio
from typing import Any, TypedDict

import pytest
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

pytestmark = pytest.mark.sdk


class State(TypedDict, total=False):
    answer: Any


def asks(name: str, value: Any) -> Any:
    def node(state: State) -> State:
        return {"answer": interrupt(value)}

    builder = StateGraph(State)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    builder.add_edge(name, END)
    return builder


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (True, "approved", None),
        (False, "denied", None),
        ("secret-reason", "answered", None),
        ({"secret-reason": 1}, "answered", None),
    ],
)
def test_a_bare_interrupt(  # noqa: PLR0917
    telemetry: Any, agents: Any, on: Any, answer: Any, status: str, reason: Any
) -> None:
    graph = asks("approval", "secret-question").compile(checkpointer=agents.saver(), name="w")
    graph.invoke({}, agents.config())
    assert graph.invoke(Command(resume=answer), agents.config())["answer"] == answer
    assert telemetry.one("request_approval approval").attributes["runrecord.subject.type"] == "run"
    decided = telemetry.one("approval_decision approval").attributes
    assert decided["runrecord.approval.status"] == status
    assert decided.get("runrecord.approval.reason_code") == reason
    assert "secret" not in telemetry.exported_text()
    telemetry.check_counters()


def test_an_answer_that_a_web_handler_recorded_is_not_recorded_again(
    telemetry: Any, agents: Any, on: Any
) -> None:
    graph = asks("approval", "secret-question").compile(checkpointer=agents.saver(), name="w")
    config = agents.config()
    graph.invoke({}, config)
    key = ("langgraph", config["configurable"]["thread_id"])
    telemetry.recorder(new_source=lambda: "e" * 16).approval(key).approved(actor="human", actor_ref="u-17")
    assert graph.invoke(Command(resume=True), config)["answer"] is True
    decided = telemetry.one("approval_decision approval").attributes
    assert (decided["runrecord.approval.actor.ref"], decided["runrecord.run.records"]) == ("u-17", 1)
    telemetry.check_counters()


def test_two_questions_in_one_node(telemetry: Any, agents: Any, on: Any) -> None:
    def node(state: State) -> State:
        return {"answer": [interrupt("one"), interrupt("two")]}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=agents.saver())
    graph.invoke({}, agents.config())
    graph.invoke(Command(resume=True), agents.config())
    assert graph.invoke(Command(resume=False), agents.config())["answer"] == [True, False]
    assert len(telemetry.named("request_approval")) == 2
    said = [s.attributes["runrecord.approval.status"] for s in telemetry.named("approval_decision")]
    assert said == ["approved", "denied"]
    telemetry.check_counters()


def test_a_question_in_a_subgraph_is_asked_once(telemetry: Any, agents: Any, on: Any) -> None:
    builder = StateGraph(State)
    builder.add_node("inner", asks("approval", "ok?").compile(name="inner"))
    builder.add_edge(START, "inner")
    graph = builder.compile(checkpointer=agents.saver(), name="outer")
    graph.invoke({}, agents.config())
    graph.invoke(Command(resume=True), agents.config())
    telemetry.one("request_approval")
    telemetry.one("approval_decision")
    assert len(telemetry.named("invoke_")) == 2
    telemetry.check_counters()


def test_a_question_inside_a_tool_is_about_that_call(telemetry: Any, agents: Any, on: Any) -> None:
    @tool
    def pay(amount: float) -> str:
        """Pay, if a person agrees."""
        return "paid" if interrupt({"pay": amount}) else "not paid"

    agent = agents.make(
        [agents.call("pay", "call_1", amount=1.0)], "done", tools=[pay], checkpointer=agents.saver()
    )
    agent.invoke(agents.ask, agents.config())
    agent.invoke(Command(resume=True), agents.config())
    request = telemetry.one("request_approval pay").attributes
    assert (request["runrecord.subject.type"], request["runrecord.subject.id"]) == ("tool_call", "call_1")
    paused, ran = telemetry.named("execute_tool")
    assert "runrecord.result.digest" not in paused.attributes
    assert "runrecord.result.digest" in ran.attributes
    assert "runrecord.approval.id" not in ran.attributes  # nobody was shown its arguments
    assert {span.status.status_code.name for span in telemetry.spans} == {"UNSET"}
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("where", [{"interrupt_before": ["two"]}, {"interrupt_after": ["one"]}])
def test_a_breakpoint_suspends_without_asking(
    telemetry: Any, agents: Any, on: Any, where: Any, mode: str
) -> None:
    builder = StateGraph(State)
    builder.add_node("one", lambda state: {"answer": 1})
    builder.add_node("two", lambda state: {"answer": 2})
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    graph = builder.compile(checkpointer=agents.saver(), name="w", **where)

    def run(given: Any) -> Any:
        if mode == "sync":
            return graph.invoke(given, agents.config())
        return asyncio.run(graph.ainvoke(given, agents.config()))

    run({})
    assert run(None)["answer"] == 2
    runs = telemetry.named("invoke_workflow")
    assert [s.attributes["runrecord.run.segment"] for s in runs] == [0, 1]
    assert [runs[0].attributes["runrecord.run.stop_reason"]] == list(where)
    assert runs[1].attributes["runrecord.run.outcome"] == "success"
    assert len({s.attributes["runrecord.run.id"] for s in runs}) == 1
    steps = [s.attributes["runrecord.step.name"] for s in telemetry.named("agent_step")]
    assert steps == ["one", "two"]
    assert telemetry.named("request_approval") == []
    telemetry.check_counters()


def test_a_breakpoint_of_an_agent_before_its_tools(telemetry: Any, agents: Any, on: Any) -> None:
    @tool
    def pay(amount: float) -> str:
        """Pay."""
        return "paid"

    call = agents.call("pay", "call_1", amount=1.0)
    saver = agents.saver()
    agent = agents.make([call], "done", tools=[pay], checkpointer=saver, interrupt_before=["tools"])
    agent.invoke(agents.ask, agents.config())
    assert telemetry.named("execute_tool") == []
    agent.invoke(None, agents.config())
    assert telemetry.one("execute_tool pay").attributes["runrecord.run.id"] == "id-1"
    ended = [s.attributes["runrecord.run.state"] for s in telemetry.named("invoke_agent")]
    assert ended == ["suspended", "completed"]
    telemetry.check_counters()


def test_a_question_that_is_asked_again_is_one_request(telemetry: Any, agents: Any, on: Any) -> None:
    ran: list[int] = []

    def node(state: State) -> State:
        ran.append(1)
        return {"answer": interrupt("ok?")}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(checkpointer=agents.saver(), name="w")
    graph.invoke({}, agents.config())
    for _ in range(2):  # goes on without an answer: the node runs again and asks again
        assert graph.invoke(None, agents.config())["__interrupt__"]
    graph.invoke(Command(resume=True), agents.config())
    assert len(ran) == 4
    telemetry.one("request_approval")
    telemetry.one("approval_decision")
    assert len({s.attributes["runrecord.run.id"] for s in telemetry.named("invoke_workflow")}) == 1
    telemetry.check_counters()


def test_a_new_question_in_the_same_thread_is_a_new_run(telemetry: Any, agents: Any, on: Any) -> None:
    graph = asks("approval", "ok?").compile(checkpointer=agents.saver(), name="w")
    for answer in (True, False):
        graph.invoke({}, agents.config())
        graph.invoke(Command(resume=answer), agents.config())
    runs = telemetry.named("invoke_workflow")
    assert [s.attributes["runrecord.run.segment"] for s in runs] == [0, 1, 0, 1]
    assert len({s.attributes["runrecord.run.id"] for s in runs}) == 2
    said = [s.attributes["runrecord.approval.status"] for s in telemetry.named("approval_decision")]
    assert said == ["approved", "denied"]
    telemetry.check_counters()
