# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the pure functions read of messages and answers, also of those that the real program does not send in the other tests."""

from typing import Any

import pytest

from runrecord.instrumentation.claude_agent import extract
from runrecord.instrumentation.claude_agent.extract import Answer, Ending, Permission
from runrecord.instrumentation.recorder import UNSET

pytestmark = [pytest.mark.sdk]


@pytest.mark.parametrize(
    ("event", "output", "answer"),
    [
        ("PreToolUse", None, None),
        ("PreToolUse", {"async_": True}, None),
        ("PreToolUse", {"hookSpecificOutput": {"permissionDecision": "deny"}}, Answer("deny")),
        ("PreToolUse", {"hookSpecificOutput": {"permissionDecision": "defer"}}, Answer("defer")),
        ("PreToolUse", {"hookSpecificOutput": {"updatedInput": {"a": 1}}}, Answer("allow", {"a": 1})),
        ("PreToolUse", {"decision": "approve"}, Answer("allow")),
        ("PreToolUse", {"decision": "block"}, Answer("deny")),
        ("PreToolUse", {"continue_": False}, Answer("deny", UNSET, "stopped_by_hook")),
        ("Stop", {"decision": "block"}, Answer("deny", UNSET, "blocked_by_hook")),
        ("Stop", {"systemMessage": "x"}, None),
        (
            "PermissionRequest",
            {"hookSpecificOutput": {"decision": {"behavior": "allow"}}},
            Answer("allow", UNSET, None, "once"),
        ),
        ("PermissionRequest", {"hookSpecificOutput": {}}, None),
    ],
)
def test_what_a_hook_answers(event: str, output: Any, answer: Any) -> None:
    assert extract.hook_answer(event, output) == answer


@pytest.mark.parametrize(
    ("destination", "scope"),
    [("session", "session"), ("localSettings", "always"), ("userSettings", "always"), (None, "once")],
)
def test_for_how_long_an_answer_holds(destination: str | None, scope: str) -> None:
    updates = [{"type": "addRules", "behavior": "allow", "destination": destination}] if destination else None
    found = extract.permission_answer({"behavior": "allow", "updated_permissions": updates})
    assert found is not None
    assert found.scope == scope


@pytest.mark.parametrize(
    ("frame", "interrupted", "ending"),
    [
        ({"subtype": "success", "stop_reason": "end_turn"}, False, Ending()),
        ({"subtype": "success", "stop_reason": "refusal"}, False, Ending(stop_reason="refusal")),
        ({"subtype": "success", "is_error": True}, False, Ending(error="api_error")),
        ({"subtype": "error_max_turns", "is_error": True}, False, Ending("budget_exceeded", "max_turns")),
        ({"subtype": "error_during_execution"}, True, Ending("cancelled", "interrupted")),
        (
            {"subtype": "error_during_execution", "is_error": True},
            False,
            Ending(error="error_during_execution"),
        ),
        (
            {"subtype": "error_during_execution", "terminal_reason": "aborted_tools"},
            False,
            Ending(None, "aborted_tools"),
        ),
        ({"subtype": "success", "terminal_reason": "completed"}, True, Ending()),
    ],
)
def test_how_a_run_ended(frame: Any, interrupted: bool, ending: Any) -> None:
    assert extract.ending(frame, interrupted=interrupted) == ending


def test_what_an_older_program_leaves_out_is_not_known() -> None:
    block = {"type": "tool_result", "tool_use_id": "t", "content": "x", "is_error": True}
    (result,) = extract.tool_results({"message": {"content": [block]}})
    assert (result.failed, result.ran, result.permission) == (True, None, None)
    meta = {
        "id": "t",
        "non_execution_kind": "permission-rule",
        "permission_decision": {"decision": "reject", "source": "config", "reason_type": "rule"},
    }
    (result,) = extract.tool_results({"message": {"content": [block]}, "tool_result_meta": [meta]})
    assert (result.ran, result.permission) == (
        False,
        Permission(allowed=False, source="config", reason="rule"),
    )
    assert extract.tool_results({"message": {"content": "just text"}}) == []


def test_which_policy_a_hook_is() -> None:
    def refunds() -> None: ...

    assert extract.policy_of(refunds) == extract.Policy("refunds")
    vars(refunds).update(policy_id="p", policy_version="14", policy_rule="r")
    assert extract.policy_of(refunds) == extract.Policy("p", "14", "r", declared=True)


def test_hints_of_servers_and_of_the_programs_own_tools() -> None:
    response = {
        "result": {"tools": [{"name": "pay", "annotations": {"destructiveHint": True}}, {"name": "x"}]}
    }
    listed = extract.listed_hints("shop", response)
    assert extract.hints("mcp__shop__pay", listed) == {"destructive": True}
    assert extract.hints("Read", listed) == {"read_only": True}
    assert extract.hints("mcp__shop__x", listed) == {}
