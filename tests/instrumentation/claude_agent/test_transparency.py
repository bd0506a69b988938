# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The program is the same with and without us, nothing of its content leaves, and we are switched off without a trace."""

import asyncio
import inspect
from typing import Any

import claude_agent_sdk
import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ClaudeSDKClient,
    HookMatcher,
    PermissionResultAllow,
    PermissionResultDeny,
    ResultMessage,
    UserMessage,
    query,
)
from claude_agent_sdk._internal.client import InternalClient
from claude_agent_sdk._internal.query import Query
from claude_model import call, text, turns

from runrecord.instrumentation import DependencyConflictError
from runrecord.instrumentation.capabilities import integrations
from runrecord.instrumentation.claude_agent import CAPABILITIES, ClaudeAgentInstrumentor

pytestmark = [pytest.mark.sdk]

REFUND = "mcp__shop__create_refund"
PLANTED = "planted-7f3a"
SCRIPT = turns(
    [text(f"Dear {PLANTED}"), call("toolu_1", REFUND, amount=80), call("toolu_2", REFUND, amount=-1)],
    [
        call("toolu_3", REFUND, amount=70),
        call("toolu_4", "Bash", command=f"echo {PLANTED}", description=PLANTED),
    ],
    [text(f"Done, {PLANTED}.")],
)


async def can_use_tool(_name: str, arguments: Any, context: Any) -> Any:
    if context.tool_use_id == "toolu_3":
        return PermissionResultDeny(message=f"No, {PLANTED}")
    if arguments.get("amount") == 80:
        return PermissionResultAllow(updated_input={"amount": 50})
    return PermissionResultAllow()


async def policy(given: Any, call_id: str | None, _context: Any) -> Any:
    said: dict[str, Any] = {"hookEventName": "PreToolUse", "permissionDecisionReason": PLANTED}
    return {"hookSpecificOutput": {**said, "permissionDecision": "allow"}} if call_id == "toolu_4" else {}


def essence(message: Any) -> Any:
    if isinstance(message, (AssistantMessage, UserMessage)):
        return type(message).__name__, message.content
    if isinstance(message, ResultMessage):
        return message.subtype, message.result, message.num_turns, message.permission_denials, message.usage
    return type(message).__name__


async def through_query(options: Any) -> list[Any]:
    async def prompts() -> Any:
        yield {"type": "user", "message": {"role": "user", "content": PLANTED}}

    return [essence(message) async for message in query(prompt=prompts(), options=options)]


async def through_client(options: Any) -> list[Any]:
    async with ClaudeSDKClient(options) as client:
        await client.query(PLANTED)
        return [essence(message) async for message in client.receive_response()]


@pytest.mark.parametrize("way", [through_query, through_client])
def test_results_are_equal_and_nothing_leaves(
    telemetry: Any, recorder: Any, model: Any, options: Any, way: Any
) -> None:
    model.script = SCRIPT

    def run() -> list[Any]:
        hooks = {"PreToolUse": [HookMatcher(hooks=[policy])]}
        return asyncio.run(way(options(can_use_tool=can_use_tool, hooks=hooks)))

    bare = run()
    asked = [request["messages"] for request in model.requests]
    model.requests.clear()
    instrumentor = ClaudeAgentInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        recorded = run()
    finally:
        instrumentor.uninstrument()
    assert sorted(map(str, recorded)) == sorted(map(str, bare))
    assert len(model.requests) == len(asked)
    assert len(telemetry.named("execute_tool")) == 3
    said = telemetry.exported_text()
    for word in (PLANTED, "planted result", "planted exception", "echo"):
        assert word not in said
    for span in telemetry.spans:
        assert not [name for name in span.attributes if "token" in name]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_content_is_recorded_where_it_is_asked_for(
    telemetry: Any, model: Any, options: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    model.script = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])
    ask(options(allowed_tools=[REFUND]))
    run, tool = telemetry.one("invoke_agent").attributes, telemetry.one("execute_tool").attributes
    assert "planted prompt" in run["gen_ai.input.messages"]
    assert "Done." in run["gen_ai.output.messages"]
    assert "80" in tool["gen_ai.tool.call.arguments"]
    assert "planted result" in tool["gen_ai.tool.call.result"]


def test_it_is_switched_off_without_a_trace(recorder: Any) -> None:
    places = [
        (InternalClient, "process_query"),
        (ClaudeSDKClient, "connect"),
        (ClaudeSDKClient, "query"),
        (ClaudeSDKClient, "__aexit__"),
        (Query, "__init__"),
        (Query, "_handle_control_request"),
        (Query, "_handle_sdk_mcp_request"),
        (Query, "close"),
    ]
    before = [inspect.getattr_static(owner, name) for owner, name in places]
    instrumentor = ClaudeAgentInstrumentor()
    instrumentor.instrument(recorder=recorder)
    during = [inspect.getattr_static(owner, name) for owner, name in places]
    instrumentor.uninstrument()
    assert [inspect.getattr_static(owner, name) for owner, name in places] == before
    assert all(old is not new for old, new in zip(before, during, strict=True))


def test_nothing_is_added_that_changes_what_the_program_does(recorder: Any) -> None:
    """Without callbacks of its own a program has none with us: they would change what the CLI asks for."""

    class Silent:
        def read_messages(self) -> Any: ...

    instrumentor = ClaudeAgentInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        made: Any = Query(transport=Silent(), is_streaming_mode=True)  # type: ignore[arg-type]
    finally:
        instrumentor.uninstrument()
    assert made.can_use_tool is None
    assert not made.hooks
    assert isinstance(made.transport, Silent)
    made._message_send.close()
    made._message_receive.close()


def test_a_release_that_is_not_supported(recorder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    instrumentor = ClaudeAgentInstrumentor()
    monkeypatch.setattr(instrumentor, "instrumentation_dependencies", lambda: ("claude-agent-sdk >= 99",))
    with pytest.raises(DependencyConflictError):
        instrumentor.instrument(recorder=recorder, skip_dep_check=True)


def test_the_capabilities_are_found() -> None:
    assert CAPABILITIES in integrations().values()
    assert claude_agent_sdk.__version__
