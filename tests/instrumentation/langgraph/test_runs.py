# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Runs and what is in them: whole spans, and the application's own around and inside."""

from typing import Any

import pytest
from inline_snapshot import snapshot
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool, tool
from opentelemetry import trace

pytestmark = pytest.mark.sdk


def test_a_tool_call_in_whole_spans(telemetry: Any, agents: Any, on: Any, lookup: Any) -> None:
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


def test_the_applications_spans_in_a_tool_and_a_node_nest(
    telemetry: Any, agents: Any, on: Any, graph: Any
) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")

    @tool
    def fetch() -> str:
        """Fetch."""
        with tracer.start_as_current_span("http"):
            return "ok"

    def node(state: Any) -> Any:
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


def test_a_graph_in_a_recorded_run_is_no_run_of_its_own(
    telemetry: Any, agents: Any, instrument: Any, lookup: Any
) -> None:
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


def test_chains_and_tools_outside_of_graphs_are_left_alone(telemetry: Any, on: Any, lookup: Any) -> None:
    assert (RunnableLambda(lambda x: x + 1) | RunnableLambda(lambda x: x * 2)).invoke(1) == 4
    assert lookup.invoke({"order": "o-1"}) == "order o-1"
    assert telemetry.spans == []


def test_who_the_run_is_for_and_how_far_it_may_go(telemetry: Any, on: Any, graph: Any, mark: Any) -> None:
    config = {
        "configurable": {"thread_id": "t", "langgraph_auth_user_id": "u-1"},
        "metadata": {"runrecord.run.autonomy": "read_only"},
    }
    graph(one=mark("one")).compile(name="w").invoke({"seen": []}, config)
    attributes = telemetry.one("invoke_workflow w").attributes
    assert attributes["runrecord.principal.ref"] == "u-1"
    assert attributes["runrecord.run.autonomy"] == "read_only"
