# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From requests and responses to our fields: pure functions that import nothing of the SDK and leave content alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from runrecord.instrumentation._declared import Hints, get, hints_in, text

FRAMEWORK: Final = "openai"

_APIS: Final = (
    ("post", re.compile(r"/responses"), "responses"),
    ("get", re.compile(r"/responses/[^/?]+"), "retrieve"),
    ("post", re.compile(r"/chat/completions"), "chat"),
    ("post", re.compile(r"/decisions"), "decisions"),
)
_ANSWERS: Final = frozenset(
    {"mcp_approval_response", "computer_call_output", "function_call_output", "custom_tool_call_output"}
)
_CALLS: Final = frozenset({"function_call", "computer_call", "custom_tool_call"})
FILTERED: Final = frozenset({"content_filter", "content_policy_violation", "image_content_policy_violation"})
_WAITS: Final = frozenset({"queued", "in_progress"})


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


def api_of(method: str, url: str) -> str | None:
    """Return which of the APIs that we look at a request is for: responses, retrieve, chat or decisions."""
    for verb, pattern, api in _APIS:
        if method.lower() == verb and pattern.fullmatch(url):
            return api
    return None


@dataclass(frozen=True)
class Answer:
    """What a request brings for something that an earlier response asked for.

    Attributes:
        subject: The id of the approval request, or of the call.
        approved: For an approval request what was answered; None for the output of a call.
        recent: Whether nothing of the model's comes after it, so that this request is the one that brings it.
        request: The item of the request or the call, where the history has it.
    """

    subject: str
    approved: bool | None
    recent: bool
    request: object | None


def answers(body: object) -> list[Answer]:
    """Return the answers to approval requests, and the outputs of calls, in the input of a request."""
    given = items(get(body, "input"))
    asked = {
        subject: item
        for item in given
        if get(item, "type") in {"mcp_approval_request", "computer_call"}
        and (subject := text(get(item, "call_id")) or text(get(item, "id"))) is not None
    }
    last = max((place for place, item in enumerate(given) if _by_model(item)), default=-1)
    found: list[Answer] = []
    for place, item in enumerate(given):
        if get(item, "type") not in _ANSWERS:
            continue
        subject = text(get(item, "approval_request_id")) or text(get(item, "call_id"))
        if subject is not None:
            found.append(Answer(subject, _approved(item), place > last, asked.get(subject)))
    return found


def _approved(item: object) -> bool | None:
    if get(item, "type") == "mcp_approval_response":
        return bool(get(item, "approve") is True)
    return True if items(get(item, "acknowledged_safety_checks")) else None


def _by_model(item: object) -> bool:
    kind = get(item, "type")
    if kind in {None, "message"}:
        return bool(get(item, "role") == "assistant")
    return kind not in _ANSWERS and kind not in {"item_reference", "compaction_trigger"}


def is_agentic(body: object) -> bool:
    """Say whether the server runs tools in this call, or wants the application to act on a computer."""
    kinds = {str(get(tool, "type")) for tool in items(get(body, "tools"))}
    return "mcp" in kinds or any(kind.startswith("computer") for kind in kinds)


def conversation_id(*sources: object) -> str | None:
    """Return the id of the conversation that a request or a response names."""
    for source in sources:
        conversation = get(source, "conversation")
        found = text(conversation) or text(get(conversation, "id"))
        if found is not None:
            return found
    return None


# functions of the application


def tool_hints(function: object) -> Hints:
    """Read the ``metadata`` mapping of a function, which the SDK has no place for."""
    return hints_in(get(function, "metadata"))


# what a response says


def subject_of(item: object) -> str | None:
    """Return the id by which an item is answered or known: the approval request's for a call that was approved."""
    return text(get(item, "approval_request_id")) or text(get(item, "call_id")) or text(get(item, "id"))


def shown(item: object) -> object:
    """Return the arguments of an item: the text of a call, the action or actions for a computer."""
    if get(item, "type") == "computer_call":
        return {"actions": plain(get(item, "actions") or [get(item, "action")])}
    return get(item, "arguments")


def safety_checks(item: object) -> list[str]:
    """Return the codes of the checks that a computer call waits for."""
    if get(item, "type") != "computer_call":
        return []
    return [text(get(check, "code")) or "unnamed" for check in items(get(item, "pending_safety_checks"))]


def open_calls(response: object) -> list[str]:
    """Return the ids of what the application must do or answer before the model goes on."""
    return [
        subject
        for item in items(get(response, "output"))
        if get(item, "type") in {*_CALLS, "mcp_approval_request"} and (subject := subject_of(item))
    ]


def hints(item: object) -> dict[tuple[str, str], Mapping[str, object]]:
    """Return what the tools of a hosted MCP server declare, by (server, tool)."""
    if get(item, "type") != "mcp_list_tools":
        return {}
    server = str(get(item, "server_label"))
    return {
        (server, str(get(tool, "name"))): cast("Mapping[str, object]", plain(get(tool, "annotations")))
        for tool in items(get(item, "tools"))
        if isinstance(plain(get(tool, "annotations")), Mapping)
    }


def refusals_in(item: object) -> list[str]:
    """Return what the model says instead of an answer, in a message of a response."""
    parts = items(get(item, "content")) if get(item, "type") == "message" else []
    return [said for part in parts if (said := text(get(part, "refusal"))) is not None]


@dataclass(frozen=True)
class Ending:
    """How a run ended or why it waits; ``error`` is the type of a failure."""

    outcome: str | None = None
    stop_reason: str | None = None
    error: str | None = None
    waits: bool = False


def ending(response: object) -> Ending | None:  # noqa: PLR0911  # one a status
    """Return how the run of a response ends that did not come to its end, or was refused; None for one that did."""
    status = get(response, "status")
    if is_waiting(response):
        return Ending(stop_reason="background", waits=True)
    if status == "cancelled":
        return Ending("cancelled")
    if status == "failed":
        code = text(get(get(response, "error"), "code"))
        return Ending("denied", code) if code in FILTERED else Ending(error=code or "response_failed")
    reason = text(get(get(response, "incomplete_details"), "reason"))
    if reason == "content_filter":
        return Ending("denied", "content_filter")
    if reason is not None:
        return Ending("budget_exceeded", reason)
    if any(refusals_in(item) for item in items(get(response, "output"))):
        return Ending("denied", "refusal")
    return None


def is_waiting(response: object) -> bool:
    """Say whether a response is still being made, in the background."""
    return bool(get(response, "status") in _WAITS)


_UNCHECKED: Final = "Computer safety checks require explicit approval"
_UNAPPROVED: Final = "Computer action was not approved"


def refused(error: BaseException) -> tuple[bool, bool]:
    """Say whether a computer call was refused, and whether that was before any of its actions."""
    said = str(error) if type(error).__name__ == "ComputerUseError" else None
    return said in {_UNCHECKED, _UNAPPROVED}, said == _UNCHECKED


def runner_ending(error: BaseException) -> Ending | None:
    """Return how a run of a tool runner ended that raised ``error``; None for a failure.

    The runners' errors have constant texts, which say nothing of the content.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"ToolRunnerError", "DecisionsToolRunnerError", "ComputerUseError"}:
        said = str(error)
        if "max_steps" in said:
            return Ending("budget_exceeded", "max_steps")
        if "was cancelled" in said:
            return Ending("cancelled")
        if said in {_UNCHECKED, _UNAPPROVED}:
            return Ending("denied", "approval")
    return None
