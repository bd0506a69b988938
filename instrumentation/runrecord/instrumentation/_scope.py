# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The records that have children: steps and tool calls, and the calls that make them."""

from collections.abc import Sequence
from typing import Final, Literal, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span
from opentelemetry.util.types import AttributeValue

from runrecord.instrumentation._content import UNSET, Unset, as_text
from runrecord.instrumentation._existing import existing_span, measured_elsewhere
from runrecord.instrumentation._governed import Governed, parent_for
from runrecord.instrumentation._inference import Priced
from runrecord.instrumentation._metrics import Metrics
from runrecord.instrumentation._recording import Recording
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation._state import Attributes, present
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS, LABEL_TOOL_RESULT
from runrecord.semconv.signals import EVENT_TOOL_INTENT

StepKind = Literal["plan", "act", "verify", "reflect", "route", "handoff", "wait"]


class Scope(Recording):
    """Something that other records happen in: a run, a step or a tool call."""

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
        """Start a step: a turn, node, task or activity.

        Args:
            kind: plan, act, verify, reflect, route, handoff or wait.
            index: Position in the run, from 0; the next one by default.
            name: The name of the node, task or activity, as the developer wrote it.
            step_id: The id that the SDK gives it.
            attempt: Which attempt at the same step this is, from 0; left out for the first.
            attributes: More attributes.
            context: Parent context.
            span: The SDK's own span of the step, to enrich instead of a new one.
        """
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
        description: str | None = None,
        dry_run: bool | None = None,
        attempt: int | None = None,
        approval_id: str | None = None,
        attributes: Attributes | None = None,
        links: list[Link] | None = None,
        context: Context | None = None,
        span: Span | None = None,
        start_time: int | None = None,
    ) -> "Tool":
        """Start a tool call.

        Args:
            name: The name of the tool.
            call_id: The id of the call.
            arguments: They are committed to, not recorded.
            effect: What the call does outside: none, read, create, update, delete, send, execute or pay.
            target: The name of the system that the effect is on.
            reversible: Whether the effect can be undone.
            read_only: The tool declares that it changes nothing (as the next three, a hint of MCP).
            destructive: The tool declares that it may destroy or overwrite.
            idempotent: The tool declares that a repeat has no further effect.
            open_world: The tool declares that it deals with systems outside of the application.
            tool_type: function, extension or datastore.
            description: What the tool says that it does.
            dry_run: The call only pretends.
            attempt: Which attempt at the same call this is, from 0; left out for the first.
            approval_id: The approval because of which it runs.
            attributes: More attributes.
            links: Links of the span.
            context: Parent context.
            span: An existing ``execute_tool`` span to enrich instead of a new one; the caller ends it. Without ``context``
                the current span is taken if it is one.
            start_time: When it began, in nanoseconds since the epoch, if that is in the past.
        """
        tool = Tool(self, context, name, call_id, start_time)
        facts: dict[str, AttributeValue | None] = {
            a.GEN_AI_OPERATION_NAME: "execute_tool",
            a.GEN_AI_TOOL_NAME: name,
            a.GEN_AI_TOOL_CALL_ID: call_id,
            a.GEN_AI_TOOL_TYPE: tool_type,
            a.GEN_AI_TOOL_DESCRIPTION: description,
            a.GEN_AI_AGENT_NAME: self._state.agent,
            a.GEN_AI_CONVERSATION_ID: self._state.conversation_id,
            a.APPROVAL_ID: approval_id,
            a.SIDE_EFFECT_TYPE: effect,
            a.SIDE_EFFECT_TARGET: target,
            a.SIDE_EFFECT_REVERSIBLE: reversible,
            a.TOOL_READ_ONLY: read_only,
            a.TOOL_DESTRUCTIVE: destructive,
            a.TOOL_IDEMPOTENT: idempotent,
            a.TOOL_OPEN_WORLD: open_world,
            a.DRY_RUN: dry_run,
            a.RETRY_ATTEMPT: attempt,
        }
        if attributes is not None:
            facts.update(attributes)
        tool.begin(arguments, facts, links or (), span, context is not None)
        return tool


class Step(Scope):
    """A step of a run.

    Attributes:
        step_id: The id that the SDK gives it.
    """

    _kind = ""
    _attempt = 0

    def __init__(self, owner: Governed, context: Context | None, index: int | None) -> None:
        self._where, parent = parent_for(owner, context)
        state = owner.state
        super().__init__(state, parent, state.take_step(index))
        self.step_id: str | None = None

    @guarded
    def waits(self) -> None:
        """Say that this step turned out to wait for a person, a timer or another system."""
        if not self._ended and self._owned:
            self._kind = "wait"
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
        self.step_id, self._kind, self._attempt = step_id, kind, attempt or 0
        facts: Attributes = {
            a.STEP_KIND: kind,
            a.STEP_NAME: name,
            a.STEP_ID: step_id,
            a.STEP_ATTEMPT: attempt,
            **attributes,
        }
        self._open(f"agent_step {kind}", facts, parent=self._where, span=span)

    def _measure(self, metrics: Metrics, error: str | None) -> None:
        metrics.step_ended(self._state, self._kind, self._seconds(), error)
        if self._attempt:
            metrics.tried_again(self._state, {a.STEP_KIND: self._kind})


_OF_EFFECT: Final = (
    a.SIDE_EFFECT_TYPE,
    a.SIDE_EFFECT_COMMITTED,
    a.DRY_RUN,
    a.IDEMPOTENCY_DEDUPLICATED,
    a.RETRY_ATTEMPT,
)
_OF_INTENT: Final = (
    a.ARGUMENTS_DIGEST,
    a.TOOL_DESTRUCTIVE,
    a.TOOL_IDEMPOTENT,
    a.TOOL_OPEN_WORLD,
    a.SIDE_EFFECT_TYPE,
    a.SIDE_EFFECT_TARGET,
    a.SIDE_EFFECT_REVERSIBLE,
    a.APPROVAL_ID,
    a.RETRY_ATTEMPT,
)


def _may_change_something(facts: Attributes) -> bool:
    """Whether nothing says that a call only reads or only pretends."""
    harmless = facts.get(a.SIDE_EFFECT_TYPE) in {"none", "read"} and facts.get(a.TOOL_DESTRUCTIVE) is not True
    return not harmless and facts.get(a.DRY_RUN) is not True


class Tool(Scope, Priced):
    """A tool call.

    ``with`` finishes it with :meth:`stop` if the block returns and with :meth:`fail` if it raises. On failure nothing is
    said of whether the effect took place, since it may or may not have.
    """

    _cut_short = False

    def __init__(
        self,
        owner: Governed,
        context: Context | None,
        name: str,
        call_id: str | None,
        start_time: int | None = None,
    ) -> None:
        self._where, parent = parent_for(owner, context)
        super().__init__(owner.state, parent, parent.step_index)
        self._start_time = start_time
        self._name = name
        self._call_id = call_id
        self._said: dict[str, AttributeValue | None] = {}

    @property
    def name(self) -> str:
        """The name of the tool."""
        return self._name

    @property
    def call_id(self) -> str | None:
        """The id of the call."""
        return self._call_id

    @guarded
    def begin(
        self,
        arguments: object | Unset,
        facts: dict[str, AttributeValue | None],
        links: Sequence[Link],
        span: Span | None,
        explicit: bool,
    ) -> None:
        """Start the span; ``facts`` are what is known of the call, and stay with it."""
        parent = self._parent.span if self._parent is not None else INVALID_SPAN
        if span is None and not explicit:
            current = trace.get_current_span(self._where)
            span = existing_span("execute_tool", current, self._call_id) if current is not parent else None
        # Below a span that is sampled out, so is this one, as a rule; then nothing is committed to.
        recorded = parent.is_recording()
        if recorded:
            facts = {**self._arguments(arguments), **facts}
        # A tool that declares itself read-only reads, if it says nothing else.
        if facts[a.TOOL_READ_ONLY] is True and facts[a.SIDE_EFFECT_TYPE] is None:
            facts[a.SIDE_EFFECT_TYPE] = "read"
        self._said = facts
        self._state.stopped.let_run(self._call_id)
        self._open(f"execute_tool {self._name}", facts, parent=self._where, links=links, span=span)
        if not recorded and self._span.is_recording():
            late = self._arguments(arguments)
            facts = {**late, **facts}
            self._span.set_attributes(present(late))
        if _may_change_something(facts) and self._span.is_recording():
            said: Attributes = {
                a.RECORD_SEQ: self._sequence_number,
                a.STEP_INDEX: self._step_index,
                a.SUBJECT_TYPE: "tool_call",
                a.SUBJECT_NAME: self._name,
                a.SUBJECT_ID: self._call_id,
                **{each: facts.get(each) for each in _OF_INTENT},
            }
            self._state.emit(EVENT_TOOL_INTENT, said, self.context)

    def _arguments(self, arguments: object | Unset) -> Attributes:
        """Commit to the arguments; their text is recorded only where content is captured."""
        facts = {a.ARGUMENTS_DIGEST: self._state.commit(LABEL_TOOL_ARGUMENTS, arguments)}
        if self._state.captures_content and not isinstance(arguments, Unset):
            facts[a.GEN_AI_TOOL_CALL_ARGUMENTS] = as_text(arguments)
        return facts

    def _measure(self, metrics: Metrics, error: str | None) -> None:
        if self._cut_short and error is None:
            return  # it waits, and is made again
        state = self._state
        if self._owned or not measured_elsewhere(self._span):
            kind = cast("str | None", self._said.get(a.GEN_AI_TOOL_TYPE))
            metrics.tool_took(state, self._name, kind, self._seconds(), error)
        metrics.tool_ended(state, self._name, self._said, error)
        called: Attributes = {a.GEN_AI_TOOL_NAME: self._name}
        if self._said.get(a.RETRY_ATTEMPT):
            metrics.tried_again(state, called)
        if self._cost is not None:
            metrics.call_cost(state, called, self._cost)

    def cut_short(self, error_type: str | None = None) -> None:
        """Finish without a claim of success, which is not an error either: it waits, or was cancelled or abandoned."""
        self._cut_short = True
        super().cut_short(error_type)

    def set(self, attributes: Attributes) -> None:
        """Set attributes; those that are None are left out."""
        for name in _OF_EFFECT:
            value = attributes.get(name)
            if value is not None:
                self._said[name] = value
        super().set(attributes)

    @guarded
    def stop(self) -> None:
        """Finish: the tool reported success, so that a changing effect that it declares is committed.

        Nothing is claimed of an effect of which :meth:`effect` said so itself, of a dry run, and of a repeat that was
        not carried out.
        """
        said = self._said
        changed = said.get(a.SIDE_EFFECT_TYPE) not in {None, "none", "read"}
        unknown = said.get(a.SIDE_EFFECT_COMMITTED) is None
        real = said.get(a.DRY_RUN) is not True and said.get(a.IDEMPOTENCY_DEDUPLICATED) is not True
        facts: Attributes = {a.SIDE_EFFECT_COMMITTED: True} if changed and unknown and real else {}
        if self._finish(facts, None):
            self._state.stopped.succeeded(self._call_id, self._name)

    @guarded
    def result(self, value: object) -> None:
        """Commit to the result; its text is recorded only where content is captured."""
        if self._ended or not self._span.is_recording():
            return
        digest = self._state.commit(LABEL_TOOL_RESULT, value)
        self._late = {a.RESULT_DIGEST: digest}  # set with what else the end brings
        if self._state.captures_content:
            self._late = {a.RESULT_DIGEST: digest, a.GEN_AI_TOOL_CALL_RESULT: as_text(value)}

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

    @guarded
    def idempotency(
        self,
        *,
        key_present: bool | None = None,
        deduplicated: bool | None = None,
        ref: str | None = None,
    ) -> None:
        """Say whether the call carried an idempotency key, and whether the target knew it already.

        Args:
            key_present: The call carried a key.
            deduplicated: The target answered with the result of an earlier call with the same key.
            ref: Opaque, the same for calls with the same key; never the key itself or a plain hash of it.
        """
        self.set(
            {
                a.IDEMPOTENCY_KEY_PRESENT: key_present,
                a.IDEMPOTENCY_DEDUPLICATED: deduplicated,
                a.IDEMPOTENCY_REF: ref,
            }
        )
