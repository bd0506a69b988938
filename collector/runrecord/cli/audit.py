# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord audit`: did the runs keep to the rules?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from runrecord.cli.console import console, errors, fail
from runrecord.cli.moments import moment
from runrecord.cli.show import LedgerOption, ScanOption, open_ledger, reasons_json, run_of

if TYPE_CHECKING:
    from runrecord.ledger import Completeness, Finding, Ledger, RunView

_MAX_SHOWN: Final = 5


@dataclass
class _Audited:
    """What was found about one run."""

    run: str
    state: Completeness
    findings: list[Finding]


def audit(  # noqa: PLR0917 - typer passes them by name
    run: Annotated[
        str | None, typer.Argument(help="A run id or the start of one.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="All runs that ended since: 24h, 7d, or 2026-11-21T08:00Z.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs in the ledger.")] = False,
    ledger: LedgerOption = None,
    scan: ScanOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check runs against the invariants: decisions precede effects, what ran is what was approved, and more.

    Exit code 0 if nothing was violated, 1 if something was, 2 if nothing was and the record of a run has gaps or conflicts. Notices
    alone do not count, nor does a run that is still open.

    [dim]$ runrecord audit 7f3a
    $ runrecord audit --since 24h --json[/]
    """
    from runrecord.ledger import Verdict

    if (run is not None) + (since is not None) + every != 1:
        fail("name one of: a run, --since WHEN, or --all.", "runrecord audit --all", code=4)
    start = moment(since, "--since") if since else 0
    with open_ledger(ledger, scan=scan) as opened:
        results = _audited([run_of(opened, run)]) if run is not None else _audited(_runs(opened, start))
    if as_json:
        _print_json(results)
    else:
        _print_table(results)
    if any(finding.severity.value == "violation" for each in results for finding in each.findings):
        raise typer.Exit(1)
    if any(each.state.verdict in (Verdict.GAPS, Verdict.CONFLICTS) for each in results):
        raise typer.Exit(2)


def _runs(ledger: Ledger, since: int) -> Iterator[RunView]:
    """Yield runs one after another, so that only one is in memory, and show how far it is."""
    from rich.progress import Progress

    from runrecord.ledger import RunQuery

    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("auditing", total=None if since else ledger.log.checkpoint.size)
        for summary in ledger.each_run(RunQuery(since=since) if since else None):
            yield run_of(ledger, summary.run)
            bar.advance(task, summary.entries)


def _audited(views: Iterable[RunView]) -> list[_Audited]:
    from runrecord.ledger import audit_run
    from runrecord.ledger.audit import EffectsAcrossRuns

    shared, results = EffectsAcrossRuns(), list[_Audited]()
    for view in views:
        shared.add(view)
        results.append(_Audited(view.run, view.completeness, audit_run(view)))
    across = shared.findings()
    for each in results:
        each.findings += across.get(each.run, ())
    return results


def _print_json(results: list[_Audited]) -> None:
    from runrecord.ledger import UNSEEN

    data = [
        {
            "run": each.run,
            "verdict": each.state.verdict.value,
            "reasons": reasons_json(each.state),
            "unseen": list(UNSEEN),
            "findings": [
                {"rule": f.rule, "severity": f.severity.value, "text": f.text, "entries": list(f.indices)}
                for f in each.findings
            ],
        }
        for each in results
    ]
    console.print_json(data=data)


def _print_table(results: list[_Audited]) -> None:
    from rich.table import Table
    from rich.text import Text

    from runrecord.ledger import UNSEEN, Severity
    from runrecord.ledger.narrate import printable

    table = Table("run", "severity", "what", "rule", "entries", box=None, pad_edge=False)
    count = violations = 0
    for each in results:
        for finding in each.findings:
            count += 1
            violations += finding.severity is Severity.VIOLATION
            style = "bold red" if finding.severity is Severity.VIOLATION else "yellow"
            table.add_row(
                Text(printable(each.run)),
                Text(finding.severity.value, style=style),
                Text(printable(finding.text)),
                Text(finding.rule, style="dim"),
                Text(" ".join(f"#{index}" for index in finding.indices), style="dim"),
            )
    if count:
        console.print(table)
    for each in results:
        if each.state.complete:
            continue
        console.print(
            f"{printable(each.run)}: the record is {each.state.verdict.value}", markup=False, soft_wrap=True
        )
        for reason in each.state.reasons:
            entries = " ".join(f"#{index}" for index in reason.indices[:_MAX_SHOWN])
            text = f"  {reason.verdict.value}: {printable(reason.text)}  {entries}"
            console.print(text.rstrip(), markup=False, soft_wrap=True, style="dim")
    runs = f"{len(results)} run{'' if len(results) == 1 else 's'}"
    notices = count - violations
    found = f"{violations} violation{'' if violations == 1 else 's'}, {notices} notice{'' if notices == 1 else 's'}"
    console.print(f"{runs} audited: {found}", markup=False)
    console.print(f"Not visible here: {' '.join(UNSEEN)}", style="dim", markup=False, soft_wrap=True)
