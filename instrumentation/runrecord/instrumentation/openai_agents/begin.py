# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The start of a run: a new one, the next segment of one that waited, or a call inside of another."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Settings
from runrecord.instrumentation.context_store import ContextKey, StoredContext
from runrecord.instrumentation.openai_agents import extract
from runrecord.instrumentation.openai_agents.active import UNTRACED, ActiveRun, current
from runrecord.instrumentation.recorder import Recorder
from runrecord.semconv import attributes as a

_MAX_TRACES: Final = 10_000


class _Ordinals:
    """Counts the runs in each trace that the application opened itself (thread-safe)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, int] = OrderedDict()

    def take(self, trace_id: str) -> int:
        """Return how many runs the trace had."""
        with self._lock:
            count = self._counts.get(trace_id, 0)
            self._counts[trace_id] = count + 1
            self._counts.move_to_end(trace_id)
            if len(self._counts) > _MAX_TRACES:
                self._counts.popitem(last=False)
            return count


_ordinals = _Ordinals()


def begin(
    recorder: Recorder,
    agent: object,
    state: object | None,
    options: Mapping[str, Any],
    *,
    open_trace: object | None,
    new_trace_id: Callable[[], str],
) -> ActiveRun:
    """Start recording a call of the runner.

    Args:
        recorder: Where records go.
        agent: The starting agent.
        state: The ``RunState`` to continue.
        options: The other arguments of the call.
        open_trace: The SDK trace that is open around the call.
        new_trace_id: The SDK's own maker of trace ids.
    """
    outer = current()
    if outer is not None:
        return _inner(recorder, agent, outer)
    if state is not None:
        return _resumed(recorder, agent, state, options)
    return _fresh(recorder, agent, options, open_trace, new_trace_id)


def _fresh(
    recorder: Recorder,
    agent: object,
    options: Mapping[str, Any],
    open_trace: object | None,
    new_trace_id: Callable[[], str],
) -> ActiveRun:
    config = options.get("run_config")
    settings = extract.settings_of(config)
    conversation = extract.conversation_id(None, options) or declared.text(
        declared.get(open_trace, "group_id")
    )
    name = extract.agent_name(agent)
    here = otel_context.get_current()
    is_root = not trace.get_current_span(here).get_span_context().is_valid
    # The span comes first: where it is a root, its trace id becomes the SDK's, and the run id follows from that.
    span = recorder.tracer.start_span(f"invoke_agent {name}", context=here)
    made = span.get_span_context().trace_id if is_root else 0
    opened = extract.real_trace_id(open_trace)
    given = opened or declared.text(declared.get(config, "trace_id"))
    trace_id = given or (extract.sdk_trace_id(made) if made else new_trace_id())
    run = recorder.run(
        name,
        run_id=extract.run_id(trace_id, _ordinals.take(trace_id) if opened else 0),
        conversation_id=conversation,
        autonomy=settings[a.RUN_AUTONOMY],
        principal_ref=settings[a.PRINCIPAL_REF],
        principal_type=settings[a.PRINCIPAL_TYPE],
        versions=settings.versions,
        context=here,
        span=span,
    )
    disabled = declared.get(config, "tracing_disabled") is True
    return ActiveRun(
        recorder,
        run,
        span=span,
        context=run.context,
        trace_id=trace_id,
        traced=given is not None and not disabled,
        conversation=conversation,
        settings=settings,
        turns=extract.turn_limit(None, options),
    )


def begin_session(recorder: Recorder, agent: object, tracing: object) -> ActiveRun:
    """Start recording a realtime session: a run without a trace of the SDK's, which no other process continues.

    Args:
        recorder: Where records go.
        agent: The starting agent.
        tracing: The tracing configuration of the session, whose ``metadata`` is what a run configuration's is.
    """
    settings = Settings.of(declared.get(tracing, "metadata"))
    conversation = declared.text(declared.get(tracing, "group_id"))
    run = recorder.run(
        extract.agent_name(agent),
        conversation_id=conversation,
        autonomy=settings[a.RUN_AUTONOMY],
        principal_ref=settings[a.PRINCIPAL_REF],
        principal_type=settings[a.PRINCIPAL_TYPE],
        versions=settings.versions,
        context=otel_context.get_current(),
    )
    return ActiveRun(
        recorder,
        run,
        context=run.context,
        trace_id=run.run_id,
        traced=True,
        conversation=conversation,
        settings=settings,
        live=True,
    )


def _resumed(recorder: Recorder, agent: object, state: object, options: Mapping[str, Any]) -> ActiveRun:
    config = options.get("run_config")
    settings = extract.settings_of(config)
    conversation = extract.conversation_id(state, options)
    trace_id = extract.state_trace_id(state)
    place = trace_id or conversation or UNTRACED
    pending = [extract.pending_call(item) for item in extract.interruptions(state)]
    key, stored = _latest(recorder, place, [call.call_id for call in pending])
    here = otel_context.get_current()
    around = trace.get_current_span(here).get_span_context()
    name = extract.agent_name(declared.get(state, "_current_agent") or agent)
    run = recorder.resume(
        key,
        agent=stored.agent if stored is not None and stored.agent else name,
        run_id=extract.run_id(trace_id) if trace_id else None,
        conversation_id=conversation,
        autonomy=settings[a.RUN_AUTONOMY],
        principal_ref=settings[a.PRINCIPAL_REF],
        principal_type=settings[a.PRINCIPAL_TYPE],
        versions=settings.versions,
        context=here if stored is not None or around.is_valid else _in_trace(trace_id, here),
        links=[Link(around)] if around.is_valid else None,
    )
    active = ActiveRun(
        recorder,
        run,
        context=run.context,
        trace_id=trace_id,
        traced=trace_id is not None,
        conversation=conversation,
        settings=settings,
        turns=extract.turn_limit(state, options),
    )
    if pending:
        turn = declared.get(state, "_current_turn")
        index = turn - 1 if isinstance(turn, int) and turn > 0 else None
        if stored is not None and stored.next_step > 0:
            index = stored.next_step - 1
        active.start_step("act", name, index=index, attempt=run.segment + 1)
    return active


def _latest(recorder: Recorder, place: str, call_ids: list[str]) -> tuple[ContextKey, StoredContext | None]:
    """Return the key under which the run's latest segment is stored, or the one where it would be."""
    keys: list[ContextKey] = [(extract.FRAMEWORK, place, call_id) for call_id in call_ids]
    found = [(key, stored) for key in keys if (stored := recorder.lookup(key)) is not None]
    if found:
        return max(found, key=lambda pair: pair[1].segment)
    return (keys[0] if keys else (extract.FRAMEWORK, place, "run")), None


def _in_trace(trace_id: str | None, here: Context) -> Context:
    """Return a context in the run's trace when nothing is stored: below a span whose id follows from the trace's."""
    number = extract.otel_trace_id(trace_id)
    if number is None:
        return here
    span_id = int.from_bytes(hashlib.sha256(f"{extract.FRAMEWORK} {trace_id}".encode()).digest()[:8], "big")
    parent = SpanContext(number, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(parent), here)


def _inner(recorder: Recorder, agent: object, outer: ActiveRun) -> ActiveRun:
    context = otel_context.get_current()
    span = None
    if not outer.official_spans:
        name = extract.agent_name(agent)
        facts = {a.GEN_AI_OPERATION_NAME: "invoke_agent", a.GEN_AI_AGENT_NAME: name}
        span = recorder.tracer.start_span(f"invoke_agent {name}", context=context, attributes=facts)
        context = trace.set_span_in_context(span, context)
    return ActiveRun(recorder, outer.run, parent=outer, span=span, context=context, settings=outer.settings)
