# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder: the calls by which an agent's run is recorded, by hand or by an integration.

Example::

    from runrecord.instrumentation import recorder

    with recorder.run(agent="refund-agent", autonomy="execute_with_approval", conversation_id="thread-7") as run:
        with run.step(kind="act"):
            decision = run.decision("refunds", version="14", subject="call_1", arguments={"amount": 80})
            decision.require_approval(rule="over_50_usd")
            approval = run.request_approval("call_1", tool="create_refund", arguments={"amount": 80})
        run.suspend()

    # another process, days later, with approval.key
    with recorder.resume(approval.key) as run:
        run.approval.approved(actor="human", actor_ref="u-17")
        with run.tool("create_refund", call_id="call_1", arguments={"amount": 80}, effect="pay") as call:
            call.result({"refund": "r-1"})

Every object is started when it is made. ``with`` makes it current; without ``with`` nothing is attached to the
context, and ``.stop()`` or ``.fail(error)`` finishes it, from any thread or task. Nothing here raises into the caller.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry._logs import Logger, LoggerProvider, get_logger
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, Tracer, TracerProvider, get_tracer

from runrecord.instrumentation._approval import Approval, conversation_of, durable_approval_id
from runrecord.instrumentation._content import UNSET, captures_content
from runrecord.instrumentation._governed import Governed, scope_of
from runrecord.instrumentation._operations import Compensation, Decision, Verification
from runrecord.instrumentation._run import Run
from runrecord.instrumentation._safety import report
from runrecord.instrumentation._scope import Scope, Step, StepKind, Tool, existing_span
from runrecord.instrumentation._state import Attributes, Core, RunState
from runrecord.instrumentation.context_store import ContextKey, ContextStore, FileContextStore, StoredContext
from runrecord.semconv import SCHEMA_URL
from runrecord.semconv.commitment import TenantKey, load_tenant_key

__all__ = [
    "UNSET",
    "Approval",
    "Compensation",
    "Decision",
    "Governed",
    "Recorder",
    "Run",
    "Scope",
    "Step",
    "StepKind",
    "Tool",
    "Verification",
    "captures_content",
    "current",
    "default",
    "durable_approval_id",
    "existing_span",
    "resume",
    "run",
    "set_default",
]

SCOPE_NAME: Final = "runrecord.instrumentation"


class Recorder:
    """Makes runs.

    Args:
        scope: Name of the instrumentation scope.
        version: Version of the instrumentation scope.
        tracer_provider: The global one by default.
        logger_provider: The global one by default.
        store: Where contexts of pending approvals are kept; files under the state directory by default.
        tenant_key: The key of the commitments; by default the installation's (see ``runrecord.semconv.commitment``).
        clock: Seconds since the epoch.
        new_id: Makes run and decision ids.
        new_source: Makes source ids.
    """

    def __init__(
        self,
        *,
        scope: str = SCOPE_NAME,
        version: str | None = None,
        tracer_provider: TracerProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        store: ContextStore | None = None,
        tenant_key: TenantKey | None = None,
        clock: Callable[[], float] | None = None,
        new_id: Callable[[], str] | None = None,
        new_source: Callable[[], str] | None = None,
    ) -> None:
        @lru_cache(maxsize=1)
        def tracer() -> Tracer:
            return get_tracer(scope, version, tracer_provider, schema_url=SCHEMA_URL)

        @lru_cache(maxsize=1)
        def logger() -> Logger:
            return get_logger(scope, version or "", logger_provider, schema_url=SCHEMA_URL)

        @lru_cache(maxsize=1)
        def key() -> TenantKey:
            return tenant_key if tenant_key is not None else load_tenant_key()

        core = Core(tracer, logger, store if store is not None else FileContextStore(), key)
        if clock is not None:
            core.clock = clock
        if new_id is not None:
            core.new_id = new_id
        if new_source is not None:
            core.new_source = new_source
        core.__post_init__()
        self._core = core

    @property
    def tracer(self) -> Tracer:
        """What makes the spans; for an integration that has to start a span itself and hands it over as ``span``."""
        return self._core.tracer()

    @property
    def store(self) -> ContextStore:
        """Where contexts of pending approvals are kept."""
        return self._core.store

    def run(
        self,
        agent: str | None = None,
        *,
        workflow: str | None = None,
        run_id: str | None = None,
        conversation_id: str | None = None,
        autonomy: str | None = None,
        principal_ref: str | None = None,
        principal_type: str | None = None,
        tenant_id: str | None = None,
        versions: Mapping[str, str] | None = None,
        attributes: Attributes | None = None,
        links: list[Link] | None = None,
        context: Context | None = None,
        span: Span | None = None,
        segment: int = 0,
    ) -> Run:
        """Start a run.

        Args:
            agent: Name of the agent; the span is ``invoke_agent {agent}``.
            workflow: Name of the workflow, if it is one; the span is then ``invoke_workflow {workflow}``.
            run_id: A new one by default.
            conversation_id: Conversation, thread or session.
            autonomy: read_only, draft, propose, execute_with_approval or autonomous.
            principal_ref: Opaque reference to whom the run works for.
            principal_type: user, service or agent.
            tenant_id: Where one installation serves several.
            versions: What is in force: prompt, tool_schema, retrieval_index, policy, agent, code.
            attributes: More attributes.
            links: Links of the run span.
            context: Parent; the current context by default.
            span: An existing ``invoke_agent`` span to enrich instead of a new one; the caller ends it, after
                ``stop()``. Without ``context`` the current span is taken if it is one.
            segment: From 0, if another mechanism than :meth:`resume` continues the run.
        """
        state = RunState(self._core, run_id or self._core.new_id(), segment)
        return self._started(
            Run(state, context if context is not None else otel_context.get_current()),
            agent=agent,
            workflow=workflow,
            conversation_id=conversation_id,
            autonomy=autonomy,
            principal=(principal_ref, principal_type, tenant_id),
            versions=versions,
            attributes=attributes,
            links=links,
            span=span,
            explicit=context is not None,
        )

    def resume(
        self,
        key: ContextKey,
        *,
        agent: str | None = None,
        workflow: str | None = None,
        run_id: str | None = None,
        conversation_id: str | None = None,
        autonomy: str | None = None,
        principal_ref: str | None = None,
        principal_type: str | None = None,
        tenant_id: str | None = None,
        versions: Mapping[str, str] | None = None,
        attributes: Attributes | None = None,
        links: list[Link] | None = None,
        context: Context | None = None,
        span: Span | None = None,
    ) -> Run:
        """Start the next segment of the run whose context is stored under ``key``.

        It is in the trace of the first segment, below its root, and links to the segment before. Without a stored
        context it is a run of its own with segment 1, whose id is ``run_id`` or derived from ``key``, so that every
        process that meets the same key derives the same id.
        """
        stored = self.lookup(key)
        if stored is None:
            state = RunState(self._core, run_id or durable_approval_id("run", *key), 1)
        else:
            state = RunState(self._core, stored.run_id, stored.segment + 1)
            state.next_step = stored.next_step
            state.once(*stored.phases)
            state.stopped.restore(stored.stopped)
            agent = agent or stored.agent
            workflow = workflow or (stored.workflow if agent is None else None)
            conversation_id = conversation_id or (
                conversation_of(key) if stored.conversation_in_key else None
            )
        resumed = Run(state, context if context is not None else otel_context.get_current(), stored, key)
        return self._started(
            resumed,
            agent=agent,
            workflow=workflow,
            conversation_id=conversation_id,
            autonomy=autonomy,
            principal=(principal_ref, principal_type, tenant_id),
            versions=versions,
            attributes=attributes,
            links=links,
            span=span,
            explicit=context is not None,
        )

    def lookup(self, key: ContextKey) -> StoredContext | None:
        """Return the stored context of ``key``; a store that fails counts as empty."""
        try:
            return self._core.store.get(key)
        except Exception as error:  # noqa: BLE001  # a store belongs to the user
            report("reading the context store", error)
            return None

    @staticmethod
    def _started(
        run: Run,
        *,
        agent: str | None,
        workflow: str | None,
        conversation_id: str | None,
        autonomy: str | None,
        principal: tuple[str | None, str | None, str | None],
        versions: Mapping[str, str] | None,
        attributes: Attributes | None,
        links: list[Link] | None,
        span: Span | None,
        explicit: bool,
    ) -> Run:
        run.begin(
            agent=agent,
            workflow=workflow,
            conversation_id=conversation_id,
            autonomy=autonomy,
            principal_ref=principal[0],
            principal_type=principal[1],
            tenant_id=principal[2],
            versions=versions,
            attributes=attributes or {},
            links=links or [],
            span=span,
            explicit=explicit,
        )
        return run


_default: Recorder | None = None


def default() -> Recorder:
    """Return the recorder that the functions of this module use; it is made at the first call."""
    global _default  # noqa: PLW0603
    if _default is None:
        _default = Recorder()
    return _default


def set_default(recorder: Recorder | None) -> None:
    """Replace the recorder that the functions of this module use."""
    global _default  # noqa: PLW0603
    _default = recorder


def run(
    agent: str | None = None,
    *,
    workflow: str | None = None,
    run_id: str | None = None,
    conversation_id: str | None = None,
    autonomy: str | None = None,
    principal_ref: str | None = None,
    principal_type: str | None = None,
    tenant_id: str | None = None,
    versions: Mapping[str, str] | None = None,
    attributes: Attributes | None = None,
    links: list[Link] | None = None,
    context: Context | None = None,
    span: Span | None = None,
) -> Run:
    """Start a run with the default recorder; see :meth:`Recorder.run`."""
    return default().run(
        agent,
        workflow=workflow,
        run_id=run_id,
        conversation_id=conversation_id,
        autonomy=autonomy,
        principal_ref=principal_ref,
        principal_type=principal_type,
        tenant_id=tenant_id,
        versions=versions,
        attributes=attributes,
        links=links,
        context=context,
        span=span,
    )


def resume(
    key: ContextKey,
    *,
    agent: str | None = None,
    autonomy: str | None = None,
    attributes: Attributes | None = None,
    context: Context | None = None,
) -> Run:
    """Start the next segment of a run with the default recorder; see :meth:`Recorder.resume`."""
    return default().resume(key, agent=agent, autonomy=autonomy, attributes=attributes, context=context)


def current() -> Scope | None:
    """Return the innermost run, step or tool call that is current, for code that is called from within one."""
    found = scope_of()
    while found is not None and not isinstance(found, Scope):
        found = found.parent
    return found
