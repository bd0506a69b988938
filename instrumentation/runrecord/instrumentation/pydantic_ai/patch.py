# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the SDK; nothing else."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation._workflows import in_temporal_workflow
from runrecord.instrumentation.pydantic_ai import approvals, calls, extract, policies
from runrecord.instrumentation.pydantic_ai.active import current
from runrecord.instrumentation.pydantic_ai.begin import Beginning
from runrecord.instrumentation.pydantic_ai.capabilities import Governing, Noting, Recording, Rejoining
from runrecord.instrumentation.recorder import Approval, Recorder

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]


class Patch:
    """The hooks, and the recorder they feed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._hooks = Hooks("pydantic-ai")
        self._sees_calls = False

    def apply(self) -> None:
        """Hook in. A place that this release of the SDK does not have costs some records and is logged once."""
        wrap = self._hooks.wrap
        wrap("pydantic_ai.agent", "Agent.iter", self._iter)
        wrap("pydantic_ai.tool_manager", "ToolManager._run_validate_hooks", _validate)
        wrap("pydantic_ai.tool_manager", "ToolManager._run_execute_hooks", _execute)
        self._sees_calls = wrap("pydantic_ai.tool_manager", "ToolManager._raw_execute", _call_tool)
        wrap("pydantic_ai.tool_manager", "ToolManager.resolve_deferred_tool_calls", _resolve)
        wrap("pydantic_ai.toolsets", "ApprovalRequiredToolset.call_tool", _approval_required)

    def remove(self) -> None:
        """Undo :meth:`apply`; runs that are under way end as they began."""
        self._hooks.remove()

    def _iter(self, wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        # Not a coroutine, and no context manager of ours around the SDK's: streaming, cancellation and the inference of
        # the agent's name see the same frames as without us.
        return wrapped(*args, **(self._observed(instance, args, kwargs) or kwargs))

    @guarded
    def _observed(self, agent: Any, args: _Args, kwargs: _Kwargs) -> _Kwargs | None:
        given: Sequence[Any] = kwargs.get("capabilities") or []
        if in_temporal_workflow() or not isinstance(cast("object", given), Sequence):
            return None
        if any(isinstance(capability, Governing) for capability in given):
            return None  # a wrapper of an agent came by here already
        options = kwargs if "user_prompt" in kwargs or not args else {**kwargs, "user_prompt": args[0]}
        beginning = Beginning(self._recorder, agent, options, sees_calls=self._sees_calls)
        # As few as will do: at every hook the SDK copies its context for each.
        if given or not self._sees_calls or not extract.is_plain(agent):
            ours: list[Any] = [Governing(beginning), *given, Noting(beginning)]
        else:
            ours = [Recording(beginning)]
        if kwargs.get("deferred_tool_results") is not None:
            ours.insert(0, Rejoining(beginning))
        return {**kwargs, "capabilities": ours}


# tool calls


async def _validate(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    active = current()
    if active is None:
        return await wrapped(*args, **kwargs)
    approvals.settle(active)
    try:
        return await wrapped(*args, **kwargs)
    except Exception as error:
        policies.call_refused(active, args[0] if args else kwargs.get("call"), error)
        raise


async def _execute(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """A call with the application's hooks around it, of which each may keep it from being made."""
    active = current()
    validated = args[0] if args else kwargs.get("validated")
    if active is None or _is_output(validated):
        return await wrapped(*args, **kwargs)
    part = declared.get(validated, "call")
    call_id = extract.call_id(part)
    notes = active.notes(call_id)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        policies.call_stopped(active, part, notes, error)
        raise
    else:
        if not notes.executed:
            policies.call_answered(active, part, instance)
        return result
    finally:
        active.forget(call_id)


async def _call_tool(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """The call itself."""
    active = current()
    validated = args[0] if args else kwargs.get("validated")
    if active is None or _is_output(validated):
        return await wrapped(*args, **kwargs)
    definition = declared.get(declared.get(validated, "tool"), "tool_def")
    part, arguments = declared.get(validated, "call"), declared.get(validated, "validated_args")
    return await calls.made(active, part, definition, arguments, wrapped(*args, **kwargs))


def _is_output(validated: object) -> bool:
    kind: object = declared.get(declared.get(declared.get(validated, "tool"), "tool_def"), "kind")
    return kind == "output"


# approvals


async def _resolve(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """Handlers of deferred calls inside of the run; there may be none."""
    active = current()
    if active is None:
        return await wrapped(*args, **kwargs)
    approvals.settle(active)
    requests = args[0] if args else kwargs.get("requests")
    asked = approvals.request_all(active, requests, instance.get_tool_def) or dict[str, Approval]()
    try:
        results = await wrapped(*args, **kwargs)
    except BaseException as error:
        approvals.unanswered(asked, error)
        raise
    if results is not None:
        approvals.resolve(active, asked, results)
    return results


async def _approval_required(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """A toolset with a rule of its own, which is asked once, by the SDK, on a copy that tells us its answer."""
    active = current()
    rule = declared.get(instance, "approval_required_func")
    if active is None or not callable(rule):
        return await wrapped(*args, **kwargs)

    def asked(ctx: Any, tool_def: Any, tool_args: Any) -> Any:
        needed = rule(ctx, tool_def, tool_args)
        with swallowed("a rule of approval"):
            name = declared.text(declared.get(rule, "__name__")) or "approval_required"
            policy = extract.policy_of(rule, "approval_required" if name == "<lambda>" else name)
            call_id = declared.text(declared.get(ctx, "tool_call_id")) or ""
            part = {"tool_call_id": call_id, "tool_name": declared.get(tool_def, "name"), "args": tool_args}
            if policy is not None and needed:
                active.asked[call_id] = policy
            elif policy is not None:
                policies.allowed(active, policy, part, active.shown(active.notes(call_id), tool_args))
        return needed

    observed = copy.copy(instance)
    observed.approval_required_func = asked
    return await cast("Any", wrapped).__func__(observed, *args, **kwargs)
