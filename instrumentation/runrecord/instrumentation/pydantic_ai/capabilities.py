# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002  # the signatures are the SDK's
"""Three capabilities of the SDK, added to each run: where the SDK itself tells of runs, steps, arguments and outputs.

They override no hook that makes the SDK stream, hold back or treat a request in another way (``on_event``,
``wrap_run_event_stream``, ``wrap_node_run``, ``wrap_model_request``, ``on_model_request_error``), and contribute no tools.
"""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any, ClassVar, cast

from opentelemetry import trace
from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering, Instrumentation

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._safety import guarded, note_once, swallowed
from runrecord.instrumentation.pydantic_ai import approvals, calls, extract, policies
from runrecord.instrumentation.pydantic_ai.active import ActiveRun, attached
from runrecord.instrumentation.pydantic_ai.begin import Beginning
from runrecord.instrumentation.recorder import Tool, existing_span

_Handler = Callable[..., Awaitable[Any]]


class _Ours(AbstractCapability[Any]):
    """What the three have in common."""

    # The durable engines refuse other capabilities of a single run, for the tools that such may bring; ours bring none.
    _safe_at_runtime: ClassVar[bool] = True

    def __init__(self, beginning: Beginning) -> None:
        self.beginning = beginning

    @property
    def active(self) -> ActiveRun | None:
        """The run, while it is under way."""
        active = self.beginning.active
        return None if active is None or active.ended else active


class Rejoining(_Ours):
    """Outside of the SDK's own instrumentation: its span of a resumed run is to be in the run's trace."""

    def get_ordering(self) -> CapabilityOrdering:
        """Stand outside of everything."""
        return CapabilityOrdering(position="outermost", wraps=[Instrumentation])

    async def wrap_run(self, ctx: Any, *, handler: _Handler) -> Any:
        """Make the trace of the first segment the current one."""
        context = None
        with swallowed("joining a trace"):
            self.beginning.see(ctx)
            context = None if _durable(ctx) else self.beginning.trace_of_first_segment()
        if context is None:
            return await handler()
        with attached(context):
            return await handler()


class Governing(_Ours):
    """Right inside of the SDK's own instrumentation, so that its spans are the current ones here."""

    def get_ordering(self) -> CapabilityOrdering:
        """Stand outside of the application's capabilities."""
        return CapabilityOrdering(position="outermost", wrapped_by=[Rejoining, Instrumentation])

    async def wrap_run(self, ctx: Any, *, handler: _Handler) -> Any:
        """Record the run."""
        active = self._begin(ctx)
        if active is None:
            return await handler()
        with active.entered():
            try:
                result = await handler()
            except BaseException as error:
                active.fail(
                    error,
                    usage=declared.get(ctx, "usage"),
                    deadline=declared.get(ctx, "deadline"),
                )
                raise
            _completed(active, result)
            return result

    @guarded
    def _begin(self, ctx: Any) -> ActiveRun | None:
        self.beginning.see(ctx)
        if _durable(ctx):
            note_once(
                "pydantic_ai durable",
                "runrecord: runs inside of a durable workflow are not recorded, since the engine executes them again",
            )
            return None
        return self.beginning.begin()

    async def wrap_tool_execute(
        self, ctx: Any, *, call: Any, tool_def: Any, args: dict[str, Any], handler: _Handler
    ) -> Any:
        """Note the SDK's own span of a call."""
        active = self.active
        if active is not None:
            with swallowed("the span of a tool call"):
                call_id = extract.call_id(call)
                span = existing_span("execute_tool", trace.get_current_span(), call_id)
                active.notes(call_id).span = span
        return await handler(args)

    async def wrap_output_process(
        self, ctx: Any, *, output_context: Any, output: Any, handler: _Handler
    ) -> Any:
        """Record an output function as the tool that it is, and what output validators refuse."""
        active = self.active
        if active is None or declared.get(ctx, "partial_output") is True:
            return await handler(output)
        call = self._output_call(active, output_context, output)
        with call if call is not None else nullcontext():
            try:
                result = await handler(output)
            except Exception as error:
                policies.output_refused(active, output, error)
                if call is not None:
                    call.fail(extract.root_cause(error))
                raise
            if call is not None:
                call.result(result)
            return result

    @guarded
    def _output_call(self, active: ActiveRun, output_context: Any, output: Any) -> Tool | None:
        if declared.get(output_context, "has_function") is not True:
            return None
        part = declared.get(output_context, "tool_call")
        call_id = declared.text(declared.get(part, "tool_call_id"))
        name = declared.get(part, "tool_name") or declared.get(output_context, "function_name")
        return active.owner.tool(
            declared.text(name) or "output_function",
            call_id=call_id,
            arguments=extract.call(part).arguments if part is not None else output,
            tool_type="function",
            span=existing_span("execute_tool", trace.get_current_span(), call_id),
        )


class Noting(_Ours):
    """Inside of the application's capabilities: what is really sent, validated and received."""

    async def before_model_request(self, ctx: Any, request_context: Any) -> Any:
        """Start a step."""
        active = self.active
        if active is not None:
            approvals.settle(active)
            active.start_step()
            with swallowed("the tools of a request"):
                parameters = declared.get(request_context, "model_request_parameters")
                for definition in cast("list[Any]", declared.get(parameters, "function_tools") or []):
                    active.definitions[definition.name] = definition
        return request_context

    async def after_model_request(self, ctx: Any, *, request_context: Any, response: Any) -> Any:
        """Note what the provider filtered."""
        active = self.active
        if active is not None:
            active.filtered = False
            if declared.get(response, "finish_reason") == "content_filter":
                active.content_filtered("block")
        return response

    async def before_tool_validate(self, ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
        """Note the arguments that are validated."""
        active = self.active
        if active is not None:
            active.notes(extract.call_id(call)).raw = args or {}
        return args

    async def after_tool_validate(self, ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
        """Note what the validation made of them."""
        active = self.active
        if active is not None:
            active.validated(extract.call_id(call), args)
        return args

    async def wrap_tool_execute(
        self, ctx: Any, *, call: Any, tool_def: Any, args: dict[str, Any], handler: _Handler
    ) -> Any:
        """Record a call where the better place for it is gone; some hooks may still keep it from being made."""
        active = self.active
        if active is None or self.beginning.sees_calls:
            return await handler(args)
        return await calls.made(active, call, tool_def, args, handler(args))


class Recording(Governing, Noting):
    """Both in one, for an agent that has nothing to stand between them."""


@guarded
def _completed(active: ActiveRun, result: Any) -> None:
    """End a call that returned a result."""
    approvals.settle(active)
    if active.parent is None:
        active.run.answered(extract.said(result))
    output = declared.get(result, "output")
    if not extract.is_deferred(output):
        active.finish()
        return
    approvals.request_all(active, output, active.definitions.get)
    waiting = [extract.call_id(part) for part in [*output.approvals, *output.calls]]
    active.suspend(extract.waits_for(output), waiting)


def _durable(ctx: Any) -> bool:
    return declared.get(ctx, "in_durable_context") is True
