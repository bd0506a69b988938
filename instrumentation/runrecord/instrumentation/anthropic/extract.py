# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From requests, messages and events to our fields: pure functions that import nothing of the SDK and leave content alone."""

import re
from dataclasses import dataclass
from typing import Final, cast

from runrecord.instrumentation._declared import Hints, get, hints_in, mapping, text
from runrecord.instrumentation.context_store import ContextKey

FRAMEWORK: Final = "anthropic"

_APIS: Final = (
    ("post", re.compile(r"/v1/messages"), "messages"),
    ("post", re.compile(r"/v1/sessions"), "session"),
    ("get", re.compile(r"/v1/sessions/([^/]+)"), "session"),
    ("post", re.compile(r"/v1/sessions/([^/]+)/events"), "send"),
    ("get", re.compile(r"/v1/sessions/([^/]+)/events"), "list"),
    ("get", re.compile(r"/v1/sessions/([^/]+)/events/stream"), "stream"),
)
USES: Final = frozenset({"server_tool_use", "mcp_tool_use"})
"""Calls of tools that Anthropic's servers make."""
_BUDGETS: Final = frozenset({"max_tokens", "model_context_window_exceeded"})
_PAUSES: Final = frozenset({"pause_turn", "compaction"})
_FILTER: Final = "content filtering policy"
ACTOR_HEADER: Final = "runrecord.approval.actor.ref"
"""The header in which a program may say who answered, since a confirmation has no field for it."""


def items(value: object) -> list[object]:
    """Return ``value`` if it is a list."""
    return cast("list[object]", value) if isinstance(value, list) else []


def plain(value: object) -> object:
    """Return an SDK object, or a list of them, as JSON values without what the server left out."""
    if isinstance(value, list):
        return [plain(item) for item in cast("list[object]", value)]
    dump = getattr(value, "to_dict", None)
    return dump(mode="json") if callable(dump) else value


# requests


def api_of(method: object, url: object) -> tuple[str, str | None] | None:
    """Return which of the APIs that we look at a request is for, and of which session."""
    path = str(url).partition("?")[0]
    for verb, pattern, api in _APIS:
        found = pattern.fullmatch(path) if str(method).lower() == verb else None
        if found is not None:
            return api, found.group(1) if pattern.groups else None
    return None


def call_key(subject: str) -> ContextKey:
    """Return where a run of the Messages API waits: for the result of a call, or to be continued after a pause."""
    return (FRAMEWORK, "messages", subject)


def session_key(session_id: str) -> ContextKey:
    """Return where the run of a session is found by whoever reads the session's events next."""
    return (FRAMEWORK, session_id)


def approval_key(session_id: str, tool_use_id: str) -> ContextKey:
    """Return where the context of a run waits for the confirmation of a tool call.

    Args:
        session_id: The id of the session.
        tool_use_id: The id of the ``agent.tool_use`` or ``agent.mcp_tool_use`` event.
    """
    return (FRAMEWORK, session_id, tool_use_id)


def is_agentic(body: object) -> bool:
    """Say whether the server runs tools of MCP servers in this call."""
    return bool(items(get(body, "mcp_servers")))


def brings(body: object) -> list[str]:
    """Return the ids that a run may wait for: of the results in the last message, and of the turn that it continues."""
    blocks = [
        block for message in items(get(body, "messages"))[-2:] for block in items(get(message, "content"))
    ]
    found = [text(get(block, "tool_use_id")) or text(get(block, "id")) for block in blocks]
    # A client may leave to the server what it has of the conversation.
    found.append(text(get(get(body, "thread"), "previous_message_id")))
    return [subject for subject in found if subject is not None]


def principal(body: object) -> str | None:
    """Return whom the request is made for: an opaque id, as the API wants it."""
    return text(get(get(body, "metadata"), "user_id"))


def history(body: object) -> list[object]:
    """Return the blocks of the turn that a request continues."""
    last = next(iter(items(get(body, "messages"))[-1:]), None)
    return items(get(last, "content")) if get(last, "role") == "assistant" else []


def tool_hints(tool: object) -> Hints:
    """Read the ``metadata`` of a tool, or of the function that it was made of, which the SDK has no place for."""
    return hints_in(get(get(tool, "func"), "metadata"), get(tool, "metadata"))


# messages


@dataclass(frozen=True)
class Ending:
    """How a run ended or why it waits; ``error`` is the type of a failure."""

    outcome: str | None = None
    stop_reason: str | None = None
    error: str | None = None
    waits: bool = False


def ending(message: object) -> Ending:
    """Return how a run ends or waits after a message."""
    reason = text(get(message, "stop_reason"))
    if reason == "refusal":
        return Ending("denied", "refusal")
    if reason in _BUDGETS:
        return Ending("budget_exceeded", reason)
    if reason in _PAUSES:
        return Ending(stop_reason=reason, waits=True)
    if reason == "tool_use":
        return Ending(stop_reason="tool_calls", waits=True)
    return Ending()


def open_calls(message: object) -> list[str]:
    """Return the ids by which a later request continues a message that is not the end: its own, and those of its calls."""
    found = [text(get(block, "id")) for block in items(get(message, "content"))]
    return [subject for subject in [text(get(message, "id")), *found] if subject is not None]


@dataclass(frozen=True)
class Result:
    """What a call of a hosted tool came to; ``error`` is a code."""

    call_id: str
    content: object
    error: str | None


def results(message: object) -> list[Result]:
    """Return the results of hosted tools in a message."""
    found: list[Result] = []
    for block in items(get(message, "content")):
        call_id = text(get(block, "tool_use_id"))
        if call_id is None or not str(get(block, "type")).endswith("tool_result"):
            continue
        content = get(block, "content")
        code = text(get(content, "error_code"))
        failed = get(block, "is_error") is True or str(get(content, "type")).endswith("_error")
        found.append(Result(call_id, content, (code or "tool_error") if failed or code else None))
    return found


@dataclass(frozen=True)
class Refusal:
    """What a policy of the provider said of an input or an output."""

    policy: str
    subject_type: str
    subject: str | None
    reason: str


def refusal(message: object) -> Refusal | None:
    """Return the refusal that a message ended with; its reason is the category, where it has one."""
    if get(message, "stop_reason") != "refusal":
        return None
    category = text(get(get(message, "stop_details"), "category"))
    return Refusal("refusal", "model_output", text(get(message, "id")), category or "refusal")


def filtered(error: BaseException) -> Refusal | None:
    """Return a content filter's objection that ended a call with an error; it is known by its constant text only."""
    said = get(get(get(error, "body"), "error"), "message")
    if not isinstance(said, str) or _FILTER not in said:
        return None
    subject_type = "model_output" if said.startswith("Output") else "model_input"
    return Refusal("content_filter", subject_type, text(get(error, "request_id")), "content_filter")


# sessions

CALLS: Final = frozenset({"agent.tool_use", "agent.mcp_tool_use", "agent.custom_tool_use"})
_RESULTS: Final = {
    "agent.tool_result": "tool_use_id",
    "agent.mcp_tool_result": "mcp_tool_use_id",
    "user.tool_result": "tool_use_id",
    "user.custom_tool_result": "custom_tool_use_id",
}


@dataclass(frozen=True)
class Call:
    """A tool call of a session.

    Attributes:
        permission: allow, ask or deny, as the server evaluated it; None for a tool of the application.
        rule: The permission policy that said so: always_allow, always_ask or auto.
        reason: The grounds of a judgement, a code.
        local: Whether the application executes it, as far as the event says.
    """

    call_id: str
    name: str
    arguments: object
    server: str | None
    permission: str | None
    rule: str | None
    reason: str | None
    local: bool


def session_call(event: object) -> Call | None:
    """Return the call in an event."""
    kind, call_id = get(event, "type"), text(get(event, "id"))
    if kind not in CALLS or call_id is None:
        return None
    evaluation = get(event, "evaluation")
    return Call(
        call_id,
        text(get(event, "name")) or "tool",
        plain(get(event, "input")),
        text(get(event, "mcp_server_name")),
        text(get(event, "evaluated_permission")),
        text(get(evaluation, "type")),
        text(get(get(evaluation, "evaluated_permission"), "reason_code")),
        local=kind == "agent.custom_tool_use",
    )


@dataclass(frozen=True)
class Answer:
    """A confirmation."""

    call_id: str
    approved: bool


def confirmation(event: object) -> Answer | None:
    """Return the answer in an event, or in what a program sends."""
    call_id = text(get(event, "tool_use_id"))
    if get(event, "type") != "user.tool_confirmation" or call_id is None:
        return None
    return Answer(call_id, get(event, "result") == "allow")


def session_result(event: object) -> Result | None:
    """Return the result of a tool in an event, or in what a program sends."""
    call_id = text(get(event, _RESULTS.get(str(get(event, "type")), "")))
    if call_id is None:
        return None
    return Result(
        call_id, plain(get(event, "content")), "tool_error" if get(event, "is_error") is True else None
    )


def requires(event: object) -> list[str]:
    """Return the ids of the calls that an idle session waits for."""
    return [found for item in items(get(get(event, "stop_reason"), "event_ids")) if (found := text(item))]


def turn_ending(event: object, error: str | None) -> Ending | None:  # noqa: PLR0911  # one a status
    """Return how a turn ended that an event says is over, or why it waits; ``error`` is the type of the last error."""
    kind, reason = get(event, "type"), text(get(get(event, "stop_reason"), "type"))
    if kind in {"session.status_terminated", "session.deleted"}:
        return Ending(error=error) if error is not None else Ending("cancelled", str(kind).partition(".")[2])
    if kind != "session.status_idle":
        return None
    if reason == "requires_action":
        return Ending(waits=True)
    if reason == "refusal":
        return Ending("denied", reason)
    if reason == "budget_reached":
        return Ending("budget_exceeded", reason)
    if reason == "retries_exhausted":
        return Ending(error=error or reason)
    return Ending(stop_reason=None if reason == "end_turn" else reason)


def settings_of(session: object) -> tuple[str, dict[str, object]] | None:
    """Return the id of a session, and what it says of itself: its metadata, and the name of its agent."""
    session_id, agent = text(get(session, "id")), get(session, "agent")
    if session_id is None:
        return None
    named: dict[str, object] = {"gen_ai.agent.name": get(agent, "name")}
    return session_id, {**named, **mapping(get(session, "metadata"))}
