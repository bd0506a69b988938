# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What hooks of the program and the CLI's own rules and modes decide."""

import asyncio
from typing import Any

import pytest
from claude_agent_sdk import ClaudeSDKClient, HookMatcher, PermissionResultAllow
from claude_model import call, text, turns

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

REFUND = "mcp__shop__create_refund"
ONE_CALL = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])


def deciding(event: str = "PreToolUse", **said: Any) -> dict[str, list[HookMatcher]]:
    async def refunds(given: Any, _call_id: Any, _context: Any) -> Any:
        return {"hookSpecificOutput": {"hookEventName": event, **said}} if event == "PreToolUse" else said

    refunds.policy_version = "14"  # type: ignore[attr-defined]
    refunds.policy_rule = "over_50_usd"  # type: ignore[attr-defined]
    return {event: [HookMatcher(hooks=[refunds])]}


def test_a_hook_allows(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = ONE_CALL
    ask(options(hooks=deciding(permissionDecision="allow", permissionDecisionReason="planted reason")))
    policy = telemetry.one("policy_decision").attributes
    assert policy["runrecord.policy.id"] == "refunds"
    assert policy["runrecord.policy.version"] == "14"
    assert policy["runrecord.policy.rule.id"] == "over_50_usd"
    assert policy["runrecord.decision.outcome"] == "allow"
    assert policy["runrecord.decision.action"] == "none"
    tool = telemetry.one("execute_tool").attributes
    assert policy["runrecord.subject.digest"] == tool["runrecord.arguments.digest"]
    assert not telemetry.named("request_approval")
    assert "planted" not in telemetry.exported_text()


def test_a_hook_allows_with_other_arguments(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = ONE_CALL
    ask(options(hooks=deciding(permissionDecision="allow", updatedInput={"amount": 50})))
    policy, tool = telemetry.one("policy_decision").attributes, telemetry.one("execute_tool").attributes
    assert policy["runrecord.decision.action"] == "modify"
    assert policy["runrecord.subject.digest"] != tool["runrecord.arguments.digest"]


def test_a_hook_denies(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = ONE_CALL
    ask(options(hooks=deciding(permissionDecision="deny", permissionDecisionReason="planted reason")))
    policy = telemetry.one("policy_decision").attributes
    assert (policy["runrecord.decision.outcome"], policy["runrecord.decision.action"]) == ("deny", "block")
    assert not telemetry.named("execute_tool")
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "denied"
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_hook_wants_a_person_to_be_asked(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    async def can_use_tool(*_: Any) -> PermissionResultAllow:
        return PermissionResultAllow()

    model.script = ONE_CALL
    ask(options(hooks=deciding(permissionDecision="ask"), can_use_tool=can_use_tool))
    policy = telemetry.one("policy_decision").attributes
    assert policy["runrecord.policy.id"] == "refunds"
    assert policy["runrecord.decision.outcome"] == "require_approval"
    assert telemetry.one("approval_decision").attributes["runrecord.approval.status"] == "approved"
    assert len(telemetry.named("execute_tool")) == 1


def test_a_hook_that_only_looks_is_no_policy(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    seen: list[str] = []

    async def look(given: Any, _call_id: Any, _context: Any) -> Any:
        seen.append(given["hook_event_name"])
        return {}

    model.script = ONE_CALL
    matchers = {name: [HookMatcher(hooks=[look])] for name in ("PreToolUse", "PostToolUse", "Stop")}
    ask(options(hooks=matchers, allowed_tools=[REFUND]))
    assert seen == ["PreToolUse", "PostToolUse", "Stop"]
    assert {span.attributes["runrecord.policy.id"] for span in telemetry.named("policy_decision")} <= {
        "claude_code.permissions"
    }


def test_a_hook_keeps_a_result_from_the_model(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = ONE_CALL
    hooks = deciding("PostToolUse", decision="block", reason="planted reason")
    ask(options(hooks=hooks, allowed_tools=[REFUND]))
    (policy,) = [
        span.attributes
        for span in telemetry.named("policy_decision")
        if span.attributes["runrecord.policy.id"] == "refunds"
    ]
    assert (policy["runrecord.decision.outcome"], policy["runrecord.decision.action"]) == ("deny", "modify")
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"
    assert "planted" not in telemetry.exported_text()


def test_a_hook_blocks_a_prompt(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    ask(options(hooks=deciding("UserPromptSubmit", decision="block", reason="planted reason")))
    policy = telemetry.one("policy_decision").attributes
    assert policy["runrecord.subject.type"] == "model_input"
    assert policy["runrecord.decision.outcome"] == "deny"
    assert model.requests == []
    assert "planted" not in telemetry.exported_text()


@pytest.mark.parametrize("how", ["rule", "mode", "nobody_to_ask"])
def test_the_programs_own_rules_deny(telemetry: Any, model: Any, options: Any, ask: Any, how: str) -> None:
    given: dict[str, Any] = {
        "rule": {"disallowed_tools": ["Bash(touch*)"]},
        "mode": {"permission_mode": "dontAsk"},
        "nobody_to_ask": {},
    }[how]
    model.script = turns([call("toolu_1", "Bash", command="touch x", description="d")], [text("Done.")])
    result = ask(options(**given))
    assert [denial["tool_use_id"] for denial in result.permission_denials] == ["toolu_1"]
    policy = telemetry.one("policy_decision").attributes
    assert policy["runrecord.policy.id"] == "claude_code.permissions"
    assert (policy["runrecord.decision.outcome"], policy["runrecord.decision.action"]) == ("deny", "block")
    assert policy["runrecord.subject.id"] == "toolu_1"
    assert not telemetry.named("execute_tool")
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "denied"
    telemetry.check_counters()


@pytest.mark.newest
def test_the_programs_own_rules_allow(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = ONE_CALL
    ask(options(allowed_tools=[REFUND]))
    policy = telemetry.one("policy_decision").attributes
    assert policy["runrecord.policy.id"] == "claude_code.permissions"
    assert policy["runrecord.policy.rule.id"] == "rule"
    assert policy["runrecord.decision.outcome"] == "allow"
    tool = telemetry.one("execute_tool").attributes
    assert policy["runrecord.subject.digest"] == tool["runrecord.arguments.digest"]


@pytest.mark.newest
def test_a_mode_allows(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    given = options(permission_mode="acceptEdits")
    model.script = turns(
        [call("toolu_1", "Write", file_path=str(given.cwd / "planted"), content="planted")], [text("Done.")]
    )
    ask(given)
    assert (given.cwd / "planted").read_text() == "planted"
    policy = telemetry.one("policy_decision").attributes
    assert policy["runrecord.policy.id"] == "claude_code.permissions"
    assert (policy["runrecord.policy.rule.id"], policy["runrecord.decision.outcome"]) == (
        "acceptEdits",
        "allow",
    )
    tool = telemetry.one("execute_tool").attributes
    assert tool["runrecord.side_effect.type"] == "create"
    assert "planted" not in telemetry.exported_text()


def test_another_mode_holds_from_then_on(telemetry: Any, model: Any, options: Any) -> None:
    async def main() -> None:
        async with ClaudeSDKClient(options(permission_mode="dontAsk")) as client:
            for mode in (None, "default"):
                if mode is not None:
                    await client.set_permission_mode(mode)
                made = iter([[call(f"toolu_{mode}", "Bash", command="touch x", description="d")]])
                model.script = lambda _, made=made: next(made, [text("Done.")])
                await client.query("planted prompt")
                async for _ in client.receive_response():
                    pass

    asyncio.run(main())
    decisions = telemetry.named("policy_decision")
    assert [one.attributes["runrecord.policy.rule.id"] for one in decisions] == ["dontAsk", "default"]
    assert {one.attributes["runrecord.decision.outcome"] for one in decisions} == {"deny"}
    telemetry.check_counters()
