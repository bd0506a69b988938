# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The run: one segment of continuous execution of an agent."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Final, cast

from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, get_current_span, set_span_in_context

from runrecord.instrumentation._approval import Approval, describe, store_get, store_put
from runrecord.instrumentation._content import captures_content
from runrecord.instrumentation._governed import Governed, parent_for
from runrecord.instrumentation._messages import input_messages, output_messages
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation._scope import Scope, existing_span
from runrecord.instrumentation._state import Attributes, RunState
from runrecord.instrumentation.context_store import ContextKey, SpanRef, StoredContext
from runrecord.semconv import attributes as a
from runrecord.semconv.signals import EVENT_ESCALATION, EVENT_RUN_CLOSED, EVENT_SOURCE_CLOSED

_VERSIONS: Final = {
    "prompt": a.VERSION_PROMPT,
    "tool_schema": a.VERSION_TOOL_SCHEMA,
    "retrieval_index": a.VERSION_RETRIEVAL_INDEX,
    "policy": a.VERSION_POLICY,
    "agent": a.VERSION_AGENT,
    "code": a.VERSION_CODE,
}


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
        self._approvals = [Approval(self, key or (), item, replayed=True) for item in known]
        self._outcome: str | None = None
        self._stop_reason: str | None = None
        self._suspended = False
        self._keys: set[ContextKey] = {key} if key is not None and stored is not None else set()

    @guarded
    def begin(
        self,
        *,
        agent: str | None,
        workflow: str | None,
        conversation_id: str | None,
        autonomy: str | None,
        principal_ref: str | None,
        principal_type: str | None,
        tenant_id: str | None,
        versions: Mapping[str, str] | None,
        attributes: Attributes,
        links: list[Link],
        span: Span | None,
        explicit: bool,
    ) -> None:
        state = self._state
        state.agent, state.workflow, state.conversation_id = agent, workflow, conversation_id
        state.tenant_id = tenant_id
        operation = "invoke_workflow" if workflow is not None and agent is None else "invoke_agent"
        name = workflow if operation == "invoke_workflow" else agent
        if span is None and not explicit:
            span = existing_span(operation, get_current_span(self._where))
        facts: Attributes = {
            a.GEN_AI_OPERATION_NAME: operation,
            a.GEN_AI_AGENT_NAME: agent,
            a.GEN_AI_WORKFLOW_NAME: workflow,
            a.GEN_AI_CONVERSATION_ID: conversation_id,
            a.RUN_SEGMENT: state.segment,
            a.RUN_AUTONOMY: autonomy,
            a.PRINCIPAL_REF: principal_ref,
            a.PRINCIPAL_TYPE: principal_type,
            **{_VERSIONS[part]: version for part, version in (versions or {}).items()},
            **attributes,
        }
        parent = self._where
        stored = self._stored
        if stored is not None and stored.root is not None and span is None:
            parent = set_span_in_context(NonRecordingSpan(stored.root.span_context()), parent)
        if stored is not None and stored.last is not None:
            links = [Link(stored.last.span_context()), *links]
        self._open(f"{operation} {name}" if name else operation, facts, parent=parent, links=links, span=span)
        state.current = SpanRef.of(self.span_context)
        state.root = stored.root if stored is not None and stored.root is not None else state.current

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
    def approval(self) -> Approval | None:
        """The first request that is still without an answer, else the first."""
        every = self.approvals
        return next((item for item in every if not item.decided), every[0] if every else None)

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
        """Record that the run was handed to a person; ``reason`` is a code, the target a kind and an opaque ref."""
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
        facts: Attributes = {
            a.RUN_STATE: "suspended" if suspended else "completed",
            a.RUN_OUTCOME: None if suspended else outcome,
            a.RUN_STOP_REASON: self._stop_reason,
            a.RUN_RECORDS: state.sequence.close(),
        }
        if not self._finish(facts, error):
            return
        closed: Attributes = {a.RUN_SEGMENT: state.segment, **facts}
        state.emit(EVENT_SOURCE_CLOSED if suspended else EVENT_RUN_CLOSED, closed, self._context)

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
