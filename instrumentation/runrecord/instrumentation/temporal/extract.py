# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From what Temporal hands over to our fields; pure functions."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, cast

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from runrecord.instrumentation._declared import as_attributes, hints_in
from runrecord.instrumentation.recorder import UNSET

_YES: Final = frozenset(
    {"approve", "approved", "accept", "accepted", "allow", "allowed", "confirm", "confirmed", "yes"}
)
_NO: Final = frozenset(
    {"deny", "denied", "reject", "rejected", "decline", "declined", "disallow", "refuse", "no"}
)
_FIELDS: Final = (
    "approved",
    "approve",
    "accepted",
    "confirmed",
    "decision",
    "answer",
    "action",
    "status",
    "outcome",
)
_PLANS: Final = (
    "invoke_model_activity",
    "invoke_model",
    "model_request",
    "model_request_stream",
    "call_model",
)
_CALLS: Final = ("call_tool",)


def metadata_of(function: object) -> Mapping[str, Any] | None:
    """Return the ``metadata`` of an activity function, which marks it as a tool of the agent."""
    function = getattr(function, "__func__", function)
    found = getattr(function, "metadata", None)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else None


def tool_facts(metadata: Mapping[str, Any] | None) -> dict[str, str | bool]:
    """Return the attributes that a tool's metadata declares: the four hints, and what it does to the world."""
    return as_attributes(hints_in(metadata))


def arguments(function: object, args: Sequence[Any]) -> object:
    """Return an activity's arguments as one value: an object of the parameters.

    A single argument that is an object itself (a mapping, a dataclass, a pydantic model) is that object, as it is to
    whoever is shown what a tool is going to be called with.
    """
    if len(args) == 1 and is_object(args[0]):
        return args[0]
    try:
        names = list(inspect.signature(cast("Callable[..., Any]", function)).parameters)
    except (TypeError, ValueError):
        names = []
    names += [f"arg{position}" for position in range(len(names), len(args))]
    return dict(zip(names, args, strict=False))


def is_object(value: object) -> bool:
    """Say whether a value is an object in JSON's sense."""
    if isinstance(value, type):
        return False
    return isinstance(value, Mapping) or dataclasses.is_dataclass(value) or hasattr(value, "model_fields_set")


def one(args: Sequence[Any]) -> object:
    """Return the arguments of a handler or workflow as one value."""
    return args[0] if len(args) == 1 else list(args)


def step_kind(activity: str) -> str:
    """Return plan for the activities in which agent plug-ins call the model, and act for any other."""
    return "plan" if activity.rpartition("__")[2].lower() in _PLANS else "act"


def is_plugin_tool(activity: str) -> bool:
    """Say whether an activity is the one in which an agent plug-in calls a tool."""
    return activity.rpartition("__")[2].lower() in _CALLS


@dataclasses.dataclass(frozen=True)
class PluginCall:
    """A tool call that a plug-in makes in one of its activities.

    Attributes:
        tool: Name of the tool, where the activity says so.
        call_id: The model's id of the call; arguments: what it is called with. None and UNSET where the activity doesn't say.
    """

    tool: str | None
    call_id: str | None
    arguments: object


def plugin_call(activity: str, args: Sequence[Any]) -> PluginCall | None:
    """Read the arguments of an activity; None if it is not the one in which an agent plug-in calls a tool."""
    if not is_plugin_tool(activity):
        return None
    for value in args:
        name = member(value, "name") or member(value, "tool_name")
        if isinstance(name, str):
            context = member(value, "serialized_run_context")
            call_id = member(context, "tool_call_id")
            arguments = member(value, "tool_args")
            return PluginCall(
                name,
                call_id if isinstance(call_id, str) else None,
                UNSET if arguments is None else arguments,
            )
    return PluginCall(None, None, UNSET)


def member(value: object, name: str) -> object:
    """Return a field of an object or a mapping, or None."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value).get(name)
    return cast("object", getattr(value, name, None)) if is_object(value) else None


def verdict(handler: str, args: Sequence[Any]) -> bool | None:
    """Read an answer: True is a yes, False is a no, None is neither.

    In this order: an argument that is a boolean or one of the usual words; a field ``approved``, ``decision``, ``action`` or the
    like of an argument; the name of the update or signal (``approve``, ``reject_refund``).
    """
    for value in args:
        found = _word(value)
        if found is not None:
            return found
    for value in args:
        for name in _FIELDS:
            found = _word(member(value, name))
            if found is not None:
                return found
    words = handler.lower().replace("-", "_").split("_")
    if any(word in _NO for word in words):
        return False
    return True if any(word in _YES for word in words) else None


def _word(value: object) -> bool | None:
    if isinstance(value, Enum):
        value = cast("object", value.value)
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = value.strip().lower()
        return True if text in _YES else False if text in _NO else None
    return None


def policy_of(workflow: type, update: str) -> tuple[str, str | None, str | None] | None:
    """Return (id, version, rule) of the policy that an update's validator is, or None if it says that it is none.

    Read from plain attributes ``policy_id``, ``policy_version`` and ``policy_rule`` of the validator or of the update's function.
    Without them the policy is called as the update is.
    """
    said: dict[str, Any] = {}
    for place in _functions_of(workflow, update):
        for key in ("policy_id", "policy_version", "policy_rule"):
            if hasattr(place, key):
                said.setdefault(key, getattr(place, key))
    policy = said.get("policy_id", update)
    return None if policy is None else (str(policy), said.get("policy_version"), said.get("policy_rule"))


def _functions_of(workflow: type, update: str) -> list[object]:
    """Return an update's validator and its function, as far as this release of the SDK lets us find them."""
    for name in dir(workflow):
        function = getattr(workflow, name, None)
        definition = getattr(function, "_defn", None)
        if hasattr(definition, "validator") and getattr(definition, "name", None) == update:
            return [getattr(definition, "validator", None), function]
    return []


def deadline(start: datetime, timeout: timedelta | float | None) -> datetime | None:
    """Return when a request expires."""
    if timeout is None:
        return None
    return start + (timeout if isinstance(timeout, timedelta) else timedelta(seconds=timeout))


def is_benign(error: BaseException) -> bool:
    """Say whether the application declared an error to be expected."""
    return isinstance(error, ApplicationError) and error.category == ApplicationErrorCategory.BENIGN


def will_be_retried(policy: Any, attempt: int, error: BaseException) -> bool:
    """Say whether Temporal starts the workflow again after ``error``, as its retry policy says."""
    if policy is None or 0 < policy.maximum_attempts <= attempt:
        return False
    if isinstance(error, ApplicationError):
        return not (error.non_retryable or error.type in (policy.non_retryable_error_types or ()))
    return True
