# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals: a request and its answer as two short spans, joined by a durable id, a link and repeated ids."""

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Final

from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanKind,
    get_current_span,
    set_span_in_context,
)

from runrecord.instrumentation._content import UNSET, Unset
from runrecord.instrumentation._governed import Governed, leave_scope, parent_for
from runrecord.instrumentation._moment import Moment
from runrecord.instrumentation._safety import guarded, report, swallowed
from runrecord.instrumentation._state import Attributes, Core, RunState
from runrecord.instrumentation.context_store import ContextKey, StoredApproval, StoredContext
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_MESSAGE, LABEL_TOOL_ARGUMENTS
from runrecord.semconv.signals import EVENT_APPROVAL_DECIDED, EVENT_APPROVAL_REQUESTED

_GO_AHEAD: Final = frozenset({"approved", "modified"})
_STOPS: Final = frozenset({"denied", "expired", "cancelled"})


def durable_approval_id(*parts: str) -> str:
    """Derive an approval id from the durable parts of an SDK's key: 32 hex digits, the same in every process."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:32]


def store_get(state: RunState, key: ContextKey) -> StoredContext | None:
    """Read the store; a store that fails counts as empty."""
    try:
        return state.core.store.get(key)
    except Exception as error:  # noqa: BLE001  # a store belongs to the user
        report("reading the context store", error)
        return None


def store_put(state: RunState, key: ContextKey, context: StoredContext) -> None:
    """Write the store, of a closed run without names; a store that fails costs the link only."""
    try:
        state.core.store.put(key, context.reduced() if context.closed else context)
    except Exception as error:  # noqa: BLE001  # a store belongs to the user
        report("writing the context store", error)


def conversation_of(key: ContextKey) -> str | None:
    """Return the part of a key that is the conversation, thread or session, or stands in for it."""
    return key[1] if len(key) > 1 else None


def describe(state: RunState, key: ContextKey) -> StoredContext:
    """Return what another process, which knows ``key``, needs to continue this run."""
    return StoredContext(
        run_id=state.run_id,
        segment=state.segment,
        root=state.root,
        last=state.current,
        agent=state.agent,
        workflow=state.workflow,
        tenant_id=state.tenant_id,
        conversation_in_key=conversation_of(key) == state.conversation_id is not None,
        next_step=state.next_step,
        phases=state.phases,
        stopped=state.stopped.calls(),
        started_at=state.started_at,
        spent=tuple(state.spent.items()),
    )


class Approval:
    """A request that waits for an answer, or the handle to it in the process that has the answer.

    Attributes:
        key: Where its context is stored; ``recorder.resume(key)`` finds it again.
        stored: What is known of the request: ids and commitments.
        replayed: Whether this request had been recorded before, by an earlier execution of the same code.
    """

    def __init__(self, owner: Governed, key: ContextKey, stored: StoredApproval, *, replayed: bool) -> None:
        self._owner = owner
        self.stored: StoredApproval = stored
        self.key = key
        self.replayed = replayed
        self._reopened = False

    @property
    def approval_id(self) -> str:
        """The durable id."""
        return self.stored.approval_id

    @property
    def decided(self) -> bool:
        """Whether an answer was recorded."""
        return self.stored.decided

    def approved(
        self,
        *,
        actor: str | None = "service",
        actor_ref: str | None = None,
        scope: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        context: Context | None = None,
    ) -> None:
        """Record that the subject may proceed exactly as shown.

        Args:
            actor: human, policy, service or delegate. A resume from code is a service unless you say otherwise.
            actor_ref: Opaque reference to whoever answered; never a name or an address.
            scope: For how long the answer holds: once, session or always.
            channel: Where the answer was given.
            reason: A code, never what the person wrote.
            context: Parent context.
        """
        self._decide(
            "approved",
            actor=actor,
            actor_ref=actor_ref,
            scope=scope,
            channel=channel,
            reason=reason,
            context=context,
        )

    def denied(
        self,
        *,
        actor: str | None = "service",
        actor_ref: str | None = None,
        scope: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        context: Context | None = None,
    ) -> None:
        """Record that the subject is stopped; ``reason`` is a code, never content."""
        self._decide(
            "denied",
            actor=actor,
            actor_ref=actor_ref,
            scope=scope,
            channel=channel,
            reason=reason,
            context=context,
        )

    def modified(
        self,
        *,
        arguments: object | Unset = UNSET,
        actor: str | None = "service",
        actor_ref: str | None = None,
        scope: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        context: Context | None = None,
    ) -> None:
        """Record that the subject may proceed with other ``arguments``, of which a commitment is kept."""
        self._decide(
            "modified",
            actor=actor,
            actor_ref=actor_ref,
            scope=scope,
            channel=channel,
            reason=reason,
            arguments=arguments,
            context=context,
        )

    def expired(self, *, context: Context | None = None) -> None:
        """Record that the deadline passed; called by whoever sees it."""
        self._decide("expired", context=context)

    def answered(
        self,
        *,
        actor: str | None = "service",
        actor_ref: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        context: Context | None = None,
    ) -> None:
        """Record an answer that neither approves nor refuses, such as a text that the run asked for."""
        self._decide(
            "answered", actor=actor, actor_ref=actor_ref, channel=channel, reason=reason, context=context
        )

    def cancelled(self, *, reason: str | None = None, context: Context | None = None) -> None:
        """Record that the request was withdrawn."""
        self._decide("cancelled", reason=reason, context=context)

    def reopen(self) -> None:
        """Allow another answer: the SDK did not accept the last one, and asks again.

        Of an answer that was recorded ahead of the segment that brings it, the first call only notes that it was brought.
        """
        if not self.stored.ahead:
            self.stored, self._reopened = replace(self.stored, decided=False), True
            return
        state = self._owner.state
        self.stored = replace(self.stored, ahead=False)
        with state.core.store_lock:
            known = store_get(state, self.key)
            if known is not None and known.approval(self.approval_id) is not None:
                store_put(state, self.key, known.with_approval(self.stored))

    def _answered_elsewhere(self) -> bool:
        """Say whether another handle, perhaps in another process, recorded the answer."""
        known = None if self._reopened else store_get(self._owner.state, self.key)
        stored = known.approval(self.approval_id) if known else None
        if stored is None or not stored.decided:
            return False
        self.stored = replace(self.stored, decided=True, ahead=stored.ahead)
        return True

    @guarded
    def _decide(
        self,
        status: str,
        *,
        actor: str | None = None,
        actor_ref: str | None = None,
        scope: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        arguments: object | Unset = UNSET,
        context: Context | None = None,
    ) -> None:
        if self.stored.decided or self._answered_elsewhere():
            return
        state = self._owner.state
        before = self.stored
        self.stored = replace(before, decided=True)
        if status in _GO_AHEAD:
            state.stopped.let_run(before.subject_id)
        elif status in _STOPS and before.subject_type == "tool_call":
            state.stopped.stop(before.subject_id or before.approval_id, before.name)
        where, parent = parent_for(self._owner, context)
        waited = max(0.0, state.core.clock() - before.requested_at) if before.requested_at else None
        facts: Attributes = {
            **_subject(before),
            a.APPROVAL_STATUS: status,
            a.APPROVAL_SCOPE: scope,
            a.APPROVAL_CHANNEL: channel,
            a.APPROVAL_ACTOR_TYPE: actor,
            a.APPROVAL_ACTOR_REF: actor_ref,
            a.APPROVAL_REASON_CODE: reason,
            a.APPROVAL_WAIT_SECONDS: waited,
            a.APPROVAL_SUBJECT_MODIFIED_DIGEST: state.commit(LABEL_TOOL_ARGUMENTS, arguments),
            a.APPROVAL_REQUEST_TRACE_ID: before.request.trace_id if before.request else None,
            a.APPROVAL_REQUEST_SPAN_ID: before.request.span_id if before.request else None,
        }
        links = [Link(before.request.span_context())] if before.request else []
        handler = get_current_span().get_span_context()
        if isinstance(self._owner, Elsewhere) and handler.is_valid:
            links.append(Link(handler))  # such as the HTTP request that brought the answer
        moment = Moment(state, parent)
        moment.record(
            f"approval_decision {_label(before)}",
            facts,
            EVENT_APPROVAL_DECIDED,
            where=where,
            kind=SpanKind.CONSUMER,
            links=links,
        )
        metrics = state.metrics
        if metrics is not None and waited is not None:
            with swallowed("a metric"):
                metrics.approval_decided(state, _kind(before), waited, status, actor)
        with state.core.store_lock:
            known = store_get(state, self.key)
            self.stored = replace(self.stored, ahead=moment.alone)
            if known is not None and known.approval(before.approval_id) is not None:
                known = known.with_approval(self.stored)
                if moment.alone:  # else the end of the segment says what is stopped
                    known = replace(known, stopped=state.stopped.calls())
                store_put(state, self.key, known)
                if known.run_id == state.run_id and not moment.alone:
                    # To be brought up to date when the segment ends.
                    state.pending.setdefault(self.key, known)
            pending = state.pending.get(self.key)
            if pending is not None:
                state.pending[self.key] = pending.with_approval(self.stored)


class Elsewhere(Governed):
    """Stands for a run that waits, in a process that does not continue it but only answers what it asked."""

    def __init__(self, core: Core, stored: StoredContext, tenant_id: str | None) -> None:
        state = RunState(core, stored.run_id, stored.segment)
        state.stopped.restore(stored.stopped)
        state.agent, state.workflow = stored.agent, stored.workflow
        state.tenant_id = tenant_id or stored.tenant_id
        super().__init__(state, None, None)
        address = stored.root or stored.last
        span = NonRecordingSpan(address.span_context()) if address else INVALID_SPAN
        self._span = span
        self._where = set_span_in_context(span, leave_scope(get_current()))

    @property
    def context(self) -> Context:
        """A context in which the span of the run is current, and no record of this process."""
        return self._where


def _label(approval: StoredApproval) -> str:
    return approval.name or approval.subject_type


def _kind(approval: StoredApproval) -> Attributes:
    return {a.SUBJECT_TYPE: approval.subject_type, a.SUBJECT_NAME: approval.name}


def _subject(approval: StoredApproval) -> Attributes:
    return {
        a.APPROVAL_ID: approval.approval_id,
        a.SUBJECT_TYPE: approval.subject_type,
        a.SUBJECT_ID: approval.subject_id,
        a.SUBJECT_NAME: approval.name,
        a.APPROVAL_SUBJECT_DIGEST: approval.digest,
        a.APPROVAL_DEADLINE: approval.deadline,
    }


def request(
    owner: Governed,
    *,
    subject: str | None,
    name: str | None,
    subject_type: str,
    arguments: object | Unset,
    content: object | Unset,
    deadline: datetime | str | None,
    channel: str | None,
    scope: str | None,
    approval_id: str | None,
    key: ContextKey | None,
    durable_id: str | None,
    attributes: Attributes,
    context: Context | None,
) -> Approval:
    """Record a request, once for its (key, approval id), and store its context."""
    state = owner.state
    if approval_id is None:
        approval_id = durable_approval_id(*key, subject or "") if key else state.core.new_id()
    if key is None:
        key = ("runrecord", state.conversation_id or state.run_id, approval_id)
    approval = Approval(owner, key, StoredApproval(approval_id), replayed=False)
    _record(
        approval,
        owner,
        replace(
            approval.stored,
            subject_type=subject_type,
            subject_id=subject,
            name=name,
            deadline=deadline.isoformat() if isinstance(deadline, datetime) else deadline,
            durable_id=durable_id,
            of_arguments=not isinstance(arguments, Unset),
        ),
        digest_of=(arguments, content),
        facts={a.APPROVAL_CHANNEL: channel, a.APPROVAL_SCOPE: scope, **attributes},
        context=context,
    )
    return approval


@guarded
def _record(
    approval: Approval,
    owner: Governed,
    wanted: StoredApproval,
    *,
    digest_of: tuple[object | Unset, object | Unset],
    facts: Attributes,
    context: Context | None,
) -> None:
    state = owner.state
    arguments, content = digest_of
    with state.core.store_lock:
        known = store_get(state, approval.key)
        earlier = known.approval(wanted.approval_id) if known else None
        if earlier is not None:
            approval.stored, approval.replayed = replace(earlier, name=earlier.name or wanted.name), True
            if known is not None and known.run_id == state.run_id:
                state.pending[approval.key] = known  # it still waits, now for the segment after this one
            return
        digest = state.commit(LABEL_TOOL_ARGUMENTS, arguments) or state.commit(LABEL_MESSAGE, content)
        stored = replace(wanted, digest=digest, requested_at=state.core.clock())
        approval.stored = stored
        where, parent = parent_for(owner, context)
        reference = Moment(state, parent).record(
            f"request_approval {_label(stored)}",
            {**_subject(stored), a.APPROVAL_STATUS: "pending", **facts},
            EVENT_APPROVAL_REQUESTED,
            where=where,
            kind=SpanKind.PRODUCER,
        )
        if state.metrics is not None:
            with swallowed("a metric"):
                state.metrics.approval_requested(state, _kind(stored))
        stored = replace(stored, request=reference)
        approval.stored = stored
        others = known.approvals if known is not None and known.run_id == state.run_id else ()
        entry = replace(describe(state, approval.key), approvals=others).with_approval(stored)
        state.pending[approval.key] = entry
        store_put(state, approval.key, entry)
