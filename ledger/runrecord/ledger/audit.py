# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Did a run keep to its rules? Each invariant is a small function that yields findings with the entries that prove them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Final

from runrecord.ledger.calls import Approval, ToolCall
from runrecord.ledger.completeness import CLOSES
from runrecord.ledger.entry import Kind
from runrecord.ledger.opening import ERASED
from runrecord.ledger.records import Record, starts_before
from runrecord.ledger.runs import STATEMENTS, RunView
from runrecord.semconv import attributes as names

_GRANTED: Final = frozenset({"approved", "modified"})
_REFUSED: Final = frozenset({"denied", "expired", "cancelled"})
_WIDE: Final = frozenset({"session", "always"})


class Severity(str, Enum):
    """How bad a finding is."""

    VIOLATION = "violation"
    NOTICE = "notice"


@dataclass(frozen=True)
class Finding:
    """One broken invariant.

    Attributes:
        rule: Name of the invariant.
        severity: A violation, or a notice: something that a reader should know.
        text: What happened, with ids and numbers only.
        indices: Log indices of the entries that prove it.
    """

    rule: str
    severity: Severity
    text: str
    indices: tuple[int, ...]


Rule = Callable[[RunView], Iterator[Finding]]


def audit_run(view: RunView) -> list[Finding]:
    """Return what a run broke, violations first, in the order of ``RULES``."""
    findings = [finding for rule in RULES.values() for finding in rule(view)]
    return sorted(findings, key=lambda finding: finding.severity is not Severity.VIOLATION)


def decision_precedes_effect(view: RunView) -> Iterator[Finding]:
    """A decision precedes the effect that it governs."""
    rule = "decision-precedes-effect"
    for call in view.calls:
        if not call.changes_something:
            continue
        if not call.decisions:
            text = f"{_name(call)} changes something, and no policy decision about it is recorded"
            yield Finding(rule, Severity.NOTICE, text, (call.record.index,))
        elif not any(_governed(decision, call) for decision in call.decisions):
            text = f"{_name(call)} started before the decision about it was made"
            yield Finding(rule, Severity.VIOLATION, text, _indices(*call.decisions, call.record))


def approved_is_what_ran(view: RunView) -> Iterator[Finding]:
    """What was approved is what ran: the commitments are equal, or those of the modified arguments."""
    rule = "approved-is-what-ran"
    for call in view.calls:
        if call.result is None or not _may_have_run(call):
            continue
        needs = [d for d in call.decisions if d.entry.text(names.DECISION_OUTCOME) == "require_approval"]
        enforced = [d for d in needs if d.entry.text(names.POLICY_MODE) != "monitor"]
        granted = [a for a in call.approvals if a.status in _GRANTED]
        if granted:
            if any(approval.covers(call.digest) for approval in granted):
                continue
            text = f"{_name(call)} ran with arguments other than those that were approved"
            if not any(approval.digests for approval in granted):
                text = f"{_name(call)} was approved, and the approval does not say for which arguments"
            elif not call.digest:
                text = f"{_name(call)} was approved, but no digest of its arguments is recorded"
                if ERASED in call.entry.truncated:  # it came after the erasure: nobody can tell any more
                    text = f"{_name(call)} was approved, and its run was erased before its arguments could be compared"
                    yield Finding(rule, Severity.NOTICE, text, _indices(call.record))
                    continue
            records = [r for approval in granted for r in approval.records]
            yield Finding(rule, Severity.VIOLATION, text, _indices(*records, call.record))
        elif enforced and not _covered_by_wider(view, call):
            text = f"{_name(call)} needed an approval and ran without one"
            yield Finding(rule, Severity.VIOLATION, text, _indices(*enforced, call.record))


def no_effect_after_refusal(view: RunView) -> Iterator[Finding]:
    """No call runs after a deny, after a request was refused, expired or cancelled, or on an approval given too late."""
    rule = "no-effect-after-refusal"
    for call in view.calls:
        if call.result is None or not _may_have_run(call):
            continue
        before = [
            d for d in call.decisions if _governed(d, call) and d.entry.text(names.POLICY_MODE) != "monitor"
        ]
        if before and before[-1].entry.text(names.DECISION_OUTCOME) == "deny":
            text = f"{_name(call)} ran although policy {_policy(before[-1])} denied it"
            yield Finding(rule, Severity.VIOLATION, text, _indices(before[-1], call.record))
        answers = sorted((a for p in call.approvals for a in p.answers), key=lambda r: (r.entry.end, r.index))
        answered = [answer for answer in answers if answer.entry.end <= call.entry.end]
        if answered and (status := answered[-1].entry.text(names.APPROVAL_STATUS)) in _REFUSED:
            text = f"{_name(call)} ran although its approval was {status}"
            yield Finding(rule, Severity.VIOLATION, text, _indices(answered[-1], call.record))
    for approval in view.approvals:
        yield from _late_answers(rule, approval)


def intent_has_result(view: RunView) -> Iterator[Finding]:
    """Every announced call has a result, and every request of an ended run an answer."""
    rule = "intent-has-result"
    for call in view.calls:
        if call.result is None:
            text = f"{_name(call)} was announced, and nothing says how it ended"
            yield Finding(rule, Severity.VIOLATION, text, (call.record.index,))
    for approval in view.approvals:
        if view.final is not None and not approval.answers:
            text = f"the run ended, and approval {approval.id} was never answered"
            yield Finding(rule, Severity.NOTICE, text, _indices(*approval.requests, view.final))
        if not approval.requests:
            text = f"approval {approval.id} was answered, and no request for it is recorded"
            yield Finding(rule, Severity.VIOLATION, text, _indices(*approval.answers))


def one_effect_per_reference(view: RunView) -> Iterator[Finding]:
    """One idempotency reference takes effect once."""
    by_reference: defaultdict[str, list[Record]] = defaultdict(list)
    for call in view.calls:
        reference = call.entry.text(names.IDEMPOTENCY_REF)
        if reference and call.changes_something and call.took_effect:
            by_reference[reference].append(call.record)
    for reference, records in by_reference.items():
        if len(records) > 1:
            text = f"idempotency reference {reference} took effect {len(records)} times"
            yield Finding("one-effect-per-reference", Severity.VIOLATION, text, _indices(*records))


class EffectsAcrossRuns:
    """Idempotency references that took effect in more than one of the runs that are audited together; those of different tenants do not share any.

    It keeps no records, so that any number of runs can be audited one after another.
    """

    def __init__(self) -> None:
        self._effects: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)

    def add(self, view: RunView) -> None:
        """Take a run in."""
        for call in view.calls:
            reference = call.entry.text(names.IDEMPOTENCY_REF)
            if reference and call.changes_something and call.took_effect:
                self._effects[view.tenant, reference].append((view.run, call.record.index))

    def findings(self) -> dict[str, list[Finding]]:
        """Return what was found, by run."""
        found: defaultdict[str, list[Finding]] = defaultdict(list)
        for (_, reference), places in self._effects.items():
            runs = sorted({run for run, _ in places})
            text = f"idempotency reference {reference} took effect in {len(runs)} runs: {', '.join(runs)}"
            indices = tuple(sorted({index for _, index in places}))
            for run in runs if len(runs) > 1 else ():
                found[run].append(Finding("one-effect-per-reference", Severity.VIOLATION, text, indices))
        return dict(found)


def within_budget(view: RunView) -> Iterator[Finding]:
    """Steps, calls and spend stay within the budget, or the run stops because of it."""
    rule = "within-budget"
    stopped = view.outcome == "budget_exceeded"
    counted = {
        "steps": float(len([step for step in view.steps if step.index is not None])),
        "tool_calls": float(len(view.calls)),
        "cost": sum(c.entry.number(names.COST_AMOUNT) or 0.0 for c in view.calls),
    }
    for record in view.records:
        limit = record.entry.number(names.BUDGET_LIMIT)
        if limit is None:
            continue
        dimension = record.entry.text(names.BUDGET_DIMENSION)
        consumed = record.entry.number(names.BUDGET_CONSUMED)
        if record.entry.kind in CLOSES:
            consumed = max(consumed or 0.0, counted.get(dimension, 0.0))
        if record.entry.flag(names.BUDGET_EXCEEDED) or (consumed is not None and consumed > limit):
            amount = "more" if consumed is None else f"{consumed:g}"
            text = f"{amount} {dimension} were used of a budget of {limit:g}"
            severity = Severity.NOTICE if stopped else Severity.VIOLATION
            yield Finding(
                rule, severity, text + (", and the run stopped" if stopped else ""), (record.index,)
            )


def ended_is_closed(view: RunView) -> Iterator[Finding]:
    """A run that ended is closed, and nothing starts in it afterwards."""
    rule = "ended-is-closed"
    final = view.final
    ended = {close.entry.span_id for close in view.closes}
    running = [record for record in view.opens if record.entry.span_id not in ended]
    if final is None:
        asked = any(approval.status == "pending" for approval in view.approvals)
        given_up = [r for r in view.statements if r.entry.kind == Kind.RUN_ABANDONED]
        waiting = asked and view.closes and not running
        text = "the run waits for an answer" if waiting else "the run was never closed"
        if given_up:
            text = "the run was abandoned: nobody closed it, and nothing came for too long"
        severity = Severity.NOTICE if waiting else Severity.VIOLATION
        last = view.closes[-1:] or view.records[-1:]
        yield Finding(rule, severity, text, _indices(*last, *running, *given_up))
        return
    if running:
        text = f"{len(running)} segments were opened and never closed, though the run ended"
        yield Finding(rule, Severity.VIOLATION, text, _indices(final, *running))
    after = [
        r
        for r in view.records
        if r.entry.start > final.entry.end
        and r is not final
        and r.entry.kind not in STATEMENTS
        and r.entry.kind != Kind.CONFLICT
    ]
    if after:
        text = f"{len(after)} records started after the run had ended"
        yield Finding(rule, Severity.VIOLATION, text, _indices(final, *after))


def approver_is_not_agent(view: RunView) -> Iterator[Finding]:
    """Whoever approves is not the agent, and is named."""
    rule = "approver-is-not-agent"
    agents = {
        value
        for record in view.records
        for value in (record.entry.text(names.GEN_AI_AGENT_NAME), record.entry.text("gen_ai.agent.id"))
        if value
    }
    agents |= {
        record.entry.text(names.PRINCIPAL_REF)
        for record in view.records
        if record.entry.text(names.PRINCIPAL_TYPE) == "agent" and record.entry.text(names.PRINCIPAL_REF)
    }
    agents |= {view.agent} - {""}
    for approval in view.approvals:
        for answer in approval.answers:
            if answer.entry.text(names.APPROVAL_STATUS) not in _GRANTED:
                continue
            actor = answer.entry.text(names.APPROVAL_ACTOR_REF)
            if actor in agents or answer.entry.text(names.APPROVAL_ACTOR_TYPE) == "agent":
                text = f"approval {approval.id} was given by the agent itself"
                yield Finding(rule, Severity.VIOLATION, text, (answer.index,))
            elif not actor:
                text = f"approval {approval.id} does not say who gave it"
                yield Finding(rule, Severity.NOTICE, text, (answer.index,))


def versions_constant(view: RunView) -> Iterator[Finding]:
    """Versions do not change inside a run."""
    seen: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for record in view.records:
        entry = record.entry
        agent = entry.text(names.GEN_AI_AGENT_NAME)
        for name, value in entry.attributes.items():
            if name.startswith("runrecord.version.") and isinstance(value, str):
                seen[f"{name} of {agent}" if agent else name].setdefault(value, record.index)
        if policy := entry.text(names.POLICY_ID):
            seen[f"the version of policy {policy}"].setdefault(entry.text(names.POLICY_VERSION), record.index)
        if entry.origin.service_version:
            what = f"the version of service {entry.origin.service}"
            seen[what].setdefault(entry.origin.service_version, record.index)
    for what, values in seen.items():
        if len(values) > 1:
            text = f"{what} changed during the run: {', '.join(v or '(none)' for v in values)}"
            yield Finding("versions-constant", Severity.VIOLATION, text, tuple(values.values()))


RULES: Final[dict[str, Rule]] = {
    "decision-precedes-effect": decision_precedes_effect,
    "approved-is-what-ran": approved_is_what_ran,
    "no-effect-after-refusal": no_effect_after_refusal,
    "intent-has-result": intent_has_result,
    "one-effect-per-reference": one_effect_per_reference,
    "within-budget": within_budget,
    "ended-is-closed": ended_is_closed,
    "approver-is-not-agent": approver_is_not_agent,
    "versions-constant": versions_constant,
}
"""The invariants of the ledger design, by name."""


def _name(call: ToolCall) -> str:
    return f"{call.tool} ({call.call_id})" if call.call_id else call.tool


def _policy(decision: Record) -> str:
    rule = decision.entry.text(names.POLICY_RULE_ID)
    return decision.entry.text(names.POLICY_ID) + (f" rule {rule}" if rule else "")


def _indices(*records: Record) -> tuple[int, ...]:
    return tuple(sorted({record.index for record in records}))


def _may_have_run(call: ToolCall) -> bool:
    """Whether a call may have done something: a span alone is enough unless it says that nothing happened."""
    return not call.entry.flag(names.DRY_RUN) and call.entry.flag(names.SIDE_EFFECT_COMMITTED) is not False


def _governed(decision: Record, call: ToolCall) -> bool:
    """Whether a decision was made before the call could have its effect.

    A guardrail that runs inside the tool's span is a child of it and has to end before it ends; any other decision
    has to be made before the call starts.
    """
    if decision.entry.parent_span_id and decision.entry.parent_span_id == call.entry.span_id:
        return decision.entry.end <= call.entry.end
    return starts_before(decision, call.record) and decision.entry.end <= call.entry.start


def _covered_by_wider(view: RunView, call: ToolCall) -> bool:
    """Whether an approval for the session or for always, given before for the same tool, covers a call."""
    return any(
        approval.status in _GRANTED
        and approval.subject_name == call.tool
        and any(answer.entry.text(names.APPROVAL_SCOPE) in _WIDE for answer in approval.answers)
        and approval.answers[-1].entry.end <= call.entry.start
        for approval in view.approvals
    )


def _late_answers(rule: str, approval: Approval) -> Iterator[Finding]:
    deadlines = [
        d for r in approval.requests if (d := _nanos(r.entry.text(names.APPROVAL_DEADLINE))) is not None
    ]
    if not deadlines:
        return
    for answer in approval.answers:
        if answer.entry.text(names.APPROVAL_STATUS) in _GRANTED and answer.entry.end > max(deadlines):
            text = f"approval {approval.id} was given after its deadline"
            yield Finding(rule, Severity.VIOLATION, text, _indices(*approval.requests, answer))


_FRACTION: Final = re.compile(r"\.(\d{1,9})\d*")


def _nanos(timestamp: str) -> int | None:
    """Return an RFC 3339 time as nanoseconds since the Unix epoch, or None if it is not one."""
    fraction = _FRACTION.search(timestamp)
    text = _FRACTION.sub("", timestamp).replace("Z", "+00:00").replace("z", "+00:00")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    nanos = int(fraction[1].ljust(9, "0")) if fraction else 0
    return int(moment.timestamp()) * 1_000_000_000 + nanos
