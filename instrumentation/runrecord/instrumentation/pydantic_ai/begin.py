# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The start of a run: a new one, the next segment of one that waited, or a call inside of another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Settings
from runrecord.instrumentation.context_store import ContextKey, StoredContext
from runrecord.instrumentation.pydantic_ai import extract
from runrecord.instrumentation.pydantic_ai.active import ActiveRun, current
from runrecord.instrumentation.pydantic_ai.extract import Call
from runrecord.instrumentation.pydantic_ai.lineage import lineage, pending_calls, run_id
from runrecord.instrumentation.recorder import Recorder, Run, existing_span
from runrecord.semconv import attributes as a


@dataclass
class Beginning:
    """What is known of a call of ``Agent.iter`` before its run begins.

    Attributes:
        recorder: Where records go.
        agent: The agent.
        options: The arguments of the call.
        sees_calls: Whether calls of tools are told where nothing keeps them from being made any more.
        around: The span around the call, when a resumed run joins the trace of its first segment instead.
        active: The run, once it has begun.
    """

    recorder: Recorder
    agent: object
    options: Mapping[str, Any]
    sees_calls: bool = True
    around: Span | None = None
    active: ActiveRun | None = field(default=None)
    _context: Any = None

    def see(self, context: object) -> None:
        """Take the SDK's context of the run, which has its ids and its messages."""
        self._context = context

    @property
    def conversation(self) -> str:
        """The SDK's conversation id."""
        return declared.text(declared.get(self._context, "conversation_id")) or "conversation"

    @cached_property
    def messages(self) -> list[object]:
        """The message history that the run was given."""
        return list(cast("list[object]", declared.get(self._context, "messages") or []))

    @cached_property
    def pending(self) -> list[Call]:
        """The calls that the run was given answers to."""
        results = self.options.get("deferred_tool_results")
        return [] if results is None else pending_calls(self.messages)

    @cached_property
    def stored(self) -> tuple[ContextKey, StoredContext] | None:
        """What is stored of the latest segment of the run that is continued."""
        keys: list[ContextKey] = [
            (extract.FRAMEWORK, self.conversation, call.call_id) for call in self.pending
        ]
        found = [(key, stored) for key in keys if (stored := self.recorder.lookup(key)) is not None]
        return max(found, key=lambda pair: pair[1].segment) if found else None

    def trace_of_first_segment(self) -> Context | None:
        """Return a context in the trace of the run that is continued; None for any other run."""
        if current() is not None or self.stored is None or self.stored[1].root is None:
            return None
        self.around = trace.get_current_span()
        return trace.set_span_in_context(NonRecordingSpan(self.stored[1].root.span_context()))

    def begin(self) -> ActiveRun:
        """Start recording."""
        outer = current()
        self.active = self._inner(outer) if outer is not None else self._outer()
        self._context = (
            None  # it knows the capabilities, and they know this: a cycle that would hold the messages
        )
        return self.active

    def _outer(self) -> ActiveRun:
        name, settings = extract.agent_name(self.agent), Settings.of(self._metadata())
        here = otel_context.get_current()
        described: dict[str, Any] = {
            "agent": name,
            "conversation_id": self.conversation,
            "autonomy": settings[a.RUN_AUTONOMY],
            "principal_ref": settings[a.PRINCIPAL_REF],
            "principal_type": settings[a.PRINCIPAL_TYPE],
            "versions": settings.versions,
            "context": here,
            "span": self._native(),
        }
        continued = lineage(self.messages) if self.pending else None
        origin = continued.origin if continued is not None else None
        if self.stored is not None:
            stored = self.stored[1]
            address = self.around.get_span_context() if self.around is not None else None
            links = [Link(address)] if address is not None and address.is_valid else None
            described["agent"] = stored.agent or name
            run = self.recorder.resume(self.stored[0], links=links, **described)
        elif continued is not None and origin is not None:
            run = self.recorder.run(run_id=run_id(origin), segment=continued.segment, **described)
        else:
            own = declared.text(declared.get(self._context, "run_id"))
            run = self.recorder.run(run_id=run_id(own) if own else None, **described)
        active = self._active(run, context=run.context)
        if self.pending:
            index = max(self.stored[1].next_step - 1, 0) if self.stored is not None else None
            active.start_step(index=index, attempt=run.segment + 1)
        run.given(self.options.get("user_prompt"))
        return active

    def _inner(self, outer: ActiveRun) -> ActiveRun:
        context = otel_context.get_current()
        span = None
        if self._native() is None:
            name = extract.agent_name(self.agent)
            facts = {
                a.GEN_AI_OPERATION_NAME: "invoke_agent",
                a.GEN_AI_AGENT_NAME: name,
                a.GEN_AI_CONVERSATION_ID: self.conversation,
            }
            span = self.recorder.tracer.start_span(f"invoke_agent {name}", context=context, attributes=facts)
            context = trace.set_span_in_context(span, context)
        return self._active(outer.run, context=context, parent=outer, span=span)

    def _active(self, run: Run, *, context: Context, **inner: Any) -> ActiveRun:
        timeout = self.options.get("timeout")
        return ActiveRun(
            self.recorder,
            run,
            context=context,
            agent=extract.agent_name(self.agent),
            conversation=self.conversation,
            results=self.options.get("deferred_tool_results"),
            pending=self.pending,
            timeout=float(timeout) if isinstance(timeout, (int, float)) else None,
            **inner,
        )

    def _metadata(self) -> object:
        return declared.get(self._context, "metadata")

    def _native(self) -> Span | None:
        """Return the span that the SDK's own instrumentation has made of this run."""
        span = existing_span("invoke_agent", trace.get_current_span())
        known = cast("Mapping[str, object]", getattr(span, "attributes", None) or {})
        sdk_id = declared.get(self._context, "run_id")
        return span if span is not None and known.get("gen_ai.agent.call.id", sdk_id) == sdk_id else None
