# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the SDK's objects to our fields: pure functions that import nothing of the SDK and leave content alone."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from runrecord.instrumentation._declared import Hints, Policy, Settings, get, hints_in, policy_of, text
from runrecord.instrumentation.recorder import durable_approval_id

FRAMEWORK: Final = "openai_agents"

_TRACE_ID: Final = re.compile(r"trace_([0-9a-f]{32})")
_DENIALS: Final = {
    "InputGuardrailTripwireTriggered": "input_guardrail",
    "OutputGuardrailTripwireTriggered": "output_guardrail",
    "ToolInputGuardrailTripwireTriggered": "tool_input_guardrail",
    "ToolOutputGuardrailTripwireTriggered": "tool_output_guardrail",
}
_HOSTED: Final = frozenset({"mcp_approval_request", "hosted_tool_call"})


def agent_name(agent: object) -> str:
    """Return the name of an agent."""
    return text(get(agent, "name")) or "agent"


# ids


def otel_trace_id(trace_id: str | None) -> int | None:
    """Return the OpenTelemetry trace id that an SDK trace id spells: ``trace_`` and 32 hex digits."""
    found = _TRACE_ID.fullmatch(trace_id or "")
    return int(found[1], 16) or None if found else None


def sdk_trace_id(trace_id: int) -> str:
    """Return the SDK's spelling of an OpenTelemetry trace id."""
    return f"trace_{trace_id:032x}"


def real_trace_id(trace: object) -> str | None:
    """Return the id of an SDK trace or trace state; None for a disabled one."""
    trace_id = text(get(trace, "trace_id"))
    return None if trace_id == "no-op" else trace_id


def state_trace_id(state: object) -> str | None:
    """Return the id of the trace that a ``RunState`` belongs to; it survives serialisation."""
    return real_trace_id(get(state, "_trace_state"))


def run_id(trace_id: str, ordinal: int = 0) -> str:
    """Derive the run id from the SDK's trace id; ``ordinal`` counts the runs of a trace that the application opened."""
    return durable_approval_id("run", FRAMEWORK, trace_id, *([str(ordinal)] if ordinal else []))


def conversation_id(state: object, options: Mapping[str, Any]) -> str | None:
    """Return what groups the runs of a conversation: the group id, else the conversation id, else the session id."""
    return (
        text(get(options.get("run_config"), "group_id"))
        or text(get(get(state, "_trace_state"), "group_id"))
        or text(options.get("conversation_id"))
        or text(get(state, "_conversation_id"))
        or text(get(options.get("session"), "session_id"))
    )


# settings


def settings_of(run_config: object) -> Settings:
    """Read what a run says of itself; the SDK's own place for that is ``RunConfig.trace_metadata``."""
    return Settings.of(get(run_config, "trace_metadata"))


# tools


@dataclass(frozen=True)
class Call:
    """A tool call that waits for an answer.

    Attributes:
        call_id: The SDK's durable id, unique in the run and its resumed lineage.
        tool: Name of the tool.
        arguments: What the model asked for, as the JSON text that the tool gets.
    """

    call_id: str
    tool: str
    arguments: object


def pending_call(item: object) -> Call:
    """Read a ``ToolApprovalItem``; a hosted MCP call has a request id instead of a call id."""
    raw = get(item, "raw_item")
    call_id = text(get(raw, "call_id")) or text(get(raw, "id")) or ""
    found = (get(raw, name) for name in ("arguments", "input", "action", "operation"))
    arguments = next((_plain(value) for value in found if value), None)
    return Call(call_id, text(get(item, "tool_name")) or text(get(raw, "name")) or "tool", arguments)


def _plain(value: object) -> object:
    """Return what a call asks for in the one form that it has in every process: a run state brings mappings for objects."""
    dump = get(value, "model_dump")
    plain: object = dump(exclude_none=True) if callable(dump) else value
    if isinstance(plain, Mapping):
        known = cast("Mapping[str, object]", plain).items()
        return {name: _plain(part) for name, part in known if part is not None}
    return plain


def tool_hints(tool: object) -> Hints:
    """Read the ``metadata`` mapping of a tool, or of the function it was made of; the SDK has no place for hints."""
    return hints_in(get(get(tool, "__wrapped__"), "metadata"), get(tool, "metadata"))


# policies


def guardrail_policy(guardrail: object) -> Policy:
    """Return the policy of a guardrail."""
    function = get(guardrail, "guardrail_function")
    return policy_of(function, text(get(guardrail, "name")) or _name(function) or "guardrail")


def _name(function: object) -> str | None:
    name = text(get(function, "__name__"))
    return None if name == "<lambda>" else name


def approval_policy(item: object) -> Policy:
    """Return the policy because of which a call waits: its tool's ``needs_approval``, or the hosted server's ``require_approval``."""
    raw, name = get(item, "raw_item"), pending_call(item).tool
    if get(raw, "type") in _HOSTED:
        return Policy("require_approval")
    tools = get(get(item, "agent"), "tools")
    for tool in cast("list[object]", tools) if isinstance(tools, list) else []:
        if get(tool, "name") == name:
            return needs_approval_policy(tool)
    return Policy("needs_approval")


def needs_approval_policy(tool: object) -> Policy:
    """Return the policy of a tool's ``needs_approval``, a flag or a function."""
    rule = get(tool, "needs_approval")
    return policy_of(rule, _name(rule) or "needs_approval") if callable(rule) else Policy("needs_approval")


@dataclass(frozen=True)
class Verdict:
    """What a guardrail said: ``outcome`` allow or deny, what follows, and a code."""

    outcome: str
    action: str
    reason: str | None = None


ALLOWED: Final = Verdict("allow", "none")


def verdict(output: object, *, of_result: bool = False, trips: str = "terminate") -> Verdict:
    """Read the output of an agent guardrail (tripwire) or a tool guardrail (behavior).

    Args:
        output: A ``GuardrailFunctionOutput``, a result that holds one, or a ``ToolGuardrailFunctionOutput``.
        of_result: Whether a tool's result was judged: rejecting it replaces it, the call has been made.
        trips: What follows from a tripwire.
    """
    behavior = get(get(output, "behavior"), "type")
    if behavior == "reject_content":
        return Verdict("deny", "modify" if of_result else "block", "reject_content")
    if behavior == "raise_exception":
        return Verdict("deny", "terminate", "raise_exception")
    inner = get(output, "output") or output
    if get(inner, "tripwire_triggered") is True:
        return Verdict("deny", trips, "tripwire")
    return ALLOWED


# realtime sessions


def realtime_tracing(session: object) -> object:
    """Return the tracing configuration of a realtime session: of the connection, else of the runner."""
    connection = get(get(session, "_model_config"), "initial_model_settings")
    runner = get(get(session, "_run_config"), "model_settings")
    return get(connection, "tracing") or get(runner, "tracing")


def realtime_request(event: object) -> Mapping[str, object]:
    """Return the ``RealtimeToolApprovalRequired`` event as what other runs have: an item that waits."""
    raw = {"call_id": get(event, "call_id"), "arguments": get(event, "arguments")}
    return {"agent": get(event, "agent"), "tool_name": get(get(event, "tool"), "name"), "raw_item": raw}


# the end of a run


def turn_limit(state: object, options: Mapping[str, Any]) -> int | None:
    """Return how many turns a run may have; a run state brings its own limit, and 10 is the SDK's default."""
    limit = get(state, "_max_turns") if state is not None else options.get("max_turns", 10)
    return limit if isinstance(limit, int) and not isinstance(limit, bool) else None


@dataclass(frozen=True)
class Ending:
    """How a run ended; a failure is for the recorder to describe."""

    outcome: str
    stop_reason: str | None = None


def ending(error: BaseException) -> Ending | None:
    """Return how a run ended that raised ``error``; None for a failure."""
    names = [kind.__name__ for kind in type(error).__mro__]
    for name in names:
        if name in _DENIALS:
            return Ending("denied", _DENIALS[name])
    if "MaxTurnsExceeded" in names:
        return Ending("budget_exceeded", "max_turns")
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
        return Ending("cancelled")
    return None


def interruptions(state_or_result: object) -> list[object]:
    """Return the ``ToolApprovalItem`` objects that a run state or a result waits for."""
    method = get(state_or_result, "get_interruptions")
    items: object = method() if callable(method) else get(state_or_result, "interruptions")
    return list(cast("list[object]", items)) if isinstance(items, list) else []


def answer(result: object, waiting: list[object]) -> object:
    """Return what a run answered: its final output, or the tool calls that wait for a person."""
    if not waiting:
        return get(result, "final_output")
    calls = [pending_call(item) for item in waiting]
    said = [{"id": call.call_id, "name": call.tool, "arguments": call.arguments} for call in calls]
    return {"role": "assistant", "tool_calls": said}


def sticky(wrapper: object, call: Call) -> bool:
    """Say whether an answer holds for later calls of the tool too; read from the SDK's record, which is private."""
    records = get(wrapper, "_approvals")
    if not isinstance(records, Mapping):
        return False
    for key, record in cast("Mapping[object, object]", records).items():
        # The key is a name, a name that carries its agent, or a tuple of a kind and names.
        named = (
            cast("tuple[object, ...]", key)
            if isinstance(key, tuple)
            else (key, getattr(key, "tool_key", None))
        )
        if call.tool in named:
            return get(record, "approved") is True or get(record, "rejected") is True
    return False


def stream_ending(result: object) -> Ending | None:
    """Return how a stream ended that has no exception: stopped by the user after a turn, or out of turns."""
    if get(result, "_cancel_mode") in {"after_turn", "immediate"} and get(result, "final_output") is None:
        return Ending("cancelled")
    limit, turn = get(result, "max_turns"), get(result, "current_turn")
    # Where a handler of the application dealt with it, the SDK sets the turn back to the limit.
    out_of_turns = isinstance(limit, int) and isinstance(turn, int) and turn > limit
    return Ending("budget_exceeded", "max_turns") if out_of_turns else None
