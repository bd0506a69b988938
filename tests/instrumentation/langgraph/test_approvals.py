# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals: what was asked, what was answered, and that it is about the call that then runs."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, TypedDict

import pytest
from inline_snapshot import snapshot
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from runrecord.instrumentation import MemoryContextStore

pytestmark = pytest.mark.sdk


@tool
def refund(invoice: str, amount: float) -> str:
    """Pay an invoice back."""
    return f"paid {amount} for {invoice}"


@tool
def lookup(invoice: str) -> str:
    """Look an invoice up."""
    return f"invoice {invoice}"


class State(TypedDict, total=False):
    answer: Any


def run(graph: Any, given: Any, config: Any, mode: str = "sync") -> Any:
    return graph.invoke(given, config) if mode == "sync" else asyncio.run(graph.ainvoke(given, config))


def asking(agents: Any, interrupt_mode: str, *turns: Any, saver: Any) -> Any:
    return agents.make(
        *turns,
        tools=[refund, lookup],
        middleware=[agents.review({"refund": True}, interrupt_mode)],
        checkpointer=saver,
    )


EDITED = {"name": "refund", "args": {"invoice": "inv-1", "amount": 40.0}}
ANSWERS = {
    "approve": ({"type": "approve"}, "approved", None),
    "edit": ({"type": "edit", "edited_action": EDITED}, "modified", None),
    "reject": ({"type": "reject", "message": "secret-reason"}, "denied", None),
    "respond": ({"type": "respond", "message": "secret-reason"}, "denied", "respond"),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("interrupt_mode", ["batched", "per_call"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_answer_is_about_the_call_that_runs(  # noqa: PLR0917
    telemetry: Any, agents: Any, on: Any, answer: str, interrupt_mode: str, mode: str
) -> None:
    saver = agents.saver()
    calls = [
        agents.call("lookup", "call_0", invoice="inv-1"),
        agents.call("refund", "call_1", invoice="inv-1", amount=80.0),
    ]
    agent = asking(agents, interrupt_mode, calls, "done", saver=saver)
    decision, status, reason = ANSWERS[answer]
    result = run(agent, agents.ask, agents.config(), mode)
    assert result["__interrupt__"]
    resume = {"decisions": [decision]} if interrupt_mode == "batched" else decision
    telemetry.now += 60
    run(agent, Command(resume=resume), agents.config(langgraph_auth_user_id="u-17"), mode)

    request = telemetry.one("request_approval refund").attributes
    assert request["runrecord.approval.status"] == "pending"
    assert request["runrecord.subject.id"] == "call_1"
    decided = telemetry.one("approval_decision refund")
    assert decided.attributes["runrecord.approval.status"] == status
    assert decided.attributes.get("runrecord.approval.reason_code") == reason
    assert decided.attributes["runrecord.approval.actor.type"] == "human"
    assert decided.attributes["runrecord.approval.actor.ref"] == "u-17"
    assert decided.attributes["runrecord.approval.wait_seconds"] == 60
    assert decided.attributes["runrecord.approval.id"] == request["runrecord.approval.id"]
    assert [link.context.span_id for link in decided.links] == [
        telemetry.one("request_approval").context.span_id
    ]
    ran = [s.attributes for s in telemetry.named("execute_tool refund")]
    ended = [s.attributes.get("runrecord.run.outcome") for s in telemetry.named("invoke_agent")]
    assert ended == [None, "denied" if status == "denied" else "success"]
    if status == "denied":
        assert ran == []
    else:
        shown = "modified_digest" if status == "modified" else "digest"
        assert (
            ran[0]["runrecord.arguments.digest"] == decided.attributes[f"runrecord.approval.subject.{shown}"]
        )
        assert ran[0]["runrecord.approval.id"] == request["runrecord.approval.id"]
    gate = telemetry.one("policy_decision HumanInTheLoopMiddleware").attributes
    assert gate["runrecord.decision.outcome"] == "require_approval"
    assert gate["runrecord.subject.id"] == "call_1"
    assert "secret-reason" not in telemetry.exported_text()
    assert {span.status.status_code.name for span in telemetry.spans} == {"UNSET"}
    telemetry.check_counters()


def test_the_segments_are_one_run_in_one_trace(telemetry: Any, agents: Any, on: Any) -> None:
    call = agents.call("refund", "call_1", invoice="inv-1", amount=80.0)
    agent = asking(agents, "batched", [call], "done", saver=agents.saver())
    agent.invoke(agents.ask, agents.config())
    agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), agents.config())
    assert telemetry.tree() == snapshot(
        [
            "invoke_agent helper",
            "  agent_step plan",
            "  agent_step wait",
            "    policy_decision HumanInTheLoopMiddleware",
            "    request_approval refund",
            "  invoke_agent helper",
            "    approval_decision refund",
            "    agent_step route",
            "    agent_step act",
            "      execute_tool refund",
            "    agent_step plan",
            "    agent_step route",
        ]
    )
    first, second = telemetry.named("invoke_agent")
    assert first.attributes["runrecord.run.state"] == "suspended"
    assert "runrecord.run.outcome" not in first.attributes
    assert second.attributes["runrecord.run.segment"] == 1
    assert second.parent.is_remote
    assert [link.context.span_id for link in second.links] == [first.context.span_id]
    assert telemetry.one("approval_decision").attributes["runrecord.approval.actor.type"] == "service"
    assert [name for name, _ in telemetry.events] == snapshot(
        [
            "runrecord.policy.decided",
            "runrecord.approval.requested",
            "runrecord.source.closed",
            "runrecord.approval.decided",
            "runrecord.run.closed",
        ]
    )


def test_each_call_of_a_batch_has_a_request_of_its_own(telemetry: Any, agents: Any, on: Any) -> None:
    calls = [agents.call("refund", f"call_{n}", invoice="same", amount=1.0) for n in range(3)]
    agent = asking(agents, "batched", calls, "done", saver=agents.saver())
    agent.invoke(agents.ask, agents.config())
    decisions = [{"type": "approve"}, {"type": "reject"}, {"type": "approve"}]
    agent.invoke(Command(resume={"decisions": decisions}), agents.config())
    said = {
        s.attributes["runrecord.subject.id"]: s.attributes["runrecord.approval.status"]
        for s in telemetry.named("approval_decision")
    }
    assert said == {"call_0": "approved", "call_1": "denied", "call_2": "approved"}
    assert len({s.attributes["runrecord.approval.id"] for s in telemetry.named("request_approval")}) == 3
    telemetry.check_counters()


@pytest.mark.parametrize("interrupt_mode", ["per_call"])
def test_calls_answered_one_at_a_time(telemetry: Any, agents: Any, on: Any, interrupt_mode: str) -> None:
    calls = [agents.call("refund", f"call_{n}", invoice=f"inv-{n}", amount=1.0) for n in range(2)]
    agent = asking(agents, interrupt_mode, calls, "done", saver=agents.saver())
    result = agent.invoke(agents.ask, agents.config())
    first, second = result["__interrupt__"]
    result = agent.invoke(Command(resume={second.id: {"type": "approve"}}), agents.config())
    assert [item.id for item in result["__interrupt__"]] == [first.id]
    agent.invoke(Command(resume={first.id: {"type": "reject"}}), agents.config())
    assert len(telemetry.named("request_approval")) == 2
    said = {
        s.attributes["runrecord.subject.id"]: s.attributes["runrecord.approval.status"]
        for s in telemetry.named("approval_decision")
    }
    assert said == {second.value["tool_call_id"]: "approved", first.value["tool_call_id"]: "denied"}
    segments = [s.attributes["runrecord.run.segment"] for s in telemetry.named("invoke_agent")]
    assert segments == [0, 1, 2]
    assert len(telemetry.named("policy_decision")) == 2
    telemetry.check_counters()


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


@pytest.mark.breaks("subject-digest-differs")
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
    assert {span.status.status_code.name for span in telemetry.spans} == {"UNSET"}
    telemetry.check_counters()


def test_a_breakpoint_suspends_without_asking(telemetry: Any, agents: Any, on: Any) -> None:
    builder = StateGraph(State)
    builder.add_node("one", lambda state: {"answer": 1})
    builder.add_node("two", lambda state: {"answer": 2})
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    graph = builder.compile(checkpointer=agents.saver(), interrupt_before=["two"], name="w")
    graph.invoke({}, agents.config())
    assert graph.invoke(None, agents.config())["answer"] == 2
    runs = telemetry.named("invoke_workflow")
    assert [s.attributes["runrecord.run.segment"] for s in runs] == [0, 1]
    assert runs[0].attributes["runrecord.run.stop_reason"] == "interrupt_before"
    assert len({s.attributes["runrecord.run.id"] for s in runs}) == 1
    assert telemetry.named("request_approval") == []
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


@pytest.mark.parametrize("interrupt_mode", ["per_call"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_without_the_stored_context_the_ids_still_meet(
    telemetry: Any, agents: Any, instrument: Any, interrupt_mode: str, mode: str
) -> None:
    call = agents.call("refund", "call_1", invoice="inv-1", amount=80.0)
    instrumentor = instrument()
    saver = agents.saver()
    asking(agents, interrupt_mode, [call], "done", saver=saver).invoke(agents.ask, agents.config())
    instrumentor.uninstrument()
    instrument(recorder=telemetry.recorder(store=MemoryContextStore(), new_source=lambda: "f" * 16))
    agent = asking(agents, interrupt_mode, "done", saver=saver)
    run(agent, Command(resume={"type": "approve"}), agents.config(), mode)
    request, decided = telemetry.one("request_approval").attributes, telemetry.one("approval_decision")
    assert decided.attributes["runrecord.approval.id"] == request["runrecord.approval.id"]
    assert decided.attributes["runrecord.subject.id"] == "call_1"
    assert decided.links == ()
    ran = telemetry.one("execute_tool").attributes["runrecord.arguments.digest"]
    assert decided.attributes["runrecord.approval.subject.digest"] == ran
    assert telemetry.named("invoke_agent")[1].attributes["runrecord.run.segment"] == 1
    telemetry.check_counters()


@pytest.mark.parametrize("interrupt_mode", ["per_call"])
def test_an_answer_that_the_sdk_refuses_can_be_given_again(
    telemetry: Any, agents: Any, on: Any, interrupt_mode: str
) -> None:
    call = agents.call("refund", "call_1", invoice="inv-1", amount=80.0)
    agent = asking(agents, interrupt_mode, [call], "done", saver=agents.saver())
    agent.invoke(agents.ask, agents.config())
    with pytest.raises(ValueError, match="bogus"):
        agent.invoke(Command(resume={"type": "bogus"}), agents.config())
    agent.invoke(Command(resume={"type": "approve"}), agents.config())
    said = [s.attributes["runrecord.approval.status"] for s in telemetry.named("approval_decision")]
    assert said == ["cancelled", "approved"]
    assert len({s.attributes["runrecord.approval.id"] for s in telemetry.named("approval_decision")}) == 1
    last = telemetry.named("approval_decision")[-1]
    assert [link.context.span_id for link in last.links] == [
        telemetry.one("request_approval").context.span_id
    ]
    ran = telemetry.one("execute_tool").attributes
    assert ran["runrecord.arguments.digest"] == last.attributes["runrecord.approval.subject.digest"]
    assert ran["runrecord.run.id"] == last.attributes["runrecord.run.id"]
    telemetry.check_counters()


def process(directory: Path, *arguments: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    environment = {
        **os.environ,
        "RUNRECORD_STATE_DIR": str(directory / "state"),
        "RUNRECORD_KEY": "00" * 32,
    }
    environment.pop("PYTEST_CURRENT_TEST", None)
    script = Path(__file__).parent / "approval_process.py"
    command = [sys.executable, str(script), str(directory / "checkpoints.sqlite"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[:-1], lines[-1]


@pytest.mark.parametrize(
    ("answer", "interrupt_mode", "status"),
    [
        ("approve", "batched", "approved"),
        ("edit", "per_call", "modified"),
        ("reject", "batched", "denied"),
    ],
)
def test_the_answer_comes_in_another_process(
    tmp_path: Path, answer: str, interrupt_mode: str, status: str
) -> None:
    first, said = process(tmp_path, "start", interrupt_mode)
    assert said["waits"]
    second, said = process(tmp_path, answer, interrupt_mode)
    assert said == {"waits": False, "last": "done"}
    spans = [*first, *second]
    assert len({span["context"]["trace_id"] for span in spans}) == 1
    assert len({span["attributes"]["runrecord.run.id"] for span in spans}) == 1
    assert len({span["attributes"]["runrecord.source.id"] for span in spans}) == 2
    (request,) = [span for span in first if span["name"] == "request_approval refund"]
    (decided,) = [span for span in second if span["name"] == "approval_decision refund"]
    assert decided["attributes"]["runrecord.approval.status"] == status
    assert decided["links"][0]["context"]["span_id"] == request["context"]["span_id"]
    assert f"0x{decided['attributes']['runrecord.approval.request.span_id']}" == request["context"]["span_id"]
    (resumed,) = [span for span in second if span["name"] == "invoke_agent helper"]
    (root,) = [span for span in first if span["name"] == "invoke_agent helper"]
    assert resumed["parent_id"] == root["context"]["span_id"]
    assert (resumed["attributes"]["runrecord.run.segment"], root["attributes"]["runrecord.run.segment"]) == (
        1,
        0,
    )
    ran = [span for span in second if span["name"] == "execute_tool refund"]
    assert len(ran) == (status != "denied")
    assert not [span for span in first if span["name"] == "execute_tool refund"]
    for part, source in ((first, root), (second, resumed)):
        numbers = sorted(span["attributes"]["runrecord.record.seq"] for span in part)
        assert numbers == list(range(source["attributes"]["runrecord.run.records"]))
    assert "secret-reason" not in json.dumps(spans)
    stored = list((tmp_path / "state" / "contexts").iterdir())
    assert [oct(path.stat().st_mode & 0o777) for path in stored] == ["0o600"]
    assert "inv-1" not in stored[0].read_text()
