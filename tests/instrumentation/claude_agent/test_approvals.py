# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What ``can_use_tool`` and the PermissionRequest hook are asked and answer, in one process."""

import asyncio
from typing import Any

import pytest
from claude_agent_sdk import (
    ClaudeSDKClient,
    HookMatcher,
    PermissionResultAllow,
    PermissionResultDeny,
    PermissionUpdate,
    query,
)
from claude_agent_sdk.types import PermissionRuleValue
from claude_model import call, text, turns

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

REFUND = "mcp__shop__create_refund"
ONE_CALL = turns([text("I refund."), call("toolu_1", REFUND, amount=80)], [text("Done.")])


def answering(result: Any) -> Any:
    async def can_use_tool(name: str, arguments: Any, context: Any) -> Any:
        assert (name, arguments, context.tool_use_id) == (REFUND, {"amount": 80}, "toolu_1")
        return result

    return can_use_tool


def test_a_call_that_is_allowed(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = ONE_CALL
    result = ask(options(can_use_tool=answering(PermissionResultAllow())))
    assert result.result == "Done."
    assert telemetry.tree() == [
        "invoke_agent claude-agent",
        "  agent_step act",
        "    policy_decision claude_code.permissions",
        f"    request_approval {REFUND}",
        f"    approval_decision {REFUND}",
        f"    execute_tool {REFUND}",
        "  agent_step act",
    ]
    run, tool = telemetry.one("invoke_agent").attributes, telemetry.one("execute_tool").attributes
    assert run["runrecord.run.outcome"] == "success"
    assert run["gen_ai.conversation.id"] == result.session_id
    policy = telemetry.one("policy_decision").attributes
    assert policy["runrecord.decision.outcome"] == "require_approval"
    assert policy["runrecord.policy.rule.id"] == "default"
    decision = telemetry.one("approval_decision").attributes
    assert decision["runrecord.approval.status"] == "approved"
    assert decision["runrecord.approval.actor.type"] == "policy"
    assert decision["runrecord.approval.scope"] == "once"
    assert decision["runrecord.approval.id"] == tool["runrecord.approval.id"]
    shown = telemetry.one("request_approval").attributes["runrecord.approval.subject.digest"]
    assert shown == decision["runrecord.approval.subject.digest"] == tool["runrecord.arguments.digest"]
    telemetry.check_counters()


def test_a_call_that_is_allowed_with_other_arguments(
    telemetry: Any, model: Any, options: Any, ask: Any
) -> None:
    model.script = ONE_CALL
    answer = PermissionResultAllow(updated_input={"amount": 50.0})
    answer.metadata = {  # type: ignore[attr-defined]
        "runrecord.approval.actor.type": "human",
        "runrecord.approval.actor.ref": "u-17",
        "runrecord.approval.channel": "chat",
    }
    ask(options(can_use_tool=answering(answer)))
    decision, tool = telemetry.one("approval_decision").attributes, telemetry.one("execute_tool").attributes
    assert decision["runrecord.approval.status"] == "modified"
    assert decision["runrecord.approval.actor.type"] == "human"
    assert decision["runrecord.approval.actor.ref"] == "u-17"
    assert decision["runrecord.approval.channel"] == "chat"
    shown = telemetry.one("request_approval").attributes["runrecord.approval.subject.digest"]
    assert (
        tool["runrecord.arguments.digest"] == decision["runrecord.approval.subject.modified_digest"] != shown
    )


def test_a_call_that_is_denied(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = ONE_CALL
    ask(options(can_use_tool=answering(PermissionResultDeny(message="planted reason"))))
    assert not telemetry.named("execute_tool")
    assert telemetry.one("approval_decision").attributes["runrecord.approval.status"] == "denied"
    assert telemetry.one("policy_decision").attributes["runrecord.decision.outcome"] == "require_approval"
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "denied"
    telemetry.check_counters()


def test_a_denial_that_stops_the_run(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = ONE_CALL
    ask(options(can_use_tool=answering(PermissionResultDeny(message="planted reason", interrupt=True))))
    run = telemetry.one("invoke_agent")
    assert run.attributes["runrecord.run.outcome"] == "denied"
    assert run.status.status_code.name == "UNSET"
    assert telemetry.one("approval_decision").attributes["runrecord.approval.reason_code"] == "interrupt"
    assert len(telemetry.named("agent_step")) == 1


@pytest.mark.newest  # an older program asks again
def test_an_answer_for_the_session_holds_for_the_next_call(
    telemetry: Any, model: Any, options: Any, ask: Any
) -> None:
    asked: list[str] = []

    async def can_use_tool(name: str, _arguments: Any, context: Any) -> Any:
        asked.append(context.tool_use_id)
        rule = PermissionUpdate(
            type="addRules",
            rules=[PermissionRuleValue(name)],
            behavior="allow",
            destination="session",
        )
        return PermissionResultAllow(updated_permissions=[rule])

    model.script = turns(
        [call("toolu_1", REFUND, amount=80)], [call("toolu_2", REFUND, amount=90)], [text("Done.")]
    )
    ask(options(can_use_tool=can_use_tool))
    assert asked == ["toolu_1"]
    assert telemetry.one("approval_decision").attributes["runrecord.approval.scope"] == "session"
    assert len(telemetry.named("execute_tool")) == 2


def test_a_callback_that_fails(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    async def can_use_tool(*_: Any) -> Any:
        raise ValueError("planted exception")

    model.script = ONE_CALL
    ask(options(can_use_tool=can_use_tool))
    decision = telemetry.one("approval_decision").attributes
    assert decision["runrecord.approval.status"] == "cancelled"
    assert decision["runrecord.approval.reason_code"] == "callback_failed"
    assert not telemetry.named("execute_tool")
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "denied"


def test_a_request_that_is_withdrawn_when_the_run_is_interrupted(
    telemetry: Any, model: Any, options: Any
) -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def can_use_tool(*_: Any) -> Any:
            asked.set()
            await asyncio.Event().wait()

        async with ClaudeSDKClient(options(can_use_tool=can_use_tool)) as client:
            await client.query("planted prompt")
            await asked.wait()
            await client.interrupt()
            async for _ in client.receive_response():
                pass

    model.script = ONE_CALL
    asyncio.run(main())
    assert telemetry.one("approval_decision").attributes["runrecord.approval.status"] == "cancelled"
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "cancelled"
    assert not telemetry.named("execute_tool")
    telemetry.check_counters()


def test_a_request_that_is_withdrawn_when_the_program_is_cancelled(
    telemetry: Any, model: Any, options: Any
) -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def can_use_tool(*_: Any) -> Any:
            asked.set()
            await asyncio.Event().wait()

        async def prompts() -> Any:
            yield {"type": "user", "message": {"role": "user", "content": "planted prompt"}}

        async def consume() -> None:
            async for _ in query(prompt=prompts(), options=options(can_use_tool=can_use_tool)):
                pass

        task = asyncio.create_task(consume())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    model.script = ONE_CALL
    asyncio.run(main())
    assert telemetry.one("approval_decision").attributes["runrecord.approval.status"] == "cancelled"
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "cancelled"
    telemetry.check_counters()


@pytest.mark.newest  # an older program calls this hook only where somebody sits in front of it
@pytest.mark.parametrize("behavior", ["allow", "deny"])
def test_a_permission_request_hook_answers(
    telemetry: Any, model: Any, options: Any, ask: Any, behavior: str
) -> None:
    async def supervisor(given: Any, _call_id: Any, _context: Any) -> Any:
        assert given["tool_name"] == REFUND
        decision = {"behavior": behavior}
        return {"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": decision}}

    model.script = ONE_CALL
    ask(options(hooks={"PermissionRequest": [HookMatcher(hooks=[supervisor])]}))
    decision = telemetry.one("approval_decision").attributes
    assert decision["runrecord.approval.status"] == {"allow": "approved", "deny": "denied"}[behavior]
    assert decision["runrecord.approval.actor.type"] == "policy"
    assert len(telemetry.named("request_approval")) == 1
    assert len(telemetry.named("execute_tool")) == (behavior == "allow")
    telemetry.check_counters()


def test_a_question_of_the_model_is_answered(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    question = {
        "question": "planted question?",
        "header": "Size",
        "multiSelect": False,
        "options": [{"label": "A", "description": "a"}, {"label": "B", "description": "b"}],
    }

    async def can_use_tool(_name: str, arguments: Any, _context: Any) -> Any:
        return PermissionResultAllow(
            updated_input={**arguments, "answers": {"planted question?": "planted answer"}}
        )

    model.script = turns([call("toolu_1", "AskUserQuestion", questions=[question])], [text("Done.")])
    ask(options(can_use_tool=can_use_tool))
    assert telemetry.one("approval_decision").attributes["runrecord.approval.status"] == "answered"
    assert "planted" not in telemetry.exported_text()
