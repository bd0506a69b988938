# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the SDK; nothing else."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from agents import RunState
from agents.lifecycle import RunHooksBase
from agents.tracing import add_trace_processor, get_current_trace, get_trace_provider

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded, note_once
from runrecord.instrumentation._workflows import in_temporal_workflow
from runrecord.instrumentation.openai_agents import approvals, extract, patch_policies
from runrecord.instrumentation.openai_agents.active import (
    ActiveRun,
    CallNotes,
    call_notes,
    current,
    entered,
    raw_call,
)
from runrecord.instrumentation.openai_agents.begin import begin
from runrecord.instrumentation.openai_agents.extract import Ending
from runrecord.instrumentation.openai_agents.hooks import RecordingHooks
from runrecord.instrumentation.openai_agents.processor import StepProcessor
from runrecord.instrumentation.recorder import Recorder, Tool

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]

_TOOL_EXECUTION: Final = "agents.run_internal.tool_execution"
_processor: StepProcessor | None = None


class Patch:
    """The hooks, and the recorder they feed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._hooks = Hooks("openai-agents")
        self._sees_functions = False

    def apply(self) -> None:
        """Hook in. A place that this release of the SDK does not have costs some records and is logged once."""
        wrap = self._hooks.wrap
        wrap("agents.run", "AgentRunner.run", self._run)
        wrap("agents.run", "AgentRunner.run_streamed", self._run_streamed)
        wrap("agents.tracing.provider", "DefaultTraceProvider.gen_trace_id", _gen_trace_id)
        wrap("agents.guardrail", "InputGuardrail.run", patch_policies.input_guardrail)
        wrap("agents.guardrail", "OutputGuardrail.run", patch_policies.output_guardrail)
        wrap("agents.tool_guardrails", "ToolInputGuardrail.run", patch_policies.tool_input_guardrail)
        wrap("agents.tool_guardrails", "ToolOutputGuardrail.run", patch_policies.tool_output_guardrail)
        wrap("agents.run_context", "RunContextWrapper.approve_tool", _approve)
        wrap("agents.run_context", "RunContextWrapper.reject_tool", _reject)
        wrap("agents.run_context", "RunContextWrapper.get_approval_status", _approval_status)
        # Hosted MCP calls that nobody is asked about take this way instead.
        hosted = "RunContextWrapper._resolve_hosted_mcp_approval_decision"
        wrap("agents.run_context", hosted, _hosted_status, optional=True)
        wrap("agents.run_state", "RunState.approve", _state_decides)
        wrap("agents.run_state", "RunState.reject", _state_decides)
        wrap("agents.tool", "maybe_invoke_function_tool_failure_error_function", _tool_failed)
        # Newer releases call the one with the underscore.
        self._sees_functions = any(
            [
                wrap(_TOOL_EXECUTION, "_invoke_function_tool_with_metadata", invoke_tool, optional=True),
                wrap(_TOOL_EXECUTION, "invoke_function_tool", invoke_tool, optional=True),
            ]
        )
        for kind in ("ComputerAction", "LocalShellAction", "ShellAction", "ApplyPatchAction"):
            wrap("agents.run_internal.tool_actions", f"{kind}.execute", _handle_call)
        if not self._sees_functions:
            note_once(
                "openai_agents invoke",
                "runrecord: this openai-agents invokes tools elsewhere; spans that a tool makes are not below its span",
            )
        _register_processor()

    def remove(self) -> None:
        """Undo :meth:`apply`; the processor stays registered and sees no run."""
        self._hooks.remove()

    # runs

    @guarded
    def _begin(self, args: _Args, kwargs: _Kwargs) -> ActiveRun | None:
        if in_temporal_workflow():
            return None
        agent = args[0] if args else kwargs.get("starting_agent")
        given = args[1] if len(args) > 1 else kwargs.get("input")
        state = cast("object", given) if isinstance(given, RunState) else None
        active = begin(
            self._recorder,
            agent,
            state,
            kwargs,
            open_trace=get_current_trace(),
            new_trace_id=get_trace_provider().gen_trace_id,
        )
        if active.parent is None and state is not None:
            approvals.decide_all(active, state)
        elif active.parent is None:
            active.run.given(cast("object", given))
        return active

    def _observed(self, active: ActiveRun, kwargs: _Kwargs) -> _Kwargs:
        hooks = kwargs.get("hooks")
        if not _acceptable(hooks):
            return kwargs  # the SDK has an error message for this
        return {**kwargs, "hooks": RecordingHooks(active, hooks, functions=not self._sees_functions)}

    async def _run(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        active = self._begin(args, kwargs)
        if active is None:
            return await wrapped(*args, **kwargs)
        with entered(active):
            try:
                result = await wrapped(*args, **self._observed(active, kwargs))
            except BaseException as error:
                active.fail(error)
                raise
            _completed(active, result)
            return result

    def _run_streamed(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        active = self._begin(args, kwargs)
        if active is None:
            return wrapped(*args, **kwargs)
        # The task that does the work copies the context that it is made in.
        with entered(active):
            try:
                result = wrapped(*args, **self._observed(active, kwargs))
            except BaseException as error:
                active.fail(error)
                raise
        _follow(active, result)
        return result


@guarded
def _completed(active: ActiveRun, result: object) -> None:
    """End a call that returned a result."""
    waits = extract.interruptions(result)
    if active.parent is None:
        active.run.answered(extract.answer(result, waits))
    if active.tripped is not None:
        active.finish(active.tripped)
    elif waits:
        if active.parent is None:
            approvals.ask_all(active, waits)
        active.suspend()
    else:
        active.finish(extract.stream_ending(result))


@guarded
def _follow(active: ActiveRun, result: Any) -> None:
    """End a streamed call when the SDK's own task for it does, however the stream is consumed."""
    task = getattr(result, "run_loop_task", None)
    if task is None:
        active.finish()
        return
    abandoned = weakref.finalize(result, active.finish, Ending("abandoned"))

    def done(ended: Any) -> None:
        abandoned.detach()
        # Not task.exception(), which would silence asyncio's report of an exception that nobody looked at.
        error = getattr(ended, "_exception", None) or getattr(result, "_stored_exception", None)
        if ended.cancelled():
            active.finish(active.tripped or Ending("cancelled"))
        elif error is not None:
            active.fail(error)
        else:
            _completed(active, result)

    task.add_done_callback(done)


def _acceptable(hooks: object) -> bool:
    return hooks is None or isinstance(hooks, RunHooksBase)


def _gen_trace_id(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    active = current()
    return (active.offer_trace_id() if active is not None else None) or wrapped(*args, **kwargs)


def _register_processor() -> None:
    global _processor  # noqa: PLW0603
    if _processor is None:
        _processor = StepProcessor()
        add_trace_processor(_processor)


# approvals


def _state_decides(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    with approvals.deciding(instance):
        return wrapped(*args, **kwargs)


def _approve(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    result = wrapped(*args, **kwargs)
    _answered(instance, args, kwargs, "always_approve", approved=True)
    return result


def _reject(wrapped: _Wrapped, instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    result = wrapped(*args, **kwargs)
    _answered(instance, args, kwargs, "always_reject", approved=False)
    return result


def _approval_status(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    status = wrapped(*args, **kwargs)
    _held(kwargs.get("current_invocation") or kwargs.get("existing_pending"), status)
    return status


def _hosted_status(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    found = wrapped(*args, **kwargs)
    _held(args[0] if args else kwargs.get("approval_item"), found)
    return found


@guarded
def _held(item: object, found: object) -> None:
    status = cast("tuple[object, ...]", found)[0] if isinstance(found, tuple) else found
    active = current() if isinstance(status, bool) and item is not None else None
    if active is not None:
        approvals.held(active, item, approved=status is True)


def _answered(wrapper: object, args: _Args, kwargs: Mapping[str, Any], flag: str, *, approved: bool) -> None:
    item = args[0] if args else kwargs.get("approval_item")
    always = args[1] if len(args) > 1 else kwargs.get(flag, False)
    approvals.answered(wrapper, item, approved=approved, always=always is True)


# tool calls


@guarded
def _start_call(active: ActiveRun, tool: Any, context: Any, arguments: object) -> Tool | None:
    call_id = declared.text(declared.get(context, "tool_call_id"))
    approvals.waived(active, tool, call_id, arguments)
    return active.tool_call(tool, call_id, arguments, function=True)


async def invoke_tool(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    """Record the call of a function tool around what it does."""
    active = current()
    if active is None:
        return await wrapped(*args, **kwargs)
    call = _start_call(active, kwargs.get("function_tool"), kwargs.get("context"), kwargs.get("arguments"))
    if call is None:
        return await wrapped(*args, **kwargs)
    notes = CallNotes()
    token = call_notes.set(notes)
    try:
        with call:
            result = await wrapped(*args, **kwargs)
            _end_call(call, notes, result)
            return result
    finally:
        call_notes.reset(token)


@guarded
def _end_call(call: Tool, notes: CallNotes, result: object) -> None:
    handled = declared.get(result, "is_sdk_generated_error")
    if notes.waits:
        call.cut_short()
        return
    call.result(declared.get(result, "output") if isinstance(handled, bool) else result)
    if notes.error is not None:
        call.fail(notes.error)
    elif handled is True:
        call.fail("timeout")


async def _handle_call(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    token = raw_call.set(declared.get(kwargs.get("call") or kwargs.get("action"), "tool_call"))
    try:
        return await wrapped(*args, **kwargs)
    finally:
        raw_call.reset(token)


async def _tool_failed(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    answer = await wrapped(*args, **kwargs)
    notes = call_notes.get()
    if notes is not None and answer is not None:
        notes.error = kwargs.get("error")
    return answer
