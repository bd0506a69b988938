# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The box on top of the report: is the record whole, were rules broken, what was changed, who vouches for it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from runrecord.ledger.audit import Finding, Severity
from runrecord.ledger.completeness import Verdict
from runrecord.ledger.entry import Kind
from runrecord.ledger.narrate import headline, stated, when
from runrecord.ledger.report import html
from runrecord.ledger.report.evidence import Evidence
from runrecord.ledger.runs import RunView
from runrecord.semconv import attributes as names

_TONES: Final = {Verdict.COMPLETE: "good", Verdict.COMPLETE_LATE: "good", Verdict.CONFLICTS: "bad"}
_MEANING: Final = {
    Verdict.COMPLETE: "Every record that was counted is here, and nothing contradicts it.",
    Verdict.COMPLETE_LATE: "Every record that was counted is here; some came after the end of their segment or run.",
    Verdict.UNCLOSED: "The run waits, or a part of it began and did not end; what follows is not known here.",
    Verdict.GAPS: "Records are missing.",
    Verdict.CONFLICTS: "Records contradict each other; both versions are kept.",
}
_MAX_REASONS: Final = 20
_MAX_NAMED: Final = 5


def verdict_box(view: RunView, findings: Sequence[Finding], evidence: Evidence) -> str:
    """Return the box."""
    state = view.completeness
    violations = [finding for finding in findings if finding.severity is Severity.VIOLATION]
    tone = "bad" if violations else _TONES.get(state.verdict, "warn")
    word = {"good": "\u2713", "warn": "!", "bad": "\u2717"}[tone]
    broken = "no rule was broken"
    if violations:
        broken = f"{html.count(len(violations), 'rule violation')}"
    reasons = [
        f"{html.text(f'{r.verdict.value}: {r.text}')} {html.entries(r.indices)}" for r in state.reasons
    ]
    if len(reasons) > _MAX_REASONS:
        reasons = [*reasons[:_MAX_REASONS], f"and {len(reasons) - _MAX_REASONS} more reasons"]
    rows = [
        (
            "Record",
            f"<strong>{state.verdict.value}</strong>. {_MEANING[state.verdict]}{html.items(reasons) if reasons else ''}",
        ),
        ("Rules", _rules(findings)),
        ("Changes", _changes(view)),
        ("Signed", _signed(evidence)),
        ("Witnessed", _witnessed(evidence)),
        (
            "Time stamp",
            html.text(evidence.stamped)
            if evidence.stamped
            else "None: the times are those of the emitters' clocks.",
        ),
    ]
    held = _statements(view, evidence)
    if held:
        rows.append(("Keep in mind", held))
    title = f'<span aria-hidden="true">{word}</span> Record {state.verdict.value}, {broken}'
    check = (
        "This page is for reading. <code>runrecord verify --report FILE</code> makes it anew from the entries, "
        "without a network and without trusting whoever made this one."
    )
    if evidence.checked:
        check = "Made from entries that were proven; the end of this page says what was checked."
    return (
        f'<section class="verdict {tone}" aria-labelledby="verdict">\n<h2 id="verdict">{title}</h2>\n'
        f'{html.facts(rows)}\n<p class="note">{check}</p>\n</section>'
    )


def header(view: RunView) -> str:
    """Return the title of the page, and what the run was."""
    parts = [view.agent or "an agent", f"outcome: {view.outcome}", f"{when(view.start)} to {when(view.end)}"]
    return (
        f"<header>\n<h1>Audit report of run {html.text(view.run)}</h1>\n"
        f"<p>{html.text(', '.join(parts))}</p>\n</header>"
    )


def about(view: RunView) -> str:
    """Return the facts about the run as a whole."""
    return html.facts((label, html.text(value)) for label, value in headline(view))


def _rules(findings: Sequence[Finding]) -> str:
    if not findings:
        return "None of the invariants was broken."
    counted = [
        html.badge(tone, html.count(number, word))
        for severity, tone, word in (
            (Severity.VIOLATION, "bad", "violation"),
            (Severity.NOTICE, "warn", "notice"),
        )
        if (number := len([f for f in findings if f.severity is severity]))
    ]
    worst = [f"{html.text(f.text)} {html.entries(f.indices)}" for f in findings[:_MAX_NAMED]]
    if len(findings) > _MAX_NAMED:
        worst.append(f"and {len(findings) - _MAX_NAMED} more, below")
    return f"{', '.join(counted)}{html.items(worst)}"


def _changes(view: RunView) -> str:
    made = [call for call in view.calls if call.changes_something and call.took_effect]
    final = [call for call in made if call.entry.flag(names.SIDE_EFFECT_REVERSIBLE) is False]
    silent = [call for call in view.calls if not call.declares_effect]
    said = [
        f"{html.count(len(view.calls), 'tool call')}; {html.count(len(made), 'change')} outside the agent took effect"
    ]
    if final:
        said.append(f"<strong>{html.count(len(final), 'change')} can't be undone</strong>")
    if silent:
        said.append(f"<strong>{html.count(len(silent), 'call')} did not declare any effect</strong>")
    return "; ".join(said) + "."


def _signed(evidence: Evidence) -> str:
    checkpoint = evidence.checkpoint
    who = ", ".join(map(html.code, evidence.signed_by)) or html.code(checkpoint.origin)
    said = f"Log at {html.count(checkpoint.size, 'entry', 'entries')}, by {who}."
    if evidence.bundle_key:
        said += f" Bundle, by {html.code(evidence.bundle_key)}."
    if evidence.known:
        sizes = ", ".join(f"{size:,}" for size in evidence.known)
        said += f" With proof that the checkpoints at {sizes} entries are its beginnings."
    return said


def _witnessed(evidence: Evidence) -> str:
    if not evidence.witnesses:
        return "By nobody: only the operator's word shows that others were shown the same log."
    return "; ".join(
        f"{html.code(name)}{f' at {html.text(when)}' if when else ''}" for name, when in evidence.witnesses
    )


def _statements(view: RunView, evidence: Evidence) -> str:
    """Say what was erased of the run, whether it is held, and what the log has let go of."""
    about = [r for r in view.statements if r.entry.kind in {Kind.ERASURE, Kind.LEGAL_HOLD}]
    about = [*about[-_MAX_NAMED:], *evidence.statements]
    return html.items(f"{escape(stated(r))} {html.entry(r)}" for r in about) if about else ""
