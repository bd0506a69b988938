# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The records that have children: steps and tool calls, and the calls that make children."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span

from runrecord.instrumentation._approval import Approval, request
from runrecord.instrumentation._content import (
    UNSET,
    Unset,
    as_text,
    captures_content,
)
from runrecord.instrumentation._governed import Governed, parent_for
from runrecord.instrumentation._operations import Compensation, Decision, Verification
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation._state import Attributes
from runrecord.instrumentation.context_store import ContextKey, SpanRef
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS, LABEL_TOOL_RESULT

StepKind = Literal["plan", "act", "verify", "reflect", "route", "handoff", "wait"]


class Scope(Governed):
    """Something that other records happen in.

    Every method takes an optional ``context``: the OpenTelemetry context to use as parent instead of the current
    one. Nothing is attached unless the result is entered with ``with``.
    """

    def step(
        self,
        kind: StepKind | str = "act",
        *,
        index: int | None = None,
        name: str | None = None,
        step_id: str | None = None,
        attempt: int | None = None,
        attributes: Attributes | None = None,
        context: Context | None = None,
        span: Span | None = None,
    ) -> "Step":
        """Start a step: a turn, node, task or activity; ``index`` counts from 0 and is the next one by default."""
        step = Step(self, context, index)
        step.begin(kind, name=name, step_id=step_id, attempt=attempt, attributes=attributes or {}, span=span)
        return step

    def tool(
        self,
        name: str,
        *,
        call_id: str | None = None,
        arguments: object | Unset = UNSET,
        effect: str | None = None,
        target: str | None = None,
        reversible: bool | None = None,
        read_only: bool | None = None,
        destructive: bool | None = None,
        idempotent: bool | None = None,
        open_world: bool | None = None,
        tool_type: str | None = None,
        approval_id: str | None = None,
        attributes: Attributes | None = None,
        links: list[Link] | None = None,
        context: Context | None = None,
        span: Span | None = None,
    ) -> "Tool":
        """Start a tool call; ``span`` is an existing ``execute_tool`` span to enrich instead of a new one.

        ``arguments`` is committed to, not recorded; ``effect`` is a side effect type (none, read, create, update,
        delete, send, execute, pay) on the system ``target``; the four hints are MCP's.
        """
        tool = Tool(self, context)
        facts: Attributes = {
            a.SIDE_EFFECT_TYPE: effect,
            a.SIDE_EFFECT_TARGET: target,
            a.SIDE_EFFECT_REVERSIBLE: reversible,
            a.TOOL_READ_ONLY: read_only,
            a.TOOL_DESTRUCTIVE: destructive,
            a.TOOL_IDEMPOTENT: idempotent,
            a.TOOL_OPEN_WORLD: open_world,
            a.GEN_AI_TOOL_TYPE: tool_type,
            **(attributes or {}),
        }
        tool.begin(
            name,
            call_id=call_id,
            approval_id=approval_id,
            arguments=arguments,
            attributes=facts,
            links=links or [],
            span=span,
            explicit=context is not None,
        )
        return tool

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
        attributes: Attributes | None = None,
        context: Context | None = None,
    ) -> Decision:
        """Start a policy decision; finish it with ``allow``, ``deny`` or ``require_approval``.

        ``subject`` is the id of what is judged (for a tool call its call id); ``arguments`` (of a tool call) or
        ``content`` (of anything else) is committed to, not recorded.
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
            attributes=attributes or {},
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


class Step(Scope):
    """A step of a run.

    Attributes:
        step_id: The id that the SDK gives it.
    """

    def __init__(self, owner: Governed, context: Context | None, index: int | None) -> None:
        self._where, parent = parent_for(owner, context)
        state = owner.state
        super().__init__(state, parent, state.take_step(index))
        self.step_id: str | None = None

    @guarded
    def waits(self) -> None:
        """Say that this step turned out to wait for a person, a timer or another system."""
        if not self._ended and self._owned:
            self._span.update_name("agent_step wait")
            self._span.set_attribute(a.STEP_KIND, "wait")

    @property
    def index(self) -> int:
        """The position in the run, from 0."""
        return self._step_index if self._step_index is not None else 0

    @guarded
    def begin(
        self,
        kind: str,
        *,
        name: str | None,
        step_id: str | None,
        attempt: int | None,
        attributes: Attributes,
        span: Span | None,
    ) -> None:
        self.step_id = step_id
        facts: Attributes = {
            a.STEP_KIND: kind,
            a.STEP_NAME: name,
            a.STEP_ID: step_id,
            a.STEP_ATTEMPT: attempt,
            **attributes,
        }
        self._open(f"agent_step {kind}", facts, parent=self._where, span=span)


_OF_EFFECT: Final = (
    a.SIDE_EFFECT_TYPE,
    a.SIDE_EFFECT_COMMITTED,
    a.DRY_RUN,
    a.IDEMPOTENCY_DEDUPLICATED,
)


class Tool(Scope):
    """A tool call.

    ``with`` finishes it with :meth:`stop` if the block returns and with :meth:`fail` if it raises. On failure nothing is
    said of whether the effect took place, since it may or may not have.
    """

    def __init__(self, owner: Governed, context: Context | None) -> None:
        self._where, parent = parent_for(owner, context)
        super().__init__(owner.state, parent, parent.step_index)
        self._name = ""
        self._call_id: str | None = None
        self._effects: dict[str, object] = {}

    @guarded
    def begin(
        self,
        name: str,
        *,
        call_id: str | None,
        approval_id: str | None,
        arguments: object | Unset,
        attributes: Attributes,
        links: list[Link],
        span: Span | None,
        explicit: bool,
    ) -> None:
        facts: dict[str, object] = {a.ARGUMENTS_DIGEST: self._state.commit(LABEL_TOOL_ARGUMENTS, arguments)}
        if captures_content() and not isinstance(arguments, Unset):
            facts[a.GEN_AI_TOOL_CALL_ARGUMENTS] = as_text(arguments)
        if span is None and not explicit:
            span = existing_span("execute_tool", trace.get_current_span(self._where), call_id)
        named: Attributes = {
            a.GEN_AI_OPERATION_NAME: "execute_tool",
            a.GEN_AI_TOOL_NAME: name,
            a.GEN_AI_TOOL_CALL_ID: call_id,
            a.GEN_AI_AGENT_NAME: self._state.agent,
            a.GEN_AI_CONVERSATION_ID: self._state.conversation_id,
            a.APPROVAL_ID: approval_id,
        }
        self._name, self._call_id = name, call_id
        self._state.stopped.let_run(call_id)
        every: Attributes = {**named, **facts, **self._effective(attributes)}  # type: ignore[dict-item]
        self._open(f"execute_tool {name}", every, parent=self._where, links=links, span=span)

    def _effective(self, attributes: Attributes) -> Attributes:
        """Note what is said of the effect; a tool that declares itself read-only reads, if it says nothing else."""
        if attributes.get(a.TOOL_READ_ONLY) is True and attributes.get(a.SIDE_EFFECT_TYPE) is None:
            attributes = {**attributes, a.SIDE_EFFECT_TYPE: "read"}
        self._note(attributes)
        return attributes

    def _note(self, attributes: Attributes) -> None:
        for name in _OF_EFFECT:
            if attributes.get(name) is not None:
                self._effects[name] = attributes[name]

    def set(self, attributes: Attributes) -> None:
        """Set attributes; those that are None are left out."""
        self._note(attributes)
        super().set(attributes)

    @guarded
    def stop(self) -> None:
        """Finish: the tool reported success, so that a changing effect that it declares is committed.

        Nothing is claimed of an effect of which :meth:`effect` said so itself, of a dry run, and of a repeat that was
        not carried out.
        """
        said = self._effects
        changed = said.get(a.SIDE_EFFECT_TYPE) not in {None, "none", "read"}
        unknown = a.SIDE_EFFECT_COMMITTED not in said
        real = said.get(a.DRY_RUN) is not True and said.get(a.IDEMPOTENCY_DEDUPLICATED) is not True
        facts: Attributes = {a.SIDE_EFFECT_COMMITTED: True} if changed and unknown and real else {}
        if self._finish(facts, None):
            self._state.stopped.succeeded(self._call_id, self._name)

    @guarded
    def result(self, value: object) -> None:
        """Commit to the result; its text is recorded only where content is captured."""
        if self._ended:
            return
        # Set with what else the end brings, in one call.
        self._late = {a.RESULT_DIGEST: self._state.commit(LABEL_TOOL_RESULT, value)}
        if captures_content():
            self._late = {**self._late, a.GEN_AI_TOOL_CALL_RESULT: as_text(value)}

    @guarded
    def effect(
        self,
        kind: str | None = None,
        *,
        target: str | None = None,
        committed: bool | None = None,
        reversible: bool | None = None,
        ref: str | None = None,
    ) -> None:
        """Say what the call changed; ``ref`` is an opaque reference, never a record's content."""
        self.set(
            {
                a.SIDE_EFFECT_TYPE: kind,
                a.SIDE_EFFECT_TARGET: target,
                a.SIDE_EFFECT_COMMITTED: committed,
                a.SIDE_EFFECT_REVERSIBLE: reversible,
                a.SIDE_EFFECT_REF: ref,
            }
        )


def existing_span(operation: str, span: Span, call_id: str | None = None) -> Span | None:
    """Return ``span`` if it is an open ``operation`` span of another instrumentation that we may enrich.

    The OpenTelemetry API can't read attributes, so this looks at the SDK's ``attributes`` where there are any.
    """
    if not span.is_recording():
        return None
    known = cast("Mapping[str, object]", getattr(span, "attributes", None) or {})
    if known.get(a.GEN_AI_OPERATION_NAME) != operation or a.RUN_ID in known:
        return None
    if call_id is not None and known.get(a.GEN_AI_TOOL_CALL_ID, call_id) != call_id:
        return None
    return span
