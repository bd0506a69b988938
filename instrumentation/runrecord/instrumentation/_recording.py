# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The calls that make records without children: decisions, approvals, verifications, compensations, model calls."""

from datetime import datetime

from opentelemetry.context import Context
from opentelemetry.trace import Span

from runrecord.instrumentation._approval import Approval, request
from runrecord.instrumentation._content import UNSET, Unset
from runrecord.instrumentation._governed import Governed, parent_for
from runrecord.instrumentation._inference import Inference
from runrecord.instrumentation._operations import Compensation, Decision, Verification
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation._state import Attributes
from runrecord.instrumentation._versions import Versions
from runrecord.instrumentation.context_store import ContextKey, SpanRef
from runrecord.semconv import attributes as a
from runrecord.semconv.signals import EVENT_BREAKER_CHANGED


class Recording(Governed):
    """Something in which a record can be made.

    Every method takes an optional ``context``: the OpenTelemetry context to use as parent instead of the current
    one. Nothing is attached unless the result is entered with ``with``.
    """

    def decision(
        self,
        policy: str,
        *,
        version: str | None = None,
        name: str | None = None,
        engine: str | None = None,
        mode: str | None = None,
        subject: str | None = None,
        subject_type: str | None = "tool_call",
        subject_name: str | None = None,
        arguments: object | Unset = UNSET,
        content: object | Unset = UNSET,
        decision_id: str | None = None,
        governance_ref: str | None = None,
        attributes: Attributes | None = None,
        context: Context | None = None,
        start_time: int | None = None,
    ) -> Decision:
        """Start a policy decision; finish it with ``allow``, ``deny`` or ``require_approval``.

        Args:
            policy: Id of the policy.
            version: Its version, or a digest of it.
            name: Its name, bounded, for the span; the id by default.
            engine: opa, cedar, openfga, casbin, guardrail, sdk or custom.
            mode: enforce, or monitor if the outcome is only recorded.
            subject: Id of what is judged; for a tool call its call id.
            subject_type: tool_call, model_input, model_output, run, handoff or retrieval.
            subject_name: Bounded name of what is judged; for a tool call the tool's.
            arguments: What was judged, if it is a tool call's arguments; only a commitment is kept.
            content: What was judged otherwise; only a commitment is kept.
            decision_id: A new one by default.
            governance_ref: Opaque reference to the record of the decision in a governance system.
            attributes: More attributes.
            context: Parent context.
            start_time: When the policy was asked, in nanoseconds since the epoch, if that is in the past.
        """
        decision = Decision(self, context)
        decision.begin(
            policy,
            version=version,
            name=name,
            engine=engine,
            mode=mode,
            subject=subject,
            subject_type=subject_type,
            subject_name=subject_name,
            arguments=arguments,
            content=content,
            decision_id=decision_id,
            governance_ref=governance_ref,
            attributes=attributes or {},
            start_time=start_time,
        )
        return decision

    def request_approval(
        self,
        subject: str | None = None,
        *,
        tool: str | None = None,
        subject_type: str = "tool_call",
        arguments: object | Unset = UNSET,
        content: object | Unset = UNSET,
        deadline: datetime | str | None = None,
        channel: str | None = None,
        scope: str | None = None,
        approval_id: str | None = None,
        key: ContextKey | None = None,
        durable_id: str | None = None,
        attributes: Attributes | None = None,
        context: Context | None = None,
    ) -> Approval:
        """Record that a person was asked, and store the context for the process that will have the answer.

        A request whose ``(key, approval_id)`` is stored already is a replay: it is not recorded again.

        Args:
            subject: Id of what is to be approved; for a tool call its call id.
            tool: Bounded name for the span, such as the tool's.
            subject_type: What kind of thing the subject is.
            arguments: What was shown, if it is a tool call's arguments; only a commitment is kept.
            content: What was shown otherwise; only a commitment is kept.
            deadline: When the request expires; a text must be RFC 3339.
            channel: Where the person was asked.
            scope: For how long an answer holds: once, session or always.
            approval_id: Durable id; derived from ``key`` and ``subject`` by default.
            key: Where to store the context: (framework, conversation, the SDK's durable id).
            durable_id: The SDK's own id, kept in the store for matching.
            attributes: More attributes of the request.
            context: Parent context.
        """
        return request(
            self,
            subject=subject,
            name=tool,
            subject_type=subject_type,
            arguments=arguments,
            content=content,
            deadline=deadline,
            channel=channel,
            scope=scope,
            approval_id=approval_id,
            key=key,
            durable_id=durable_id,
            attributes=attributes or {},
            context=context,
        )

    def verification(
        self,
        check: str,
        *,
        kind: str = "rule",
        subject: str | None = None,
        attributes: Attributes | None = None,
        context: Context | None = None,
    ) -> Verification:
        """Start an independent check (``kind``: rule, model, human, reconciliation) of ``subject``."""
        verification = Verification(self, context)
        verification.begin(check, kind=kind, subject=subject, attributes=attributes or {})
        return verification

    def compensation(
        self,
        subject: str,
        *,
        subject_id: str | None = None,
        of: SpanRef | Governed | None = None,
        attributes: Attributes | None = None,
        context: Context | None = None,
    ) -> Compensation:
        """Start to undo the effect of the call ``of``; ``subject`` is a bounded name, ``subject_id`` its call id."""
        compensation = Compensation(self, context)
        compensation.begin(subject, subject_id=subject_id, of=of, attributes=attributes or {})
        return compensation

    def inference(
        self,
        model: str | None = None,
        *,
        provider: str | None = None,
        operation: str = "chat",
        prompt_name: str | None = None,
        prompt_version: str | None = None,
        versions: Versions | None = None,
        context: Context | None = None,
        span: Span | None = None,
    ) -> Inference:
        """Start a model call, or enrich the span that another instrumentation made of it.

        Args:
            model: The model that is asked.
            provider: An official provider name, such as openai or anthropic.
            operation: chat, generate_content, text_completion or embeddings.
            prompt_name: The name of the prompt in its catalogue.
            prompt_version: The version of the prompt in its catalogue.
            versions: Of ``prompt`` and ``tool_schema``, where they are not the run's.
            context: Parent context.
            span: An existing inference span to enrich with the run, the step and the cost; the caller ends it, after
                ``stop()``. Without ``context`` the current span is taken if it is one.
        """
        inference = Inference(self, context)
        inference.begin(
            model,
            provider=provider,
            operation=operation,
            prompt_name=prompt_name,
            prompt_version=prompt_version,
            versions=versions,
            span=span,
            explicit=context is not None,
        )
        return inference

    @guarded
    def breaker(
        self, breaker: str, state: str, *, trigger: str | None = None, context: Context | None = None
    ) -> None:
        """Record that a circuit breaker changed its state.

        Args:
            breaker: Its id.
            state: closed, open or half_open, as it is now.
            trigger: What changed it, as a short word, such as error_rate or manual.
            context: Parent context.
        """
        where, _ = parent_for(self, context)
        facts: Attributes = {a.RUN_ID: self.run_id, **breaker_facts(breaker, state, trigger)}
        self._state.core.emit(EVENT_BREAKER_CHANGED, facts, where)


def breaker_facts(breaker: str, state: str, trigger: str | None) -> Attributes:
    """Return the attributes of a change of a circuit breaker."""
    return {a.BREAKER_ID: breaker, a.BREAKER_STATE: state, a.BREAKER_TRIGGER: trigger}
