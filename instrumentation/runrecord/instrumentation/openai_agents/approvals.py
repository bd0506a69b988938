# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals: what a run asks when it stops for a person, and what was answered when it goes on."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from runrecord.instrumentation import _declared as declared
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
    token = _deciding.set(declared.get(state, "_context"))
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
    elif active.live:
        _decide(active, _handle(active, call), call, answer, actor="human")
    else:
        # A callback of the application answers at once: request and answer are one moment, and no person was asked.
        _decide(active.root, ask(active.root, item), call, answer, actor="policy")


def ask(active: ActiveRun, item: object) -> Approval:
    """Record that a call waits for an answer, and the policy that wants one; once, however often it is said."""
    call = extract.pending_call(item)
    key, approval_id = active.key(call.call_id), active.approval_id(call.call_id)
    owner = active.last_step or active.run
    stored = active.recorder.lookup(key)
    if stored is None or stored.approval(approval_id) is None:
        policy = extract.approval_policy(item)
        owner.decision(
            policy.policy_id,
            version=policy.version,
            engine="sdk",
            subject=call.call_id,
            subject_name=call.tool,
            arguments=call.arguments,
        ).require_approval(rule=policy.rule)
    approval = owner.request_approval(
        call.call_id,
        tool=call.tool,
        arguments=call.arguments,
        key=key,
        approval_id=approval_id,
        durable_id=call.call_id,
    )
    active.approvals[call.call_id] = approval.approval_id
    return approval


@guarded
def ask_all(active: ActiveRun, items: list[object]) -> None:
    """Record what a run waits for."""
    for item in items:
        ask(active, item)


@guarded
def waived(active: ActiveRun, tool: object, call_id: str | None, arguments: object) -> None:
    """Record that a ``needs_approval`` function let a call through that is about to run."""
    root = active.root
    if (
        not callable(declared.get(tool, "needs_approval"))
        or call_id in root.approvals
        or call_id in root.held
    ):
        return
    policy = extract.needs_approval_policy(tool)
    subject = {"subject": call_id, "subject_name": declared.text(declared.get(tool, "name"))}
    active.decision(policy, engine="sdk", subject_type="tool_call", arguments=arguments, **subject).allow(
        rule=policy.rule, action="none"
    )


@guarded
def held(active: ActiveRun, item: object, *, approved: bool) -> None:
    """Record, once, that an earlier answer for always decides a call of which nobody is asked."""
    root, call = active.root, extract.pending_call(item)
    if call.call_id in root.answered or call.call_id in root.held:
        return
    stored = root.recorder.lookup(root.key(call.call_id))
    if stored is not None and stored.approval(root.approval_id(call.call_id)) is not None:
        root.answered.add(call.call_id)  # in an earlier segment
        return
    root.held.add(call.call_id)
    policy = extract.approval_policy(item)
    decision = active.decision(
        policy,
        engine="sdk",
        subject_type="tool_call",
        subject=call.call_id,
        subject_name=call.tool,
        arguments=call.arguments,
    )
    if approved:
        decision.allow(rule=policy.rule, action="none", reason="always_approved")
    else:
        decision.deny(rule=policy.rule, action="block", reason="always_rejected")


@guarded
def withdrawn(active: ActiveRun, call_ids: list[str], reason: str) -> None:
    """Record that nobody will answer what was asked."""
    for call_id in call_ids:
        _handle(active, Call(call_id, "tool", None)).cancelled(reason=reason)


@guarded
def decide_all(active: ActiveRun, state: object) -> None:
    """Record the answers that a run state brings along, from whichever process they were given in."""
    wrapper = declared.get(state, "_context")
    given = _given.pop(wrapper, {}) if wrapper is not None else {}
    for item in extract.interruptions(state):
        call = extract.pending_call(item)
        answer = given.get(call.call_id) or _read(wrapper, call)
        if answer is None:
            continue
        approval = _handle(active, call)
        active.approvals[call.call_id] = approval.approval_id
        _decide(active, approval, call, answer, actor="human")


def _read(wrapper: object, call: Call) -> Answer | None:
    """Read an answer that was given where we were not: in a process without us."""
    status = declared.get(wrapper, "is_tool_approved")
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


def _decide(active: ActiveRun, approval: Approval, call: Call, answer: Answer, *, actor: str) -> None:
    active.answered.add(call.call_id)
    record = approval.approved if answer.approved else approval.denied
    actor_ref = active.settings[a.APPROVAL_ACTOR_REF] if actor == "human" else None
    record(actor=actor, actor_ref=actor_ref, scope="session" if answer.always else "once")
    if not answer.approved:
        active.approvals.pop(call.call_id, None)
