# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A run under way: what the hooks of one ``Runner.run`` share, found again through a context variable."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Policy, Settings
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation.context_store import ContextKey
from runrecord.instrumentation.openai_agents import extract
from runrecord.instrumentation.openai_agents.extract import Ending
from runrecord.instrumentation.recorder import (
    UNSET,
    Decision,
    Recorder,
    Run,
    Step,
    Tool,
    durable_approval_id,
    existing_span,
)
from runrecord.semconv import attributes as a

UNTRACED: Final = "untraced"
"""Stands in a key where a run has neither an SDK trace nor a conversation."""

_current: ContextVar["ActiveRun | None"] = ContextVar("runrecord-openai-agents-run", default=None)


@dataclass
class CallNotes:
    """What is learnt inside of a function tool's call.

    Attributes:
        error: The exception that the SDK turned into an answer for the model.
        waits: Whether an agent that runs inside waits for a person, so that the call is not over.
    """

    error: BaseException | None = None
    waits: bool = False


raw_call: ContextVar[object] = ContextVar("runrecord-openai-agents-raw-call", default=None)
"""The model's call of a tool that is not a function, while it is handled: the SDK's hooks are not told of it."""

call_notes: ContextVar[CallNotes | None] = ContextVar("runrecord-openai-agents-call", default=None)


def current() -> "ActiveRun | None":
    """Return the innermost run that is under way here."""
    active = _current.get()
    while active is not None and active.ended:
        active = active.parent
    return active


def _openinference_tool(span: Span) -> Span | None:
    """Return ``span`` if it is OpenInference's of a tool call, which keeps its name."""
    known: Any = getattr(span, "attributes", None) or {}
    is_tool = span.is_recording() and known.get("openinference.span.kind") == "TOOL"
    return span if is_tool and a.RUN_ID not in known else None


@contextmanager
def entered(active: "ActiveRun") -> Generator[None, None, None]:
    """Make a call the current one, and its span the current span; tasks and threads that start inside inherit both."""
    tokens: tuple[Any, Any] | None = None
    with swallowed("entering a run"):
        tokens = (_current.set(active), otel_context.attach(active.context))
    try:
        yield
    finally:
        if tokens is not None:
            with swallowed("leaving a run"):
                otel_context.detach(tokens[1])
                _current.reset(tokens[0])


class ActiveRun:
    """One call of ``Runner.run`` or ``Runner.run_streamed``.

    A call inside of another (an agent as a tool, or in a guardrail) is no run of its own: its steps and tool calls
    belong to the outer run, and its ``invoke_agent`` span is a plain one.

    Args:
        recorder: Where records go.
        run: The run; for an inner call the outer one's.
        parent: The outer call.
        span: A span of ours to end with the call.
        context: Where the call happens.
        trace_id: Id of the SDK's trace, or the id it will get.
        traced: Whether the SDK is known to keep that trace.
        conversation: What groups the runs of a conversation.
        settings: What the run says of itself.
        turns: How many turns the run may have.
        live: Whether this is a realtime session, which answers arrive in while it goes on.

    Attributes:
        approvals: Approval ids of the calls that were asked about and may run, by call id.
        answered: Ids of the calls that have an answer of their own.
        held: Ids of the calls that an earlier answer for always decided.
    """

    def __init__(
        self,
        recorder: Recorder,
        run: Run,
        *,
        parent: "ActiveRun | None" = None,
        span: Span | None = None,
        context: Context,
        trace_id: str | None = None,
        traced: bool = False,
        conversation: str | None = None,
        settings: Settings,
        turns: int | None = None,
        live: bool = False,
    ) -> None:
        self.recorder = recorder
        self.run = run
        self.parent = parent
        self.context = context
        self.trace_id = trace_id
        self.traced = traced
        self.conversation = conversation
        self.settings = settings
        self.turns = turns
        self.step: Step | None = None
        self.last_step: Step | None = None
        self.tripped: Ending | None = None
        self.approvals: dict[str, str] = {}
        self.answered: set[str] = set()
        self.held: set[str] = set()
        self.live = live
        self.official_spans: bool = parent is not None and parent.official_spans
        self.ended = False
        self._span = span
        self._offered = traced
        self._open_tools: list[tuple[object, Tool]] = []
        self._handled = sys.exc_info()[1]
        self._turn: tuple[object, Context] | None = None

    # where we are

    @property
    def owner(self) -> Run | Step:
        """What a record made now belongs to."""
        return self.step or self.run

    # the SDK's trace

    def offer_trace_id(self) -> str | None:
        """Return, once, the id that the SDK's new trace is to get."""
        if self.parent is not None or self._offered or self.trace_id is None:
            return None
        self._offered = self.traced = True
        return self.trace_id

    def trace_started(self, trace_id: str | None) -> None:
        """Note the id that the SDK's trace really has."""
        if self.parent is None and trace_id is not None and not self.live:
            self.trace_id, self.traced = trace_id, True

    def key(self, call_id: str) -> ContextKey:
        """Return the key of an approval."""
        place = self.trace_id if self.traced else self.conversation
        return (extract.FRAMEWORK, place or UNTRACED, call_id)

    def approval_id(self, call_id: str) -> str:
        """Return the durable id of an approval."""
        return durable_approval_id(extract.FRAMEWORK, self.run.run_id, call_id)

    # steps

    @guarded
    def start_step(
        self, kind: str, name: str | None, *, index: int | None = None, attempt: int | None = None
    ) -> None:
        """End the step before, and start the next."""
        self.end_step()
        self.step = self.last_step = self.run.step(kind, name=name, index=index, attempt=attempt)

    @guarded
    def end_step(self, error: BaseException | None = None) -> None:
        """End the step under way."""
        step, self.step = self.step, None
        if step is None:
            return
        if error is None or extract.ending(error) is not None:
            step.stop()
        else:
            step.fail(error)

    @guarded
    def start_turn(self, name: str | None) -> None:
        """Start the step of a turn and make it current, as the SDK's own span of the turn is."""
        self.start_step("act", name)
        if self.step is not None:
            context = self.step.context
            self._turn = (otel_context.attach(context), context)

    @guarded
    def end_turn(self) -> None:
        """End what :meth:`start_turn` started; called in the same context."""
        turn, self._turn = self._turn, None
        if turn is not None and otel_context.get_current() is turn[1]:
            otel_context.detach(turn[0])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        raised = sys.exc_info()[1]
        self.end_step(raised if raised is not self._handled else None)

    @guarded
    def model_called(self, name: str | None) -> None:
        """Start the step of a turn that the SDK makes no span of."""
        if self._turn is None:
            self.start_step("act", name)

    @guarded
    def handed_off(self, name: str | None) -> None:
        """Record a handoff."""
        self.run.step("handoff", name=name, context=self.owner.context).stop()

    # tool calls

    def tool_call(self, tool: object, call_id: str | None, arguments: object, *, function: bool) -> Tool:
        """Start a tool call, on the official instrumentation's span where there is one."""
        name = declared.text(declared.get(tool, "name")) or type(tool).__name__
        here = trace.get_current_span()
        span = existing_span("execute_tool", here, call_id) or _openinference_tool(here)
        self.official_spans = self.official_spans or span is not None
        return self.owner.tool(
            name,
            call_id=call_id,
            arguments=UNSET if arguments is None else arguments,
            tool_type="function" if function else None,
            approval_id=self._approval_of(tool, call_id),
            span=span,
            **extract.tool_hints(tool),
        )

    def _approval_of(self, tool: object, call_id: str | None) -> str | None:
        """Return the approval because of which a call may run; a call that waits for an agent inside runs once a segment."""
        root = self.root
        known = root.approvals.get(call_id or "")
        if (
            known is not None
            or not call_id
            or not root.run.segment
            or not declared.get(tool, "needs_approval")
        ):
            return known
        stored = self.recorder.lookup(root.key(call_id))
        approval = stored.approval(root.approval_id(call_id)) if stored is not None else None
        return approval.approval_id if approval is not None and approval.decided else None

    @guarded
    def tool_started(self, tool: object, call_id: str | None, arguments: object) -> None:
        """Start the call of a tool that only the SDK's hooks tell us of."""
        self._open_tools.append((tool, self.tool_call(tool, call_id, arguments, function=False)))

    @guarded
    def tool_ended(self, tool: object, result: object) -> None:
        """End the latest call of that tool."""
        for position in range(len(self._open_tools) - 1, -1, -1):
            if self._open_tools[position][0] is tool:
                call = self._open_tools.pop(position)[1]
                call.result(result)
                call.stop()
                return

    def decision(self, policy: Policy, *, engine: str, subject_type: str, **subject: Any) -> Decision:
        """Start a policy decision."""
        return self.owner.decision(
            policy.policy_id, version=policy.version, engine=engine, subject_type=subject_type, **subject
        )

    # the end

    @property
    def root(self) -> "ActiveRun":
        """The call that is the run."""
        return self if self.parent is None else self.parent.root

    @guarded
    def suspend(self) -> None:
        """End the call: it waits for a person."""
        if self.parent is None:
            self.run.suspend(stop_reason="approval")
        elif (notes := call_notes.get()) is not None:
            notes.waits = True
        self._end(None)

    @guarded
    def finish(self, ended: Ending | None = None) -> None:
        """End the call normally, or as ``ended`` says."""
        if self.parent is None and ended is not None and not self.ended:
            if ended.stop_reason == "max_turns" and self.turns:
                limit = float(self.turns)
                self.run.budget(
                    "max_turns", dimension="model_calls", limit=limit, consumed=limit, action="stop"
                )
            self.run.finish(ended.outcome, stop_reason=ended.stop_reason)
        self._end(None)

    @guarded
    def fail(self, error: BaseException) -> None:
        """End the call with the exception that left it."""
        ended = self.tripped or extract.ending(error)
        if ended is not None:
            self.finish(ended)
        else:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if self.ended:
            return
        self.ended = True
        self._handled = None
        for _, call in self._open_tools:
            call.fail(error or "no_result")
        self.end_step(error)
        if self.parent is None and error is None:
            self.run.stop()
        elif self.parent is None and error is not None:
            self.run.fail(error)
        elif self._span is not None and error is not None:
            self._span.set_status(trace.StatusCode.ERROR)
        if self._span is not None:
            self._span.end()
