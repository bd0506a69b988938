# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals: what a run asks when a tool call is deferred, and what was answered, inside of the run or before the next."""

from collections.abc import Callable
from typing import Any, cast

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.context_store import StoredApproval, StoredContext
from runrecord.instrumentation.pydantic_ai import extract
from runrecord.instrumentation.pydantic_ai.active import ActiveRun
from runrecord.instrumentation.pydantic_ai.extract import Call
from runrecord.instrumentation.recorder import Approval
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS


@guarded
def request_all(
    active: ActiveRun, requests: object, definition: Callable[[str], object]
) -> dict[str, Approval]:
    """Record what waits for approval: the policy's decision that a person must agree, and the request.

    Args:
        active: The call that asks.
        requests: ``DeferredToolRequests``.
        definition: Returns the definition of the tool of a name.

    Returns:
        The requests by call id.
    """
    return {
        call.call_id: _request(active, call, requests, definition(call.tool))
        for call in (
            extract.call(part) for part in cast("list[object]", declared.get(requests, "approvals") or [])
        )
    }


@guarded
def required(active: ActiveRun, call: Call, said: object, definition: object) -> None:
    """Record whose rule it is that a person must agree.

    Args:
        active: The call that asks.
        call: The tool call.
        said: The ``metadata`` of ``ApprovalRequired``.
        definition: The tool's definition.
    """
    active.requested.add(call.call_id)
    raised = active.asked.pop(call.call_id, None)
    default = raised or extract.declared_policy(declared.get(definition, "metadata"), "requires_approval")
    policy = (
        extract.declared_policy(said, default.policy_id)
        if declared.mapping(said).get(a.POLICY_ID)
        else default
    )
    active.decision(
        policy,
        engine="sdk" if raised is None else "custom",
        subject_type="tool_call",
        subject=call.call_id,
        subject_name=call.tool,
        arguments=call.arguments,
    ).require_approval(rule=policy.rule)


def _request(active: ActiveRun, call: Call, requests: object, definition: object) -> Approval:
    said = declared.mapping(declared.mapping(declared.get(requests, "metadata")).get(call.call_id))
    if call.call_id not in active.requested:
        required(active, call, said, definition)
    key = active.key(call.call_id)
    approval_id = _open_id(active, call, active.recorder.lookup(key))
    approval = active.owner.request_approval(
        call.call_id,
        tool=call.tool,
        arguments=call.arguments,
        key=key,
        approval_id=approval_id,
        durable_id=call.call_id,
        deadline=declared.text(said.get(a.APPROVAL_DEADLINE)),
        channel=declared.text(said.get(a.APPROVAL_CHANNEL)),
    )
    active.approvals[call.call_id] = approval.approval_id
    return approval


def _open_id(active: ActiveRun, call: Call, known: StoredContext | None) -> str:
    """Return the id of the first request for a call that has no answer yet: an approved call may ask again."""
    number = 0
    while known is not None:
        stored = known.approval(active.approval_id(call.call_id, number))
        if stored is None or not stored.decided:
            break
        number += 1
    return active.approval_id(call.call_id, number)


@guarded
def settle(active: ActiveRun) -> None:
    """Record the answers that a run was started with, when the SDK has accepted them and acts on them."""
    results, active.results = active.results, None
    if results is None:
        return
    for call in active.pending:
        answer = extract.answer(results, call.call_id, actor="human")
        if answer is not None:
            decide(active, _handle(active, call), answer)


def _handle(active: ActiveRun, call: Call) -> Approval:
    """Return the request for a call; without a store, one made of what the message history says."""
    key, number = active.key(call.call_id), 0
    known = active.recorder.lookup(key)
    stored = None
    while known is not None and (found := known.approval(active.approval_id(call.call_id, number))):
        stored, number = found, number + 1
    if stored is None:
        digest = active.run.state.commit(LABEL_TOOL_ARGUMENTS, call.arguments)
        stored = StoredApproval(
            active.approval_id(call.call_id),
            subject_id=call.call_id,
            name=call.tool,
            digest=digest,
            durable_id=call.call_id,
        )
    return Approval(active.owner, key, stored, replayed=True)


@guarded
def resolve(active: ActiveRun, asked: dict[str, Approval], results: object) -> None:
    """Record the answers that a handler inside of the run gave at once."""
    for call_id, approval in asked.items():
        answer = extract.answer(results, call_id, actor="policy")
        if answer is not None:
            decide(active, approval, answer)
            active.requested.discard(call_id)  # the tool may ask again


@guarded
def unanswered(asked: dict[str, Approval], error: BaseException) -> None:
    """Record that a handler was stopped while it waited for an answer, or gave up waiting."""
    for approval in asked.values():
        if extract.is_kind(error, "TimeoutError"):
            approval.expired()
        elif extract.is_cancellation(error):
            approval.cancelled(reason="run_cancelled")


def decide(active: ActiveRun, approval: Approval, answer: extract.Answer) -> None:
    """Record an answer, and remember which request the call that now runs goes back to."""
    who: dict[str, Any] = {
        "actor": answer.actor,
        "actor_ref": answer.actor_ref,
        "scope": answer.scope,
        "channel": answer.channel,
        "reason": answer.reason,
    }
    if answer.status == "denied":
        approval.denied(**who)
    elif answer.status == "modified":
        approval.modified(arguments=answer.arguments, **who)
    else:
        approval.approved(**who)
    call_id = approval.stored.subject_id
    if call_id is not None:
        if answer.status == "denied":
            active.approvals.pop(call_id, None)
        else:
            active.approvals[call_id] = approval.approval_id
