# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Steps: the nodes of graphs, in order, nested, in parallel, tried again and left early."""

from typing import Any

import pytest
from inline_snapshot import snapshot
from langgraph.graph import START
from langgraph.types import Command, Send
from opentelemetry import trace

pytestmark = pytest.mark.sdk


def test_nodes_are_steps_in_order_and_nested_graphs_are_not_runs(
    telemetry: Any, on: Any, graph: Any, mark: Any
) -> None:
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


def test_parallel_nodes_have_indexes_of_their_own(telemetry: Any, on: Any, mark: Any, new_graph: Any) -> None:
    builder = new_graph()
    builder.add_node("fan", mark("fan"))
    builder.add_node("work", mark("work"))
    builder.add_edge(START, "fan")
    builder.add_conditional_edges("fan", lambda state: [Send("work", state) for _ in range(3)])
    builder.compile().invoke({"seen": []})
    assert sorted(s.attributes["runrecord.step.index"] for s in telemetry.named("agent_step")) == [0, 1, 2, 3]
    telemetry.one("invoke_workflow LangGraph")


def test_a_retried_node_counts_its_attempts(telemetry: Any, on: Any, new_graph: Any) -> None:
    from langgraph.types import RetryPolicy

    tries: list[int] = []

    def flaky(state: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError
        return {"seen": ["ok"]}

    builder = new_graph()
    builder.add_node(
        "flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.001, max_attempts=3, jitter=False)
    )
    builder.add_edge(START, "flaky")
    builder.compile().invoke({"seen": []})
    steps = telemetry.named("agent_step")
    assert [step.attributes.get("runrecord.step.attempt") for step in steps] == [None, 1, 2]
    assert [step.status.status_code.name for step in steps] == ["ERROR", "ERROR", "UNSET"]


def test_jumps_are_not_errors(telemetry: Any, on: Any, graph: Any, mark: Any, new_graph: Any) -> None:
    def leave(state: Any) -> Any:
        return Command(graph=Command.PARENT, goto="last", update={"seen": ["left"]})

    inner = graph(leave=leave).compile(name="inner")
    builder = new_graph()
    builder.add_node("inner", inner, destinations=("last",))
    builder.add_node("last", mark("last"))
    builder.add_edge(START, "inner")
    assert builder.compile().invoke({"seen": []})["seen"] == ["left", "last"]
    assert {span.status.status_code.name for span in telemetry.spans} == {"UNSET"}
    telemetry.check_counters()


def test_the_recursion_limit_is_a_budget(telemetry: Any, on: Any, mark: Any, new_graph: Any) -> None:
    from langgraph.errors import GraphRecursionError

    builder = new_graph()
    builder.add_node("again", mark("again"))
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    with pytest.raises(GraphRecursionError):
        builder.compile().invoke({"seen": []}, {"recursion_limit": 3})
    run = telemetry.one("invoke_workflow")
    assert run.attributes["runrecord.run.outcome"] == "budget_exceeded"
    assert run.attributes["runrecord.run.stop_reason"] == "recursion_limit"
    assert run.status.status_code is trace.StatusCode.UNSET
