# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the CLI's messages and the SDK's objects to our fields: pure functions that import nothing of the SDK."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from runrecord.instrumentation._content import UNSET, Unset
from runrecord.instrumentation._declared import Hints, Settings, get, hints_in, mapping, text

FRAMEWORK: Final = "claude_agent"
PERMISSIONS: Final = "claude_code.permissions"
"""The policy that the CLI's own rules and modes are recorded as."""
SUB_AGENT_TOOLS: Final = frozenset({"Agent", "Task"})
QUESTION_TOOL: Final = "AskUserQuestion"
"""Answered through ``can_use_tool``, too, with what the person chose as other arguments."""

_READS: Final[Hints] = {"read_only": True}
_BUILT_IN: Final[Mapping[str, Hints]] = {
    "Bash": {"effect": "execute"},
    "Edit": {"effect": "update"},
    "Glob": _READS,
    "Grep": _READS,
    "MultiEdit": {"effect": "update"},
    "NotebookEdit": {"effect": "update"},
    "NotebookRead": _READS,
    "Read": _READS,
    "WebFetch": {"read_only": True, "open_world": True},
    "WebSearch": {"read_only": True, "open_world": True},
    "Write": {"effect": "create"},
}
_AUTONOMY: Final = {"plan": "propose", "bypassPermissions": "autonomous"}
_DECISIONS: Final = frozenset({"allow", "deny", "ask", "defer"})
_OLD_DECISIONS: Final[Mapping[object, str]] = {"approve": "allow", "block": "deny"}
_FOR_ALWAYS: Final = frozenset({"localSettings", "projectSettings", "userSettings"})


def _entries(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


# what the program declares


def settings_of(options: object) -> Settings:
    """Read what a run says of itself; the SDK has no place for that, so it is an attribute ``metadata`` of the options."""
    return Settings.of(get(options, "metadata"))


def autonomy(options: object) -> str | None:
    """Return the autonomy that the permission mode stands for, where it stands for one."""
    return _AUTONOMY.get(text(get(options, "permission_mode")) or "")


def resumed_session(options: object) -> str | None:
    """Return the session that the options continue."""
    return text(get(options, "resume"))


def limits(options: object) -> tuple[int | None, float | None]:
    """Return (turns, US dollars) that a run may take."""
    turns, cost = get(options, "max_turns"), get(options, "max_budget_usd")
    return (
        turns if isinstance(turns, int) and turns > 0 else None,
        float(cost) if isinstance(cost, (int, float)) and cost > 0 else None,
    )


@dataclass(frozen=True)
class Policy:
    """Which policy decided.

    Attributes:
        policy_id: Its id.
        version: Its version.
        rule: The rule of it.
        declared: Whether the program named it.
    """

    policy_id: str
    version: str | None = None
    rule: str | None = None
    declared: bool = False


def policy_of(callback: object) -> Policy:
    """Return the policy that a callback is, by its attributes ``policy_id``, ``policy_version``, ``policy_rule``, or by its name."""
    named = text(get(callback, "policy_id"))
    name = named or text(get(callback, "__name__")) or type(callback).__name__
    version, rule = text(get(callback, "policy_version")), text(get(callback, "policy_rule"))
    return Policy(name, version, rule, declared=named is not None)


# messages of the model


@dataclass(frozen=True)
class ToolUse:
    """A tool call that the model asked for."""

    call_id: str
    name: str
    arguments: object


def session_id(frame: object) -> str | None:
    """Return the session of a message."""
    return text(get(frame, "session_id"))


def parent_call(frame: object) -> str | None:
    """Return the call of the sub-agent that a message is of; None for the agent itself."""
    return text(get(frame, "parent_tool_use_id"))


def message_id(frame: object) -> str | None:
    """Return the id of the answer that a message is a part of, or that a stream event begins."""
    event = get(frame, "event")
    if event is not None:
        if get(event, "type") != "message_start":
            return None
        return text(get(get(event, "message"), "id"))
    return text(get(get(frame, "message"), "id")) or text(get(frame, "uuid"))


def tool_uses(frame: object) -> list[ToolUse]:
    """Return the calls that an assistant message asks for."""
    return [
        ToolUse(str(get(block, "id")), text(get(block, "name")) or "tool", get(block, "input"))
        for block in _entries(get(get(frame, "message"), "content"))
        if get(block, "type") == "tool_use"
    ]


# results of tools


@dataclass(frozen=True)
class Permission:
    """How the CLI came to let a call run, or not.

    Attributes:
        allowed: Whether it let it run.
        source: config, hook, user_temporary, user_permanent, user_reject, ...
        reason: What kind of rule it was: rule, mode, hook, classifier, ...
    """

    allowed: bool
    source: str
    reason: str | None = None


@dataclass(frozen=True)
class ToolResult:
    """What the model is told of a call.

    Attributes:
        call_id: The id of the call.
        content: What it is told.
        failed: Whether that is an error.
        ran: Whether the tool ran; None where this CLI does not say.
        permission: How the CLI decided; None where it does not say.
    """

    call_id: str
    content: object
    failed: bool = False
    ran: bool | None = None
    permission: Permission | None = None


def tool_results(frame: object) -> list[ToolResult]:
    """Return the results that a user message brings."""
    known = {str(get(meta, "id")): meta for meta in _entries(get(frame, "tool_result_meta"))}
    found: list[ToolResult] = []
    for block in _entries(get(get(frame, "message"), "content")):
        if get(block, "type") != "tool_result":
            continue
        call_id = str(get(block, "tool_use_id"))
        meta = known.get(call_id)
        failed = get(block, "is_error") is True
        # Absent for a call that ran; of one that failed only a CLI that writes this at all can be believed.
        ran = None if meta is None else text(get(meta, "non_execution_kind")) is None
        found.append(ToolResult(call_id, get(block, "content"), failed, ran, _permission(meta)))
    return found


def _permission(meta: object) -> Permission | None:
    said = get(meta, "permission_decision")
    decision, source = text(get(said, "decision")), text(get(said, "source"))
    if decision is None or source is None:
        return None
    return Permission(decision == "accept", source, text(get(said, "reason_type")))


# answers of hooks


@dataclass(frozen=True)
class Answer:
    """What a callback answered.

    Attributes:
        outcome: allow, deny, ask or defer.
        arguments: Other arguments that the call is to run with.
        reason: A code.
        scope: For how long it holds.
    """

    outcome: str
    arguments: object | Unset = UNSET
    reason: str | None = None
    scope: str | None = None


def hook_answer(event: str, output: object) -> Answer | None:
    """Return what the output of a hook decides about its subject; None if it only looked."""
    said = mapping(output)
    specific = mapping(said.get("hookSpecificOutput"))
    if event == "PermissionRequest":
        return _request_answer(specific.get("decision"))
    if said.get("continue_", said.get("continue")) is False:
        return Answer("deny", reason="stopped_by_hook")
    if event == "PreToolUse":
        decided = specific.get("permissionDecision") or _OLD_DECISIONS.get(said.get("decision"))
        updated = specific.get("updatedInput")
        if decided in _DECISIONS or updated is not None:
            return Answer(str(decided or "allow"), UNSET if updated is None else updated)
        return None
    return Answer("deny", reason="blocked_by_hook") if said.get("decision") == "block" else None


def _request_answer(decision: object) -> Answer | None:
    behavior = get(decision, "behavior")
    if behavior not in {"allow", "deny"}:
        return None
    updated = get(decision, "updatedInput")
    scope = _scope(get(decision, "updatedPermissions")) if behavior == "allow" else None
    return Answer(str(behavior), UNSET if updated is None else updated, scope=scope)


# answers of can_use_tool


def permission_answer(result: object) -> Answer | None:
    """Return what ``can_use_tool`` answered; None for something that is no answer, of which the SDK complains."""
    behavior = get(result, "behavior")
    if behavior == "deny":
        return Answer("deny", reason="interrupt" if get(result, "interrupt") is True else None)
    if behavior != "allow":
        return None
    updated = get(result, "updated_input")
    return Answer(
        "allow", UNSET if updated is None else updated, scope=_scope(get(result, "updated_permissions"))
    )


def _scope(updates: object) -> str:
    """Return for how long an answer holds, by where the rules go that came with it."""
    places = {
        get(update, "destination")
        for update in _entries(updates)
        if get(update, "behavior") == "allow" or get(update, "type") == "setMode"
    }
    if places & _FOR_ALWAYS:
        return "always"
    return "session" if places else "once"


def about_answer(*places: object) -> Mapping[str, str | None]:
    """Return who answered, and where, from an attribute ``metadata`` of the callback or of its answer; the latter wins."""
    said: dict[str, object] = {}
    for place in places:
        said.update(mapping(get(place, "metadata")))
    return {name: text(value) for name, value in said.items()}


# tools


def hints(name: str, listed: Mapping[str, Hints]) -> Hints:
    """Return what is known of a tool's effects: what its server declares, or what a tool of the CLI does."""
    return listed.get(name) or _BUILT_IN.get(name) or {}


def listed_hints(server: str, response: object) -> dict[str, Hints]:
    """Read the hints of the tools that a server lists, by the names that the model calls them by."""
    tools = _entries(get(get(response, "result"), "tools"))
    return {
        f"mcp__{server}__{get(tool, 'name')}": hints_in(get(tool, "annotations"), get(tool, "_meta"))
        for tool in tools
    }


def called_by(params: object) -> str | None:
    """Return the id of the call that a request to a server of the program is made for."""
    return text(get(get(params, "_meta"), "claudecode/toolUseId"))


# the end of a run


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        outcome: As of ``Run.finish``; None leaves it to what was denied.
        stop_reason: A code.
        error: Type of the error.
        deferred: The call that it waits for.
    """

    outcome: str | None = None
    stop_reason: str | None = None
    error: str | None = None
    deferred: ToolUse | None = None


def ending(frame: object, *, interrupted: bool) -> Ending:
    """Read a result message."""
    subtype, reason = text(get(frame, "subtype")) or "", text(get(frame, "terminal_reason"))
    stop = text(get(frame, "stop_reason"))
    deferred = get(frame, "deferred_tool_use")
    if deferred is not None:
        call = ToolUse(
            str(get(deferred, "id")), text(get(deferred, "name")) or "tool", get(deferred, "input")
        )
        return Ending(stop_reason="tool_deferred", deferred=call)
    if subtype.startswith("error_max_"):
        return Ending("budget_exceeded", subtype.removeprefix("error_"))
    aborted = reason is not None and reason.startswith("aborted")
    if interrupted and (aborted or subtype != "success"):
        return Ending("cancelled", "interrupted")
    if aborted:
        return Ending(None, reason)  # a denial that also interrupts
    if get(frame, "is_error") is True:
        return Ending(error="api_error" if subtype == "success" else subtype)
    return Ending(stop_reason=stop if stop in {"refusal", "max_tokens"} else None)


def denied_calls(frame: object) -> Iterable[ToolUse]:
    """Return the calls that a result message says were not permitted."""
    for denial in _entries(get(frame, "permission_denials")):
        call_id = text(get(denial, "tool_use_id"))
        if call_id is not None:
            yield ToolUse(call_id, text(get(denial, "tool_name")) or "tool", get(denial, "tool_input"))


def number(frame: object, name: str) -> float | None:
    """Return a number of a message."""
    value: Any = get(frame, name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
