# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The run: one segment of continuous execution of an agent."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TypedDict, cast

from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, get_current_span, set_span_in_context

from runrecord.instrumentation._approval import (
    Approval,
    describe,
    durable_approval_id,
    store_get,
    store_put,
)
from runrecord.instrumentation._content import captures_content
from runrecord.instrumentation._existing import existing_span, measured_elsewhere
from runrecord.instrumentation._governed import Governed, parent_for
from runrecord.instrumentation._messages import input_messages, output_messages
from runrecord.instrumentation._metrics import Metrics
from runrecord.instrumentation._operations import budget_facts
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation._scope import Scope
from runrecord.instrumentation._state import Attributes, RunState
from runrecord.instrumentation._versions import Versions, version_facts
from runrecord.instrumentation.context_store import (
    ContextKey,
    SpanRef,
    StoredApproval,
    StoredContext,
)
from runrecord.semconv import attributes as a
from runrecord.semconv.signals import (
    EVENT_ESCALATION,
    EVENT_RUN_CLOSED,
    EVENT_RUN_OPENED,
    EVENT_SOURCE_CLOSED,
)


class RunFacts(TypedDict, total=False):
    """What can be said of a run when it starts or resumes; everything may be left out."""

    conversation_id: str | None
    """Conversation, thread or session."""
    autonomy: str | None
    """read_only, draft, propose, execute_with_approval or autonomous, as configured."""
    principal_ref: str | None
    """Opaque reference to whom the run works for."""
    principal_type: str | None
    """user, service or agent."""
    delegation_ref: str | None
    """Opaque reference to the grant under which the agent acts for its principal; never a token."""
    tenant_id: str | None
    """Where one installation serves several."""
    versions: Versions | None
    """What is in force."""
    prompt_name: str | None
    """The name of the prompt in its catalogue."""
    prompt_version: str | None
    """The version of the prompt in its catalogue."""
    attributes: Attributes | None
    """More attributes of the run span."""
    links: list[Link] | None
    """Links of the run span."""


class Run(Scope):
    """A segment of a run.

    Left by an exception its outcome is failure, or cancelled if the exception is a cancellation. Left normally it is
    complete with outcome success, or denied if a tool call was stopped in it, in any segment: a policy that is enforced
    denied it, or an approval ended as denied, expired or cancelled; the call did not run afterwards, and no later call of
    the same tool succeeded. :meth:`suspend`, :meth:`finish` and :meth:`escalate` say otherwise.
    """

    def __init__(
        self,
        state: RunState,
        parent: Context,
        stored: StoredContext | None = None,
        key: ContextKey | None = None,
    ) -> None:
        super().__init__(state, None, None)
        self._where = parent
        self._stored = stored
        known = stored.approvals if stored is not None and key is not None else ()
        self._key = key
        self._approvals = [Approval(self, key or (), item, replayed=True) for item in known]
        self._outcome: str | None = None
        self._stop_reason: str | None = None
        self._suspended = False
        self._ended_as: str | None = None
        self._budgets: dict[str, tuple[float, Attributes]] = {}
        self._over_budget = False
        self._keys: set[ContextKey] = {key} if key is not None and stored is not None else set()

    @guarded
    def begin(
        self, agent: str | None, workflow: str | None, given: RunFacts, *, span: Span | None, explicit: bool
    ) -> None:
        state = self._state
        state.agent, state.workflow = agent, workflow
        state.conversation_id, state.tenant_id = given.get("conversation_id"), given.get("tenant_id")
        operation = "invoke_workflow" if workflow is not None and agent is None else "invoke_agent"
        name = workflow if operation == "invoke_workflow" else agent
        if span is None and not explicit:
            span = existing_span(operation, get_current_span(self._where))
        facts: Attributes = {
            a.GEN_AI_OPERATION_NAME: operation,
            a.GEN_AI_AGENT_NAME: agent,
            a.GEN_AI_WORKFLOW_NAME: workflow,
            a.GEN_AI_CONVERSATION_ID: state.conversation_id,
            a.GEN_AI_PROMPT_NAME: given.get("prompt_name"),
            a.GEN_AI_PROMPT_VERSION: given.get("prompt_version"),
            a.RUN_SEGMENT: state.segment,
            a.RUN_AUTONOMY: given.get("autonomy"),
            a.PRINCIPAL_REF: given.get("principal_ref"),
            a.PRINCIPAL_TYPE: given.get("principal_type"),
            a.DELEGATION_REF: given.get("delegation_ref"),
            **version_facts(given.get("versions")),
            **(given.get("attributes") or {}),
        }
        links = given.get("links") or []
        state.sequence.begin()
        parent = self._where
        stored = self._stored
        if stored is not None and stored.root is not None and span is None:
            parent = set_span_in_context(NonRecordingSpan(stored.root.span_context()), parent)
        if stored is not None and stored.last is not None:
            links = [Link(stored.last.span_context()), *links]
        self._open(f"{operation} {name}" if name else operation, facts, parent=parent, links=links, span=span)
        state.current = SpanRef.of(self.span_context)
        if stored is not None:
            state.started_at, state.spent = stored.started_at, dict(stored.spent)
        elif not state.segment:
            state.started_at = state.core.clock()
        state.root = stored.root if stored is not None and stored.root is not None else state.current
        if self._span.is_recording():
            said = (a.RUN_SEGMENT, a.RUN_AUTONOMY, a.PRINCIPAL_REF, a.PRINCIPAL_TYPE)
            opened: Attributes = {
                a.RECORD_SEQ: self._sequence_number,
                a.SUBJECT_TYPE: "run",
                a.SUBJECT_NAME: name,
                **{each: facts.get(each) for each in said},
            }
            state.emit(EVENT_RUN_OPENED, opened, self.context)

    @property
    def segment(self) -> int:
        """From 0; how often the run was resumed."""
        return self._state.segment

    @property
    def stored(self) -> StoredContext | None:
        """What the run was resumed from."""
        return self._stored

    @property
    def approvals(self) -> list[Approval]:
        """The handles of the requests that this run was resumed with, decided or not."""
        return list(self._approvals)

    @property
    def approval(self) -> Approval:
        """The first request that is still without an answer, else the first.

        Where the store knows of none, a handle for the key that the run was resumed with: an answer is recorded, without a
        link to its request.
        """
        waiting = next((item for item in self._approvals if not item.decided), None)
        return waiting or (self._approvals[0] if self._approvals else self._unknown)

    @cached_property
    def _unknown(self) -> Approval:
        key = self._key or ()
        approval_id = durable_approval_id(*key) if key else self._state.core.new_id()
        return Approval(self, key, StoredApproval(approval_id), replayed=False)

    @guarded
    def given(self, value: object) -> None:
        """Record what this segment was given, where content is captured: text, messages, or any other value."""
        if captures_content():
            self._content(a.GEN_AI_INPUT_MESSAGES, input_messages(value))

    @guarded
    def answered(self, value: object) -> None:
        """Record the last message of what this segment returned, where content is captured."""
        if captures_content():
            self._content(a.GEN_AI_OUTPUT_MESSAGES, output_messages(value))

    def _content(self, name: str, messages: str | None) -> None:
        known = cast("Mapping[str, object]", getattr(self._span, "attributes", None) or {})
        if name not in known:  # another instrumentation, whose span this is, may have said so
            self.set({name: messages})

    def finish(self, outcome: str | None = None, *, stop_reason: str | None = None) -> None:
        """Say how the run ended (success, failure, denied, escalated, cancelled, budget_exceeded, abandoned).

        It takes effect when the run is left; call :meth:`stop` where it is not used with ``with``.
        """
        self._outcome = outcome or self._outcome
        self._stop_reason = stop_reason or self._stop_reason

    @guarded
    def budget(
        self,
        budget: str,
        *,
        dimension: str,
        limit: float,
        consumed: float | None = None,
        exceeded: bool | None = None,
        action: str | None = None,
        currency: str | None = None,
    ) -> None:
        """Say what the run may use and what it used.

        The run span has room for one budget: of several it shows the last, or the last whose limit was reached.

        Args:
            budget: Id of the budget.
            dimension: cost, tokens, steps, model_calls, tool_calls or seconds.
            limit: The most that may be used, in the unit of the dimension.
            consumed: What is used so far.
            exceeded: Whether the limit was reached; by default, whether as much was used.
            action: none, warn, stop or downgrade. A run that a budget stopped has the outcome budget_exceeded, unless
                :meth:`finish` says otherwise.
            currency: ISO 4217 code, for the dimension cost.
        """
        facts = budget_facts(
            budget,
            dimension=dimension,
            limit=limit,
            consumed=consumed,
            exceeded=exceeded,
            action=action,
            currency=currency,
        )
        if consumed is not None and limit > 0:
            self._budgets[budget] = (consumed / limit, facts)
        if self._over_budget and not facts[a.BUDGET_EXCEEDED]:
            return
        self._over_budget = bool(facts[a.BUDGET_EXCEEDED])
        if self._over_budget and action == "stop":
            self._outcome = self._outcome or "budget_exceeded"
        self.set(facts)

    def keep(self, key: ContextKey) -> None:
        """Store the context under ``key`` when this segment ends, however it ends."""
        self._keys.add(key)

    def suspend(self, *, stop_reason: str | None = None, key: ContextKey | None = None) -> None:
        """Say that the run waits: this segment ends, and a later ``resume`` starts the next.

        ``key`` is where to store the context beside the keys of the approvals that were requested, for an SDK that
        waits without asking for an approval.
        """
        self._suspended = True
        self._stop_reason = stop_reason or self._stop_reason
        if key is not None:
            self._keys.add(key)

    @guarded
    def escalate(
        self,
        reason: str,
        *,
        target_type: str | None = None,
        target_ref: str | None = None,
        context: Context | None = None,
    ) -> None:
        """Record that the run was handed to a person.

        Args:
            reason: Why, as a short word, never a sentence.
            target_type: What kind of receiver, such as on_call.
            target_ref: Opaque reference to the receiver.
            context: Parent context.
        """
        self._outcome = "escalated"
        self._span.set_attribute(a.ESCALATION_REASON_CODE, reason)
        where, scope = parent_for(self, context)
        facts: Attributes = {
            a.ESCALATION_REASON_CODE: reason,
            a.ESCALATION_TARGET_TYPE: target_type,
            a.ESCALATION_TARGET_REF: target_ref,
            a.STEP_INDEX: scope.step_index,
        }
        self._state.emit(EVENT_ESCALATION, facts, where)
        if self._state.metrics is not None:
            self._state.metrics.escalated(self._state, reason)

    @guarded
    def stop(self) -> None:
        """Finish the segment."""
        self._close(self._outcome or ("denied" if self._state.stopped else "success"), None)

    @guarded
    def fail(self, error: BaseException | str) -> None:
        """Finish the segment with a failure, or a cancellation, which is not an error."""
        if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
            self._close(self._outcome or "cancelled", None)
        elif isinstance(error, GeneratorExit):
            self._close(self._outcome or "abandoned", None)
        else:
            self._close(self._outcome or "failure", error)

    def _close(self, outcome: str, error: BaseException | str | None) -> None:
        if self._ended:
            return
        state = self._state
        suspended = self._suspended and error is None
        with swallowed("the context of a run"):
            self._remember(closed=not suspended)
        self._ended_as = None if suspended else outcome
        count, root = state.sequence.close(self._sequence_number)
        facts: Attributes = {
            a.RUN_STATE: "suspended" if suspended else "completed",
            a.RUN_OUTCOME: None if suspended else outcome,
            a.RUN_STOP_REASON: self._stop_reason,
            a.RUN_RECORDS: count,
            a.RUN_ROOT: root,
        }
        if not self._finish(facts, error):
            return
        closed: Attributes = {a.RUN_SEGMENT: state.segment, **facts}
        state.emit(EVENT_SOURCE_CLOSED if suspended else EVENT_RUN_CLOSED, closed, self.context)

    def _measure(self, metrics: Metrics, error: str | None) -> None:
        state = self._state
        if self._owned or not measured_elsewhere(self._span):
            metrics.segment_ended(state, self._seconds(), error)
        if self._ended_as is not None:
            since = max(0.0, state.core.clock() - state.started_at) if state.started_at else None
            metrics.run_ended(state, self._ended_as, error, seconds=since, budgets=self._budgets.values())

    def _remember(self, *, closed: bool) -> None:
        """Bring what is stored for this run up to date, for the process that resumes it."""
        state = self._state
        with state.core.store_lock:
            for key in {*state.pending, *self._keys}:
                known = store_get(state, key) or state.pending.get(key)
                approvals = known.approvals if known is not None and known.run_id == state.run_id else ()
                store_put(state, key, replace(describe(state, key), approvals=approvals, closed=closed))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore what was current and finish the segment; an exception of the block passes through."""
        Governed.__exit__(self, kind, error, traceback)
