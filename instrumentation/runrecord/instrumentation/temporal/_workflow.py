# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is intercepted in a workflow: its start and end, what it is told, and what it starts.

No call here makes a command, a task, a timer or a random number, so that a history replays the same with us and without.
"""

import asyncio
from collections import OrderedDict
from typing import Any, Final, NoReturn

from opentelemetry import context as otel_context
from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception
from temporalio.worker import (
    ContinueAsNewInput,
    ExecuteWorkflowInput,
    HandleSignalInput,
    HandleUpdateInput,
    SignalChildWorkflowInput,
    SignalExternalWorkflowInput,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.recorder import Recorder, Run
from runrecord.instrumentation.temporal import _headers, approvals, extract
from runrecord.instrumentation.temporal._openai_agents import running_call
from runrecord.instrumentation.temporal._record import WorkflowRecord, enter
from runrecord.instrumentation.temporal._replay import for_workflows, outside

_MAX_FAILING: Final = 1_000
CONTINUED: Final = "continued_as_new"
RETRY: Final = "retry"


class Executions:
    """The executions that this process has in its caches, and those whose code failed without failing the workflow."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder: Final = for_workflows(recorder)
        self.cached: Final[dict[int, WorkflowRecord]] = {}
        self._failing: Final[OrderedDict[str, None]] = OrderedDict()

    def add(self, record: WorkflowRecord) -> None:
        """Note an execution that a worker has rebuilt or started."""
        record.eager = record.info.run_id not in self._failing
        self.cached[id(record)] = record

    def remove(self, record: WorkflowRecord) -> None:
        """Forget it."""
        self.cached.pop(id(record), None)

    def task_failed(self, record: WorkflowRecord) -> None:
        """Note that Temporal will try the same piece of workflow code again and again."""
        self._failing[record.info.run_id] = None
        while len(self._failing) > _MAX_FAILING:
            self._failing.popitem(last=False)

    def hand_over(self, namespace: str, task_queue: str) -> None:
        """Close what was recorded of the executions of a worker that has stopped."""
        for record in list(self.cached.values()):
            if (record.info.namespace, record.info.task_queue) == (namespace, task_queue):
                record.hand_over()
                self.remove(record)

    def interceptor(self, given: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """Return the class whose instances see one execution each."""
        del given
        executions = self

        class Inbound(_Inbound):
            """Knows where to record."""

            _executions = executions

        return Inbound


class _Inbound(WorkflowInboundInterceptor):
    _executions: Executions
    _record: WorkflowRecord | None = None

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        self._begin(outbound)
        super().init(outbound if self._record is None else _Outbound(outbound, self._record))

    @guarded
    def _begin(self, outbound: WorkflowOutboundInterceptor) -> None:
        self._record = WorkflowRecord(self._executions.recorder, outbound.info())
        self._executions.add(self._record)

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002  # the SDK's name
        record = self._record
        if record is None:
            return await super().execute_workflow(input)
        token = _enter(record)
        _given(record, input)
        try:
            result = await super().execute_workflow(input)
        except BaseException as error:
            self._failed(record, error)
            raise
        else:
            self._succeeded(record, result)
            return result
        finally:
            _leave(token)

    @guarded
    def _succeeded(self, record: WorkflowRecord, result: object) -> None:
        self._executions.remove(record)
        if record.evicted:
            record.hand_over()
            return
        approvals.withdraw_all(record, "run_ended")

        def end(run: Run) -> None:
            run.answered(result)
            run.stop()

        record.ends(end)

    @guarded
    def _failed(self, record: WorkflowRecord, error: BaseException) -> None:
        self._executions.remove(record)
        if record.evicted or not record.look():
            record.hand_over()
        elif isinstance(error, workflow.ContinueAsNewError):
            record.ends(_suspended(CONTINUED))
        elif not _fails_workflow(error):
            self._executions.task_failed(record)
            record.hand_over()
        else:
            cancelled = isinstance(error, asyncio.CancelledError) or is_cancelled_exception(error)
            approvals.withdraw_all(record, "run_cancelled" if cancelled else "run_failed")
            info = record.info
            if cancelled:
                record.ends(_cancelled)
            elif extract.will_be_retried(info.retry_policy, info.attempt, error):
                record.ends(_suspended(RETRY))
            else:
                record.ends(lambda run: run.fail(error))

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002
        record = self._record
        if record is None:
            return await super().handle_signal(input)
        token = _enter(record)
        _note(record, input.signal, input.args, input.headers)
        try:
            return await super().handle_signal(input)
        finally:
            _leave(token)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002
        record = self._record
        if record is None:
            super().handle_update_validator(input)
            return
        token = _enter(record)
        try:
            super().handle_update_validator(input)
        except Exception:
            _decided(record, input, allowed=False)
            raise
        else:
            _decided(record, input, allowed=True)
        finally:
            _leave(token)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002
        record = self._record
        if record is None:
            return await super().handle_update_handler(input)
        token = _enter(record)
        _note(record, input.update, input.args, input.headers)
        try:
            return await super().handle_update_handler(input)
        finally:
            _leave(token)


class _Outbound(WorkflowOutboundInterceptor):
    def __init__(self, inner: WorkflowOutboundInterceptor, record: WorkflowRecord) -> None:
        super().__init__(inner)
        self._record = record

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        _activity(self._record, input)
        return super().start_activity(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        _activity(self._record, input)
        return super().start_local_activity(input)

    async def start_child_workflow(
        self,
        input: StartChildWorkflowInput,  # noqa: A002
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        _child(self._record, input)
        return await super().start_child_workflow(input)

    async def signal_child_workflow(self, input: SignalChildWorkflowInput) -> None:  # noqa: A002
        _signalled(self._record, input)
        await super().signal_child_workflow(input)

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:  # noqa: A002
        _signalled(self._record, input)
        await super().signal_external_workflow(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:  # noqa: A002
        _continued(self._record, input)
        super().continue_as_new(input)


# what is recorded; each of these costs telemetry only


@guarded
def _enter(record: WorkflowRecord) -> tuple[Any, Any] | None:
    enter(record)
    context = record.scope.attached(otel_context.get_current())
    return context, otel_context.attach(context)


@guarded
def _leave(token: tuple[Any, Any] | None) -> None:
    # Where the coroutine of an evicted workflow is closed by the garbage collector, something else is current.
    if token is not None and otel_context.get_current() is token[0]:
        otel_context.detach(token[1])


@guarded
def _given(record: WorkflowRecord, given: ExecuteWorkflowInput) -> None:
    if record.eager and record.look():
        run = record.run
        with outside():
            run.given(extract.one(given.args))


@guarded
def _note(record: WorkflowRecord, handler: str, args: Any, headers: _headers.Headers) -> None:
    record.tell(handler, args, _headers.read(headers)[0].get("actor"))


@guarded
def _decided(record: WorkflowRecord, update: HandleUpdateInput, *, allowed: bool) -> None:
    instance: object = workflow.instance()
    policy = extract.policy_of(type(instance), update.update)
    if policy is None or not record.look():
        return
    run = record.run
    with outside():
        decision = run.decision(
            policy[0],
            version=policy[1],
            engine="sdk",
            subject=update.id,
            subject_type=None,
            subject_name=update.update,
            content=extract.one(update.args),
            context=run.context,
        )
        if allowed:
            decision.allow(rule=policy[2])
        else:
            decision.deny(rule=policy[2], action="block")


@guarded
def _activity(record: WorkflowRecord, given: StartActivityInput | StartLocalActivityInput) -> None:
    step = record.take_step()
    made = extract.plugin_call(given.activity, given.args)
    call = running_call.get() or (made.call_id if made is not None else None)
    approval = record.take_granted(given.activity, call)
    if approval is not None:
        call = approval.call_id
    if call is not None:
        record.run.state.stopped.succeeded(call, given.activity)
    given.headers = record.header(
        given.headers,
        step=step,
        call=call,
        approval=approval.approval_id if approval is not None else None,
    )


@guarded
def _child(record: WorkflowRecord, given: StartChildWorkflowInput) -> None:
    given.headers = _headers.write(given.headers, {}, record.run.context)


@guarded
def _signalled(record: WorkflowRecord, given: SignalChildWorkflowInput | SignalExternalWorkflowInput) -> None:
    # An agent that answers another's request is no person.
    actor = {"type": "service", "ref": record.run_id}
    given.headers = _headers.write(given.headers, {"actor": actor}, record.run.context)


@guarded
def _continued(record: WorkflowRecord, given: ContinueAsNewInput) -> None:
    given.headers = record.next_header(given.headers)


def _suspended(reason: str) -> Any:
    def end(run: Run) -> None:
        run.suspend(stop_reason=reason)
        run.stop()

    return end


def _cancelled(run: Run) -> None:
    run.finish("cancelled")
    run.stop()


def _fails_workflow(error: BaseException) -> bool:
    """Say whether an exception ends the workflow; any other is tried again, in the hope of better code."""
    if isinstance(error, (FailureError, asyncio.CancelledError)):
        return True
    decides = getattr(workflow, "is_failure_exception", None)
    return bool(decides(error)) if decides is not None and isinstance(error, Exception) else False
