# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Agents of the OpenAI Agents SDK that run inside of a workflow: what they ask, what is answered, and which activity is which call.

There the agent's code is workflow code and runs again on every replay, so that its own integration keeps out of workflows. The run
is the workflow's, its model calls and tools are activities; only the approvals have to be told.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.temporal._record import WorkflowRecord, current_record
from runrecord.instrumentation.temporal.approvals import approval

_Wrapped = Callable[..., Any]
_TOOLS: Final = "agents.run_internal.tool_execution"

running_call: ContextVar[str | None] = ContextVar("runrecord-temporal-tool-call", default=None)
"""Id of the tool call that this workflow code runs in; an activity that it starts is that call."""


class AgentsPatch:
    """The hooks into the Agents SDK."""

    def __init__(self) -> None:
        self._hooks = Hooks("openai-agents")

    def apply(self) -> None:
        """Hook in."""
        wrap = self._hooks.wrap
        wrap("agents.run", "AgentRunner.run", _run)
        wrap("agents.run_state", "RunState.approve", _approve)
        wrap("agents.run_state", "RunState.reject", _reject)
        wrap(_TOOLS, "_invoke_function_tool_with_metadata", _invoke, optional=True)
        wrap(_TOOLS, "invoke_function_tool", _invoke, optional=True)

    def remove(self) -> None:
        """Undo :meth:`apply`."""
        self._hooks.remove()


async def _run(wrapped: _Wrapped, _instance: Any, args: Any, kwargs: Any) -> Any:
    result = await wrapped(*args, **kwargs)
    record = current_record()
    if record is not None and running_call.get() is None:
        _asked(record, result)
    return result


@guarded
def _asked(record: WorkflowRecord, result: object) -> None:
    """Record what an agent waits for, the policy's decision first; what it asked before is asked once."""
    from runrecord.instrumentation.openai_agents import extract  # noqa: PLC0415  # it imports the SDK's types

    for item in extract.interruptions(result):
        call = extract.pending_call(item)
        if call.call_id in record.calls:
            continue
        policy = extract.approval_policy(item)
        record.scope.decision(
            policy.policy_id,
            version=policy.version,
            engine="sdk",
            subject=call.call_id,
            subject_name=call.tool,
            arguments=call.arguments,
        ).require_approval(rule=policy.rule)
        record.calls[call.call_id] = approval(call.tool, arguments=call.arguments, call_id=call.call_id)


def _approve(wrapped: _Wrapped, _instance: Any, args: Any, kwargs: Any) -> Any:
    result = wrapped(*args, **kwargs)
    _answered(args, kwargs, "always_approve", yes=True)
    return result


def _reject(wrapped: _Wrapped, _instance: Any, args: Any, kwargs: Any) -> Any:
    result = wrapped(*args, **kwargs)
    _answered(args, kwargs, "always_reject", yes=False)
    return result


@guarded
def _answered(args: Any, kwargs: Any, flag: str, *, yes: bool) -> None:
    record = current_record()
    if record is None:
        return
    from runrecord.instrumentation.openai_agents import extract  # noqa: PLC0415

    call = extract.pending_call(args[0] if args else kwargs.get("approval_item"))
    asked = record.calls.get(call.call_id)
    if asked is None:
        return
    always = (args[1] if len(args) > 1 else kwargs.get(flag)) is True
    asked.settled("approved" if yes else "denied", scope="session" if always else "once")


async def _invoke(wrapped: _Wrapped, _instance: Any, args: Any, kwargs: Any) -> Any:
    if current_record() is None:
        return await wrapped(*args, **kwargs)
    call_id = getattr(kwargs.get("context"), "tool_call_id", None)
    token = running_call.set(call_id if isinstance(call_id, str) else None)
    try:
        return await wrapped(*args, **kwargs)
    finally:
        running_call.reset(token)
