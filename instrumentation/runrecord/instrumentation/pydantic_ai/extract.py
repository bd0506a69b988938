# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the SDK's objects to our fields: pure functions that import nothing of the SDK and leave content alone."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from runrecord.instrumentation._declared import Hints, Policy, get, hints_in, mapping, text
from runrecord.instrumentation._declared import policy_of as declared_policy_of
from runrecord.instrumentation.recorder import UNSET
from runrecord.semconv import attributes as a

FRAMEWORK: Final = "pydantic_ai"
_EVERY_AGENTS: Final = frozenset({"PendingMessageDrainCapability", "ToolSearch"})


def is_plain(agent: object) -> bool:
    """Say whether an agent has no capabilities beside those that the SDK gives to every agent."""
    own = cast("list[object] | None", get(get(agent, "root_capability"), "capabilities"))
    return own is not None and all(type(item).__name__ in _EVERY_AGENTS for item in own)


def agent_name(agent: object) -> str:
    """Return the name of an agent."""
    return text(get(agent, "name")) or "agent"


# what a run says of itself: the SDK's place for it is the metadata of agent and run


# tool calls


@dataclass(frozen=True)
class Call:
    """A tool call as the model made it.

    Attributes:
        call_id: The SDK's id; unique in a run, and not beyond where a model double makes it.
        tool: Name of the tool.
        arguments: What the model asked for: JSON text or an object.
    """

    call_id: str
    tool: str
    arguments: object


def call_id(part: object) -> str:
    """Return the id of a ``ToolCallPart``."""
    return text(get(part, "tool_call_id")) or ""


def call(part: object) -> Call:
    """Read a ``ToolCallPart``."""
    return Call(
        call_id(part),
        text(get(part, "tool_name")) or "tool",
        get(part, "args") or {},
    )


def calls_of(response: object) -> list[Call]:
    """Return the tool calls of a ``ModelResponse``."""
    parts = cast("list[object]", get(response, "parts") or [])
    return [call(part) for part in parts if get(part, "part_kind") == "tool-call"]


def tool_hints(definition: object) -> Hints:
    """Read the ``metadata`` of a tool definition; an MCP toolset puts the server's annotations there."""
    metadata = get(definition, "metadata")
    return hints_in(get(metadata, "annotations"), metadata)


def result_of(value: object) -> object:
    """Return what a tool said to the model: a ``ToolReturn`` also carries metadata that the model doesn't see."""
    return get(value, "return_value") if get(value, "kind") == "tool-return" else value


# policies


def declared_policy(metadata: object, default: str) -> Policy:
    """Return the policy that the metadata of a tool or of a request names; ``default`` if it names none."""
    said = mapping(metadata)
    return Policy(
        text(said.get(a.POLICY_ID)) or default,
        text(said.get(a.POLICY_VERSION)),
        text(said.get(a.POLICY_RULE_ID)),
    )


def policy_of(owner: object, name: str) -> Policy | None:
    """Read ``policy_id``, ``policy_version`` and ``policy_rule`` of a function or a capability.

    Without them the policy is called ``name``. None if ``policy_id`` is there and None: a hook that is no policy, such as a
    cache, says so in this way.
    """
    if get(owner, "policy_id") is None and hasattr(owner, "policy_id"):
        return None
    return declared_policy_of(owner, name)


def policy_behind(error: BaseException, default: str) -> Policy | None:
    """Return the policy of the application's code that raised ``error``, found through the traceback.

    That is the first function outside of the SDK; if it is a method of a capability, the capability.
    """
    trace = error.__traceback__
    while trace is not None and _of_libraries(str(trace.tb_frame.f_globals.get("__name__", ""))):
        trace = trace.tb_next
    if trace is None:
        return Policy(default)
    frame = trace.tb_frame
    owner = frame.f_locals.get("self")
    if owner is not None:
        return policy_of(owner, text(get(owner, "id")) or type(owner).__name__)
    name = frame.f_code.co_name
    function = frame.f_globals.get(name)
    if getattr(function, "__code__", None) is not frame.f_code:
        function = None
    return policy_of(function, default if name.startswith("<") else name)


def _of_libraries(module: str) -> bool:
    return module.partition(".")[0] in {"pydantic_ai", "runrecord", "asyncio", "anyio", "wrapt", "concurrent"}


def root_cause(error: BaseException) -> BaseException:
    """Return what the SDK wrapped to answer the model with: ``ModelRetry`` or ``ToolFailed`` of the application."""
    wrapped = {"ToolRetryError", "ToolFailedError"}
    cause = error.__cause__
    return cause if type(error).__name__ in wrapped and cause is not None else error


def is_kind(error: BaseException, *names: str) -> bool:
    """Say whether ``error`` is of one of the SDK's exceptions, which not every release has."""
    return any(kind.__name__ in names for kind in type(error).__mro__)


# approvals


@dataclass(frozen=True)
class Answer:
    """What was answered to a request for approval.

    Attributes:
        status: approved, denied or modified.
        arguments: What is to run instead of what was shown; only if modified.
        actor: human, policy, service or delegate.
        actor_ref: Who answered.
    """

    status: str
    arguments: object
    actor: str
    actor_ref: str | None
    scope: str
    channel: str | None
    reason: str | None


def answer(results: object, call_id: str, *, actor: str) -> Answer | None:
    """Read the answer to one call of ``DeferredToolResults``; None without one."""
    given = mapping(get(results, "approvals")).get(call_id)
    status, arguments = _status(given)
    if status is None:
        return None
    said = mapping(mapping(get(results, "metadata")).get(call_id))
    by = mapping(get(results, "answered_by")).get(call_id)
    return Answer(
        status,
        arguments,
        text(said.get(a.APPROVAL_ACTOR_TYPE)) or actor,
        text(by) or text(said.get(a.APPROVAL_ACTOR_REF)),
        text(said.get(a.APPROVAL_SCOPE)) or "once",
        text(said.get(a.APPROVAL_CHANNEL)),
        text(said.get(a.APPROVAL_REASON_CODE)),
    )


def _status(given: object) -> tuple[str | None, object]:
    if given is True or get(given, "kind") == "tool-approved":
        override = get(given, "override_args")
        return ("approved", UNSET) if override is None else ("modified", override)
    if given is False or get(given, "kind") == "tool-denied":
        return "denied", UNSET
    return None, UNSET


def is_deferred(output: object) -> bool:
    """Say whether a run's output is ``DeferredToolRequests``."""
    return type(output).__name__ == "DeferredToolRequests"


def waits_for(requests: object) -> str:
    """Return why a run waits: approval, question or external."""
    if get(requests, "approvals"):
        return "approval"
    kinds = mapping(get(requests, "_kinds")).values()
    return "question" if "question" in kinds else "external"


def said(result: object) -> object:
    """Return what a run answered: its output, or the tool calls that it waits for."""
    output = get(result, "output")
    if not is_deferred(output):
        return output
    waiting = [call(part) for part in [*get(output, "approvals"), *get(output, "calls")]]
    calls = [{"id": one.call_id, "name": one.tool, "arguments": one.arguments} for one in waiting]
    return {"role": "assistant", "tool_calls": calls}


# the end of a run


@dataclass(frozen=True)
class Budget:
    """A limit that was reached.

    Attributes:
        name: The SDK's name of the limit.
        dimension: tokens, cost, model_calls, tool_calls or seconds.
    """

    name: str
    dimension: str
    limit: float | None = None
    consumed: float | None = None

    @property
    def attributes(self) -> dict[str, str | float | bool | None]:
        """The attributes of the run and of the decision."""
        return {
            a.BUDGET_ID: self.name,
            a.BUDGET_DIMENSION: self.dimension,
            a.BUDGET_LIMIT: self.limit,
            a.BUDGET_CONSUMED: self.consumed,
            a.BUDGET_EXCEEDED: True,
            a.BUDGET_ACTION: "stop",
        }


_LIMIT: Final = re.compile(r"\b([a-z_]+)_limit\b`? of ([0-9.]+)")
_LIMITS: Final = {
    "request": ("model_calls", "requests"),
    "tool_calls": ("tool_calls", "tool_calls"),
    "input_tokens": ("tokens", "input_tokens"),
    "output_tokens": ("tokens", "output_tokens"),
    "total_tokens": ("tokens", "total_tokens"),
    "per_request_input_tokens": ("tokens", None),
    "cost": ("cost", "cost"),
}


def budget(error: BaseException, usage: object) -> Budget | None:
    """Return the limit that a ``UsageLimitExceeded`` names: its text is the one place where the SDK says which it was."""
    found = _LIMIT.search(str(error))
    if found is None or found[1] not in _LIMITS:
        return None
    dimension, used = _LIMITS[found[1]]
    consumed = _number(get(usage, used)) if used is not None else None
    return Budget(f"{found[1]}_limit", dimension, _number(found[2].rstrip(".")), consumed)


def _number(value: object) -> float | None:
    try:
        return None if value is None else float(cast("Any", value))
    except (TypeError, ValueError):
        return None


def is_cancellation(error: BaseException) -> bool:
    """Say whether an exception ends a run without being a failure of it."""
    return isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)) or is_kind(error, "RunCancelled")
