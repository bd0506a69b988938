# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord show`: what happened in a run, what it wrote, and who allowed it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runrecord.cli.console import console, errors, fail

if TYPE_CHECKING:
    from runrecord.ledger import Completeness, Ledger, RunView, ToolCall


LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="DIR|URL",
        envvar="RUNRECORD_LEDGER",
        show_envvar=True,
        help="The ledger: a directory, or a store such as postgresql://HOST/DB or s3://BUCKET/PREFIX; ./ledger unless you say otherwise.",
        show_default=False,
    ),
]
"""The option that every command has which reads a ledger."""


ScanOption = Annotated[
    bool,
    typer.Option(
        "--scan",
        help="Read every entry to find those of a run, instead of asking the index, which nobody signed.",
    ),
]
"""The option that every command has which finds runs through the index."""


def show(  # noqa: PLR0917 - typer passes them by name
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run id or the start of one; without it, the runs are listed.", show_default=False
        ),
    ] = None,
    step: Annotated[
        int | None, typer.Option("--step", "-s", min=0, help="Only this step.", show_default=False)
    ] = None,
    ledger: LedgerOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many runs to list.")] = 50,
    scan: ScanOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what happened, what was written and who allowed it.

    [dim]$ runrecord show                        list the runs
    $ runrecord show 7f3a                   the run whose id starts with 7f3a
    $ runrecord show 7f3a --step 6          what did step 6 write, who allowed it, can it be undone[/]
    """
    if run is None and step is not None:
        fail("--step needs a run.", "runrecord show RUN --step N; 'runrecord show' lists the runs", code=4)
    with open_ledger(ledger, scan=scan) as opened:
        if run is None:
            _list(opened, limit, as_json=as_json)
            return
        view = run_of(opened, run)
    if step is None:
        _run(view, as_json=as_json)
    else:
        _step(view, step, as_json=as_json)


@contextlib.contextmanager
def open_ledger(location: str | None, *, scan: bool = False) -> Generator[Ledger]:
    """Open a ledger to read; fail with what is wrong and the next step, also for what its reader meets inside the block."""
    from runrecord.ledger import Ledger, LedgerError, default_location

    try:
        with Ledger(location or default_location(), read_only=True) as ledger:
            if scan:
                ledger.rebuild_index()
            yield ledger
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step)


def run_of(ledger: Ledger, run: str) -> RunView:
    """Return a run, or fail with the nearest run ids."""
    from runrecord.ledger import UnknownRun

    try:
        view = ledger.run(run)
    except UnknownRun as error:
        fail(f"{error.message}.", f"{error.next_step}; 'runrecord show' lists all runs")
    tell_of_pruning(ledger, view)
    return view


def tell_of_pruning(ledger: Ledger, view: RunView) -> None:
    """Say, where something of a run is missing, that entries were pruned."""
    if not view.completeness.complete and (pruning := ledger.log.pruning):
        errors.print(
            f"note: {pruning.sentence()}; what is missing of run {view.run} may have been among them",
            markup=False,
            soft_wrap=True,
        )


def _list(ledger: Ledger, limit: int, *, as_json: bool) -> None:
    from runrecord.cli.runs import render_runs, summary_json

    page = ledger.search(limit=limit)
    if as_json:
        console.print_json(data=[summary_json(summary) for summary in page.runs])
        return
    if not page.runs:
        console.print(f"The ledger in {ledger.where} holds no run yet.", markup=False, soft_wrap=True)
        return
    console.print(render_runs(page.runs))
    if page.cursor:
        console.print("There are more: runrecord runs", style="dim", markup=False)


def _run(view: RunView, *, as_json: bool) -> None:
    from runrecord.cli.tree import render_run

    if as_json:
        console.print_json(data=run_json(view))
    else:
        console.print(render_run(view))


def _step(view: RunView, index: int, *, as_json: bool) -> None:
    from runrecord.cli.tree import calls_of, render_step

    step = view.step(index)
    if step is None:
        known = [str(s.index) for s in view.steps if s.index is not None]
        hint = f"its steps are {', '.join(known)}" if known else "no step of it is recorded"
        fail(f"run {view.run} has no step {index}.", hint)
    if as_json:
        console.print_json(
            data={
                "run": view.run,
                "step": index,
                "calls": [_call(call) for call in calls_of(view, step)],
                "records": _records((*step.spans, *step.records)),
            }
        )
    else:
        console.print(render_step(view, step))


def run_json(view: RunView) -> dict[str, Any]:
    """Return a run for programs: the verdict, and every entry with its index, in run order."""
    from runrecord.ledger import UNSEEN
    from runrecord.ledger.narrate import stated

    state = view.completeness
    return {
        "run": view.run,
        "agent": view.agent,
        "outcome": view.outcome,
        "start": view.start,
        "end": view.end,
        "completeness": {
            "verdict": state.verdict.value,
            "reasons": reasons_json(state),
            "notes": list(state.notes),
            "sources": state.sources,
            "closes": list(state.closes),
            "unseen": list(UNSEEN),
        },
        "statements": [{"index": record.index, "text": stated(record)} for record in view.statements],
        "calls": [_call(call) for call in view.calls],
        "records": _records(view.records),
    }


def reasons_json(state: Completeness) -> list[dict[str, Any]]:
    """Return what a verdict rests on, for programs: the entries that show it, and the holes."""
    return [
        {
            "verdict": reason.verdict.value,
            "text": reason.text,
            "entries": list(reason.indices),
            "missing": [vars(hole) for hole in reason.missing],
        }
        for reason in state.reasons
    ]


def _call(call: ToolCall) -> dict[str, Any]:
    """Return what a tool call did and who allowed it; ``changes`` and ``reversible`` are null where nobody declared it."""
    from runrecord.ledger.narrate import changed
    from runrecord.semconv import attributes as names

    known = call.declares_effect
    return {
        "index": call.record.index,
        "tool": call.tool,
        "call": call.call_id,
        "effect": changed(call) if call.may_change_something else "none",
        "changes": call.changes_something if known else None,
        "reversible": call.entry.flag(names.SIDE_EFFECT_REVERSIBLE) if known else None,
        "decisions": [record.index for record in call.decisions],
        "approvals": [
            {"id": each.id, "status": each.status, "entries": [record.index for record in each.records]}
            for each in call.approvals
        ],
    }


def _records(records: Any) -> list[dict[str, Any]]:
    return [{"index": record.index, **record.entry.to_json()} for record in records]
