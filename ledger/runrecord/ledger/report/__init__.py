# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The report of a run as one self-contained HTML page: no script, no network, every value escaped; it prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from runrecord.ledger.audit import Finding, Severity
from runrecord.ledger.calls import ToolCall
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.completeness import UNSEEN
from runrecord.ledger.entry import Kind
from runrecord.ledger.narrate import called, effect, lasting, printable, stated, told, when
from runrecord.ledger.report import html
from runrecord.ledger.report.evidence import Evidence
from runrecord.ledger.report.governance import approvals, decisions, disclosed_value, effects
from runrecord.ledger.report.style import STYLE
from runrecord.ledger.report.timeline import timeline
from runrecord.ledger.report.usage import usage
from runrecord.ledger.report.verdict import about, header, verdict_box
from runrecord.ledger.runs import RunView, Segment, Step

__all__ = ["Evidence", "render_report"]

_HEADS: Final = ("Step", "What", "Took", "Entry")


def render_report(view: RunView, findings: Sequence[Finding], evidence: Checkpoint | Evidence) -> str:
    """Return the page.

    Args:
        view: The run.
        findings: What the audit found.
        evidence: What stands beside the report; a bare checkpoint if there is nothing else to say.
    """
    if isinstance(evidence, Checkpoint):
        evidence = Evidence(evidence)
    title = f"Audit report of run {printable(view.run)}"
    sections = [
        header(view),
        verdict_box(view, findings, evidence),
        html.section("When", timeline(view) or "<p>No record has a time.</p>"),
        html.section("Who approved what", approvals(view, evidence.disclosed), _SHOWN),
        html.section("What the policies decided", decisions(view)),
        html.section("What was changed", effects(view)),
        html.section("What was used", usage(view)),
        html.section("The run", about(view)),
        html.section("Rules that were broken", _findings(findings)),
        html.section("What happened, step by step", _steps(view)),
        html.section("Is anything missing?", _missing(view)),
        *_disclosures(evidence),
        html.section("What this report can't show", html.items(map(escape, UNSEEN))),
        html.section("Evidence", _evidence(view, evidence)),
        *_checks(evidence),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


_SHOWN: Final = (
    "What was shown and what ran are compared by keyed commitments: equal ones are commitments to the same arguments. "
    "The first twelve digits are printed."
)


def _steps(view: RunView) -> str:
    calls = {call.record.index: call for call in view.calls}
    rows: list[tuple[str, ...]] = []
    for segment in view.segments:
        if len(view.segments) > 1:
            close = html.entry(segment.close) if segment.close else ""
            rows.append((f"{escape(_segment_words(segment))} {close}",))
        for step in segment.steps:
            rows += _step_rows(step, calls)
    return html.table("Steps", _HEADS, rows, kind="steps") if rows else "<p>No step was recorded.</p>"


def _segment_words(segment: Segment) -> str:
    if segment.close is None:
        return "Outside any segment"
    pause = segment.close.entry.kind == Kind.SOURCE_CLOSE
    return f"Segment {segment.number or 0} from {when(segment.close.entry.start)}, then {'waited' if pause else 'ended'}"


def _step_rows(step: Step, calls: dict[int, ToolCall]) -> Iterable[tuple[str, ...]]:
    label = "outside any step" if step.index is None else f"{step.index} {printable(step.kind)}".strip()
    for record in (*step.spans, *step.records):
        took = lasting(max(record.entry.end - record.entry.start, 0) / 1e9)
        call = calls.get(record.index)
        if record.entry.kind == Kind.STEP:
            said = f"step {printable(step.name)}".strip()
        else:
            said = f"called {called(call)}: {effect(call)}" if call else told(record)
        yield (escape(label), escape(said), escape(took), html.entry(record))
        label = ""


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>None of the invariants was broken.</p>"
    rows = [
        (
            html.badge("bad" if finding.severity is Severity.VIOLATION else "warn", finding.severity.value),
            f"{html.text(finding.text)}<small>{html.code(finding.rule)}</small>",
            html.entries(finding.indices),
        )
        for finding in findings
    ]
    return html.table("Findings", ("", "What", "Entries"), rows, kind="findings")


def _missing(view: RunView) -> str:
    state = view.completeness
    said = [f"{html.text(f'{r.verdict.value}: {r.text}')} {html.entries(r.indices)}" for r in state.reasons]
    said += [f"{escape(stated(r))} {html.entry(r)}" for r in view.statements if r.entry.kind != Kind.RESOURCE]
    said += [html.text(note) for note in state.notes]
    sources = [(html.code(name), f"{count:,}") for name, count in state.sources.items()]
    counted = html.table("Sources", ("Source", "Records here"), sources, kind="sources") if sources else ""
    if said:
        return html.items(said) + counted
    total = f"The ends of the segments count {sum(state.sources.values())} records of {len(state.sources)} sources"
    return (
        "<p>Nothing that was announced is missing: the counters have no hole and every segment was closed. "
        f"{escape(total)} {html.entries(state.closes)}.</p>{counted}"
    )


def _disclosures(evidence: Evidence) -> list[str]:
    rows = [
        (f"#{index}", html.code(name), disclosed_value(value))
        for (index, name), value in evidence.disclosed.items()
    ]
    lead = (
        "The operator opened these commitments for you; runrecord verify checks that each value is the one "
        "that was committed to. All others stay closed."
    )
    table = (
        html.table("Disclosures", ("Entry", "Attribute", "Value"), rows, kind="disclosures") if rows else ""
    )
    return [html.section("What was opened for you", table, lead)] if rows else []


def _checks(evidence: Evidence) -> list[str]:
    rows = [
        (html.text(step), html.badge("good" if result == "complete" else "warn", result), html.text(said))
        for step, result, said in evidence.checked
    ]
    lead = "This page was made by whoever verified the bundle, from the entries that were proven; not by its producer."
    return (
        [
            html.section(
                "How it was checked", html.table("Checks", ("Step", "Result", "What was found"), rows), lead
            )
        ]
        if rows
        else []
    )


def _evidence(view: RunView, evidence: Evidence) -> str:
    checkpoint = evidence.checkpoint
    resources = (
        ("Resource", f"{escape(stated(record).removeprefix('resource: '))} {html.entry(record)}")
        for record in view.statements
        if record.entry.kind == Kind.RESOURCE
    )
    rows = [
        ("Log", html.code(checkpoint.origin)),
        ("Checkpoint", f"{checkpoint.size} entries, root <code>{checkpoint.root.hex()}</code>"),
        ("Entries of this run", f"{len(view.records):,}"),
        (
            "First and last time",
            escape(f"{when(view.start)} to {when(view.end)} (as the emitters' clocks state)"),
        ),
        *resources,
    ]
    return html.facts(rows)
