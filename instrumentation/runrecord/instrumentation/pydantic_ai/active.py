# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A run under way: what the hooks of one ``Agent.iter`` share, found again through a context variable."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

from runrecord.instrumentation._content import error_type
from runrecord.instrumentation._declared import Policy
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.context_store import ContextKey
from runrecord.instrumentation.pydantic_ai import extract
from runrecord.instrumentation.pydantic_ai.extract import Budget, Call
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
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS

_current: ContextVar["ActiveRun | None"] = ContextVar("runrecord-pydantic-ai-run", default=None)


@contextmanager
def attached(context: Context) -> Generator[None, None, None]:
    """Make a context the current one.

    It is not restored in a task that is collected while it waits, which happens in another context: there is nothing to restore.
    """
    token = otel_context.attach(context)
    try:
        yield
    except GeneratorExit:
        raise
    except BaseException:
        otel_context.detach(token)
        raise
    else:
        otel_context.detach(token)


def current() -> "ActiveRun | None":
    """Return the innermost run that is under way here."""
    active = _current.get()
    while active is not None and active.ended:
        active = active.parent
    return active


@dataclass
class CallNotes:
    """What is learnt of one tool call between its validation and its end.

    Attributes:
        raw: The arguments that were validated: the model's, unless a hook or an answer changed them.
        validated: What the validation made of them, and its commitment if a hook could change it in place.
        span: The SDK's own span of the call.
        executed: Whether the tool itself was called.
        failed: Whether the tool itself raised.
    """

    raw: object = UNSET
    validated: dict[str, Any] | None = None
    commitment: str | None = None
    span: Span | None = None
    executed: bool = False
    failed: bool = False


class ActiveRun:
    """One call of ``Agent.iter``, by which every way of running an agent goes.

    A call inside of another (an agent that a tool calls) is no run of its own: its steps and tool calls belong to the
    outer run, and its ``invoke_agent`` span is a plain one.

    Args:
        recorder: Where records go.
        run: The run; for an inner call the outer one's.
        parent: The outer call.
        span: A span of ours to end with an inner call.
        context: Where the call happens.
        agent: Name of the agent.
        conversation: The SDK's conversation id.
        results: The ``DeferredToolResults`` that the call was given.
        pending: The calls that those answer.
        timeout: Seconds that the run may take.
    """

    def __init__(
        self,
        recorder: Recorder,
        run: Run,
        *,
        parent: "ActiveRun | None" = None,
        span: Span | None = None,
        context: Context,
        agent: str,
        conversation: str,
        results: object = None,
        pending: list[Call] | None = None,
        timeout: float | None = None,
    ) -> None:
        self.recorder = recorder
        self.run = run
        self.parent = parent
        self.context = context
        self.agent = agent
        self.conversation = conversation
        self.results = results
        self.pending = pending or []
        self.timeout = timeout
        self.step: Step | None = None
        self.last_step: Step | None = None
        self.definitions: dict[str, object] = {}
        self.asked: dict[str, Policy] = {}
        self.approvals: dict[str, str] = {}
        self.requested: set[str] = set()
        self.filtered = False
        self.over: BaseException | None = None
        self.ended = False
        self._calls: dict[str, CallNotes] = {}
        self._span = span

    # where we are

    @contextmanager
    def entered(self) -> Generator[None, None, None]:
        """Make this the current call, and its span the current span."""
        token = _current.set(self)
        try:
            with attached(self.context):
                yield
        except GeneratorExit:
            raise
        except BaseException:
            _current.reset(token)
            raise
        else:
            _current.reset(token)

    @property
    def owner(self) -> Run | Step:
        """What a record made now belongs to; the last step also after it has ended."""
        return self.step or self.last_step or self.run

    @property
    def root(self) -> "ActiveRun":
        """The call that is the run."""
        return self if self.parent is None else self.parent.root

    def key(self, call_id: str) -> ContextKey:
        """Return the key of an approval."""
        return (extract.FRAMEWORK, self.conversation, call_id)

    def approval_id(self, call_id: str, number: int = 0) -> str:
        """Return the durable id of an approval; ``number`` counts the requests for one call."""
        again = [str(number)] if number else []
        return durable_approval_id(extract.FRAMEWORK, self.run.run_id, self.conversation, call_id, *again)

    # steps

    @guarded
    def start_step(self, *, index: int | None = None, attempt: int | None = None) -> None:
        """End the step before, and start the next."""
        self.end_step()
        self.step = self.last_step = self.run.step(
            "act", name=self.agent, index=index, attempt=attempt, context=self.context
        )

    @guarded
    def end_step(self, error: BaseException | None = None) -> None:
        """End the step under way."""
        step, self.step = self.step, None
        if step is not None:
            step.stop() if error is None else step.fail(error)

    # tool calls

    def notes(self, call_id: str) -> CallNotes:
        """Return what is known of a call; made at the first use."""
        found = self._calls.get(call_id)
        if found is None:
            found = self._calls[call_id] = CallNotes()
        return found

    def forget(self, call_id: str) -> None:
        """Drop what is known of a call that is over."""
        self._calls.pop(call_id, None)

    @guarded
    def validated(self, call_id: str, arguments: object) -> None:
        """Note what the validation made of a call's arguments."""
        if not isinstance(arguments, dict):
            return
        notes = self.notes(call_id)
        notes.validated = dict(arguments)  # pyright: ignore[reportUnknownArgumentType]
        plain = all(type(value) in _PLAIN for value in notes.validated.values())
        notes.commitment = None if plain else self._commit(notes.validated)

    def shown(self, notes: CallNotes, arguments: object) -> object:
        """Return a call's arguments as the model gave them, if what runs is that; else what runs.

        The validation fills in defaults and makes values of other types, so that what a person was shown and what runs are
        the same call and yet not equal. A change by a hook in between is told from that by comparing with what the validation
        had made.
        """
        if notes.raw is UNSET or notes.validated is None:
            return arguments
        if notes.commitment is not None:
            return notes.raw if notes.commitment == self._commit(arguments) else arguments
        try:
            return notes.raw if notes.validated == arguments else arguments
        except Exception:  # noqa: BLE001  # what a hook put there may not be comparable
            return arguments

    def _commit(self, arguments: object) -> str | None:
        return self.run.state.commit(LABEL_TOOL_ARGUMENTS, arguments)

    def tool_call(self, part: object, definition: object, arguments: object) -> Tool:
        """Start a tool call, on the SDK's own span where there is one."""
        call = extract.call(part)
        notes = self.notes(call.call_id)
        notes.executed = True
        return self.owner.tool(
            call.tool,
            call_id=call.call_id,
            arguments=self.shown(notes, arguments),
            tool_type="function",
            approval_id=self.approvals.get(call.call_id),
            span=notes.span or existing_span("execute_tool", trace.get_current_span(), call.call_id),
            **extract.tool_hints(definition),
        )

    # policies

    def decision(self, policy: Policy, *, engine: str, subject_type: str, **subject: Any) -> Decision:
        """Start a policy decision."""
        return self.owner.decision(
            policy.policy_id, version=policy.version, engine=engine, subject_type=subject_type, **subject
        )

    @guarded
    def content_filtered(self, action: str) -> None:
        """Record, once a response, that the model's provider filtered it."""
        self.filtered = True
        decision = self.decision(
            Policy("content_filter"), engine="guardrail", subject_type="model_output", name="content_filter"
        )
        decision.deny(rule="content_filter", action=action, reason="content_filter")

    @guarded
    def budget_exceeded(self, limit: Budget | None) -> None:
        """Record that a limit ends the call."""
        facts = limit.attributes if limit is not None else {}
        name = limit.name if limit is not None else "usage_limit"
        decision = self.decision(Policy("usage_limits"), engine="sdk", subject_type="run")
        decision.set(facts)
        decision.deny(rule=name, action="terminate", reason=name)
        if self.parent is None:
            self.run.set(facts)
            self.run.finish("budget_exceeded", stop_reason=name)

    # the end

    @guarded
    def suspend(self, reason: str, call_ids: list[str]) -> None:
        """End the call: it waits for whoever answers the calls."""
        if self.parent is None:
            for call_id in call_ids:
                self.run.suspend(stop_reason=reason, key=self.key(call_id))
        self._end(None)

    @guarded
    def finish(self, outcome: str | None = None, *, stop_reason: str | None = None) -> None:
        """End the call normally, or as ``outcome`` says."""
        if self.parent is None and outcome is not None:
            self.run.finish(outcome, stop_reason=stop_reason)
        self._end(None)

    @guarded
    def fail(self, error: BaseException, *, usage: object, deadline: object) -> None:
        """End the call with the exception that left it; ``usage`` and ``deadline`` are the run's."""
        if extract.is_kind(error, "UsageLimitExceeded"):
            if self.root.over is not error:  # an inner call may have recorded it
                self.root.over = error
                self.budget_exceeded(extract.budget(error, usage))
            self.finish("budget_exceeded")
        elif extract.is_kind(error, "ContentFilterError"):
            if not self.filtered:
                self.content_filtered("terminate")
            self.finish("denied", stop_reason="content_filter")
        elif isinstance(error, GeneratorExit):
            self.finish("abandoned")
        elif not extract.is_cancellation(error):
            self._end(error)
        elif extract.is_kind(error, "RunTimedOut") or _passed(deadline):
            self.budget_exceeded(Budget("timeout", "seconds", self.timeout))
            self.finish("budget_exceeded")
        else:
            self.finish("abandoned" if _abandoned() else "cancelled")

    def _end(self, error: BaseException | None) -> None:
        if self.ended:
            return
        self.ended = True
        self.end_step(error)
        if self.parent is None and error is None:
            self.run.stop()
        elif self.parent is None and error is not None:
            self.run.fail(error)
        elif self._span is not None and error is not None:
            self._span.set_attribute(a.ERROR_TYPE, error_type(error))
            self._span.set_status(trace.StatusCode.ERROR)
        if self._span is not None:
            self._span.end()


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _abandoned() -> bool:
    """Say whether the SDK ends the task of a run that nobody reads on, rather than the program its own.

    Python 3.10 can't tell.
    """
    task = asyncio.current_task()
    cancelling = getattr(task, "cancelling", None)
    return cancelling is not None and cancelling() > 0


def _passed(deadline: object) -> bool:
    return isinstance(deadline, datetime) and datetime.now(timezone.utc) >= deadline
