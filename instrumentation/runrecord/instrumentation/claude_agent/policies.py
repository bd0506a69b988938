# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What callbacks of the program decide: hooks as policies, ``can_use_tool`` as requests and their answers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runrecord.instrumentation._content import Unset
from runrecord.instrumentation._declared import get, text
from runrecord.instrumentation._safety import guarded
from runrecord.instrumentation.claude_agent import extract
from runrecord.instrumentation.claude_agent.active import ActiveRun
from runrecord.instrumentation.claude_agent.calls import Call
from runrecord.instrumentation.claude_agent.extract import Answer, Policy, ToolUse
from runrecord.semconv import attributes as a

_ABOUT_CALLS: Final = frozenset({"PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest"})
_ABOUT_CONTENT: Final = {
    "UserPromptSubmit": ("model_input", "prompt"),
    "Stop": ("model_output", "last_assistant_message"),
    "SubagentStop": ("model_output", "last_assistant_message"),
}


# hooks


@dataclass(frozen=True)
class _Hook:
    """A hook that was called: the policy that it is, what it was given, and what it says of its answers."""

    policy: Policy
    given: object
    about: Mapping[str, str | None]


@guarded
def hook_called(active: ActiveRun, given: object) -> None:
    """Note what the CLI tells a hook."""
    active.of_session(extract.session_id(given))
    active.mode = text(get(given, "permission_mode")) or active.mode


def _subject(active: ActiveRun, given: object, call_id: object) -> Call | None:
    found = text(get(given, "tool_use_id")) or text(call_id)
    if found is None:
        return None
    use = ToolUse(found, text(get(given, "tool_name")) or "tool", get(given, "tool_input"))
    return active.call(use, agent_id=text(get(given, "agent_id")))


@guarded
def hook_answered(
    active: ActiveRun, callback: object, given: object, call_id: object, output: object
) -> None:
    """Record what a hook decided."""
    event = text(get(given, "hook_event_name")) or ""
    answer = extract.hook_answer(event, output)
    if answer is None:
        return
    policy = extract.policy_of(callback)
    call = _subject(active, given, call_id) if event in _ABOUT_CALLS else None
    if call is not None:
        _about_call(active, event, _Hook(policy, given, extract.about_answer(callback)), call, answer)
    elif event in _ABOUT_CONTENT and answer.outcome == "deny":
        kind, name = _ABOUT_CONTENT[event]
        decision = active.owner().decision(
            policy.policy_id,
            version=policy.version,
            engine="custom",
            subject_type=kind,
            content=get(given, name),
            context=active.context(),
        )
        decision.deny(rule=policy.rule, action="block", reason=answer.reason)


def _about_call(active: ActiveRun, event: str, hook: _Hook, call: Call, answer: Answer) -> None:
    if event == "PermissionRequest":
        if call.approval is None:
            ask(active, call, Policy(extract.PERMISSIONS), rule=active.mode)
        conclude(active, call, answer, hook.about, actor="policy")
    elif event != "PreToolUse":
        # The call has run; only its result is kept from the model.
        active.decision(hook.policy, call, engine="custom").deny(
            rule=hook.policy.rule, action="modify", reason=answer.reason
        )
    else:
        if call.tool is None:
            call.arguments = get(hook.given, "tool_input")
        if _answers_deferred(active, call):
            _deferred_answer(active, hook, call, answer)
        else:
            _judge(active, hook.policy, call, answer)
        call.ready = time.time_ns()


def _deferred_answer(active: ActiveRun, hook: _Hook, call: Call, answer: Answer) -> None:
    if answer.outcome in {"allow", "deny"}:
        call.decided.add("hook")
        conclude(active, call, answer, hook.about, actor="human")
    elif answer.outcome == "defer":
        call.deferred = True
    else:
        call.asks = True


def _judge(active: ActiveRun, policy: Policy, call: Call, answer: Answer) -> None:
    call.decided.add("hook")
    decision = active.decision(policy, call, engine="custom")
    modified = not isinstance(answer.arguments, Unset)
    if modified:
        call.arguments = answer.arguments
    if answer.outcome == "deny":
        call.denied = True
        decision.deny(rule=policy.rule, action="block", reason=answer.reason)
    elif answer.outcome == "allow":
        decision.allow(rule=policy.rule, action="modify" if modified else "none")
    else:
        call.asks = True
        decision.require_approval(rule=policy.rule)
        if answer.outcome == "defer":
            call.deferred = True
            ask(active, call, None)


def _answers_deferred(active: ActiveRun, call: Call) -> bool:
    """Say whether a call is one that an earlier process left to be answered, and find what was asked then."""
    if call.approval is not None:
        return call.deferred
    if not active.run.segment:
        return False
    stored = active.recorder.lookup(active.key(call.call_id))
    if stored is None or stored.approval(active.approval_id(call.call_id)) is None:
        return False
    ask(active, call, None)
    return True


@guarded
def hook_failed(active: ActiveRun, callback: object, given: object, call_id: object, *, blocks: bool) -> None:
    """Record that a hook which must not fail did, so that what it guards is stopped."""
    if not blocks or get(given, "hook_event_name") != "PreToolUse":
        return
    call, policy = _subject(active, given, call_id), extract.policy_of(callback)
    if call is not None:
        call.denied = True
        call.decided.add("hook")
        active.decision(policy, call, engine="custom").deny(
            rule=policy.rule, action="block", reason="hook_failed"
        )


# approvals


def ask(active: ActiveRun, call: Call, policy: Policy | None, *, rule: str | None = None) -> None:
    """Record that a call waits for an answer and, unless a hook said so, which policy wants one; once."""
    key, approval_id = active.key(call.call_id), active.approval_id(call.call_id)
    owner = active.owner(call)
    if policy is not None and not call.asks:
        stored = active.recorder.lookup(key)
        if stored is None or stored.approval(approval_id) is None:
            active.decision(policy, call, engine="sdk").require_approval(rule=rule)
    call.approval = owner.request_approval(
        call.call_id,
        tool=call.name,
        arguments=call.arguments,
        key=key,
        approval_id=approval_id,
        durable_id=call.call_id,
        context=owner.context,
    )
    call.waiting = True


@guarded
def permission_asked(active: ActiveRun, asked: tuple[Any, ...]) -> Call | None:
    """Record that the program is asked whether a call may run: (tool, arguments, context)."""
    name, arguments, about = asked
    call_id = text(get(about, "tool_use_id"))
    if call_id is None:
        return None
    call = active.call(ToolUse(call_id, name, arguments), agent_id=text(get(about, "agent_id")))
    call.arguments = arguments
    call.decided.add("user")
    if call.approval is None:
        ask(active, call, Policy(extract.PERMISSIONS), rule=active.mode)
    return call


@guarded
def permission_answered(active: ActiveRun, call: Call, callback: object, result: object) -> None:
    """Record the program's answer."""
    answer = extract.permission_answer(result)
    if answer is not None:
        conclude(active, call, answer, extract.about_answer(callback, result), actor="policy")


@guarded
def permission_unanswered(call: Call, reason: str) -> None:
    """Record that the question was withdrawn, or that the program failed to answer it."""
    call.waiting, call.denied = False, True
    if call.approval is not None:
        call.approval.cancelled(reason=reason)


def conclude(
    active: ActiveRun, call: Call, answer: Answer, about: Mapping[str, str | None], *, actor: str
) -> None:
    """Record an answer to what was asked about a call; of several only the first."""
    approval = call.approval
    if approval is None or approval.decided:
        return
    actor = about.get(a.APPROVAL_ACTOR_TYPE) or actor
    actor_ref = about.get(a.APPROVAL_ACTOR_REF) or (
        active.settings[a.APPROVAL_ACTOR_REF] if actor == "human" else None
    )
    channel, reason = about.get(a.APPROVAL_CHANNEL), about.get(a.APPROVAL_REASON_CODE) or answer.reason
    scope = about.get(a.APPROVAL_SCOPE) or answer.scope or "once"
    context = active.owner(call).context
    call.waiting, call.deferred, call.ready = False, False, time.time_ns()
    modified = not isinstance(answer.arguments, Unset) and answer.arguments != call.arguments
    if answer.outcome == "deny":
        call.denied = True
        approval.denied(
            actor=actor, actor_ref=actor_ref, scope=scope, channel=channel, reason=reason, context=context
        )
    elif call.name == extract.QUESTION_TOOL:
        approval.answered(actor=actor, actor_ref=actor_ref, channel=channel, reason=reason, context=context)
    elif modified:
        call.arguments = answer.arguments
        approval.modified(
            arguments=answer.arguments,
            actor=actor,
            actor_ref=actor_ref,
            scope=scope,
            channel=channel,
            reason=reason,
            context=context,
        )
    else:
        approval.approved(
            actor=actor, actor_ref=actor_ref, scope=scope, channel=channel, reason=reason, context=context
        )
