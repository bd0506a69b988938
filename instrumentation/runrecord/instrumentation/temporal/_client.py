# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a client sends along: the trace that a workflow belongs to, and who answers a request."""

from typing import Any

from opentelemetry import context as otel_context
from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    StartWorkflowInput,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowHandle,
    WorkflowUpdateHandle,
)

from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.temporal import _headers
from runrecord.instrumentation.temporal.approvals import current_actor


class ClientInterceptor(Interceptor):
    """Adds our header to what a client starts and says."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002  # the SDK's name
        """Return the interceptor of one client."""
        return _Outbound(next)


class _Outbound(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002
        _started(input)
        if input.start_signal is not None:
            _said(input)
        return await super().start_workflow(input)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002
        _said(input)
        await super().signal_workflow(input)

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:  # noqa: A002
        _said(input)
        return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self,
        input: StartWorkflowUpdateWithStartInput,  # noqa: A002
    ) -> WorkflowUpdateHandle[Any]:
        _started(input.start_workflow_input)
        _said(input.update_workflow_input)
        return await super().start_update_with_start_workflow(input)


@guarded
def _started(given: Any) -> None:
    given.headers = _headers.write(given.headers, {}, otel_context.get_current())


@guarded
def _said(given: Any) -> None:
    actor = current_actor()
    if actor is not None:
        given.headers = _headers.write(given.headers, {"actor": dict(actor)}, otel_context.get_current())
