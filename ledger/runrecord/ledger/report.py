# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The report of a run as one self-contained HTML page: no script, no network, every value escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from runrecord.ledger.audit import Finding, Severity
from runrecord.ledger.calls import ToolCall
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.completeness import UNSEEN
from runrecord.ledger.entry import Kind
from runrecord.ledger.narrate import (
    answered,
    called,
    changed,
    decided,
    effect,
    headline,
    lasting,
    printable,
    reversible,
    stated,
    told,
    when,
)
from runrecord.ledger.records import Record
from runrecord.ledger.runs import RunView, Step

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--bad:#b3261e;--warn:#9a6700;--good:#1a7f37}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
th{font-weight:600;white-space:nowrap}th:first-child{width:9rem}code{font-family:ui-monospace,monospace;font-size:.9em;overflow-wrap:anywhere}
.verdict{display:inline-block;padding:.1rem .6rem;border-radius:1rem;color:#fff;font-weight:600}
.good{background:var(--good)}.warn{background:var(--warn)}.bad{background:var(--bad)}
.box{background:var(--soft);border-left:4px solid var(--line);padding:.6rem 1rem;margin:1rem 0}
.entry{opacity:.7;font-size:.85em;white-space:nowrap}.scroll{overflow-x:auto}
@media print{body{margin:0;max-width:none}}
""".strip()

_MAX_ENTRIES: Final = 12


def render_report(view: RunView, findings: Sequence[Finding], checkpoint: Checkpoint) -> str:
    """Return the page.

    Args:
        view: The run.
        findings: What the audit found.
        checkpoint: The checkpoint that the proofs beside the report lead to.
    """
    title = f"Run {printable(view.run)}"
    sections = [
        _summary(view),
        _section("What happened, step by step", _steps(view)),
        _section("What it changed", _effects(view)),
        _section("Who decided and who approved", _approvals(view)),
        _section("Rules that were broken", _findings(findings)),
        _section("Is anything missing?", _missing(view)),
        _section("What this report can't show", _list(UNSEEN)),
        _section("Evidence", _evidence(view, checkpoint)),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(sections) + "\n</main>\n</body>\n</html>\n"
    )


def _summary(view: RunView) -> str:
    verdict = view.completeness.verdict
    tone = "good" if view.completeness.complete else "bad" if verdict.value == "CONFLICTS" else "warn"
    rows = [(escape(label), escape(value)) for label, value in headline(view)]
    badge = f'<p>Record: <span class="verdict {tone}">{escape(verdict.value)}</span></p>'
    note = (
        '<p class="box">This page is for reading. The signed statement and the entries beside it are the evidence; '
        "<code>runrecord verify</code> checks them without a network.</p>"
    )
    return badge + note + _table((), rows)


def _steps(view: RunView) -> str:
    rows: list[tuple[str, ...]] = []
    calls = {call.record.index: call for call in view.calls}
    for segment in view.segments:
        if segment.number is not None and len(view.closes) > 1:
            pause = segment.close is not None and segment.close.entry.kind == Kind.SOURCE_CLOSE
            state = "then waited" if pause else "then ended"
            start = when(segment.close.entry.start) if segment.close else "-"
            rows.append(
                (
                    f"<strong>Segment {segment.number}</strong>",
                    f"<em>from {escape(start)}, {state}</em>",
                    "",
                    "",
                )
            )
        for step in segment.steps:
            rows += _step_rows(step, calls)
    return _table(("Step", "What", "Took", "Entry"), rows) if rows else "<p>No step was recorded.</p>"


def _step_rows(step: Step, calls: dict[int, ToolCall]) -> Iterable[tuple[str, ...]]:
    label = "outside any step" if step.index is None else f"{step.index} {printable(step.kind)}".strip()
    for record in (*step.spans, *step.records):
        took = lasting(max(record.entry.end - record.entry.start, 0) / 1e9)
        call = calls.get(record.index)
        if record.entry.kind == Kind.STEP:
            text = f"step {printable(step.name)}".strip()
        else:
            text = f"called {called(call)}: {effect(call)}" if call else told(record)
        yield (escape(label), escape(text), escape(took), _entry(record))


def _effects(view: RunView) -> str:
    rows: list[tuple[str, ...]] = []
    for call in view.calls:
        if call.may_change_something:
            allowed = [decided(d) for d in call.decisions] + [answered(a) for a in call.approvals]
            who = escape("; ".join(allowed)) or "<em>no decision recorded</em>"
            cells = (called(call), changed(call), reversible(call))
            rows.append((*map(escape, cells), who, _entry(call.record)))
    if not rows:
        every = (
            "No tool call is recorded" if not view.calls else "Every tool call is declared to change nothing"
        )
        return f"<p>{every}.</p>"
    return _table(("Tool call", "Effect", "Can it be undone?", "Allowed by", "Entry"), rows)


def _approvals(view: RunView) -> str:
    rows = [("policy", escape(decided(record)), _entry(record)) for record in view.decisions]
    for approval in view.approvals:
        what = printable(approval.subject_name or approval.subject or approval.id)
        entries = " ".join(_entry(record) for record in approval.records)
        rows.append(("approval", escape(f"{what}: {answered(approval)}"), entries))
    return (
        _table(("By", "What", "Entry"), rows)
        if rows
        else "<p>No policy decision and no approval is recorded.</p>"
    )


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>None of the invariants was broken.</p>"
    rows = [
        (
            f'<span class="verdict {"bad" if finding.severity is Severity.VIOLATION else "warn"}">{finding.severity.value}</span>',
            escape(printable(finding.text)) + f"<br><code>{escape(finding.rule)}</code>",
            escape(", ".join(map(str, finding.indices))),
        )
        for finding in findings
    ]
    return _table(("", "What", "Entries"), rows)


def _missing(view: RunView) -> str:
    state = view.completeness
    items = [
        f"{escape(printable(f'{reason.verdict.value}: {reason.text}'))} {_entries(reason.indices)}"
        for reason in state.reasons
    ]
    items += [
        f"{escape(stated(record))} {_entry(record)}"
        for record in view.statements
        if record.entry.kind != Kind.RESOURCE
    ]
    items += [escape(printable(note)) for note in state.notes]
    if not items:
        counts = f"The ends of the segments count {sum(state.sources.values())} records of {len(state.sources)} sources"
        return (
            "<p>Nothing that was announced is missing: the counters have no hole and every segment was closed. "
            f"{escape(counts)} {_entries(state.closes)}.</p>"
        )
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _entries(indices: Sequence[int]) -> str:
    more = " ..." if len(indices) > _MAX_ENTRIES else ""
    return f'<span class="entry">{" ".join(f"#{index}" for index in indices[:_MAX_ENTRIES])}{more}</span>'


def _evidence(view: RunView, checkpoint: Checkpoint) -> str:
    sources = ", ".join(f"{printable(name)} ({count})" for name, count in view.completeness.sources.items())
    rows = [
        ("Log", f"<code>{escape(printable(checkpoint.origin))}</code>"),
        ("Checkpoint", f"{checkpoint.size} entries, root <code>{checkpoint.root.hex()}</code>"),
        ("Entries of this run", str(len(view.records))),
        ("Sources (records)", escape(sources)),
        *(
            ("Resource", f"{escape(stated(record).removeprefix('resource: '))} {_entry(record)}")
            for record in view.statements
            if record.entry.kind == Kind.RESOURCE
        ),
        (
            "First and last time",
            escape(f"{when(view.start)} to {when(view.end)} (as the emitters' clocks state)"),
        ),
    ]
    return _table((), rows)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{body}</section>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are HTML already. Without heads the first cell of a row is its head."""
    head = f"<tr>{''.join(f'<th>{escape(h)}</th>' for h in heads)}</tr>" if heads else ""
    body = "".join(
        "<tr>"
        + "".join(f"<{t}>{cell}</{t}>" for t, cell in zip(_tags(heads, len(row)), row, strict=True))
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="scroll"><table>{head}\n{body}</table></div>'


def _tags(heads: Sequence[str], width: int) -> list[str]:
    return ["td"] * width if heads else ["th", *["td"] * (width - 1)]


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _entry(record: Record) -> str:
    return f'<span class="entry">#{record.index}</span>'
