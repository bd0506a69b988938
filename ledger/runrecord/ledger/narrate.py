# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Short phrases about the parts of a run, shared by the report of a bundle and the terminal."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timezone
from typing import Final

from runrecord.ledger.calls import Approval, ToolCall
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.records import Record
from runrecord.ledger.runs import STATEMENTS, RunView
from runrecord.semconv import attributes as names

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_LENGTH: Final = 200
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86400.0


def printable(text: str) -> str:
    """Return text from a record as safe to show: no control or direction characters, at most 200 characters."""
    if len(text) <= _LENGTH and text.isprintable():  # nearly all of it: no character of those categories
        return text
    shown = "".join("\ufffd" if unicodedata.category(c) in _HIDDEN else c for c in text[: _LENGTH + 1])
    return shown if len(shown) <= _LENGTH else shown[: _LENGTH - 1] + "\u2026"


def when(nanos: int) -> str:
    """Return a time as UTC text to the second, or a dash for an unknown or impossible one."""
    if not 0 < nanos < 253_402_300_800 * 1_000_000_000:
        return "-"
    return datetime.fromtimestamp(nanos // 1_000_000_000, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def lasting(seconds: float) -> str:
    """Return a duration in the unit that a person would choose."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} days"


def called(call: ToolCall) -> str:
    """Name a tool call."""
    name = printable(call.tool)
    return f"{name} [{printable(call.call_id)}]" if call.call_id else name


def effect(call: ToolCall) -> str:
    """Say what a tool call changed: type, target, whether it happened and can be undone."""
    entry = call.entry
    undeclared = "declared to read only" if entry.flag(names.TOOL_READ_ONLY) else "effect not declared"
    parts = [printable(call.effect) or undeclared]
    if target := entry.text(names.SIDE_EFFECT_TARGET):
        parts[0] += f" on {printable(target)}"
    if call.result is None:
        parts.append("no result recorded")
    elif entry.flag(names.DRY_RUN):
        parts.append("dry run")
    elif entry.flag(names.IDEMPOTENCY_DEDUPLICATED):
        parts.append("a repeat, nothing new happened")
    elif call.changes_something:
        committed = entry.flag(names.SIDE_EFFECT_COMMITTED)
        parts.append({True: "committed", False: "not committed", None: "ran, commit not stated"}[committed])
    if call.changes_something:
        undo = entry.flag(names.SIDE_EFFECT_REVERSIBLE)
        parts.append({True: "reversible", False: "NOT reversible", None: "reversibility not stated"}[undo])
    if entry.status == "error":
        error = entry.text("error.type")
        parts.append(f"failed: {printable(error)}" if error else "failed")
    return ", ".join(parts)


def changed(call: ToolCall) -> str:
    """Say what a tool call that may change something changed, or that nobody knows."""
    if call.declares_effect:
        return effect(call)
    return f"not known: {printable(call.tool)} does not declare its effect"


def reversible(call: ToolCall) -> str:
    """Say whether what a tool call did can be undone."""
    if not call.declares_effect:
        return "not known"
    answer = {
        True: "yes, it is declared reversible",
        False: "NO, it is declared irreversible",
        None: "not stated",
    }
    return answer[call.entry.flag(names.SIDE_EFFECT_REVERSIBLE)]


def decided(record: Record) -> str:
    """Say what a policy decided, and by which rule of which version."""
    entry = record.entry
    outcome = printable(entry.text(names.DECISION_OUTCOME)) or "no outcome"
    policy = printable(entry.text(names.POLICY_NAME) or entry.text(names.POLICY_ID)) or "unnamed policy"
    text = f"{outcome} by {policy}"
    if version := entry.text(names.POLICY_VERSION):
        text += f" version {printable(version)}"
    if rule := entry.text(names.POLICY_RULE_ID):
        text += f", rule {printable(rule)}"
    if reason := entry.text(names.DECISION_REASON_CODE):
        text += f", because {printable(reason)}"
    return text + (" (monitor only)" if entry.text(names.POLICY_MODE) == "monitor" else "")


def answered(approval: Approval) -> str:
    """Say how an approval stands: who answered what, when, after how long."""
    if not approval.answers:
        deadline = next((d for r in approval.requests if (d := r.entry.text(names.APPROVAL_DEADLINE))), "")
        return "pending" + (f" until {printable(deadline)}" if deadline else "")
    answer = approval.answers[-1].entry
    text = printable(approval.status) or "answered"
    actor = " ".join(
        printable(answer.text(n)) for n in (names.APPROVAL_ACTOR_TYPE, names.APPROVAL_ACTOR_REF)
    ).strip()
    text += f" by {actor}" if actor else ""
    if channel := answer.text(names.APPROVAL_CHANNEL):
        text += f" through {printable(channel)}"
    text += f" at {when(answer.end)}"
    waited = answer.number(names.APPROVAL_WAIT_SECONDS)
    if waited is None and approval.requests:
        waited = (answer.start - approval.requests[0].entry.end) / 1e9
    if waited is not None and waited >= 0:
        text += f" after {lasting(waited)}"
    if reason := answer.text(names.APPROVAL_REASON_CODE):
        text += f", because {printable(reason)}"
    return text


def stated(record: Record) -> str:  # noqa: PLR0911 - a table
    """Say what is stated of a run as a whole: its resources, and what the ledger knows of what is missing or late."""
    entry, detail = record.entry, record.entry.detail
    if entry.kind == Kind.GAP:
        counted = [
            f"{printable(detail[what])} {what}" for what in ("records", "requests") if detail.get(what)
        ]
        reason = printable(detail.get("reason", "records were dropped"))
        return f"GAP: {', '.join([reason, *counted])}"
    if entry.kind == Kind.LATE:
        return f"LATE: entry {printable(detail.get('of', '?'))} came after entry {printable(detail.get('after', '?'))}"
    if entry.kind == Kind.RUN_ABANDONED:
        quiet = printable(detail.get("quiet_seconds", "?"))
        return f"ABANDONED: nothing came for {quiet} s after entry {printable(detail.get('last', '?'))}"
    if entry.kind == Kind.ERASURE:
        who = printable(detail.get("actor", "?"))
        basis = printable(detail.get("legal_basis", "not stated"))
        wish = ", at the wish of a person" if detail.get("scope") == "subject" else ""
        return f"ERASED: all content recorded of the run, by {who} at {when(entry.start)}{wish}: {basis}"
    if entry.kind == Kind.LEGAL_HOLD:
        who = printable(detail.get("actor", "?"))
        action, reason = printable(detail.get("action", "?")), printable(detail.get("reason", "not stated"))
        return f"LEGAL HOLD {action} by {who} at {when(entry.start)}: {reason}"
    if entry.kind == Kind.PRUNED:
        below, epoch = printable(detail.get("minimum", "?")), printable(detail.get("epoch", "?"))
        return (
            f"PRUNED: entries below {below} whose time of retention had ended, up to epoch {epoch}, were removed at "
            f"{when(entry.start)}; what the run had among them is not here"
        )
    if entry.kind == Kind.RESOURCE:
        said = ", ".join(f"{name} {value}" for name, value in sorted(entry.attributes.items()))
        more = f" and {len(entry.commitments)} committed attributes" if entry.commitments else ""
        return f"resource: {printable(said)}{more}"
    return printable(entry.kind.replace("_", " "))


def told(record: Record) -> str:  # noqa: C901, PLR0911 - a table
    """Say in a few words what any record is."""
    entry = record.entry
    if entry.kind == Kind.POLICY_DECISION:
        return f"policy: {decided(record)}"
    if entry.kind == Kind.APPROVAL_REQUEST:
        return (
            f"asked for approval of {_words(entry, names.SUBJECT_NAME, names.SUBJECT_ID, names.APPROVAL_ID)}"
        )
    if entry.kind == Kind.APPROVAL_DECISION:
        what = _words(entry, names.SUBJECT_NAME, names.SUBJECT_ID, names.APPROVAL_ID)
        who = _words(entry, names.APPROVAL_ACTOR_REF, names.APPROVAL_ACTOR_TYPE)
        return f"approval of {what} answered: {_words(entry, names.APPROVAL_STATUS)} by {who}"
    if entry.kind == Kind.VERIFICATION:
        check = _words(entry, names.VERIFICATION_NAME, names.VERIFICATION_TYPE)
        return f"verification {check}: {printable(entry.text(names.VERIFICATION_OUTCOME)) or 'no outcome'}"
    if entry.kind == Kind.COMPENSATION:
        return f"compensation of {_words(entry, names.SUBJECT_NAME)}: {_words(entry, names.COMPENSATION_OUTCOME)}"
    if entry.kind == Kind.ESCALATION:
        reason = _words(entry, "runrecord.escalation.reason_code")
        return f"escalated to {_words(entry, 'runrecord.escalation.target.ref')}: {reason}"
    if entry.kind == Kind.CONFLICT:
        return f"CONFLICT: another version of entry {printable(entry.detail.get('of', '?'))}"
    if entry.kind in STATEMENTS:
        return stated(record)
    if entry.kind == Kind.TOOL_INTENT:
        return f"about to call {_words(entry, names.SUBJECT_NAME)}"
    if entry.kind == Kind.RUN_OPEN:
        return f"segment {entry.integer(names.RUN_SEGMENT) or 0} began"
    return f"{entry.kind.replace('_', ' ')} {printable(entry.name)}".strip()


def headline(view: RunView) -> list[tuple[str, str]]:
    """Return the facts about a run as a whole: label and value, without the empty ones."""
    first = view.closes[0].entry if view.closes else None
    facts = [("Agent", view.agent), ("Outcome", view.outcome)]
    if first is not None:
        facts.append(("Autonomy", first.text(names.RUN_AUTONOMY)))
        facts.append(
            ("For", " ".join(first.text(n) for n in (names.PRINCIPAL_TYPE, names.PRINCIPAL_REF)).strip())
        )
    facts.append(("Tenant", view.tenant))
    facts.append(("Started", when(view.start)))
    facts.append(("Ended", when(view.end) if view.final is not None else ""))
    if view.final is not None:
        facts.append(("Stopped because", view.final.entry.text(names.RUN_STOP_REASON)))
    versions = {
        name.removeprefix("runrecord.version."): value
        for close in view.closes
        for name, value in close.entry.attributes.items()
        if name.startswith("runrecord.version.") and isinstance(value, str)
    }
    facts.append(("Versions", ", ".join(f"{name} {value}" for name, value in sorted(versions.items()))))
    services = {
        f"{r.entry.origin.service} {r.entry.origin.service_version}".strip() for r in view.records
    } - {""}
    facts.append(("Services", ", ".join(sorted(services))))
    return [(label, printable(value)) for label, value in facts if value]


def _words(entry: Entry, *attributes: str) -> str:
    return next((printable(value) for name in attributes if (value := entry.text(name))), "(not stated)")
