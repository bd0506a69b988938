# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A deferred call that a later client answers, when it resumes the session."""

import asyncio
from typing import Any

import pytest
from claude_agent_sdk import ClaudeSDKClient, HookMatcher
from claude_model import call, text, turns

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

REFUND = "mcp__shop__create_refund"


def test_the_run_goes_on_with_the_answer(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    answers = iter(["defer", "allow"])

    async def refunds(*_: Any) -> Any:
        said = {"hookEventName": "PreToolUse", "permissionDecision": next(answers)}
        return {"hookSpecificOutput": said}

    async def resume(session: str) -> None:
        async with ClaudeSDKClient(options(hooks=hooks, resume=session)) as client:
            async for _ in client.receive_response():
                pass

    model.script = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])
    hooks = {"PreToolUse": [HookMatcher(hooks=[refunds])]}
    result = ask(options(hooks=hooks))
    assert result.deferred_tool_use.id == "toolu_1"
    asyncio.run(resume(result.session_id))
    first, second = telemetry.named("invoke_agent")
    assert first.attributes["runrecord.run.state"] == "suspended"
    assert second.attributes["runrecord.run.outcome"] == "success"
    assert second.attributes["runrecord.run.segment"] == 1
    assert first.context.trace_id == second.context.trace_id
    assert telemetry.one("approval_decision").attributes["runrecord.approval.status"] == "approved"
    telemetry.check_counters()
