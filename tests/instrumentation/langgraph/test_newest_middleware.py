# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Middleware that LangChain has grown since our lower bound: refusals of the model, and the model that judges tool calls."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("langchain_core.decisions")

from langchain.agents.middleware import AutoModeMiddleware, ModelFallbackMiddleware, ModelRefusalMiddleware
from langchain_core.decisions import BaseDecisionModel, ClassifierResponse
from langchain_core.exceptions import ModelRefusalError
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

pytestmark = [pytest.mark.sdk, pytest.mark.filterwarnings("ignore:.* is in beta")]


@tool
def pay(amount: float) -> str:
    """Pay."""
    return "paid"


@tool
def look() -> str:
    """Look."""
    return "seen"


class Judge(BaseDecisionModel):
    """Finds a call risky from 100 on, and can't tell from 1000 on."""

    model: str = "judge"

    @property
    def _provider(self) -> str:
        return "test"

    def _classify(self, state: Any, questions: Any) -> ClassifierResponse:
        amount = state["tool_call"]["args"]["amount"]
        if amount >= 1000:
            raise ConnectionError("secret-reason")
        return ClassifierResponse.model_validate(
            {"model": self.model, "answers": {"is_risky": {"type": "noul", "noul": amount / 200}}}
        )


def run(agent: Any, given: Any, mode: str) -> Any:
    return agent.invoke(given) if mode == "sync" else asyncio.run(agent.ainvoke(given))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(("amount", "outcome"), [(10.0, "allow"), (150.0, "deny")])
def test_auto_mode_judges_the_tools_it_is_told(  # noqa: PLR0917
    telemetry: Any, agents: Any, on: Any, mode: str, amount: float, outcome: str
) -> None:
    auto = AutoModeMiddleware(tools=[pay], classifier=Judge())
    calls = [agents.call("pay", "call_1", amount=amount), agents.call("look", "call_2")]
    agent = agents.make(calls, "done", tools=[pay, look], middleware=[auto])
    run(agent, agents.ask, mode)
    decision = telemetry.one("policy_decision AutoModeMiddleware").attributes
    assert decision["runrecord.decision.outcome"] == outcome
    assert decision.get("runrecord.decision.reason_code") == (
        "classified_risky" if outcome == "deny" else None
    )
    assert (decision["runrecord.policy.rule.id"], decision["runrecord.policy.engine"]) == ("is_risky", "sdk")
    assert decision["runrecord.subject.id"] == "call_1"
    ran = {span.attributes["gen_ai.tool.call.id"]: span for span in telemetry.named("execute_tool")}
    assert set(ran) == ({"call_1", "call_2"} if outcome == "allow" else {"call_2"})
    if outcome == "allow":
        digest = ran["call_1"].attributes["runrecord.arguments.digest"]
        assert decision["runrecord.subject.digest"] == digest
    telemetry.check_counters()


def test_auto_mode_that_cannot_tell_stops_the_run(telemetry: Any, agents: Any, on: Any) -> None:
    auto = AutoModeMiddleware(tools=["pay"], classifier=Judge())
    agent = agents.make([agents.call("pay", amount=5000.0)], "done", tools=[pay], middleware=[auto])
    with pytest.raises(ConnectionError):
        agent.invoke(agents.ask)
    decision = telemetry.one("policy_decision AutoModeMiddleware").attributes
    assert (decision["runrecord.decision.outcome"], decision["runrecord.decision.action"]) == (
        "deny",
        "terminate",
    )
    assert telemetry.named("execute_tool") == []
    assert "secret" not in telemetry.exported_text()
    telemetry.check_counters()


def refusing(agents: Any) -> Any:
    model = agents.model()
    model.messages = iter([AIMessage([{"type": "refusal", "refusal": "secret-refusal"}])])
    return model


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_refusal_of_the_model_ends_the_run_as_denied(
    telemetry: Any, agents: Any, on: Any, mode: str
) -> None:
    agent = agents.make(model=refusing(agents), tools=[], middleware=[ModelRefusalMiddleware()])
    with pytest.raises(ModelRefusalError):
        run(agent, agents.ask, mode)
    decision = telemetry.one("policy_decision ModelRefusalMiddleware").attributes
    assert (decision["runrecord.decision.outcome"], decision["runrecord.decision.reason_code"]) == (
        "deny",
        "model_refusal",
    )
    assert decision["runrecord.subject.type"] == "model_output"
    ended = telemetry.one("invoke_agent").attributes
    assert (ended["runrecord.run.outcome"], ended["runrecord.run.stop_reason"]) == ("denied", "model_refusal")
    assert "secret" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_after_a_refusal_another_model_may_answer(telemetry: Any, agents: Any, on: Any, mode: str) -> None:
    layers = [ModelFallbackMiddleware(agents.model("done")), ModelRefusalMiddleware()]
    agent = agents.make(model=refusing(agents), tools=[], middleware=layers)
    assert run(agent, agents.ask, mode)["messages"][-1].content == "done"
    decision = telemetry.one("policy_decision ModelRefusalMiddleware").attributes
    assert decision["runrecord.decision.action"] == "block"
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"
    telemetry.check_counters()


def test_without_a_refusal_nothing_is_decided(telemetry: Any, agents: Any, on: Any) -> None:
    agents.make("done", tools=[], middleware=[ModelRefusalMiddleware()]).invoke(agents.ask)
    assert telemetry.named("policy_decision") == []
