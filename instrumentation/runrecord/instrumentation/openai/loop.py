# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A loop under way: the calls of the model that belong to one run, one step each, and how the run goes on or ends."""

from collections.abc import Generator, Mapping
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
from runrecord.instrumentation.context_store import ContextKey, StoredContext
from runrecord.instrumentation.openai import extract
from runrecord.instrumentation.openai.approvals import approval_key
from runrecord.instrumentation.openai.extract import Answer, Ending
from runrecord.instrumentation.recorder import Approval, Recorder, Run, Scope, Step, durable_approval_id
from runrecord.instrumentation.recorder import current as current_scope
from runrecord.semconv import attributes as a

_current: ContextVar["Loop | None"] = ContextVar("runrecord-openai-loop", default=None)


def current() -> "Loop | None":
    """Return the loop that the code here is directly in: not the one whose tool is being called."""
    loop = _current.get()
    return loop if loop is not None and not loop.ended and current_scope() is loop.base else None


def around() -> "Loop | None":
    """Return the innermost loop that is under way, also from within its tools."""
    loop = _current.get()
    return loop if loop is not None and not loop.ended else None


class Loop:
    """A run of ours, or a part of a run that something else began.

    Args:
        recorder: Where records go.
        base: The run, or the scope of another run that this happens in.
        run: The run, if it is ours to end.
        settings: What the request says of the run.
        asynchronous: Whether the callbacks of the application are awaited.

    Attributes:
        asked: The approvals that were requested here, by the id of the request or the call.
        calls: What the application has to do or answer before the model goes on.
        ending: How the run ends, after the latest response.
        hints: What tools of hosted MCP servers declare, by (server, tool).
        choice: The action that the model selected last, for a runner of decisions.
        cancelled: Whether the application said so, where it is asked.
        refused: The calls that a policy of the application stopped.
    """

    def __init__(
        self,
        recorder: Recorder,
        base: Scope,
        *,
        run: Run | None,
        settings: Settings,
        asynchronous: bool = False,
    ) -> None:
        self.recorder = recorder
        self.base = base
        self.run = run
        self.settings = settings
        self.asynchronous = asynchronous
        self.asked: dict[str, Approval] = {}
        self.calls: list[str] = []
        self.ending = Ending()
        self.hints: dict[tuple[str, str], Mapping[str, object]] = {}
        self.choice: str | None = None
        self.cancelled = False
        self.refused: set[str | None] = set()
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
    def finish(self, response_id: str | None = None) -> None:
        """End as the latest response says: over, or waiting for the application, a person or the server."""
        ending = self.ending
        if ending.error is not None:
            self._end(ending.error)
        elif ending.waits and response_id is not None:
            self._wait(ending.stop_reason, [response_id])
        elif self.calls:
            waiting = any(not approval.decided for approval in self.asked.values())
            self._wait("approval" if waiting else "tool_calls", self.calls)
        else:
            self._complete(ending)

    @guarded
    def left(self) -> None:
        """End where the application went away: it waits, if somebody was asked something; else it was abandoned."""
        if any(not approval.decided for approval in self.asked.values()):
            self._wait("approval", self.calls)
        else:
            self._complete(Ending("abandoned"))

    @guarded
    def stopped(self, ending: Ending) -> None:
        """End as ``ending`` says."""
        self._complete(ending)

    @guarded
    def fail(self, error: BaseException) -> None:
        """End with the exception that left it."""
        known = Ending("cancelled") if self.cancelled else extract.runner_ending(error)
        if known is not None:
            self._complete(known)
        elif isinstance(error, Exception):
            self._end(error)
        else:  # a cancellation
            self._end_step(None)
            self._end(error)

    def _wait(self, reason: str | None, subjects: list[str]) -> None:
        if self.run is not None:
            for subject in subjects:
                self.run.keep(approval_key(subject))
            self.run.suspend(stop_reason=reason)
        self._complete(Ending())

    def _complete(self, ending: Ending) -> None:
        if self.run is not None and (ending.outcome or ending.stop_reason):
            self.run.finish(ending.outcome, stop_reason=ending.stop_reason)
        self._end(None)

    def _end(self, error: BaseException | str | None) -> None:
        if self.ended:
            return
        self.ended = True
        self._end_step(error)
        if self.run is not None and error is None:
            self.run.stop()
        elif self.run is not None and error is not None:
            self.run.fail(error)


def begin(recorder: Recorder, params: object, *, ledger: object = None, asynchronous: bool = False) -> Loop:
    """Start the loop of a tool runner: a run, or a part of the run that is under way here."""
    settings = Settings.of(declared.get(params, "metadata"))
    scope = current_scope()
    if scope is not None:
        return Loop(recorder, scope, run=None, settings=settings, asynchronous=asynchronous)
    ledger_id = declared.text(declared.get(ledger, "run_id"))
    if ledger_id is None:
        found = waiting_for(recorder, extract.answers(params))
        return open_loop(recorder, params, found, asynchronous=asynchronous)
    key: ContextKey = (extract.FRAMEWORK, "ledger", ledger_id)
    run_id = durable_approval_id("run", *key)
    resumed = declared.get(ledger, "resume_from") is not None
    if resumed:
        stored = recorder.lookup(key)
        loop = open_loop(recorder, params, (key, stored), run_id=run_id, asynchronous=asynchronous)
    else:
        loop = open_loop(recorder, params, None, run_id=run_id, asynchronous=asynchronous)
    if loop.run is not None:
        loop.run.keep(key)
    return loop


def waiting_for(recorder: Recorder, answers: list[Answer]) -> tuple[ContextKey, StoredContext | None] | None:
    """Return the run that waits for one of ``answers``: the latest segment, unless the run is over.

    An answer to an approval request of which nothing is stored continues a run that we know only by the request's id.
    """
    recent = [answer for answer in answers if answer.recent]
    found = [
        (key, stored)
        for answer in recent
        if (stored := recorder.lookup(key := approval_key(answer.subject))) is not None
    ]
    if found:
        latest = max(found, key=lambda pair: pair[1].segment)
        return None if latest[1].closed else latest
    asked = next((answer for answer in recent if answer.approved is not None), None)
    return None if asked is None else (approval_key(asked.subject), None)


def open_loop(
    recorder: Recorder,
    body: object,
    resumed: tuple[ContextKey, StoredContext | None] | None,
    *,
    run_id: str | None = None,
    asynchronous: bool = False,
    response: object = None,
) -> Loop:
    """Start a run, or the next segment of the one that ``resumed`` names."""
    settings = Settings.of(declared.get(body, "metadata"))
    facts: dict[str, Any] = {
        "agent": settings[a.GEN_AI_AGENT_NAME],
        "conversation_id": extract.conversation_id(body, response),
        "autonomy": settings[a.RUN_AUTONOMY],
        "principal_ref": settings[a.PRINCIPAL_REF],
        "principal_type": settings[a.PRINCIPAL_TYPE],
        "versions": settings.versions,
    }
    if resumed is None:
        run = recorder.run(run_id=run_id, **facts)
        run.given(declared.get(body, "input") or declared.get(body, "messages"))
    else:
        here = trace.get_current_span().get_span_context()
        links = [Link(here)] if here.is_valid else None
        run = recorder.resume(resumed[0], run_id=run_id, links=links, **facts)
    return Loop(recorder, run, run=run, settings=settings, asynchronous=asynchronous)
