# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Answers that hold for the rest of the run, answers to changed calls, and calls that are looked at more than once."""

import asyncio
import json
from typing import Any

import pytest
from agents import (
    Agent,
    ModelBehaviorError,
    RunConfig,
    Runner,
    RunState,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    function_tool,
)
from agents.run_config import ToolExecutionConfig
from agents.testing import ScriptedModel, assistant_message, function_call

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

DONE = [assistant_message("Done.")]


def call(amount: float, call_id: str) -> Any:
    return function_call("refund", json.dumps({"amount": float(amount)}), call_id=call_id)


@function_tool(needs_approval=True)
def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


@function_tool(needs_approval=True)
def close_account(account: str) -> str:
    """Close."""
    return "closed"


CLOSE = function_call("close_account", '{"account": "a"}', call_id="other")


def agent(*steps: Any, tools: Any = (refund, close_account)) -> Agent[Any]:
    return Agent(name="refund-agent", model=ScriptedModel(steps), tools=list(tools))


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def of_call(telemetry: Any, call_id: str) -> list[list[Any]]:
    """What was decided about one call."""
    names = ("decision.outcome", "decision.action", "decision.reason_code")
    spans = [s for s in telemetry.named("policy_decision") if facts(s, "subject.id") == [call_id]]
    return [facts(span, *names) for span in spans]


@pytest.mark.parametrize("approve", [True, False])
def test_an_answer_for_always_decides_later_calls(telemetry: Any, approve: bool) -> None:
    program = agent([call(80, "c1")], [call(90, "c2")], [call(91, "c3")], DONE)
    first = Runner.run_sync(program, "hi")
    state = first.to_state()
    if approve:
        state.approve(first.interruptions[0], always_approve=True)
    else:
        state.reject(first.interruptions[0], always_reject=True)
    assert Runner.run_sync(program, state).final_output == "Done."
    said = ["allow", "none", "always_approved"] if approve else ["deny", "block", "always_rejected"]
    assert of_call(telemetry, "c1") == [["require_approval", None, None]]
    assert of_call(telemetry, "c2") == of_call(telemetry, "c3") == [said]
    assert telemetry.one("request_approval")
    assert facts(telemetry.one("approval_decision"), "approval.scope") == ["session"]
    assert len(telemetry.named("execute_tool")) == (3 if approve else 0)
    run = max(telemetry.named("invoke_agent"), key=lambda span: span.start_time)
    assert facts(run, "run.outcome") == ["success" if approve else "denied"]
    telemetry.check_counters()


def test_a_call_that_a_standing_answer_let_run_is_not_decided_again_in_the_next_segment(
    telemetry: Any,
) -> None:
    program = agent([call(80, "c1")], [call(90, "c2"), CLOSE], DONE)
    first = Runner.run_sync(program, "hi")
    state = first.to_state()
    state.approve(first.interruptions[0], always_approve=True)
    second = Runner.run_sync(program, state)
    state = asyncio.get_event_loop().run_until_complete(
        RunState.from_json(program, json.loads(json.dumps(second.to_state().to_json())))
    )
    state.reject(state.get_interruptions()[0])
    assert Runner.run_sync(program, state).final_output == "Done."
    assert of_call(telemetry, "c2") == [["allow", "none", "always_approved"]]
    assert of_call(telemetry, "other") == [["require_approval", None, None]]
    assert len(telemetry.named("request_approval")) == len(telemetry.named("approval_decision")) == 2
    telemetry.check_counters()


def test_an_answer_once_says_nothing_of_the_next_call(telemetry: Any) -> None:
    program = agent([call(80, "c1")], [call(90, "c2")], DONE)
    first = Runner.run_sync(program, "hi")
    state = first.to_state()
    state.approve(first.interruptions[0])
    second = Runner.run_sync(program, state)
    assert [item.call_id for item in second.interruptions] == ["c2"]
    assert len(telemetry.named("request_approval")) == 2
    assert [facts(span, "approval.scope") for span in telemetry.named("approval_decision")] == [["once"]]
    telemetry.check_counters()


@pytest.mark.parametrize("where", ["object", "state"])
def test_the_sdk_lets_nobody_approve_other_arguments(telemetry: Any, where: str) -> None:
    program = agent([call(80, "c1")], DONE)
    first = Runner.run_sync(program, "hi")
    state = first.to_state()
    item = state.get_interruptions()[0]
    if where == "object":
        item.raw_item.arguments = '{"amount": 5.0}'  # type: ignore[union-attr]
    else:
        text = json.dumps(state.to_json())
        edited = text.replace('{\\"amount\\": 80.0}', '{\\"amount\\": 5.0}')
        assert edited != text
        state = asyncio.get_event_loop().run_until_complete(RunState.from_json(program, json.loads(edited)))
        item = state.get_interruptions()[0]
    with pytest.raises(ModelBehaviorError):
        state.approve(item)
    assert not telemetry.named("approval_decision")
    assert not telemetry.named("execute_tool")


def test_the_last_of_several_answers_is_the_one_that_holds(telemetry: Any) -> None:
    program = agent([call(80, "c1")], DONE)
    first = Runner.run_sync(program, "hi")
    state = first.to_state()
    for _ in range(2):
        state.approve(first.interruptions[0])
    state.reject(first.interruptions[0])
    assert Runner.run_sync(program, state).final_output == "Done."
    assert facts(telemetry.one("approval_decision"), "approval.status") == ["denied"]
    assert not telemetry.named("execute_tool")
    telemetry.check_counters()


def test_a_state_that_is_run_twice_has_one_decision(telemetry: Any) -> None:
    async def main() -> None:
        saved = json.loads(json.dumps((await Runner.run(program, "hi")).to_state().to_json()))
        for _ in range(2):
            state = await RunState.from_json(program, saved)
            state.approve(state.get_interruptions()[0])
            assert (await Runner.run(program, state)).final_output == "Done."

    program = agent([call(80, "c1")], DONE, DONE)
    asyncio.run(main())
    assert telemetry.one("request_approval")
    assert telemetry.one("approval_decision")
    assert len(telemetry.named("execute_tool")) == 2  # it did run twice
    digests = {*(facts(span, "arguments.digest")[0] for span in telemetry.named("execute_tool"))}
    assert digests == {*facts(telemetry.one("request_approval"), "approval.subject.digest")}


@pytest.mark.parametrize("approve", [True, False])
def test_a_guardrail_that_looks_before_and_after_the_person_decides_each_time(
    telemetry: Any, approve: bool
) -> None:
    seen: list[str] = []

    def allow(data: Any) -> ToolGuardrailFunctionOutput:
        seen.append(data.context.tool_call_id)
        return ToolGuardrailFunctionOutput.allow()

    tool = function_tool(
        lambda amount: "paid",
        name_override="refund",
        description_override="Pay back.",
        strict_mode=False,
        needs_approval=True,
        tool_input_guardrails=[ToolInputGuardrail(allow, name="limit")],
    )
    program = agent([call(80, "c1")], DONE, tools=[tool])
    config = RunConfig(tool_execution=ToolExecutionConfig(pre_approval_tool_input_guardrails=True))
    first = Runner.run_sync(program, "hi", run_config=config)
    state = first.to_state()
    decide = state.approve if approve else state.reject
    decide(first.interruptions[0])
    assert Runner.run_sync(program, state, run_config=config).final_output == "Done."
    assert seen == ["c1", "c1"] if approve else ["c1"]
    assert len(telemetry.named("policy_decision limit")) == len(seen)
    assert telemetry.one("policy_decision needs_approval")
    assert telemetry.one("request_approval")
    assert telemetry.one("approval_decision")
    telemetry.check_counters()


def test_a_call_that_a_guardrail_rejects_first_is_not_asked_about(telemetry: Any) -> None:
    tool = function_tool(
        lambda amount: "paid",
        name_override="refund",
        description_override="Pay back.",
        strict_mode=False,
        needs_approval=True,
        tool_input_guardrails=[
            ToolInputGuardrail(lambda _: ToolGuardrailFunctionOutput.reject_content("no"), name="limit")
        ],
    )
    config = RunConfig(tool_execution=ToolExecutionConfig(pre_approval_tool_input_guardrails=True))
    result = Runner.run_sync(agent([call(80, "c1")], DONE, tools=[tool]), "hi", run_config=config)
    assert result.final_output == "Done."
    assert of_call(telemetry, "c1") == [["deny", "block", "reject_content"]]
    assert not telemetry.named("request_approval")
    telemetry.check_counters()
