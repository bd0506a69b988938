# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals: what was asked, what was answered, and that it is about the call that then runs."""

import asyncio
from typing import Any

import pytest
from inline_snapshot import snapshot
from langchain_core.tools import tool
from langgraph.types import Command

pytestmark = pytest.mark.sdk


@tool
def refund(invoice: str, amount: float) -> str:
    """Pay an invoice back."""
    return f"paid {amount} for {invoice}"


@tool
def lookup(invoice: str) -> str:
    """Look an invoice up."""
    return f"invoice {invoice}"


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
            "runrecord.run.opened",
            "runrecord.policy.decided",
            "runrecord.approval.requested",
            "runrecord.source.closed",
            "runrecord.run.opened",
            "runrecord.approval.decided",
            "runrecord.tool.intent",
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


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("interrupt_mode", ["batched", "per_call"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_program_gets_the_same_with_and_without(  # noqa: PLR0917
    telemetry: Any, agents: Any, instrument: Any, answer: str, interrupt_mode: str, mode: str
) -> None:
    def program() -> list[Any]:
        call = agents.call("refund", "call_1", invoice="inv-1", amount=80.0)
        agent = asking(agents, interrupt_mode, [call], "done", saver=agents.saver())
        (asked,) = run(agent, agents.ask, agents.config(), mode)["__interrupt__"]
        decision = ANSWERS[answer][0]
        resume = {"decisions": [decision]} if interrupt_mode == "batched" else decision
        result = run(agent, Command(resume=resume), agents.config(), mode)
        return [asked.value, *((item.type, item.content) for item in result["messages"])]

    without = program()
    instrument()
    assert program() == without
    assert len(telemetry.named("invoke_agent")) == 2


def test_an_answer_that_cannot_be_read_cancels_and_fails_the_run(
    telemetry: Any, agents: Any, on: Any
) -> None:
    call = agents.call("refund", "call_1", invoice="inv-1", amount=80.0)
    agent = asking(agents, "batched", [call], "done", saver=agents.saver())
    agent.invoke(agents.ask, agents.config())
    with pytest.raises(ValueError, match="bogus"):
        agent.invoke(Command(resume={"decisions": [{"type": "bogus"}]}), agents.config())
    decided = telemetry.one("approval_decision").attributes
    assert decided["runrecord.approval.status"] == "cancelled"
    assert decided["runrecord.approval.reason_code"] == "unreadable_answer"
    assert telemetry.named("invoke_agent")[1].attributes["runrecord.run.outcome"] == "failure"
    assert telemetry.named("execute_tool") == []
    telemetry.check_counters()
