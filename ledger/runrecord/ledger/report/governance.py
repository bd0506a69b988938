# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Who decided, who approved, what was shown and what ran; and what the tool calls changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from html import escape
from typing import Final

from runrecord.ledger.calls import Approval, ToolCall
from runrecord.ledger.entry import Kind
from runrecord.ledger.narrate import answered, called, changed, decided, printable, reversible, when
from runrecord.ledger.records import Record
from runrecord.ledger.report import html
from runrecord.ledger.runs import RunView
from runrecord.ledger.strict_json import JSON
from runrecord.semconv import attributes as names
from runrecord.semconv.canonical import canonical_json

_SHORT: Final = 12
_MAX_VALUE: Final = 2_000
_SHOWN: Final = ((names.APPROVAL_SUBJECT_DIGEST, ""), (names.APPROVAL_SUBJECT_MODIFIED_DIGEST, "changed to "))

Disclosed = Mapping[tuple[int, str], JSON]


def disclosed_value(value: JSON) -> str:
    """Return an opened value, marked as such."""
    shown = value if isinstance(value, str) else canonical_json(value).decode()
    cut = f" (cut; {len(shown):,} characters in disclosures.json)" if len(shown) > _MAX_VALUE else ""
    parts = (printable(shown[at : at + 100]) for at in range(0, min(len(shown), _MAX_VALUE), 100))
    return f'<span class="disclosed"><b>DISCLOSED</b> {escape("".join(parts))}{escape(cut)}</span>'


def approvals(view: RunView, disclosed: Disclosed) -> str:
    """Return the table of approvals: who was shown what, what ran, and whether they are equal."""
    ran: defaultdict[str, list[ToolCall]] = defaultdict(list)
    for call in view.calls:
        for approval in call.approvals:
            ran[approval.id].append(call)
    rows = [_approval(approval, ran[approval.id], disclosed) for approval in view.approvals]
    if not rows:
        return "<p>No approval is recorded.</p>"
    heads = ("Asked for", "Who answered what, when", "What was shown", "What ran", "Equal?")
    return html.table("Approvals", heads, rows, kind="approvals")


def _approval(approval: Approval, calls: list[ToolCall], disclosed: Disclosed) -> tuple[str, ...]:
    what = printable(approval.subject_name or approval.subject or approval.id)
    asked = "; ".join(f"asked at {when(request.entry.end)}" for request in approval.requests[:3])
    deadline = next((d for r in approval.requests if (d := r.entry.text(names.APPROVAL_DEADLINE))), "")
    until = f"<small>until {html.text(deadline)}</small>" if deadline else ""
    references = html.entries([record.index for record in approval.records])
    shown = [
        f"{word}{_digest(record, name, disclosed)}"
        for record in approval.records
        for name, word in _SHOWN
        if record.entry.text(name)
    ]
    tone = {"approved": "good", "modified": "good", "pending": "warn"}.get(approval.status, "bad")
    answer = (
        f"{html.badge(tone, approval.status or 'answered')}<small>{html.text(answered(approval))}</small>"
    )
    happened = "<br>".join(_ran(call, disclosed) for call in calls) or "nothing"
    return (
        f"{html.text(what)}<small>{html.text(asked)}</small>{until}{references}",
        answer,
        "<br>".join(dict.fromkeys(shown)) or "not stated",
        happened,
        _equal(approval, calls),
    )


def _equal(approval: Approval, calls: list[ToolCall]) -> str:
    ran = [call for call in calls if call.result is not None]
    if not ran:
        return "did not run"
    if approval.status not in {"approved", "modified"}:
        return (
            html.badge("bad", "ran, not approved") if any(call.took_effect for call in ran) else "did not run"
        )
    if not approval.digests or not all(call.digest for call in ran):
        return html.badge("warn", "can't tell")
    if all(approval.covers(call.digest) for call in ran):
        return html.badge("good", "equal")
    return html.badge("bad", "NOT equal")


def _ran(call: ToolCall, disclosed: Disclosed) -> str:
    state = f"at {when(call.entry.start)}" if call.result is not None else "announced, no result"
    digest = _digest(call.record, names.ARGUMENTS_DIGEST, disclosed) if call.digest else "no digest"
    return f"{digest}<small>{html.text(called(call))} {html.text(state)} {html.entry(call.record)}</small>"


def _digest(record: Record, name: str, disclosed: Disclosed) -> str:
    short = record.entry.text(name).removeprefix("hmac-sha256:")[:_SHORT]
    opened = [
        disclosed_value(disclosed[record.index, attribute])
        for attribute in (name, names.GEN_AI_TOOL_CALL_ARGUMENTS)
        if (record.index, attribute) in disclosed
    ]
    return f"{html.code(short)}{' '.join(opened)}"


def decisions(view: RunView) -> str:
    """Return the table of policy decisions."""
    ran: defaultdict[int, list[ToolCall]] = defaultdict(list)
    for call in view.calls:
        for decision in call.decisions:
            ran[decision.index].append(call)
    rows = [_decision(record, ran[record.index]) for record in view.decisions]
    if not rows:
        return "<p>No policy decision is recorded.</p>"
    return html.table(
        "Policy decisions", ("When", "Decision", "About", "What ran", "Entry"), rows, kind="decisions"
    )


def _decision(record: Record, calls: list[ToolCall]) -> tuple[str, ...]:
    entry = record.entry
    outcome = entry.text(names.DECISION_OUTCOME)
    tone = {"allow": "good", "deny": "bad"}.get(outcome, "warn")
    about = entry.text(names.SUBJECT_NAME) or entry.text(names.SUBJECT_ID) or entry.text(names.SUBJECT_TYPE)
    ran = "<br>".join(
        f"{html.text(called(call))} {html.entry(call.record)}" for call in calls if call.result is not None
    )
    return (
        html.text(when(entry.end)),
        f"{html.badge(tone, outcome or 'no outcome')}<small>{html.text(decided(record))}</small>",
        html.text(about) or "not stated",
        ran or "nothing",
        html.entry(record),
    )


def effects(view: RunView) -> str:
    """Return the table of what the tool calls changed, or may have."""
    undone: defaultdict[str, list[Record]] = defaultdict(list)
    for record in view.records:
        if record.entry.kind == Kind.COMPENSATION:
            undone[record.entry.text(names.COMPENSATION_SUBJECT_ID)].append(record)
    rows = [
        _effect(call, undone[call.call_id] if call.call_id else [])
        for call in view.calls
        if call.may_change_something
    ]
    if not rows:
        every = "Every tool call is declared to change nothing" if view.calls else "No tool call is recorded"
        return f"<p>{every}.</p>"
    heads = ("Tool call", "What it changed", "Can it be undone?", "Once only?", "Allowed by", "Undone?")
    return html.table("Side effects", heads, rows, kind="effects")


def _effect(call: ToolCall, undone: list[Record]) -> tuple[str, ...]:
    entry = call.entry
    made = entry.text(names.SIDE_EFFECT_REF)
    allowed = [decided(d) for d in call.decisions] + [answered(a) for a in call.approvals]
    who = "<br>".join(map(html.text, allowed)) or "<em>no decision recorded</em>"
    reference = entry.text(names.IDEMPOTENCY_REF)
    once = html.code(reference) if reference else "no reference"
    if not reference and entry.flag(names.IDEMPOTENCY_KEY_PRESENT):
        once = "a key, not recorded"
    if entry.flag(names.TOOL_IDEMPOTENT):
        once += "<small>the tool says that repeating it is harmless</small>"
    compensated = "<br>".join(
        f"{html.text(r.entry.text(names.COMPENSATION_OUTCOME) or 'outcome not stated')} at {html.text(when(r.entry.end))} {html.entry(r)}"
        for r in undone
    )
    return (
        f"{html.text(called(call))}<small>{html.text(when(entry.start))}</small>{html.entry(call.record)}",
        f"{html.text(changed(call))}{f'<small>it made {html.code(made)}</small>' if made else ''}",
        html.text(reversible(call)),
        once,
        who,
        compensated or "no",
    )
