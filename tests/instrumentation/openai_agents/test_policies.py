# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Guardrails of the four kinds are policy decisions; a denial is not an error."""

import asyncio
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    InputGuardrailTripwireTriggered,
    OutputGuardrail,
    OutputGuardrailTripwireTriggered,
    Runner,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrail,
    function_tool,
)
from agents.testing import ScriptedModel, assistant_message, function_call
from opentelemetry import trace as otel

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

CALL = [function_call("refund", '{"amount": 80}', call_id="call_1")]
DONE = [assistant_message("Done.")]


def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


def outcome(span: Any) -> list[Any]:
    names = (
        "policy.id",
        "policy.engine",
        "subject.type",
        "decision.outcome",
        "decision.action",
        "decision.reason_code",
    )
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def ended(telemetry: Any) -> list[Any]:
    span = telemetry.one("invoke_agent")
    assert span.status.status_code is otel.StatusCode.UNSET
    telemetry.check_counters()
    return [span.attributes.get(f"runrecord.run.{name}") for name in ("outcome", "stop_reason")]


async def run(agent: Any, streamed: bool) -> None:
    if not streamed:
        await Runner.run(agent, "hi")
        return
    async for _ in Runner.run_streamed(agent, "hi").stream_events():
        pass


def trips(trip: bool, *, asynchronous: bool = False) -> Any:
    def check(*args: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info={"planted": "secret-1"}, tripwire_triggered=trip)

    async def check_later(*args: Any) -> GuardrailFunctionOutput:
        return check()

    return check_later if asynchronous else check


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
def test_an_input_guardrail_that_trips(telemetry: Any, parallel: bool, streamed: bool) -> None:
    guardrail = InputGuardrail(trips(True, asynchronous=True), name="off_topic", run_in_parallel=parallel)
    agent = Agent(name="a", model=ScriptedModel([DONE]), input_guardrails=[guardrail])

    async def main() -> None:
        with pytest.raises(InputGuardrailTripwireTriggered):
            await run(agent, streamed)

    asyncio.run(main())
    assert outcome(telemetry.one("policy_decision")) == [
        "off_topic",
        "guardrail",
        "model_input",
        "deny",
        "terminate",
        "tripwire",
    ]
    assert ended(telemetry) == ["denied", "input_guardrail"]


@pytest.mark.parametrize("streamed", [True, False])
def test_an_output_guardrail_that_trips(telemetry: Any, streamed: bool) -> None:
    guardrail = OutputGuardrail(trips(True), name="tone")
    agent = Agent(name="a", model=ScriptedModel([DONE]), output_guardrails=[guardrail])

    async def main() -> None:
        with pytest.raises(OutputGuardrailTripwireTriggered):
            await run(agent, streamed)

    asyncio.run(main())
    assert outcome(telemetry.one("policy_decision"))[2:5] == ["model_output", "deny", "terminate"]
    assert ended(telemetry) == ["denied", "output_guardrail"]


def test_guardrails_that_allow(telemetry: Any) -> None:
    def allow(data: Any) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.allow(output_info="secret-1")

    allow.policy_id, allow.policy_version, allow.policy_rule = "refunds", "14", "any"  # type: ignore[attr-defined]
    tool = function_tool(
        refund,
        tool_input_guardrails=[ToolInputGuardrail(allow)],
        tool_output_guardrails=[ToolOutputGuardrail(allow)],
    )
    agent = Agent(
        name="a",
        model=ScriptedModel([CALL, DONE]),
        tools=[tool],
        input_guardrails=[InputGuardrail(trips(False), name="in")],
        output_guardrails=[OutputGuardrail(trips(False), name="out")],
    )
    assert Runner.run_sync(agent, "hi").final_output == "Done."
    spans = telemetry.named("policy_decision")
    assert {span.attributes["runrecord.policy.id"] for span in spans} == {"in", "out", "refunds"}
    assert {(outcome(span)[3], outcome(span)[4]) for span in spans} == {("allow", "none")}
    of_call = [span for span in spans if span.attributes["runrecord.subject.type"] == "tool_call"]
    assert [span.attributes["runrecord.subject.id"] for span in of_call] == ["call_1", "call_1"]
    assert {span.attributes["runrecord.policy.version"] for span in of_call} == {"14"}
    assert all("runrecord.subject.digest" in span.attributes for span in spans)
    assert [name for name, _ in telemetry.events].count("runrecord.policy.decided") == 4
    assert ended(telemetry) == ["success", None]


def test_a_call_that_a_tool_guardrail_rejects_does_not_run(telemetry: Any) -> None:
    def reject(data: Any) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.reject_content("no secret-1")

    tool = function_tool(refund, tool_input_guardrails=[ToolInputGuardrail(reject, name="chargeback")])
    agent = Agent(name="a", model=ScriptedModel([CALL, DONE]), tools=[tool])
    assert Runner.run_sync(agent, "hi").final_output == "Done."
    assert outcome(telemetry.one("policy_decision"))[3:] == ["deny", "block", "reject_content"]
    assert not telemetry.named("execute_tool")
    assert ended(telemetry) == ["denied", None]


def test_a_result_that_a_tool_guardrail_rejects_is_replaced(telemetry: Any) -> None:
    def reject(data: Any) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.reject_content("hidden")

    tool = function_tool(refund, tool_output_guardrails=[ToolOutputGuardrail(reject, name="leak")])
    Runner.run_sync(Agent(name="a", model=ScriptedModel([CALL, DONE]), tools=[tool]), "hi")
    assert outcome(telemetry.one("policy_decision"))[3:] == ["deny", "modify", "reject_content"]
    assert telemetry.one("execute_tool refund")
    assert ended(telemetry) == ["success", None]


def test_a_tool_guardrail_that_ends_the_run(telemetry: Any) -> None:
    def stop(data: Any) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.raise_exception()

    tool = function_tool(refund, tool_input_guardrails=[ToolInputGuardrail(stop, name="chargeback")])
    with pytest.raises(ToolInputGuardrailTripwireTriggered):
        Runner.run_sync(Agent(name="a", model=ScriptedModel([CALL, DONE]), tools=[tool]), "hi")
    assert outcome(telemetry.one("policy_decision"))[3:] == ["deny", "terminate", "raise_exception"]
    assert ended(telemetry) == ["denied", "tool_input_guardrail"]


def test_a_guardrail_that_raises_is_an_error_of_the_policy(telemetry: Any) -> None:
    def broken(data: Any) -> ToolGuardrailFunctionOutput:
        raise LookupError("secret-1")

    tool = function_tool(refund, tool_input_guardrails=[ToolInputGuardrail(broken)])
    with pytest.raises(Exception, match="secret-1"):
        Runner.run_sync(Agent(name="a", model=ScriptedModel([CALL, DONE]), tools=[tool]), "hi")
    span = telemetry.one("policy_decision broken")
    assert span.status.status_code is otel.StatusCode.ERROR
    assert span.attributes["error.type"] == "LookupError"
    assert "runrecord.decision.outcome" not in span.attributes
    assert "secret-1" not in telemetry.exported_text()


def test_an_agent_that_a_guardrail_asks_is_below_the_decision(telemetry: Any) -> None:
    async def ask(*args: Any) -> GuardrailFunctionOutput:
        judge = Agent(name="judge", model=ScriptedModel([DONE]))
        await Runner.run(judge, "is it fine?")
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    agent = Agent(
        name="a",
        model=ScriptedModel([DONE]),
        input_guardrails=[InputGuardrail(ask, name="judged", run_in_parallel=False)],
    )
    Runner.run_sync(agent, "hi")
    assert telemetry.tree() == [
        "invoke_agent a",
        "  agent_step act",
        "    policy_decision judged",
        "      invoke_agent judge",
        "        agent_step act",
    ]
    telemetry.check_counters()
