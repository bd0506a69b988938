# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals: what a run asks when it stops for a person, and what was answered when it goes on."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.context_store import StoredApproval
from runrecord.instrumentation.openai_agents import extract
from runrecord.instrumentation.openai_agents.active import ActiveRun, current
from runrecord.instrumentation.openai_agents.extract import Call
from runrecord.instrumentation.recorder import Approval
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS


@dataclass(frozen=True)
class Answer:
    """What was answered to a request; ``always`` if it holds for the rest of the run."""

    approved: bool
    always: bool


# Answers given between two segments, until the run that they belong to is continued. The key is the context wrapper of
# the run state that was asked to approve or reject.
_given: Final[WeakKeyDictionary[Any, dict[str, Answer]]] = WeakKeyDictionary()
_deciding: ContextVar[object | None] = ContextVar("runrecord-openai-agents-deciding", default=None)


@contextmanager
def deciding(state: object) -> Generator[None, None, None]:
    """Note answers for ``state``, also where it hands them on to the state of an agent that runs inside of a tool."""
    if _deciding.get() is not None:
        yield
        return
    token = _deciding.set(extract.get(state, "_context"))
    try:
        yield
    finally:
        _deciding.reset(token)


@guarded
def answered(wrapper: object, item: object, *, approved: bool, always: bool) -> None:
    """Note an answer that was given through ``wrapper``: now, if a run is under way, else when it goes on."""
    answer, call = Answer(approved, always), extract.pending_call(item)
    active = current()
    if active is None:
        _given.setdefault(_deciding.get() or wrapper, {})[call.call_id] = answer
        return
    # A callback of the application answers at once: request and answer are one moment, and no person was asked.
    approval = request(active.root, call)
    _decide(active.root, approval, call, answer, actor="policy", actor_ref=None)


def request(active: ActiveRun, call: Call) -> Approval:
    """Record that a call waits for a person; a request that was recorded before is not recorded again."""
    owner = active.last_step or active.run
    approval = owner.request_approval(
        call.call_id,
        tool=call.tool,
        arguments=call.arguments,
        key=active.key(call.call_id),
        approval_id=active.approval_id(call.call_id),
        durable_id=call.call_id,
    )
    active.approvals[call.call_id] = approval.approval_id
    return approval


@guarded
def request_all(active: ActiveRun, items: list[object]) -> None:
    """Record what a run waits for: the policy's decision that a person must agree, and the request."""
    for item in items:
        call = extract.pending_call(item)
        stored = active.recorder.lookup(active.key(call.call_id))
        if stored is None or stored.approval(active.approval_id(call.call_id)) is None:
            policy = extract.approval_policy(extract.get(item, "agent"), call.tool)
            owner = active.last_step or active.run
            owner.decision(
                policy.policy_id,
                version=policy.version,
                engine="sdk",
                subject=call.call_id,
                arguments=call.arguments,
            ).require_approval(rule=policy.rule)
        request(active, call)


@guarded
def decide_all(active: ActiveRun, state: object) -> None:
    """Record the answers that a run state brings along, from whichever process they were given in."""
    wrapper = extract.get(state, "_context")
    given = _given.pop(wrapper, {}) if wrapper is not None else {}
    for item in extract.interruptions(state):
        call = extract.pending_call(item)
        answer = given.get(call.call_id) or _read(wrapper, call)
        if answer is None:
            continue
        approval = _handle(active, call)
        active.approvals[call.call_id] = approval.approval_id
        actor_ref = active.settings[a.APPROVAL_ACTOR_REF]
        _decide(active, approval, call, answer, actor="human", actor_ref=actor_ref)


def _read(wrapper: object, call: Call) -> Answer | None:
    """Read an answer that was given where we were not: in a process without us."""
    status = extract.get(wrapper, "is_tool_approved")
    approved = status(call.tool, call.call_id) if callable(status) else None
    return None if not isinstance(approved, bool) else Answer(approved, extract.sticky(wrapper, call))


def _handle(active: ActiveRun, call: Call) -> Approval:
    """Return the request of a call; without a store, one made of what the run state says."""
    key, approval_id = active.key(call.call_id), active.approval_id(call.call_id)
    context = active.recorder.lookup(key)
    stored = context.approval(approval_id) if context is not None else None
    if stored is None:
        digest = active.run.state.commit(LABEL_TOOL_ARGUMENTS, call.arguments)
        stored = StoredApproval(
            approval_id, subject_id=call.call_id, name=call.tool, digest=digest, durable_id=call.call_id
        )
    return Approval(active.owner, key, stored, replayed=True)


def _decide(
    active: ActiveRun, approval: Approval, call: Call, answer: Answer, *, actor: str, actor_ref: str | None
) -> None:
    record = approval.approved if answer.approved else approval.denied
    record(actor=actor, actor_ref=actor_ref, scope="session" if answer.always else "once")
    if not answer.approved:
        active.approvals.pop(call.call_id, None)
