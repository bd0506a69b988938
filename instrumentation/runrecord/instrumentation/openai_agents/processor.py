# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A processor beside the SDK's own: the spans of turns become steps, and the trace's id is what it really is."""

from typing import Any

from agents.tracing import Span, Trace, TracingProcessor, TurnSpanData

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation.openai_agents import extract
from runrecord.instrumentation.openai_agents.active import current


class StepProcessor(TracingProcessor):
    """Is told of spans in the task that runs them, so that what is made current for a turn can be restored with it."""

    def on_trace_start(self, trace: Trace) -> None:
        """Note the trace of the run."""
        active = current()
        if active is not None:
            active.trace_started(extract.real_trace_id(trace))

    def on_trace_end(self, trace: Trace) -> None:
        """Do nothing: a run ends with its call."""

    def on_span_start(self, span: Span[Any]) -> None:
        """Start the step of a turn."""
        data = span.span_data
        active = current() if isinstance(data, TurnSpanData) else None
        if active is not None:
            active.start_turn(declared.text(data.agent_name))

    def on_span_end(self, span: Span[Any]) -> None:
        """End the step of a turn."""
        active = current() if isinstance(span.span_data, TurnSpanData) else None
        if active is not None:
            active.end_turn()

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self) -> None:
        """Do nothing."""
