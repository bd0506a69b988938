# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the SDK: a plug-in of its own kind, which every client, worker and replayer is given; nothing else."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import Plugin as ClientPlugin
from temporalio.worker import (
    ActivityInboundInterceptor,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)
from temporalio.worker import Plugin as WorkerPlugin
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from runrecord.instrumentation._hooks import Hooks
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.recorder import Recorder
from runrecord.instrumentation.temporal import approvals
from runrecord.instrumentation.temporal._activity import ActivityInbound
from runrecord.instrumentation.temporal._client import ClientInterceptor
from runrecord.instrumentation.temporal._record import current_record
from runrecord.instrumentation.temporal._workflow import Executions

_Wrapped = Callable[..., Any]
_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]


class _WorkerInterceptor(Interceptor):
    def __init__(self, recorder: Recorder, executions: Executions) -> None:
        self._recorder = recorder
        self._executions = executions

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return ActivityInbound(next, self._recorder)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[WorkflowInboundInterceptor] | None:
        return self._executions.interceptor(input)


class RunrecordPlugin(ClientPlugin, WorkerPlugin):
    """Adds our interceptors behind all others, so that what those make current is seen."""

    def __init__(self, recorder: Recorder) -> None:
        self._executions = Executions(recorder)
        self._client = ClientInterceptor()
        self._worker = _WorkerInterceptor(recorder, self._executions)
        self.on = True

    def configure_client(self, config: Any) -> Any:
        """Add the client's interceptor."""
        if self.on:
            config["interceptors"] = _with(config.get("interceptors"), self._client)
        return config

    async def connect_service_client(self, config: Any, next: Any) -> Any:  # noqa: A002
        """Connect."""
        return await next(config)

    def configure_worker(self, config: Any) -> Any:
        """Add the worker's interceptor, and let workflows import us without reloading us for every run."""
        if self.on:
            config["interceptors"] = _with(config.get("interceptors"), self._worker)
            _pass_through(config)
        return config

    async def run_worker(self, worker: Any, next: Callable[[Any], Awaitable[None]]) -> None:  # noqa: A002
        """Run a worker, and close what was recorded of the workflows that it still held when it stopped."""
        try:
            await next(worker)
        finally:
            self._stopped(worker)

    @guarded
    def _stopped(self, worker: Any) -> None:
        self._executions.hand_over(worker.client.namespace, worker.task_queue)

    def configure_replayer(self, config: Any) -> Any:
        """Let workflows import us; a replayer records nothing."""
        _pass_through(config)
        return config

    def run_replayer(self, replayer: Any, histories: Any, next: Any) -> Any:  # noqa: A002
        """Replay."""
        return next(replayer, histories)


class Patch:
    """The hooks, and the recorder they feed."""

    def __init__(self, recorder: Recorder) -> None:
        self._plugin = RunrecordPlugin(recorder)
        self._hooks = Hooks("temporalio")

    def apply(self) -> None:
        """Hook in. A place that this release of the SDK does not have costs some records and is logged once."""
        self._hooks.wrap("temporalio.client", "Client.__init__", self._client)
        self._hooks.wrap("temporalio.worker", "Worker.__init__", self._worker)
        self._hooks.wrap("temporalio.worker", "Replayer.__init__", self._replayer)
        self._hooks.wrap("temporalio.workflow", "wait_condition", _wait_condition)

    def remove(self) -> None:
        """Undo :meth:`apply`; clients and workers that were made in between keep the plug-in."""
        self._hooks.remove()
        self._plugin.on = False

    def _client(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        return wrapped(*args, **self._added(kwargs, ()))

    def _worker(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        client = args[0] if args else kwargs.get("client")
        return wrapped(*args, **self._added(kwargs, _plugins_of(client)))

    def _replayer(self, wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
        return wrapped(*args, **self._added(kwargs, ()))

    def _added(self, kwargs: _Kwargs, inherited: Any) -> _Kwargs:
        """Return the arguments with our plug-in last, unless it is there: a client is often rebuilt from its configuration."""
        given = list(kwargs.get("plugins") or ())
        if any(isinstance(plugin, RunrecordPlugin) and plugin.on for plugin in (*given, *inherited)):
            return kwargs
        return {**kwargs, "plugins": [*given, self._plugin]}


async def _wait_condition(wrapped: _Wrapped, _instance: Any, args: _Args, kwargs: _Kwargs) -> Any:
    _waits()
    return await wrapped(*args, **kwargs)


@guarded
def _waits() -> None:
    """A workflow that asked for an approval waits: that ends the segment."""
    record = current_record()
    if record is not None and record.pending:
        record.waits(approvals.WAITS)


@guarded
def _plugins_of(client: Any) -> list[Any]:
    return list(client.config().get("plugins") or ())


def _with(interceptors: Any, ours: Any) -> list[Any]:
    found = list(interceptors or ())
    return found if any(isinstance(other, type(ours)) for other in found) else [*found, ours]


def _pass_through(config: Any) -> None:
    runner = config.get("workflow_runner")
    if isinstance(runner, SandboxedWorkflowRunner):
        restrictions = runner.restrictions.with_passthrough_modules("runrecord")
        config["workflow_runner"] = dataclasses.replace(runner, restrictions=restrictions)
