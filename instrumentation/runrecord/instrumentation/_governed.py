# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The base of all recorder objects: one governed span, started at once and finished exactly once."""

import threading
from collections.abc import Sequence as Items
from contextvars import Token
from types import TracebackType
from typing import ClassVar, Final, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue
from typing_extensions import Self

from runrecord.instrumentation._content import captures_content, error_type
from runrecord.instrumentation._metrics import Metrics
from runrecord.instrumentation._safety import guarded, report, swallowed
from runrecord.instrumentation._state import Attributes, RunState, present
from runrecord.semconv import attributes as a

_SCOPE_KEY: Final = otel_context.create_key("runrecord-scope")
_NOWHERE: Final = Context()


class Governed:
    """One governed record.

    It is started when it is made and takes its number at that moment. ``with`` makes it the current span; without
    ``with`` nothing is attached, and :attr:`context` can be passed to children in other tasks and threads. The
    methods never raise (see ``_safety``), and after the first :meth:`stop` or :meth:`fail` they do nothing.
    """

    counted: ClassVar[bool] = True
    """Whether it takes a number and is one of the records that a ledger expects."""
    signal: ClassVar[str] = ""
    """The signal of the registry, where a preview of an upstream proposal may set attributes on its span."""
    _where: Context = _NOWHERE
    """The context that the span was started in."""
    alone: bool = False
    """No segment of the run was open in this process when this began, so that it says itself that it is one record."""
    _began = 0.0
    _start_time: int | None = None

    def __init__(self, state: RunState, parent: "Governed | None", step_index: int | None) -> None:
        self._state = state
        self._parent = parent
        self._step_index = step_index
        self._span: Span = INVALID_SPAN
        self._owned = True
        self._ended = False
        self._tokens: list[Token[Context]] = []
        self._lock = threading.Lock()
        self._sequence_number = -1
        self._late: Attributes = {}

    # reading

    @property
    def span(self) -> Span:
        """The OpenTelemetry span: ours, or the existing one that is enriched."""
        return self._span

    @property
    def span_context(self) -> SpanContext:
        """The address of the span."""
        return self._span.get_span_context()

    @property
    def context(self) -> Context:
        """A context in which this is the current span; nothing is attached by reading it."""
        # Made each time: kept here it would be a cycle, which only the garbage collector could free.
        span = self._span  # invalid if it could not be started; the parent's then stays current
        return self._scoped(
            self._where if span is INVALID_SPAN else trace.set_span_in_context(span, self._where)
        )

    @property
    def run_id(self) -> str:
        """The id of the run this belongs to."""
        return self._state.run_id

    @property
    def parent(self) -> "Governed | None":
        """The record this was made in."""
        return self._parent

    @property
    def step_index(self) -> int | None:
        """The index of the step this is in."""
        return self._step_index

    @property
    def state(self) -> RunState:
        """What the records of this run share."""
        return self._state

    @property
    def ended(self) -> bool:
        """Whether this is finished."""
        return self._ended

    # writing

    @guarded
    def set(self, attributes: Attributes) -> None:
        """Set attributes; those that are None are left out."""
        if not self._ended:
            if self._state.core.previews is not None:
                attributes = self._state.core.previews.on_span(self.signal, attributes)
            self._span.set_attributes(present(attributes))

    @guarded
    def stop(self) -> None:
        """Finish; the second call does nothing."""
        self._finish({}, None)

    @guarded
    def fail(self, error: BaseException | str) -> None:
        """Finish with a failure: ``error.type``, and its text only where content is captured."""
        self._finish({}, error)

    @guarded
    def cut_short(self, error_type: str | None = None) -> None:
        """Finish without a claim of success, which is not an error either: it waits, or was cancelled or abandoned."""
        self._finish({a.ERROR_TYPE: error_type}, None)

    # the life of the span

    def _open(
        self,
        name: str,
        attributes: Attributes,
        *,
        parent: Context,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Items[Link] = (),
        span: Span | None = None,
    ) -> None:
        """Start the span, or enrich ``span``, and take the record's number."""
        self._where = parent
        state = self._state
        core = state.core
        if state.metrics is not None:
            self._began = core.clock() if self._start_time is None else self._start_time / 1e9
        facts: dict[str, AttributeValue] = {a.RUN_ID: state.run_id}
        if self._step_index is not None:
            facts[a.STEP_INDEX] = self._step_index
        if state.tenant_id is not None:
            facts[a.TENANT_ID] = state.tenant_id
        if self.counted:
            self._sequence_number, self.alone = state.sequence.take()
            facts[a.SOURCE_ID] = state.sequence.source_id
            facts[a.RECORD_SEQ] = self._sequence_number
        if core.previews is not None:
            attributes = core.previews.on_span(self.signal, attributes)
        facts.update(present(attributes))
        if span is None:
            span = core.tracer().start_span(
                name, context=parent, kind=kind, attributes=facts, links=links, start_time=self._start_time
            )
        else:
            self._owned = False
            span.set_attributes(facts)
            for link in links:
                span.add_link(link.context, link.attributes)
        self._span = span
        if self.counted:
            state.sequence.note(self._sequence_number, span.get_span_context())

    def _scoped(self, context: Context) -> Context:
        # Not baggage: every propagator sends all of that with every request. See the package `propagation`.
        return otel_context.set_value(_SCOPE_KEY, self, context)

    def _finish(self, attributes: Attributes, error: BaseException | str | None) -> bool:
        """End the span once; say whether this call did."""
        with self._lock:
            if self._ended:
                return False
            self._ended = True
        span = self._span
        try:
            if error is not None:
                self._mark_error(error)
            late: Attributes = {**self._late, **attributes}
            if self.alone:
                late = {a.RUN_RECORDS: 1, **late}
            if self._state.core.previews is not None:
                late = self._state.core.previews.on_span(self.signal, late)
            for name, value in late.items():  # a few: one by one is less work for the SDK
                if value is not None:
                    span.set_attribute(name, value)
        finally:
            if self._owned:
                span.end()
        metrics = self._state.metrics
        if metrics is not None:
            with swallowed("a metric"):
                self._measure(
                    metrics,
                    cast("str | None", attributes.get(a.ERROR_TYPE)) if error is None else error_type(error),
                )
        return True

    def _measure(self, metrics: Metrics, error: str | None) -> None:
        """Measure the record, which ended with an error of the type ``error``; called only while metrics are collected."""

    def _seconds(self) -> float:
        return max(0.0, self._state.core.clock() - self._began)

    def _mark_error(self, error: BaseException | str) -> None:
        span = self._span
        span.set_attribute(a.ERROR_TYPE, error_type(error))
        if isinstance(error, BaseException) and captures_content():
            span.set_status(Status(StatusCode.ERROR, str(error)))
            if self._owned:
                span.record_exception(error)
        else:
            span.set_status(Status(StatusCode.ERROR))

    # with

    def __enter__(self) -> Self:
        """Make this the current span."""
        try:
            self._tokens.append(otel_context.attach(self.context))
        except Exception as problem:  # noqa: BLE001  # a context manager of ours would cost as much as the rest
            report("entering a context", problem)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore what was current and finish; an exception of the block passes through."""
        try:
            if self._tokens:
                otel_context.detach(self._tokens.pop())
        except Exception as problem:  # noqa: BLE001
            report("leaving a context", problem)
        if error is None:
            self.stop()
        else:
            self.fail(error)


def scope_of(context: Context | None = None) -> Governed | None:
    """Return the recorder object that is current in ``context``, or now."""
    value = otel_context.get_value(_SCOPE_KEY, context)
    return value if isinstance(value, Governed) else None


def leave_scope(context: Context) -> Context:
    """Return ``context`` without a current recorder object."""
    return context if scope_of(context) is None else otel_context.set_value(_SCOPE_KEY, None, context)


def parent_for(owner: Governed, context: Context | None) -> tuple[Context, Governed]:
    """Return where a child that ``owner`` is asked to make belongs.

    An explicit ``context`` wins. Else it is the current context, if ``owner`` is on the way up from there and nothing
    on that way has ended (the application's own spans in between are kept); else the owner's own context.
    """
    if context is None:
        context = otel_context.get_current()
        scope: Governed | None = scope_of(context)
        found = scope
        while found is not None and found is not owner:
            found = None if found.ended else found.parent
        if found is None or scope is None:
            return owner.context, owner
        return context, scope
    scope = scope_of(context)
    if scope is None or scope.run_id != owner.run_id:
        return context, owner
    return context, scope
