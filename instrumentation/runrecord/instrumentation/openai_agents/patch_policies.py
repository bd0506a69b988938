# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into guardrails; nothing else."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Policy
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.openai_agents import extract
from runrecord.instrumentation.openai_agents.active import ActiveRun, current
from runrecord.instrumentation.openai_agents.extract import Ending
from runrecord.instrumentation.recorder import Decision

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]


async def _decided(
    decision: Decision | None,
    policy: Policy,
    call: Awaitable[Any],
    *,
    of_result: bool = False,
    trips: str = "terminate",
) -> tuple[Any, extract.Verdict]:
    """Await a guardrail with its decision as the current span, and record what it said; ``trips``: what a tripwire does."""
    with decision if decision is not None else nullcontext():
        result = await call
        verdict = extract.verdict(result, of_result=of_result, trips=trips)
        if decision is not None:
            record = decision.allow if verdict.outcome == "allow" else decision.deny
            record(rule=policy.rule, action=verdict.action, reason=verdict.reason)
    return result, verdict


@guarded
def _decision(active: ActiveRun, policy: Policy, subject_type: str, **subject: Any) -> Decision | None:
    return active.decision(policy, engine="guardrail", subject_type=subject_type, **subject)


async def input_guardrail(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """Record what a guardrail of the input said."""
    active = current()
    if active is None:
        return await wrapped(*args, **kwargs)
    policy = extract.guardrail_policy(instance)
    given = args[1] if len(args) > 1 else kwargs.get("input")
    decision = _decision(active, policy, "model_input", content=given)
    result, verdict = await _decided(decision, policy, wrapped(*args, **kwargs))
    if verdict.action == "terminate":
        active.tripped = Ending("denied", "input_guardrail")
    return result


async def output_guardrail(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """Record what a guardrail of the output said."""
    active = current()
    if active is None:
        return await wrapped(*args, **kwargs)
    policy = extract.guardrail_policy(instance)
    output = args[2] if len(args) > 2 else kwargs.get("agent_output")  # noqa: PLR2004
    decision = _decision(active, policy, "model_output", content=output)
    # A tripwire ends a run; in a realtime session it interrupts the response, and the session goes on.
    trips = "block" if active.live else "terminate"
    result, verdict = await _decided(decision, policy, wrapped(*args, **kwargs), trips=trips)
    if verdict.action == "terminate":
        active.tripped = Ending("denied", "output_guardrail")
    return result


async def tool_input_guardrail(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """Record what a guardrail said of a tool call."""
    active = current()
    if active is None:
        return await wrapped(*args, **kwargs)
    policy = extract.guardrail_policy(instance)
    context = declared.get(args[0] if args else kwargs.get("data"), "context")
    call_id, arguments = declared.get(context, "tool_call_id"), declared.get(context, "tool_arguments")
    tool = declared.text(declared.get(context, "tool_name"))
    decision = _decision(active, policy, "tool_call", subject=call_id, subject_name=tool, arguments=arguments)
    result, _ = await _decided(decision, policy, wrapped(*args, **kwargs))
    return result


async def tool_output_guardrail(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """Record what a guardrail said of a tool's result."""
    active = current()
    if active is None:
        return await wrapped(*args, **kwargs)
    policy = extract.guardrail_policy(instance)
    data = args[0] if args else kwargs.get("data")
    call_id = declared.get(declared.get(data, "context"), "tool_call_id")
    decision = _decision(active, policy, "tool_call", subject=call_id, content=declared.get(data, "output"))
    result, _ = await _decided(decision, policy, wrapped(*args, **kwargs), of_result=True)
    return result
