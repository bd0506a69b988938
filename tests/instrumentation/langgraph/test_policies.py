# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Policy decisions: what middleware lets through, stops, changes and asks about."""

import asyncio
from typing import Any

import pytest
from langchain.agents.middleware import (
    AgentMiddleware,
    PIIMiddleware,
    wrap_tool_call,
)
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool

pytestmark = pytest.mark.sdk


@tool
def pay(amount: float) -> str:
    """Pay."""
    return "paid"


class Budget(AgentMiddleware[Any, Any, Any]):
    policy_id = "budget"
    policy_version = "7"
    policy_rule = "under_100"
    policy_tools = ("pay",)

    def answer(self, request: Any) -> ToolMessage | None:
        if request.tool_call["args"].get("amount", 0) < 100:
            return None
        return ToolMessage("secret-reason", tool_call_id=request.tool_call["id"], status="error")

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return self.answer(request) or handler(request)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return self.answer(request) or await handler(request)


class Stricter(Budget):
    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return super().wrap_tool_call(request, handler)


@wrap_tool_call
def blocks(request: Any, handler: Any) -> Any:
    return ToolMessage("no", tool_call_id=request.tool_call["id"])


class Cache(AgentMiddleware[Any, Any, Any]):
    policy_id = None

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return ToolMessage("cached", tool_call_id=request.tool_call["id"])


class Refuses(AgentMiddleware[Any, Any, Any]):
    policy_id = "refuses"

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        raise PermissionError("secret-reason")


def decisions(telemetry: Any) -> list[dict[str, Any]]:
    return [
        {key.rpartition("runrecord.")[2]: value for key, value in span.attributes.items()}
        for span in telemetry.named("policy_decision")
    ]


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(("amount", "outcome"), [(10.0, "allow"), (500.0, "deny")])
@pytest.mark.parametrize("kind", [Budget, Stricter])
def test_a_declared_policy(  # noqa: PLR0917
    telemetry: Any, agents: Any, on: Any, mode: str, amount: float, outcome: str, kind: Any
) -> None:
    agent = agents.make([agents.call("pay", amount=amount)], "done", tools=[pay], middleware=[kind()])
    agent.invoke(agents.ask) if mode == "sync" else asyncio.run(agent.ainvoke(agents.ask))
    (decision,) = decisions(telemetry)
    assert decision["decision.outcome"] == outcome
    assert decision.get("decision.action") == ("block" if outcome == "deny" else None)
    assert (decision["policy.id"], decision["policy.version"], decision["policy.rule.id"]) == (
        "budget",
        "7",
        "under_100",
    )
    assert (decision["subject.type"], decision["subject.id"]) == ("tool_call", "call_1")
    ran = telemetry.named("execute_tool")
    assert len(ran) == (outcome == "allow")
    ended = telemetry.one("invoke_agent").attributes["runrecord.run.outcome"]
    assert ended == ("success" if outcome == "allow" else "denied")
    for call in ran:
        assert call.attributes["runrecord.arguments.digest"] == decision["subject.digest"]
    assert {span.status.status_code.name for span in telemetry.spans} == {"UNSET"}
    assert "secret" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_policy_says_nothing_of_tools_it_does_not_judge(telemetry: Any, agents: Any, on: Any) -> None:
    @tool
    def look() -> str:
        """Look."""
        return "seen"

    agents.make([agents.call("look")], "done", tools=[look], middleware=[Budget()]).invoke(agents.ask)
    assert decisions(telemetry) == []


def test_middleware_that_answers_for_the_tool_has_stopped_it(telemetry: Any, agents: Any, on: Any) -> None:
    agents.make([agents.call("pay", amount=1.0)], "done", tools=[pay], middleware=[blocks]).invoke(agents.ask)
    (decision,) = decisions(telemetry)
    assert (decision["policy.id"], decision["decision.outcome"], decision["decision.action"]) == (
        "blocks",
        "deny",
        "block",
    )
    assert decision["decision.reason_code"] == "answered_without_call"
    assert telemetry.named("execute_tool") == []


def test_middleware_that_says_it_is_no_policy_is_none(telemetry: Any, agents: Any, on: Any) -> None:
    agents.make([agents.call("pay", amount=1.0)], "done", tools=[pay], middleware=[Cache()]).invoke(
        agents.ask
    )
    assert decisions(telemetry) == []


def test_a_policy_that_raises_stops_the_run(telemetry: Any, agents: Any, on: Any) -> None:
    agent = agents.make([agents.call("pay", amount=1.0)], "done", tools=[pay], middleware=[Refuses()])
    with pytest.raises(PermissionError):
        agent.invoke(agents.ask)
    (decision,) = decisions(telemetry)
    assert (decision["decision.outcome"], decision["decision.action"]) == ("deny", "terminate")
    assert "secret" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("feature", ["when"])
@pytest.mark.parametrize("interrupt_mode", ["batched", "per_call"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_needs_no_person_is_allowed_and_asked_once(  # noqa: PLR0917
    telemetry: Any, agents: Any, on: Any, feature: str, interrupt_mode: str, mode: str
) -> None:
    asked: list[float] = []

    def above(request: Any) -> bool:
        asked.append(request.tool_call["args"]["amount"])
        return bool(asked[-1] > 50)

    config = {"allowed_decisions": ["approve"], "when": above}
    review = agents.review({"pay": config}, interrupt_mode)
    agent = agents.make([agents.call("pay", amount=10.0)], "done", tools=[pay], middleware=[review])
    agent.invoke(agents.ask) if mode == "sync" else asyncio.run(agent.ainvoke(agents.ask))
    (decision,) = decisions(telemetry)
    assert (decision["decision.outcome"], decision["policy.rule.id"]) == ("allow", "interrupt_on.pay")
    assert asked == [10.0]
    telemetry.check_counters()


@pytest.mark.parametrize(("feature", "interrupt_mode"), [("when", "batched")])
def test_of_a_batch_some_need_a_person(
    telemetry: Any, agents: Any, on: Any, feature: str, interrupt_mode: str
) -> None:
    config = {
        "allowed_decisions": ["approve"],
        "when": lambda request: request.tool_call["args"]["amount"] > 50,
    }
    agent = agents.make(
        [agents.call("pay", "call_1", amount=10.0), agents.call("pay", "call_2", amount=90.0)],
        "done",
        tools=[pay],
        middleware=[agents.review({"pay": config}, interrupt_mode)],
        checkpointer=agents.saver(),
    )
    agent.invoke(agents.ask, agents.config())
    said = {item["subject.id"]: item["decision.outcome"] for item in decisions(telemetry)}
    assert said == {"call_1": "allow", "call_2": "require_approval"}
    assert telemetry.one("request_approval").attributes["runrecord.subject.id"] == "call_2"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_personal_data_is_redacted_on_record(telemetry: Any, agents: Any, on: Any, mode: str) -> None:
    agent = agents.make("done", tools=[], middleware=[PIIMiddleware("email", strategy="redact")])
    given = {"messages": [("user", "I am ann@example.org")]}
    agent.invoke(given) if mode == "sync" else asyncio.run(agent.ainvoke(given))
    (decision,) = decisions(telemetry)
    assert (decision["decision.outcome"], decision["decision.action"]) == ("allow", "redact")
    assert (decision["policy.rule.id"], decision["subject.type"]) == ("email", "model_input")
    assert "ann@" not in telemetry.exported_text()


def test_personal_data_that_stops_the_run(telemetry: Any, agents: Any, on: Any) -> None:
    agent = agents.make("done", tools=[], middleware=[PIIMiddleware("email", strategy="block")])
    with pytest.raises(Exception, match="email"):
        agent.invoke({"messages": [("user", "I am ann@example.org")]})
    (decision,) = decisions(telemetry)
    assert (decision["decision.outcome"], decision["decision.action"]) == ("deny", "block")
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "denied"
    assert "ann@" not in telemetry.exported_text()


def test_clean_text_is_no_decision(telemetry: Any, agents: Any, on: Any) -> None:
    agents.make("done", tools=[], middleware=[PIIMiddleware("email")]).invoke(agents.ask)
    assert decisions(telemetry) == []


def test_classes_made_before_and_after_are_put_back(telemetry: Any, agents: Any, instrument: Any) -> None:
    before = Budget.__dict__["wrap_tool_call"]
    instrumentor = instrument()
    assert Budget.__dict__["wrap_tool_call"] is not before
    instrumentor.uninstrument()
    assert Budget.__dict__["wrap_tool_call"] is before
    agents.make([agents.call("pay", amount=500.0)], "done", tools=[pay], middleware=[Budget()]).invoke(
        agents.ask
    )
    assert telemetry.spans == []
