# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Limits of calls: what they counted, and the denial where they were reached."""

import asyncio
from typing import Any

import pytest
from langchain.agents.middleware import ModelCallLimitMiddleware, ToolCallLimitMiddleware
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain_core.tools import tool

pytestmark = pytest.mark.sdk


@tool
def pay(amount: float) -> str:
    """Pay."""
    return "paid"


def facts(span: Any) -> dict[str, Any]:
    return {
        key.removeprefix("runrecord.budget."): value
        for key, value in span.attributes.items()
        if key.startswith("runrecord.budget.")
    }


def run(agent: Any, given: Any, mode: str, error: str | None = None) -> None:
    def start() -> None:
        agent.invoke(given) if mode == "sync" else asyncio.run(agent.ainvoke(given))

    if error is None:
        start()
    else:
        with pytest.raises(Exception, match=error):
            start()


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("exit_behavior", ["end", "error", "continue"])
def test_the_limit_of_tool_calls(telemetry: Any, agents: Any, on: Any, exit_behavior: Any, mode: str) -> None:
    limit = ToolCallLimitMiddleware(tool_name="pay", run_limit=1, exit_behavior=exit_behavior)
    turns = [[agents.call("pay", f"call_{n}", amount=1.0)] for n in range(2)]
    agent = agents.make(*turns, "done", tools=[pay], middleware=[limit])
    run(agent, agents.ask, mode, "limit" if exit_behavior == "error" else None)
    ends = exit_behavior != "continue"
    decision, span = telemetry.one("policy_decision"), telemetry.one("invoke_agent")
    assert decision.attributes["runrecord.decision.outcome"] == "deny"
    assert decision.attributes["runrecord.decision.action"] == ("terminate" if ends else "block")
    assert decision.attributes["runrecord.subject.name"] == "pay"
    assert span.attributes["runrecord.run.outcome"] == ("budget_exceeded" if ends else "success")
    expected = {
        "id": "ToolCallLimitMiddleware[pay].run",
        "dimension": "tool_calls",
        "limit": 1.0,
        "consumed": 2.0,
        "exceeded": True,
        "action": "stop" if ends else "warn",
    }
    assert facts(decision) == facts(span) == expected
    assert len(telemetry.named("execute_tool")) == 1
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("exit_behavior", ["end", "error"])
def test_the_limit_of_model_calls(
    telemetry: Any, agents: Any, on: Any, exit_behavior: Any, mode: str
) -> None:
    limit = ModelCallLimitMiddleware(run_limit=1, exit_behavior=exit_behavior)
    agent = agents.make([agents.call("pay", amount=1.0)], "done", tools=[pay], middleware=[limit])
    run(agent, agents.ask, mode, "limit" if exit_behavior == "error" else None)
    decision, span = telemetry.one("policy_decision"), telemetry.one("invoke_agent")
    assert decision.attributes["runrecord.decision.reason_code"] == "model_call_limit"
    assert span.attributes["runrecord.run.outcome"] == "budget_exceeded"
    assert span.attributes["runrecord.run.stop_reason"] == "model_call_limit"
    expected = {
        "id": "ModelCallLimitMiddleware.run",
        "dimension": "model_calls",
        "limit": 1.0,
        "consumed": 1.0,
        "exceeded": True,
        "action": "stop",
    }
    assert facts(decision) == facts(span) == expected
    telemetry.check_counters()


@pytest.mark.parametrize(
    ("limit", "dimension", "consumed"),
    [
        (ToolCallLimitMiddleware(run_limit=5), "tool_calls", 1.0),
        (ModelCallLimitMiddleware(thread_limit=5), "model_calls", 2.0),
    ],
)
def test_what_is_left_is_said_and_nothing_is_decided(  # noqa: PLR0917
    telemetry: Any, agents: Any, on: Any, limit: Any, dimension: str, consumed: float
) -> None:
    agent = agents.make([agents.call("pay", amount=1.0)], "done", tools=[pay], middleware=[limit])
    agent.invoke(agents.ask)
    said = facts(telemetry.one("invoke_agent"))
    assert (said["dimension"], said["limit"], said["consumed"]) == (dimension, 5.0, consumed)
    assert (said["exceeded"], said["action"]) == (False, "none")
    assert telemetry.named("policy_decision") == []
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"


def test_of_two_limits_the_one_that_was_reached_is_shown(telemetry: Any, agents: Any, on: Any) -> None:
    limit = ToolCallLimitMiddleware(run_limit=1, thread_limit=9, exit_behavior="end")
    turns = [[agents.call("pay", f"call_{n}", amount=1.0)] for n in range(2)]
    agents.make(*turns, "done", tools=[pay], middleware=[limit]).invoke(agents.ask)
    for span in (telemetry.one("invoke_agent"), telemetry.one("policy_decision")):
        assert (facts(span)["id"], facts(span)["limit"]) == ("ToolCallLimitMiddleware.run", 1.0)


@pytest.mark.parametrize("exit_behavior", ["end", "error"])
def test_a_limit_that_ends_a_sub_agent_does_not_end_the_run(
    telemetry: Any, agents: Any, on: Any, exit_behavior: Any
) -> None:
    limit = ModelCallLimitMiddleware(run_limit=1, exit_behavior=exit_behavior)
    inner = agents.make([agents.call("pay", amount=1.0)], tools=[pay], middleware=[limit], name="inner")

    @tool
    def ask_inner() -> str:
        """Ask another agent."""
        try:
            return str(inner.invoke(agents.ask)["messages"][-1].content)
        except ModelCallLimitExceededError:
            return "no answer"

    agents.make([agents.call("ask_inner", "call_2")], "done", tools=[ask_inner]).invoke(agents.ask)
    span, decision = telemetry.one("invoke_agent"), telemetry.one("policy_decision")
    assert (facts(span)["exceeded"], facts(span)["action"]) == (True, "warn")
    assert (decision.attributes["runrecord.decision.action"], facts(decision)["action"]) == ("block", "warn")
    assert span.attributes["runrecord.run.outcome"] == "success"
    telemetry.check_counters()
