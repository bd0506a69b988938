# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Activities: steps of the run whose header they bring, with a tool call inside where they are tools."""

import asyncio
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, get_current_span, set_span_in_context
from temporalio import activity
from temporalio.exceptions import is_cancelled_exception
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from runrecord.instrumentation._remote import RemoteRun, with_remote_run
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.recorder import UNSET, Recorder, Step, Tool
from runrecord.instrumentation.temporal import _headers, extract
from runrecord.semconv import attributes as a


class ActivityInbound(ActivityInboundInterceptor):
    """Sees every attempt at an activity."""

    def __init__(self, inner: ActivityInboundInterceptor, recorder: Recorder) -> None:
        super().__init__(inner)
        self._recorder = recorder

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002  # the SDK's name
        """Run the activity with its record as the current span, also in the thread of one that is not async."""
        record = self._begin(input)
        if record is None:
            return await super().execute_activity(input)
        # Not with `with`: an attempt that is cancelled, or answered by somebody else later, did not fail.
        token = _attach(record[-1])
        try:
            result = await super().execute_activity(input)
        except BaseException as error:
            _failed(record, error)
            raise
        else:
            _succeeded(record, result)
            return result
        finally:
            _detach(token)

    @guarded
    def _begin(self, given: ExecuteActivityInput) -> list[Step | Tool] | None:
        """Start the step, and the tool call in it if the activity is a tool; None if no workflow of ours started it."""
        said, sender = _headers.read(given.headers)
        run_id, index = said.get("run"), said.get("step")
        if not isinstance(run_id, str):
            return None
        info = activity.info()
        name, again = info.activity_type, info.attempt - 1 or None
        here = get_current_span()
        where = set_span_in_context(here) if here.get_span_context().is_valid else sender
        remote = RemoteRun(run_id, index if isinstance(index, int) else None)
        step = self._recorder.join(
            extract.step_kind(name),
            name=name,
            step_id=info.activity_id,
            attempt=again,
            context=with_remote_run(remote, where),
            span=_official(here),
        )
        if step is None:
            return None
        step.state.conversation_id = said.get("conversation")
        metadata, approval_id = extract.metadata_of(given.fn), said.get("approval")
        called = extract.plugin_call(name, given.args)
        if metadata is None and "call" not in said and called is None:
            return [step]
        arguments = called.arguments if called is not None else UNSET
        tool = step.tool(
            (called.tool if called is not None else None) or name,
            call_id=said.get("call") or f"{info.workflow_run_id}/{info.activity_id}",
            arguments=extract.arguments(given.fn, given.args) if arguments is UNSET else arguments,
            approval_id=approval_id,
            attributes={**extract.tool_facts(metadata), a.RETRY_ATTEMPT: again},
            context=step.context,
        )
        return [step, tool]


def _official(span: Span) -> Span | None:
    """Return the span that Temporal's OpenTelemetry interceptor made of this attempt, to be the step's."""
    name = getattr(span, "name", None)
    return span if span.is_recording() and isinstance(name, str) and name.startswith("RunActivity:") else None


@guarded
def _attach(record: Step | Tool) -> Any:
    return otel_context.attach(record.context)


@guarded
def _detach(token: Any) -> None:
    if token is not None:
        otel_context.detach(token)


@guarded
def _succeeded(records: list[Step | Tool], result: object) -> None:
    for record in reversed(records):
        if isinstance(record, Tool):
            record.result(result)
        record.stop()


@guarded
def _failed(records: list[Step | Tool], error: BaseException) -> None:
    later = type(error).__name__ == "_CompleteAsyncError"
    stopped = later or isinstance(error, asyncio.CancelledError) or is_cancelled_exception(error)
    for record in reversed(records):
        if stopped:
            record.cut_short()
        elif extract.is_benign(error):
            record.cut_short(type(error).__name__)
        else:
            record.fail(error)
