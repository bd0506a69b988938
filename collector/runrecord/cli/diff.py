# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord diff`: what changed between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from runrecord.cli.console import console
from runrecord.cli.show import LedgerOption, open_ledger, run_of

if TYPE_CHECKING:
    from runrecord.ledger import RunView
    from runrecord.ledger.diff import RunDiff

_STYLES: Final = {"-": "red", "+": "green", " ": "dim"}
_CONTEXT: Final = 2
_CHANGED: Final = 2


def diff(
    first: Annotated[
        str, typer.Argument(help="The run before: its id or the start of it.", show_default=False)
    ],
    second: Annotated[str, typer.Argument(help="The run after.", show_default=False)],
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 2 if something changed.")] = False,
    ledger: LedgerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two runs: prompts, models, tools, policies, retrieval, costs, and the path taken.

    Contents are commitments that differ from run to run, so only what is in clear is compared.

    [dim]$ runrecord diff 7f3a 81c0[/]
    """
    from runrecord.ledger.diff import diff_runs

    with open_ledger(ledger) as opened:
        before, after = run_of(opened, first), run_of(opened, second)
    found = diff_runs(before, after)
    if as_json:
        _print_json(before, after, found)
    else:
        _print(before, after, found)
    if exit_code and not found.same:
        raise typer.Exit(_CHANGED)


def _print(before: RunView, after: RunView, found: RunDiff) -> None:
    from rich.table import Table
    from rich.text import Text

    from runrecord.ledger.narrate import printable

    console.print(f"- {printable(before.run)}", style="red", markup=False)
    console.print(f"+ {printable(after.run)}", style="green", markup=False)
    if found.same:
        console.print("\nNothing changed that the ledger holds in clear.")
        return
    section = ""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for change in found.changes:
        title = Text(change.section, style="bold") if change.section != section else Text()
        section = change.section
        table.add_row(
            title,
            Text(printable(change.name)),
            Text(printable(change.before) or "-", style="red"),
            Text("->", style="dim"),
            Text(printable(change.after) or "-", style="green"),
        )
    if found.changes:
        console.print()
        console.print(table)
    if any(line.mark != " " for line in found.path):
        console.print("\npath", style="bold")
        _print_path(found)


def _print_path(found: RunDiff) -> None:
    from runrecord.ledger.narrate import printable

    near = {
        at + offset
        for at, line in enumerate(found.path)
        if line.mark != " "
        for offset in range(-_CONTEXT, _CONTEXT + 1)
    }
    skipped = False
    for at, line in enumerate(found.path):
        if at in near:
            text = f"  {line.mark} {printable(line.text)}"
            console.print(text, style=_STYLES[line.mark], markup=False, highlight=False, soft_wrap=True)
            skipped = False
        elif not skipped:
            console.print("    ...", style="dim")
            skipped = True


def _print_json(before: RunView, after: RunView, found: RunDiff) -> None:
    console.print_json(
        data={
            "before": before.run,
            "after": after.run,
            "same": found.same,
            "changes": [
                {"section": c.section, "name": c.name, "before": c.before, "after": c.after}
                for c in found.changes
            ],
            "path": [{"mark": line.mark, "text": line.text} for line in found.path],
        }
    )
