# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""One outermost graph invocation: the run it is, what is open in it, and the approvals it waits for."""

from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from opentelemetry.context import Context

from runrecord.instrumentation._approval import store_get
from runrecord.instrumentation.context_store import ContextKey, StoredApproval
from runrecord.instrumentation.langgraph import extract
from runrecord.instrumentation.langgraph._entering import FRAMEWORK, Entering
from runrecord.instrumentation.recorder import Approval, Governed, Run, Scope, durable_approval_id
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS


@dataclass
class Entry:
    """A callback run that is under way: a graph, a node, a tool call, or any chain in between."""

    graph: "Graph"
    scope: Scope
    kind: str = "other"
    record: Governed | None = None
    token: Token[Context] | None = None
    tool: str | None = None
    call_id: str | None = None


@dataclass
class Origin:
    """Where an interrupt was raised."""

    scope: Scope
    node: str | None = None
    tool: str | None = None
    call_id: str | None = None


@dataclass
class Graph:
    """An outermost graph invocation.

    Attributes:
        owner: What its records belong to: its run, or the run of the application around it.
        run: Its run; None inside a run that the application made.
        calls: For the interrupt of a batch, the model's tool calls.
        approved: For a tool call id, the approval because of which it may run.
    """

    owner: Scope
    run: Run | None
    entering: Entering
    open: dict[UUID, Entry] = field(default_factory=dict[UUID, Entry])
    origins: dict[str, Origin] = field(default_factory=dict[str, Origin])
    calls: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict[str, list[Mapping[str, Any]]])
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    approved: dict[str, str] = field(default_factory=dict[str, str])
    waits: str | None = None
    outcome: tuple[str, str] | None = None

    @property
    def key(self) -> ContextKey:
        """Where the approvals of this thread are stored."""
        return self.entering.key or (FRAMEWORK, "", self.owner.run_id)

    def request(self, interrupt: Any) -> None:
        """Record that a person was asked, once per interrupt and position."""
        identity = str(interrupt.id)
        items = extract.with_call_ids(extract.asked(interrupt.value), self.calls.get(identity, ()))
        origin = self.origins.get(identity) or Origin(self.owner)
        known = store_get(self.owner.state, self.key)
        asked_before = known.approvals if known is not None and known.run_id == self.owner.run_id else ()
        answered = {item.approval_id for item in asked_before if item.decided}
        for item in items:
            call_id = item.tool_call_id or (origin.call_id if not item.is_tool_call else None)
            self.owner.request_approval(
                call_id,
                tool=item.name or origin.tool or origin.node,
                subject_type="tool_call" if item.is_tool_call or call_id else "run",
                arguments=item.arguments,
                content=item.content,
                approval_id=_next_id(self.key, identity, item.position, answered),
                key=self.key,
                durable_id=identity,
                context=origin.scope.context,
            )

    def decide(self) -> None:
        """Record what ``Command(resume=...)`` answers to the requests of the earlier segments."""
        if self.entering.resume is None:
            return
        groups: dict[str, list[Approval]] = {}
        for approval in self._handles():
            groups.setdefault(approval.stored.durable_id or "", []).append(approval)
        # A value without an id answers the next question that waits; if none does, the last answer was not accepted.
        waiting = [identity for identity, every in groups.items() if not all(item.decided for item in every)]
        kind, ref = self.entering.actor
        for identity, value in extract.resume_values(
            self.entering.resume, waiting or list(groups)[-1:]
        ).items():
            every = groups.get(identity, [])
            approvals = [item for item in every if not item.decided] or every
            tool_calls = bool(approvals) and approvals[0].stored.subject_type == "tool_call"
            said = extract.answers(value, len(approvals), tool_calls=tool_calls)
            for approval, answer in zip(approvals, said, strict=False):
                approval.reopen()
                self._decide(approval, answer, kind, ref)

    def _decide(self, approval: Approval, answer: extract.Answer, kind: str, ref: str | None) -> None:
        context = self.owner.context
        if answer.status == "approved":
            approval.approved(actor=kind, actor_ref=ref, reason=answer.reason, context=context)
        elif answer.status == "modified":
            approval.modified(
                arguments=answer.arguments, actor=kind, actor_ref=ref, reason=answer.reason, context=context
            )
        elif answer.status == "denied":
            approval.denied(actor=kind, actor_ref=ref, reason=answer.reason, context=context)
        elif answer.status == "answered":
            approval.answered(actor=kind, actor_ref=ref, reason=answer.reason, context=context)
        else:
            approval.cancelled(reason=answer.reason, context=context)
        stored = approval.stored
        # A question that a tool asks is about its call, but a person who answers it was not shown the arguments.
        if answer.status in {"approved", "modified"} and stored.subject_id and stored.of_arguments:
            self.approved[stored.subject_id] = approval.approval_id

    def _handles(self) -> list[Approval]:
        if self.run is not None and self.run.approvals:
            return self.run.approvals
        if self.entering.stored is not None:
            return [
                Approval(self.owner, self.key, item, replayed=True) for item in self.entering.stored.approvals
            ]
        return [
            Approval(self.owner, self.key, self._known(str(interrupt.id), item), replayed=True)
            for interrupt in self.entering.pending
            for item in extract.asked(interrupt.value)
        ]

    def _known(self, identity: str, item: extract.Asked) -> StoredApproval:
        """Describe a request of another run, or one that another machine recorded, from the checkpoint."""
        known = approval_id(self.key, identity, item.position)
        earlier = self.entering.earlier.approval(known) if self.entering.earlier is not None else None
        return StoredApproval(
            known,
            request=earlier.request if earlier is not None else None,
            requested_at=earlier.requested_at if earlier is not None else 0.0,
            subject_type="tool_call" if item.is_tool_call else "run",
            subject_id=item.tool_call_id or (earlier.subject_id if earlier is not None else None),
            name=item.name or (earlier.name if earlier is not None else None),
            digest=self.owner.state.commit(LABEL_TOOL_ARGUMENTS, item.arguments)
            if item.is_tool_call
            else None,
            durable_id=identity,
            of_arguments=item.is_tool_call,
        )


def _next_id(key: ContextKey, interrupt_id: str, position: int, answered: set[str]) -> str:
    """Derive the id of a new or pending request; older versions give every interrupt of a task the same id."""
    found, again = approval_id(key, interrupt_id, position), 0
    while found in answered:
        again += 1
        found = approval_id(key, f"{interrupt_id}#{again}", position)
    return found


def approval_id(key: ContextKey, interrupt_id: str, position: int) -> str:
    """Derive the id of an approval: the same in every process that sees the thread and the interrupt."""
    return durable_approval_id(*key, interrupt_id, str(position))
