# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals: what a response asks a person, and what a later request, perhaps of another process, brings as answer."""

import sys

from runrecord.instrumentation import _declared as declared
from runrecord.instrumentation.context_store import ContextKey, StoredApproval, StoredContext
from runrecord.instrumentation.openai import extract
from runrecord.instrumentation.openai.extract import Answer
from runrecord.instrumentation.recorder import UNSET, Approval, Recorder, Scope, durable_approval_id
from runrecord.semconv.commitment import LABEL_TOOL_ARGUMENTS


def approval_key(subject: str) -> ContextKey:
    """Return where the context of a run waits for the answer to an approval request or a call.

    The ids are the server's (``mcpr_...``, ``call_...``) and unique there, and the answer may come without the conversation or
    the response that they belong to; so the id alone is the key.

    Args:
        subject: The id of the approval request, or the call id.
    """
    return (extract.FRAMEWORK, "responses", subject)


def approval_id(subject: str) -> str:
    """Return the durable id of an approval."""
    return durable_approval_id(extract.FRAMEWORK, subject)


def in_agents_sdk() -> bool:
    """Say whether the OpenAI Agents SDK makes this call, whose integration records the approvals of hosted MCP servers."""
    agents = sys.modules.get("runrecord.instrumentation.openai_agents.active")
    return agents is not None and agents.current() is not None


def asked(recorder: Recorder, subject: str) -> tuple[StoredContext | None, StoredApproval | None]:
    """Return what is stored of a request: its run, and the request."""
    stored = recorder.lookup(approval_key(subject))
    return stored, stored.approval(approval_id(subject)) if stored is not None else None


def request(recorder: Recorder, owner: Scope, item: object) -> Approval | None:
    """Record what an item asks: the policy that wants a person to agree, and the request. Once, however often it is seen."""
    subject = extract.subject_of(item)
    checks = extract.safety_checks(item)
    if subject is None or (not checks and declared.get(item, "type") != "mcp_approval_request"):
        return None
    tool = "computer" if checks else declared.text(declared.get(item, "name")) or "tool"
    arguments = extract.shown(item)
    if asked(recorder, subject)[1] is None:
        rules: list[str | None] = [*checks] or [declared.text(declared.get(item, "server_label"))]
        for rule in rules:
            owner.decision(
                "safety_checks" if checks else "require_approval",
                engine="sdk",
                subject=subject,
                subject_name=tool,
                arguments=arguments,
            ).require_approval(rule=rule)
    return owner.request_approval(
        subject,
        tool=tool,
        arguments=arguments,
        key=approval_key(subject),
        approval_id=approval_id(subject),
        durable_id=subject,
    )


def brought(recorder: Recorder, owner: Scope, answer: Answer, actor_ref: str | None) -> None:
    """Record the answer that a request brings; one that was recorded before is not recorded again."""
    known = asked(recorder, answer.subject)[1]
    if known is None and not answer.recent:
        return  # it is in the history only, and was recorded where it was new, or nobody did
    handle = _handle(recorder, owner, answer.subject, answer.request)
    if known is None and not owner.state.once(f"answered {answer.subject}"):
        return
    if handle is not None:
        record = handle.approved if answer.approved else handle.denied
        record(actor="human", actor_ref=actor_ref, scope="once")


def called_back(recorder: Recorder, owner: Scope, item: object, *, approved: bool) -> None:
    """Record what a callback of the application answered: request and answer are one moment."""
    subject = extract.subject_of(item)
    if subject is None:
        return
    request(recorder, owner, item)
    handle = _handle(recorder, owner, subject, item)
    if handle is None:
        return
    if handle.decided and not approved:
        handle.reopen()  # a runner that was restored asks again before it goes on, and this time the answer is no
    record = handle.approved if approved else handle.denied
    record(actor="policy", scope="once")


def _handle(recorder: Recorder, owner: Scope, subject: str, item: object | None) -> Approval | None:
    """Return the request that an answer is for; without a store, one made of what the history says."""
    stored, known = asked(recorder, subject)
    key = approval_key(subject)
    if stored is not None and known is not None:
        if stored.run_id == owner.run_id:
            return Approval(owner, key, known, replayed=True)
        return recorder.approval(key, known.approval_id, tenant_id=owner.state.tenant_id)
    computer = declared.get(item, "type") == "computer_call"
    name = "computer" if computer else declared.text(declared.get(item, "name"))
    arguments = UNSET if item is None else extract.shown(item)
    digest = owner.state.commit(LABEL_TOOL_ARGUMENTS, arguments)
    made = StoredApproval(
        approval_id(subject), subject_id=subject, name=name, digest=digest, durable_id=subject
    )
    return Approval(owner, key, made, replayed=True)
