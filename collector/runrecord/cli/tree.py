# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A run, and a step of it, as trees that a person reads at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from rich.text import Text
from rich.tree import Tree

from runrecord.ledger.calls import Approval, ToolCall
from runrecord.ledger.completeness import UNSEEN, Completeness, Verdict
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
from runrecord.ledger.runs import RunView, Segment, Step
from runrecord.semconv import attributes as names

_VERDICTS: Final = {
    Verdict.COMPLETE: "bold green",
    Verdict.COMPLETE_LATE: "bold green",
    Verdict.UNCLOSED: "bold yellow",
    Verdict.GAPS: "bold red",
    Verdict.CONFLICTS: "bold red",
}
_OUTCOMES: Final = {
    "success": "green",
    "failure": "red",
    "denied": "yellow",
    "allow": "green",
    "deny": "red",
    "require_approval": "yellow",
    "approved": "green",
    "modified": "green",
    "answered": "green",
    "expired": "yellow",
    "cancelled": "yellow",
    "pending": "yellow",
}
_QUIET: Final = frozenset({Kind.RESOURCE, Kind.LATE})
_IN_HEAD: Final = frozenset({"Agent", "Outcome"})


def render_run(view: RunView, *, limits: bool = True) -> Tree:
    """Return a run as a tree: segments, steps, tool calls, decisions, approvals, and whether anything is missing.

    Args:
        view: The run.
        limits: Whether to say what no record can show.
    """
    tree = Tree(_head(view), guide_style="dim")
    for label, value in headline(view):
        if label not in _IN_HEAD:
            tree.add(Text.assemble((f"{label}: ", "dim"), value))
    for segment in view.segments:
        branch = (
            tree.add(_segment(view, segment)) if len(view.segments) > 1 or segment.number is None else tree
        )
        _add_steps(branch, view, segment.steps)
    _add_completeness(tree, view, limits=limits)
    return tree


def render_step(view: RunView, step: Step) -> Tree:
    """Return what happened at a step, what it wrote, who allowed it, and whether it can be undone."""
    tree = Tree(
        Text.assemble(("Step ", "bold"), (_label(step), "bold"), f" of run {printable(view.run)}"),
        guide_style="dim",
    )
    happened = tree.add(Text("What happened", style="bold"))
    _add_step(happened, view, step)
    if not step.records:
        happened.add(Text("nothing beyond the step itself is recorded", style="dim"))
    calls = calls_of(view, step)
    writes = [call for call in calls if call.may_change_something]
    nothing = (
        "no call is recorded at this step"
        if not calls
        else "every call at this step is declared to change nothing"
    )
    wrote = tree.add(Text("What it wrote", style="bold"))
    for call in writes:
        wrote.add(
            _line(f"{called(call)}: {changed(call)}", call.record, "" if call.declares_effect else "yellow")
        )
        if reference := call.entry.text(names.SIDE_EFFECT_REF):
            wrote.add(Text(f"reference {printable(reference)}", style="dim"))
    if not writes:
        wrote.add(Text(f"nothing: {nothing}", style="dim"))
    allowed = tree.add(Text("Who allowed it", style="bold"))
    for call in writes:
        _add_permission(allowed, call)
    if not writes:
        allowed.add(Text("nobody had to", style="dim"))
    undo = tree.add(Text("Can it be undone?", style="bold"))
    for call in writes:
        undo.add(_undo(view, call))
    if not writes:
        undo.add(Text("there is nothing to undo", style="dim"))
    return tree


def _head(view: RunView) -> Text:
    verdict = view.completeness.verdict
    return Text.assemble(
        ("Run ", "bold"),
        (printable(view.run), "bold cyan"),
        f"  {printable(view.agent) or '(agent not stated)'}  ",
        (printable(view.outcome), _OUTCOMES.get(view.outcome, "yellow")),
        "  record ",
        (verdict.value, _VERDICTS[verdict]),
    )


def _segment(view: RunView, segment: Segment) -> Text:
    if segment.close is None:
        title = "No segment was closed" if not view.closes else "Outside any segment"
        return Text(title, style="bold")
    entry = segment.close.entry
    ended = "then waited" if entry.kind == Kind.SOURCE_CLOSE else "then ended"
    took = lasting(max(entry.end - entry.start, 0) / 1e9)
    return Text.assemble(
        (f"Segment {segment.number}", "bold"),
        (f"  from {when(entry.start)}, ran {took}, {ended}", "dim"),
        (f"  #{segment.close.index}", "dim"),
    )


def _label(step: Step) -> str:
    if step.index is None:
        return "outside any step"
    name = f" {printable(step.name)}" if step.name and step.name != step.kind else ""
    return f"{step.index} {printable(step.kind)}{name}".strip()


def _step(step: Step) -> Text:
    text = Text("" if step.index is None else "Step ", style="bold")
    text.append(_label(step))
    for span in step.spans:
        attempt = span.entry.integer(names.STEP_ATTEMPT) or 0
        again = f", attempt {attempt}" if attempt else ""
        failed = ", failed" if span.entry.status == "error" else ""
        took = lasting(max(span.entry.end - span.entry.start, 0) / 1e9)
        text.append(f"  {took}{again}{failed}  #{span.index}", style="dim")
    return text


def _add_steps(tree: Tree, view: RunView, steps: Sequence[Step]) -> None:
    """Add steps; neighbours in which nothing happened that is governed share a line."""
    for bare, group in groupby(steps, _is_bare):
        own = list(group)
        if bare and len(own) > 1:
            labels = ", ".join(_label(step) for step in own)
            indices = " ".join(f"#{span.index}" for step in own for span in step.spans)
            tree.add(Text.assemble((f"Steps {labels}", "dim"), (f"  {indices}", "dim")))
        else:
            for step in own:
                _add_step(tree.add(_step(step)), view, step)


def _is_bare(step: Step) -> bool:
    return not step.records and all(
        span.entry.status != "error" and not span.entry.integer(names.STEP_ATTEMPT) for span in step.spans
    )


def _add_step(tree: Tree, view: RunView, step: Step) -> None:
    calls = {record.index: call for call in view.calls for record in (call.result, call.intent) if record}
    approvals = {record.index: approval for approval in view.approvals for record in approval.requests}
    asked = {record.index for approval in view.approvals if approval.requests for record in approval.answers}
    for record in step.records:
        if record.index in calls:
            call = calls[record.index]
            if record is call.record:
                tree.add(_call(call))
        elif record.index in approvals:
            tree.add(_approval(approvals[record.index], record))
        elif record.index in asked:
            status = printable(record.entry.text(names.APPROVAL_STATUS))
            what = printable(record.entry.text(names.SUBJECT_NAME) or record.entry.text(names.APPROVAL_ID))
            tree.add(
                Text.assemble(
                    ("approval ", "dim"),
                    f"of {what} is answered: ",
                    _line(status, record, _OUTCOMES.get(status, "")),
                )
            )
        elif record.entry.kind == Kind.POLICY_DECISION:
            style = _OUTCOMES.get(record.entry.text(names.DECISION_OUTCOME), "")
            tree.add(
                Text.assemble(("policy ", "dim"), _subject(record), _line(decided(record), record, style))
            )
        else:
            tree.add(_line(told(record), record, "red" if record.entry.kind == Kind.CONFLICT else ""))


def _subject(record: Record) -> str:
    subject = record.entry.text(names.SUBJECT_NAME) or record.entry.text(names.SUBJECT_ID)
    return f"on {printable(subject)}: " if subject else ""


def _call(call: ToolCall) -> Text:
    style = "bold" if call.changes_something else ""
    text = Text.assemble(("tool ", "dim"), (called(call), style), f": {effect(call)}")
    text.append(f"  #{call.record.index}", style="dim")
    if call.result is not None and call.intent is not None:
        text.append(f", announced #{call.intent.index}", style="dim")
    return text


def _approval(approval: Approval, request: Record) -> Text:
    what = printable(approval.subject_name or approval.subject or approval.id)
    indices = " ".join(f"#{record.index}" for record in (request, *approval.answers))
    return Text.assemble(
        ("approval ", "dim"),
        f"of {what}: ",
        (answered(approval), _OUTCOMES.get(approval.status, "")),
        (f"  {indices}", "dim"),
    )


def _add_permission(tree: Tree, call: ToolCall) -> None:
    branch = tree.add(Text(called(call)))
    for decision in call.decisions:
        branch.add(_line(f"policy: {decided(decision)}", decision))
    for approval in call.approvals:
        for record in approval.requests or approval.answers[:1]:
            branch.add(_approval(approval, record))
        if approval.answers and call.digest:
            same = call.digest in approval.digests
            text = "what was approved is what ran" if same else "NOT the arguments that were approved"
            branch.add(Text(text, style="green" if same else "bold red"))
    if not call.decisions and not call.approvals:
        branch.add(Text("no policy decision and no approval is recorded for it", style="bold yellow"))


def _undo(view: RunView, call: ToolCall) -> Text:
    declared = call.entry.flag(names.SIDE_EFFECT_REVERSIBLE) if call.declares_effect else None
    style = {True: "", False: "bold", None: "yellow"}[declared]
    text = Text(f"{called(call)}: {reversible(call)}", style=style)
    for record in view.records:
        entry = record.entry
        linked = any(link.span_id == call.entry.span_id for link in entry.links)
        named = call.call_id != "" and entry.text("runrecord.compensation.subject.id") == call.call_id
        if entry.kind == Kind.COMPENSATION and (linked or named):
            text.append(
                f"; it was rolled back: {printable(entry.text(names.COMPENSATION_OUTCOME))}  #{record.index}"
            )
    return text


def calls_of(view: RunView, step: Step) -> list[ToolCall]:
    """Return the tool calls of a step, in run order."""
    inside = {record.index for record in step.records}
    return [call for call in view.calls if call.record.index in inside]


def _add_completeness(tree: Tree, view: RunView, *, limits: bool) -> None:
    state = view.completeness
    branch = tree.add(Text.assemble(("Record ", "bold"), (state.verdict.value, _VERDICTS[state.verdict])))
    for reason in state.reasons:
        indices = " ".join(f"#{index}" for index in reason.indices[:5])
        branch.add(
            Text.assemble(
                (reason.verdict.value, _VERDICTS[reason.verdict]),
                f" {printable(reason.text)} ",
                (indices, "dim"),
            )
        )
    if state.complete:
        branch.add(_rests_on(state))
    for record in view.statements:
        branch.add(_line(stated(record), record, "" if record.entry.kind in _QUIET else "yellow"))
    for note in state.notes:
        branch.add(Text(printable(note), style="dim"))
    if limits:
        branch.add(Text(f"Not visible here: {' '.join(UNSEEN)}", style="dim"))


def _rests_on(state: Completeness) -> Text:
    """Say what a good verdict rests on."""
    counted, sources = sum(state.sources.values()), len(state.sources)
    closes = " ".join(f"#{index}" for index in state.closes[:5]) + (" ..." if len(state.closes) > 5 else "")  # noqa: PLR2004
    what = f"{counted} record{'' if counted == 1 else 's'} of {sources} source{'' if sources == 1 else 's'}"
    return Text(f"{what} are here, which is how many were counted at their ends: {closes}", style="dim")


def _line(text: str, record: Record, style: str = "") -> Text:
    return Text.assemble((text, style), (f"  #{record.index}", "dim"))
