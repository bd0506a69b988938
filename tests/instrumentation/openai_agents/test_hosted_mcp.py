# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Calls of a hosted MCP server, which OpenAI runs once the program agrees: asked by callback, or of a person."""

import asyncio
import json
from typing import Any

import pytest
from agents import Agent, HostedMCPTool, Runner, RunState
from agents.testing import ModelStep, ScriptedModel, assistant_message
from openai.types.responses import Response, ResponseCompletedEvent
from openai.types.responses.response_output_item import McpApprovalRequest, McpCall

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

DONE = assistant_message("Done.")


def asked(request_id: str = "mcpr_1", amount: int = 80) -> McpApprovalRequest:
    arguments = json.dumps({"amount": amount})
    return McpApprovalRequest(
        id=request_id, arguments=arguments, name="refund", server_label="crm", type="mcp_approval_request"
    )


def called(request_id: str = "mcpr_1") -> McpCall:
    return McpCall(
        id=f"call_of_{request_id}",
        arguments='{"amount": 80}',
        name="refund",
        server_label="crm",
        type="mcp_call",
        approval_request_id=request_id,
        output="planted-1",
        status="completed",
    )


def step(*output: Any) -> Any:
    """A model step that can be streamed; the SDK's model makes no stream events for hosted calls itself."""
    response = Response(
        id="resp-789",
        created_at=0,
        model="scripted",
        object="response",
        output=list(output),
        parallel_tool_calls=False,
        tool_choice="auto",
        tools=[],
    )
    event = ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)
    return ModelStep.stream([event], output=output)


def agent(*steps: Any, callback: Any = None) -> Agent[Any]:
    config: Any = {
        "type": "mcp",
        "server_label": "crm",
        "server_url": "https://crm.example.org",
        "require_approval": "always",
    }
    tool = HostedMCPTool(tool_config=config, on_approval_request=callback)
    return Agent(name="refund-agent", model=ScriptedModel([step(*output) for output in steps]), tools=[tool])


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("approve", [True, False])
def test_a_callback_answers_at_once(telemetry: Any, approve: bool, asynchronous: bool) -> None:
    def answer(request: Any) -> Any:
        return {"approve": approve, "reason": "planted-2"}

    async def answer_later(request: Any) -> Any:
        return answer(request)

    after = [called(), DONE] if approve else [DONE]
    program = agent([asked()], after, callback=answer_later if asynchronous else answer)
    assert Runner.run_sync(program, "hi").final_output == "Done."
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    policy_decision require_approval",
        "    request_approval refund",
        "    approval_decision refund",
        "  agent_step act",
    ]
    policy, request, decision = (
        telemetry.one(name) for name in ("policy_decision", "request_approval", "approval_decision")
    )
    assert facts(policy, "decision.outcome", "subject.id") == ["require_approval", "mcpr_1"]
    assert facts(decision, "approval.status", "approval.actor.type", "approval.scope") == [
        "approved" if approve else "denied",
        "policy",
        "once",
    ]
    digests = {*facts(policy, "subject.digest"), *facts(request, "approval.subject.digest")}
    assert digests == {*facts(decision, "approval.subject.digest")}
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["success" if approve else "denied"]
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("approve", [True, False])
def test_a_person_answers_in_a_later_segment(telemetry: Any, approve: bool, streamed: bool) -> None:
    async def run(given: Any) -> Any:
        if not streamed:
            return await Runner.run(program, given)
        result = Runner.run_streamed(program, given)
        async for _ in result.stream_events():
            pass
        return result

    async def main() -> None:
        first = await run("hi")
        saved = json.loads(json.dumps(first.to_state().to_json()))
        state = await RunState.from_json(program, saved)
        decide = state.approve if approve else state.reject
        decide(state.get_interruptions()[0])
        assert (await run(state)).final_output == "Done."

    program = agent([asked()], [called(), DONE] if approve else [DONE])
    asyncio.run(main())
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    policy_decision require_approval",
        "    request_approval refund",
        "  invoke_agent refund-agent",
        "    agent_step act",
        "      approval_decision refund",
        "    agent_step act",
    ]
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert decision.links[0].context.span_id == request.context.span_id
    assert facts(decision, "approval.status", "approval.actor.type") == [
        "approved" if approve else "denied",
        "human",
    ]
    assert facts(decision, "approval.id", "approval.subject.digest") == facts(
        request, "approval.id", "approval.subject.digest"
    )
    telemetry.check_counters()


def test_an_answer_for_always_is_not_asked_for_again(telemetry: Any) -> None:
    program = agent([asked()], [called(), asked("mcpr_2", 90)], [called("mcpr_2"), DONE])
    first = Runner.run_sync(program, "hi")
    state = first.to_state()
    state.approve(first.interruptions[0], always_approve=True)
    assert Runner.run_sync(program, state).final_output == "Done."
    assert facts(telemetry.one("approval_decision"), "approval.scope") == ["session"]
    assert facts(telemetry.one("request_approval"), "subject.id") == ["mcpr_1"]
    of_second = [s for s in telemetry.named("policy_decision") if facts(s, "subject.id") == ["mcpr_2"]]
    assert [facts(span, "decision.outcome", "decision.reason_code") for span in of_second] == [
        ["allow", "always_approved"]
    ]
    telemetry.check_counters()


def test_a_callback_that_raises_leaves_the_request_without_an_answer(telemetry: Any) -> None:
    def broken(request: Any) -> Any:
        raise LookupError("planted-3")

    with pytest.raises(LookupError):
        Runner.run_sync(agent([asked()], [DONE], callback=broken), "hi")
    assert not telemetry.named("approval_decision")
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["failure"]
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()
