# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord audit`: did the runs keep to the rules?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from runrecord.cli.console import console, fail
from runrecord.cli.moments import moment
from runrecord.cli.show import LedgerOption, ScanOption, open_ledger, reasons_json, run_of

if TYPE_CHECKING:
    from runrecord.ledger import Finding, RunView

_MAX_SHOWN: Final = 5


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
    from runrecord.ledger import Verdict, audit_run
    from runrecord.ledger.audit import one_effect_across_runs

    if (run is not None) + (since is not None) + every != 1:
        fail("name one of: a run, --since WHEN, or --all.", "runrecord audit --all", code=4)
    start = moment(since, "--since") if since else 0
    with open_ledger(ledger, scan=scan) as opened:
        names = [run] if run is not None else [summary.run for summary in opened.runs(since=start)]
        views = [run_of(opened, name) for name in names]
    shared = one_effect_across_runs(views)
    results = [(view, audit_run(view) + [f for other, f in shared if other is view]) for view in views]
    if as_json:
        _print_json(results)
    else:
        _print_table(results)
    if any(finding.severity.value == "violation" for _, findings in results for finding in findings):
        raise typer.Exit(1)
    if any(view.completeness.verdict in (Verdict.GAPS, Verdict.CONFLICTS) for view in views):
        raise typer.Exit(2)


def _print_json(results: list[tuple[RunView, list[Finding]]]) -> None:
    from runrecord.ledger import UNSEEN

    data = [
        {
            "run": view.run,
            "verdict": view.completeness.verdict.value,
            "reasons": reasons_json(view.completeness),
            "unseen": list(UNSEEN),
            "findings": [
                {"rule": f.rule, "severity": f.severity.value, "text": f.text, "entries": list(f.indices)}
                for f in findings
            ],
        }
        for view, findings in results
    ]
    console.print_json(data=data)


def _print_table(results: list[tuple[RunView, list[Finding]]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from runrecord.ledger import UNSEEN, Severity
    from runrecord.ledger.narrate import printable

    table = Table("run", "severity", "what", "rule", "entries", box=None, pad_edge=False)
    count = violations = 0
    for view, findings in results:
        for finding in findings:
            count += 1
            violations += finding.severity is Severity.VIOLATION
            style = "bold red" if finding.severity is Severity.VIOLATION else "yellow"
            table.add_row(
                Text(printable(view.run)),
                Text(finding.severity.value, style=style),
                Text(printable(finding.text)),
                Text(finding.rule, style="dim"),
                Text(" ".join(f"#{index}" for index in finding.indices), style="dim"),
            )
    if count:
        console.print(table)
    incomplete = [view for view, _ in results if not view.completeness.complete]
    for view in incomplete:
        console.print(
            f"{printable(view.run)}: the record is {view.completeness.verdict.value}",
            markup=False,
            soft_wrap=True,
        )
        for reason in view.completeness.reasons:
            entries = " ".join(f"#{index}" for index in reason.indices[:_MAX_SHOWN])
            text = f"  {reason.verdict.value}: {printable(reason.text)}  {entries}"
            console.print(text.rstrip(), markup=False, soft_wrap=True, style="dim")
    runs = f"{len(results)} run{'' if len(results) == 1 else 's'}"
    notices = count - violations
    found = f"{violations} violation{'' if violations == 1 else 's'}, {notices} notice{'' if notices == 1 else 's'}"
    console.print(f"{runs} audited: {found}", markup=False)
    console.print(f"Not visible here: {' '.join(UNSEEN)}", style="dim", markup=False, soft_wrap=True)
