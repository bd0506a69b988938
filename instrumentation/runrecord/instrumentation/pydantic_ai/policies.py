# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Policy decisions: what hooks and validators of the application said about a tool call or an output."""

from typing import Any

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Policy
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.pydantic_ai import extract
from runrecord.instrumentation.pydantic_ai.active import ActiveRun, CallNotes

_REASONS = {
    "SkipToolExecution": "skip_tool_execution",
    "ModelRetry": "model_retry",
    "ToolFailed": "tool_failed",
}


def _reason(error: BaseException) -> str | None:
    return next((_REASONS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _REASONS), None)


@guarded
def call_stopped(active: ActiveRun, part: object, notes: CallNotes, error: BaseException) -> None:
    """Record what an exception says that left the execution of a call, if a hook rather than the tool raised it."""
    if extract.is_kind(error, "ApprovalRequired") and not notes.executed:
        asks(active, part, error)
        return
    cause = extract.root_cause(error)
    reason = _reason(cause)
    if reason is None or notes.failed:
        return
    policy = extract.policy_behind(cause, "tool_hook")
    if policy is not None:
        _deny(active, part, policy, reason, action="modify" if notes.executed else "block")


@guarded
def call_answered(active: ActiveRun, part: object, manager: object) -> None:
    """Record that a hook answered a call in the tool's place."""
    policy = _the_hook(declared.get(manager, "root_capability"))
    if policy is not None:
        _deny(active, part, policy, "answered_by_hook", action="block")


def _the_hook(root: Any) -> Policy | None:
    """Return the one capability that can answer in a tool's place; with several of them there is no telling which."""
    from pydantic_ai.capabilities import AbstractCapability  # noqa: PLC0415  # this module is imported without the SDK

    found: list[object] = []

    def visit(capability: object) -> None:
        kind = type(capability)
        if kind.__module__.startswith(("runrecord.", "pydantic_ai.capabilities.instrumentation")):
            return
        if kind.wrap_tool_execute is not AbstractCapability.wrap_tool_execute:  # type: ignore[attr-defined]
            found.append(capability)

    root.apply(visit)
    if len(found) != 1:
        return Policy("wrap_tool_execute")
    name = declared.text(declared.get(found[0], "id")) or type(found[0]).__name__
    return extract.policy_of(found[0], name)


@guarded
def call_refused(active: ActiveRun, part: object, error: BaseException) -> None:
    """Record what a validator or a hook said about the arguments of a call; a mismatch with the schema is no policy."""
    deferral = declared.get(error, "deferral")
    if isinstance(deferral, BaseException):
        asks(active, part, deferral)
        return
    reason = _reason(error)
    policy = extract.policy_behind(error, "args_validator") if reason is not None else None
    if policy is not None and reason is not None:
        _deny(active, part, policy, reason, action="block")


def asks(active: ActiveRun, part: object, error: BaseException) -> None:
    """Note whose rule it is that a person must agree."""
    call_id = extract.call_id(part)
    policy = extract.policy_behind(error, "approval_required")
    if extract.is_kind(error, "ApprovalRequired") and call_id not in active.asked and policy is not None:
        active.asked[call_id] = policy


@guarded
def output_refused(active: ActiveRun, output: object, error: BaseException) -> None:
    """Record that an output validator or function asked the model for another answer."""
    cause = extract.root_cause(error)
    reason = _reason(cause)
    policy = extract.policy_behind(cause, "output_validator") if reason is not None else None
    if policy is not None:
        decision = active.decision(policy, engine="custom", subject_type="model_output", content=output)
        decision.deny(rule=policy.rule, action="block", reason=reason)


@guarded
def allowed(active: ActiveRun, policy: Policy, part: object, arguments: object) -> None:
    """Record that the rule of an ``ApprovalRequiredToolset`` lets a call run without a person."""
    call = extract.call(part)
    decision = active.decision(
        policy,
        engine="custom",
        subject_type="tool_call",
        subject=call.call_id,
        subject_name=call.tool,
        arguments=arguments,
    )
    decision.allow(rule=policy.rule, action="none")


def _deny(active: ActiveRun, part: object, policy: Policy, reason: str, *, action: str) -> None:
    call = extract.call(part)
    decision = active.decision(
        policy,
        engine="custom",
        subject_type="tool_call",
        subject=call.call_id,
        subject_name=call.tool,
        arguments=call.arguments,
    )
    decision.deny(rule=policy.rule, action=action, reason=reason)
