# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals in a workflow: the one thing that Temporal has no notion of, so that a workflow says it."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, cast

from temporalio import workflow
from typing_extensions import Self

from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.context_store import StoredApproval
from runrecord.instrumentation.recorder import UNSET, Approval, Scope, durable_approval_id
from runrecord.instrumentation.temporal import extract
from runrecord.instrumentation.temporal._record import FRAMEWORK, Answered, WorkflowRecord, current_record
from runrecord.instrumentation.temporal._replay import outside
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS

WAITS = "approval"

_actor: ContextVar[Mapping[str, str] | None] = ContextVar("runrecord-temporal-actor", default=None)


class approval:  # noqa: N801  # used as a function in a with statement
    """Ask a person for an approval; recorded when it is made, once, whatever is replayed.

    Used with ``with``, the block is where the workflow waits. What ends it is recorded as the answer, unless one of the
    methods said it before: the update or signal that came last (see ``extract.verdict`` for what is a yes); the timeout of
    ``workflow.wait_condition``, as expired; a cancellation, as cancelled. An answer that is neither yes nor no, such as a sentence, ends the
    request as answered.

    Without the instrumentation, and outside of a workflow, it does nothing. It has nothing to read: what a workflow does never
    depends on what is recorded.

    Args:
        tool: What is to be done: the name of the activity, if it is one; a bounded name.
        arguments: What the person is shown, as the activity will get it. Only a commitment is kept.
        content: What the person is shown otherwise, such as a question; then the answer is about the run, and lets no activity run.
        timeout: How long the request holds.
        channel: Where the person is asked.
        call_id: Id of the tool call, where there is one already.
    """

    def __init__(
        self,
        tool: str,
        *,
        arguments: object = UNSET,
        content: object = UNSET,
        timeout: timedelta | float | None = None,
        channel: str | None = None,
        call_id: str | None = None,
    ) -> None:
        self.tool = tool
        self.of_call = content is UNSET
        self.call_id = call_id or ""
        self.approval_id = ""
        self._record = current_record()
        self._decided = False
        self._stored = StoredApproval("")
        self._deadline = 0.0
        self._since = 0.0
        if self._record is not None:
            self._ask(self._record, arguments, content, timeout, channel)

    @property
    def decided(self) -> bool:
        """Whether there was an answer."""
        return self._decided

    @guarded
    def _ask(
        self,
        record: WorkflowRecord,
        arguments: object,
        content: object,
        timeout: timedelta | float | None,
        channel: str | None,
    ) -> None:
        info = record.info
        position, record.requests = self.call_id or str(record.requests), record.requests + 1
        until = extract.deadline(workflow.now(), timeout)
        self.approval_id = durable_approval_id(
            FRAMEWORK, info.namespace, info.workflow_id, info.run_id, self.tool, position
        )
        self.call_id = self.call_id or self.approval_id
        run = record.run
        with outside():
            asked = run.request_approval(
                self.call_id if self.of_call else None,
                tool=self.tool,
                subject_type="tool_call" if self.of_call else "run",
                arguments=arguments,
                content=content,
                deadline=until,
                channel=channel,
                approval_id=self.approval_id,
                key=record.key,
                context=run.context,
            )
            digest = run.state.commit(LABEL_TOOL_ARGUMENTS, arguments)
        self._stored = replace(
            asked.stored, name=self.tool, digest=asked.stored.digest or digest, requested_at=record.now
        )
        self._deadline = until.timestamp() if until is not None else 0.0
        self._since = record.now
        record.pending.append(self)

    # answers

    def approved(
        self,
        *,
        actor: str = "service",
        actor_ref: str | None = None,
        scope: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Record that it may be done exactly as shown; ``actor`` is human if there is an ``actor_ref`` (opaque, never a name)."""
        self._decide("approved", actor=actor, actor_ref=actor_ref, scope=scope, reason=reason)

    def denied(
        self,
        *,
        actor: str = "service",
        actor_ref: str | None = None,
        scope: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Record that it may not be done; ``reason`` is a code, never what the person wrote."""
        self._decide("denied", actor=actor, actor_ref=actor_ref, scope=scope, reason=reason)

    def modified(
        self,
        *,
        arguments: object,
        actor: str = "service",
        actor_ref: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Record that it may be done with other ``arguments``, as the activity will get them."""
        self._decide("modified", actor=actor, actor_ref=actor_ref, reason=reason, arguments=arguments)

    def answered(
        self, *, actor: str = "service", actor_ref: str | None = None, reason: str | None = None
    ) -> None:
        """Record an answer that neither approves nor refuses, such as a text; ``reason`` is a code, never that text."""
        self._decide("answered", actor=actor, actor_ref=actor_ref, reason=reason)

    def expired(self) -> None:
        """Record that nobody answered in time."""
        self._decide("expired")

    def cancelled(self, *, reason: str | None = None) -> None:
        """Record that the request was withdrawn."""
        self._decide("cancelled", reason=reason)

    @guarded
    def _decide(self, status: str, **facts: Any) -> None:
        record = self._record
        if record is None or self._decided:
            return
        if record.evicted:
            return  # the worker gives the execution up; the request still stands
        self._decided = True
        record.pending[:] = [other for other in record.pending if other is not self]
        if status in {"approved", "modified"} and self.of_call:
            record.granted.setdefault(self.tool, []).append(self)
        if facts.get("actor_ref") is not None and facts.get("actor") == "service":
            facts["actor"] = "human"
        run = record.run
        if self.of_call and status in {"approved", "modified"}:
            run.state.stopped.let_run(self.call_id)
        elif self.of_call and status != "answered":
            run.state.stopped.stop(self.call_id, self.tool)
        if not record.look():
            return  # it was recorded when it happened
        with outside():
            known = run.state.core.store.get(record.key)
            stored = known.approval(self.approval_id) if known is not None else None
            stored = replace(stored or self._stored, name=self.tool, decided=False)
            # In the workflow's time: the clock of another worker, or of a test that skips time, is another one.
            waited = max(0.0, record.now - self._stored.requested_at)
            stored = replace(stored, requested_at=run.state.core.clock() - waited)
            answer = Approval(run, record.key, stored, replayed=True)
            getattr(answer, status)(**facts, context=run.context)

    # with

    def __enter__(self) -> Self:
        """Return the request."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Record what ended the wait; an exception passes through."""
        del kind, traceback
        self._close(error)

    @guarded
    def _close(self, error: BaseException | None) -> None:
        record = self._record
        if record is None or self._decided:
            return
        if isinstance(error, asyncio.TimeoutError):
            self.expired()
        elif isinstance(error, asyncio.CancelledError):
            self.cancelled(reason="run_cancelled")
        elif error is None:
            answer = self._answer(record)
            record.look()
            if answer is not None:
                record.answers.remove(answer)
                self._answered(answer)
            elif self._deadline and record.now >= self._deadline:
                self.expired()

    def _answer(self, record: WorkflowRecord) -> Answered | None:
        """Return what answered, if anything did.

        The last clear answer since the request; else one from before, for which this code did not have to wait; else the last
        thing that was said since.
        """
        clear = [told for told in record.answers if extract.verdict(told.handler, told.args) is not None]
        since = [told for told in clear if told.at >= self._since]
        said = [told for told in record.answers if told.at >= self._since]
        return next((found[-1] for found in (since, clear, said) if found), None)

    @guarded
    def settled(self, status: str, **facts: Any) -> None:
        """Record an answer that the program has read; without an ``actor`` it is whoever sent the last update or signal."""
        record = self._record
        if record is None:
            return
        since = [told for told in record.answers if told.at >= self._since]
        who: Mapping[str, str] = since[-1].actor if since else {}
        if status != "cancelled" and "actor" not in facts:
            facts |= {"actor": who.get("type", "service"), "actor_ref": who.get("ref")}
        self._decide(status, **facts)

    def _answered(self, last: Answered) -> None:
        yes = extract.verdict(last.handler, last.args)
        actor, ref = last.actor.get("type", "service"), last.actor.get("ref")
        if yes is None:
            self.answered(actor=actor, actor_ref=ref)
        elif yes:
            self.approved(actor=actor, actor_ref=ref)
        else:
            self.denied(actor=actor, actor_ref=ref)


def withdraw_all(record: WorkflowRecord, reason: str) -> None:
    """Record that requests nobody answered were withdrawn, since the run is over."""
    for asked in list(record.pending):
        asked.cancelled(reason=reason)


def current() -> Scope:
    """Return the run of the workflow that this code is in, to record policy decisions and the like in it.

    A replay records nothing again. Without the instrumentation, and outside of a workflow, it is a run that records nothing.
    """
    record = current_record()
    return record.scope if record is not None else cast("Scope", _NOTHING)


class _Nothing:
    """What stands in for a run where nothing is recorded: every call on it does nothing, and gives the same."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_args: object, **_kwargs: object) -> Any:
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *raised: object) -> None:
        """Let an exception pass."""


_NOTHING: Final = _Nothing()


@contextmanager
def answering(actor_ref: str, *, actor: str = "human") -> Generator[None, None, None]:
    """Say who answers, for the updates and signals that a client sends inside of the block.

    Args:
        actor_ref: Opaque reference, never a name or an address. Temporal keeps it in the history.
        actor: human, policy, service or delegate.
    """
    token = _actor.set({"type": actor, "ref": actor_ref})
    try:
        yield
    finally:
        _actor.reset(token)


def current_actor() -> Mapping[str, str] | None:
    """Return who answers here."""
    return _actor.get()


def pass_through() -> None:
    """Let workflows use this module without reloading it for every run, also where the instrumentation is off."""
    # Not before everything here is defined: this import is what the hooks of the instrumentation wait for, and they import us.
    from temporalio.worker.workflow_sandbox import SandboxRestrictions  # noqa: PLC0415

    modules: object = getattr(SandboxRestrictions, "passthrough_modules_default", None)
    if isinstance(modules, set):
        cast("set[str]", modules).add("runrecord")


pass_through()
