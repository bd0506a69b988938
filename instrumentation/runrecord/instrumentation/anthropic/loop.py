# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A loop under way: the calls of the model that belong to one run, one step each, and how the run goes on or ends."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._declared import Settings
from runrecord.instrumentation._safety import guarded, swallowed
from runrecord.instrumentation.anthropic import extract
from runrecord.instrumentation.anthropic.extract import Ending
from runrecord.instrumentation.context_store import ContextKey, StoredContext
from runrecord.instrumentation.recorder import Recorder, Run, Scope, Step
from runrecord.instrumentation.recorder import current as current_scope
from runrecord.semconv import attributes as a

_current: ContextVar["Loop | None"] = ContextVar("runrecord-anthropic-loop", default=None)


def current() -> "Loop | None":
    """Return the loop that the code here is directly in: not the one whose tool is being called."""
    loop = _current.get()
    return loop if loop is not None and not loop.ended and current_scope() is loop.base else None


class Loop:
    """A run of ours, or a part of a run that something else began.

    Args:
        recorder: Where records go.
        base: The run, or the scope of another run that this happens in.
        run: The run, if it is ours to end.

    Attributes:
        ending: How the run ends or waits, after the latest message; None while there is none since the last turn began.
        calls: The ids by which a later request continues the latest message.
        blocks: The calls of the latest message that the application has to make.
        hosted: The calls of hosted tools so far, by their ids; their results may come in another message.
        filtered: Whether a content filter stopped it.
    """

    def __init__(self, recorder: Recorder, base: Scope, *, run: Run | None) -> None:
        self.recorder = recorder
        self.base = base
        self.run = run
        self.ending: Ending | None = None
        self.calls: list[str] = []
        self.blocks: list[object] = []
        self.hosted: dict[str, object] = {}
        self.filtered = False
        self.ended = False
        self._step: Step | None = None
        self._context: Context = run.context if run is not None else otel_context.get_current()

    @property
    def owner(self) -> Scope:
        """What a record made now belongs to."""
        return self._step if self._step is not None else self.base

    @contextmanager
    def entered(self) -> Generator[None, None, None]:
        """Make this the current loop, and its run the current span, for a block that does not yield to the application."""
        token = _current.set(self)
        attached = otel_context.attach(self._context)
        try:
            yield
        finally:
            with swallowed("leaving a loop"):
                otel_context.detach(attached)
                _current.reset(token)

    @guarded
    def turn(self) -> None:
        """Start the step of the next call of the model."""
        self._end_step(None)
        self.ending, self.calls, self.blocks = None, [], []
        # Not below the span of the call, where another instrumentation made one: the step also holds what follows from it.
        self._step = self.base.step("act", context=self._context)

    def _end_step(self, error: BaseException | str | None) -> None:
        step, self._step = self._step, None
        if step is not None and error is None:
            step.stop()
        elif step is not None and error is not None:
            step.fail(error)

    # the end

    @guarded
    def finish(self) -> None:
        """End as the latest message says: over, or waiting to be continued."""
        ending = self.ending or Ending()
        if ending.waits and self.run is not None:
            for subject in self.calls:
                self.run.keep(extract.call_key(subject))
            self.run.suspend(stop_reason=ending.stop_reason)
            ending = Ending()
        self.stopped(ending)

    @guarded
    def left(self) -> None:
        """End where the application went away; after a final message there is nothing that it left."""
        over = self.ending is not None and not self.ending.waits
        self.stopped((self.ending if over else None) or Ending("abandoned"))

    @guarded
    def stopped(self, ending: Ending) -> None:
        """End as ``ending`` says."""
        if self.run is not None and (ending.outcome or ending.stop_reason):
            self.run.finish(ending.outcome, stop_reason=ending.stop_reason)
        self._end(ending.error)

    @guarded
    def fail(self, error: BaseException) -> None:
        """End with the exception that left it."""
        if self.filtered:
            self.stopped(Ending("denied", "content_filter"))
            return
        if not isinstance(error, Exception):  # a cancellation, which is no error of a step
            self._end_step(None)
        self._end(error)

    def _end(self, error: BaseException | str | None) -> None:
        if self.ended:
            return
        self.ended = True
        self._end_step(error)
        if self.run is not None and error is None:
            self.run.stop()
        elif self.run is not None and error is not None:
            self.run.fail(error)


def waiting_for(recorder: Recorder, body: object) -> tuple[ContextKey, StoredContext] | None:
    """Return the run that waits for what a request brings: the latest segment, unless the run is over."""
    found = [
        (key, stored)
        for subject in extract.brings(body)
        if (stored := recorder.lookup(key := extract.call_key(subject))) is not None
    ]
    latest = max(found, key=lambda pair: pair[1].segment, default=None)
    return None if latest is None or latest[1].closed else latest


def open_loop(
    recorder: Recorder,
    body: object,
    resumed: tuple[ContextKey, StoredContext] | None,
    *,
    settings: Settings,
    conversation_id: str | None = None,
    context: Context | None = None,
) -> Loop:
    """Start a run, or the next segment of the one that ``resumed`` names.

    Args:
        recorder: Where records go.
        body: The request.
        resumed: Where the run waits, and what is stored there.
        settings: What the program says of the run.
        conversation_id: The conversation that the client is for.
        context: Parent, where that is not the current context.
    """
    principal = settings[a.PRINCIPAL_REF] or extract.principal(body)
    facts: dict[str, Any] = {
        "agent": settings[a.GEN_AI_AGENT_NAME],
        "conversation_id": conversation_id,
        "autonomy": settings[a.RUN_AUTONOMY],
        "principal_ref": principal,
        "principal_type": settings[a.PRINCIPAL_TYPE] or ("user" if principal else None),
        "versions": settings.versions,
    }
    if resumed is None:
        run = recorder.run(context=context, **facts)
    else:
        here = trace.get_current_span(context).get_span_context()
        run = recorder.resume(resumed[0], links=[Link(here)] if here.is_valid else None, **facts)
    run.given(declared.get(body, "messages"))
    return Loop(recorder, run, run=run)
