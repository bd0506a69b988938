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

    # or, where a web handler learns of the answer first and another process continues the run
    if (approval := recorder.approval(key)) is not None:
        approval.approved(actor="human", actor_ref="u-17")

Every object is started when it is made. ``with`` makes it current; without ``with`` nothing is attached to the
context, and ``.stop()`` or ``.fail(error)`` finishes it, from any thread or task. Nothing here raises into the caller.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry._logs import Logger, LoggerProvider, get_logger
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, Tracer, TracerProvider, get_tracer
from typing_extensions import Unpack

from runrecord.instrumentation._approval import Approval, Elsewhere, conversation_of, durable_approval_id
from runrecord.instrumentation._content import UNSET, captures_content
from runrecord.instrumentation._existing import existing_span
from runrecord.instrumentation._governed import Governed, scope_of
from runrecord.instrumentation._inference import Inference
from runrecord.instrumentation._metrics import finder
from runrecord.instrumentation._operations import Compensation, Decision, Verification
from runrecord.instrumentation._part import part_of
from runrecord.instrumentation._preview import chosen
from runrecord.instrumentation._recording import breaker_facts
from runrecord.instrumentation._run import Run, RunFacts
from runrecord.instrumentation._safety import guarded, report
from runrecord.instrumentation._scope import Scope, Step, StepKind, Tool
from runrecord.instrumentation._state import Attributes, Core, RunState
from runrecord.instrumentation._versions import Versions
from runrecord.instrumentation.context_store import ContextKey, ContextStore, FileContextStore, StoredContext
from runrecord.semconv import SCHEMA_URL
from runrecord.semconv.commitment import TenantKey, load_tenant_key
from runrecord.semconv.signals import EVENT_BREAKER_CHANGED

__all__ = [
    "UNSET",
    "Approval",
    "Compensation",
    "Decision",
    "Governed",
    "Inference",
    "Recorder",
    "Run",
    "RunFacts",
    "Scope",
    "Step",
    "StepKind",
    "Tool",
    "Verification",
    "Versions",
    "approval",
    "breaker",
    "captures_content",
    "current",
    "default",
    "durable_approval_id",
    "existing_span",
    "join",
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
        meter_provider: The global one by default; without one that collects, nothing is measured.
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
        meter_provider: MeterProvider | None = None,
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
        core.previews = chosen()
        core.metrics = finder(scope, version, meter_provider, SCHEMA_URL)
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
        segment: int = 0,
        context: Context | None = None,
        span: Span | None = None,
        **facts: Unpack[RunFacts],
    ) -> Run:
        """Start a run.

        Args:
            agent: Name of the agent; the span is ``invoke_agent {agent}``.
            workflow: Name of the workflow, if it is one; the span is then ``invoke_workflow {workflow}``.
            run_id: A new one by default.
            segment: From 0, if another mechanism than :meth:`resume` continues the run.
            context: Parent; the current context by default.
            span: An existing ``invoke_agent`` span to enrich instead of a new one; the caller ends it, after
                ``stop()``. Without ``context`` the current span is taken if it is one.
            facts: See :class:`RunFacts`.
        """
        state = RunState(self._core, run_id or self._core.new_id(), segment)
        started = Run(state, context if context is not None else otel_context.get_current())
        started.begin(agent, workflow, facts, span=span, explicit=context is not None)
        return started

    def resume(
        self,
        key: ContextKey,
        *,
        agent: str | None = None,
        workflow: str | None = None,
        run_id: str | None = None,
        context: Context | None = None,
        span: Span | None = None,
        **facts: Unpack[RunFacts],
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
            if stored.conversation_in_key and not facts.get("conversation_id"):
                facts["conversation_id"] = conversation_of(key)
            facts["tenant_id"] = facts.get("tenant_id") or stored.tenant_id
        resumed = Run(state, context if context is not None else otel_context.get_current(), stored, key)
        resumed.begin(agent, workflow, facts, span=span, explicit=context is not None)
        return resumed

    def join(
        self,
        kind: StepKind | str = "act",
        *,
        name: str | None = None,
        step_id: str | None = None,
        attempt: int | None = None,
        tenant_id: str | None = None,
        attributes: Attributes | None = None,
        context: Context | None = None,
        span: Span | None = None,
    ) -> Step | None:
        """Take part in the run of the process that called this one: a step with the index of the caller's step.

        The run is the one that the current context, or ``context``, was received with (see the package ``propagation``).
        Every call is a source of its own, and the step says how many records it made.

        Returns:
            The step, as of :meth:`Scope.step`. None if the context was received with no run, and in the process that the
            run is in, where :func:`current` is its scope.
        """
        part = part_of(self._core, context if context is not None else otel_context.get_current(), tenant_id)
        if part is not None:
            part.begin(
                kind, name=name, step_id=step_id, attempt=attempt, attributes=attributes or {}, span=span
            )
        return part

    @guarded
    def breaker(self, breaker: str, state: str, *, trigger: str | None = None) -> None:
        """Record that a circuit breaker changed its state, in the current run if there is one.

        See :meth:`Run.breaker`.
        """
        scope = current()
        if scope is not None:
            scope.breaker(breaker, state, trigger=trigger)
        else:
            facts = breaker_facts(breaker, state, trigger)
            self._core.emit(EVENT_BREAKER_CHANGED, facts, otel_context.get_current())

    def approval(
        self, key: ContextKey, approval_id: str | None = None, *, tenant_id: str | None = None
    ) -> Approval | None:
        """Return a request that waits under ``key``, to answer it here without resuming the run.

        For a web handler, or whatever else learns of the answer first: the time of the answer is then exact. The decision
        is in the trace of the run, and links to the request and to the current span; the segment that the run later goes
        on with finds it answered and does not record it again.

        Args:
            key: Where the run stored its context: ``approval.key`` of the request.
            approval_id: Which request, where the run asked for several; by default the first without an answer.
            tenant_id: Where one installation serves several; that of the run by default.

        Returns:
            The request, answered or not; None if nothing is stored, or nothing of that id.
        """
        stored = self.lookup(key)
        if stored is None:
            return None
        known = [item for item in stored.approvals if approval_id in {None, item.approval_id}]
        found = next((item for item in known if not item.decided), known[0] if known else None)
        if found is None:
            return None
        return Approval(Elsewhere(self._core, stored, tenant_id), key, found, replayed=True)

    def lookup(self, key: ContextKey) -> StoredContext | None:
        """Return the stored context of ``key``; a store that fails counts as empty."""
        try:
            return self._core.store.get(key)
        except Exception as error:  # noqa: BLE001  # a store belongs to the user
            report("reading the context store", error)
            return None


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
    context: Context | None = None,
    span: Span | None = None,
    **facts: Unpack[RunFacts],
) -> Run:
    """Start a run with the default recorder; see :meth:`Recorder.run`."""
    return default().run(agent, workflow=workflow, run_id=run_id, context=context, span=span, **facts)


def resume(
    key: ContextKey,
    *,
    agent: str | None = None,
    workflow: str | None = None,
    context: Context | None = None,
    span: Span | None = None,
    **facts: Unpack[RunFacts],
) -> Run:
    """Start the next segment of a run with the default recorder; see :meth:`Recorder.resume`."""
    return default().resume(key, agent=agent, workflow=workflow, context=context, span=span, **facts)


def approval(
    key: ContextKey, approval_id: str | None = None, *, tenant_id: str | None = None
) -> Approval | None:
    """Return a request that waits, to answer it without resuming the run; see :meth:`Recorder.approval`."""
    return default().approval(key, approval_id, tenant_id=tenant_id)


def breaker(breaker: str, state: str, *, trigger: str | None = None) -> None:
    """Record that a circuit breaker changed its state; see :meth:`Recorder.breaker`."""
    default().breaker(breaker, state, trigger=trigger)


def join(
    kind: StepKind | str = "act", *, name: str | None = None, context: Context | None = None
) -> Step | None:
    """Take part in the run of the process that called this one; see :meth:`Recorder.join`."""
    return default().join(kind, name=name, context=context)


def current() -> Scope | None:
    """Return the innermost run, step or tool call that is current, for code that is called from within one."""
    found = scope_of()
    while found is not None and not isinstance(found, Scope):
        found = found.parent
    return found
