# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord runs`: which runs did that?"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from runrecord.cli.console import console, fail
from runrecord.cli.moments import moment
from runrecord.cli.show import LedgerOption, ScanOption, open_ledger

if TYPE_CHECKING:
    from rich.table import Table

    from runrecord.ledger import Effects, Ledger, Order, RunQuery, RunSummary

_USAGE: Final = 4
_NEAREST: Final = 3
_STYLES: Final = {
    "success": "green", "completed": "green", "failure": "bold red", "abandoned": "bold red", "waiting": "yellow", "open": "yellow"
}  # fmt: skip
_MARKS: Final = ("erased", "held", "pruned")


def _texts(option: str, what: str) -> Any:
    return typer.Option(option, metavar="TEXT", help=what, show_default=False)


def runs(  # noqa: PLR0917 - typer passes them by name
    outcome: Annotated[
        list[str] | None,
        _texts("--outcome", "How it ended; or open, waiting (for an answer), abandoned (nobody closed it)."),
    ] = None,
    agent: Annotated[list[str] | None, _texts("--agent", "An agent or workflow that took part.")] = None,
    tool: Annotated[list[str] | None, _texts("--tool", "A tool that was called or announced.")] = None,
    policy: Annotated[
        list[str] | None, _texts("--policy", "Id or name of a policy that decided something.")
    ] = None,
    approver: Annotated[
        list[str] | None,
        _texts(
            "--approver",
            "Who answered, as recorded. With the tenant key here, also what is recorded in the place of this text: its pseudonym, hash or commitment.",
        ),
    ] = None,
    tenant: Annotated[list[str] | None, _texts("--tenant", "A tenant id.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="It ended since: 24h, 7d, or 2026-11-21T08:00Z.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="WHEN", help="It began before; the same.", show_default=False),
    ] = None,
    at_least: Annotated[
        float | None,
        typer.Option("--at-least", metavar="AMOUNT", help="It cost so much or more.", show_default=False),
    ] = None,
    at_most: Annotated[
        float | None,
        typer.Option("--at-most", metavar="AMOUNT", help="It cost so much or less.", show_default=False),
    ] = None,
    currency: Annotated[
        str,
        typer.Option(
            "--currency", metavar="CODE", help="It cost something in this currency.", show_default=False
        ),
    ] = "",
    effects: Annotated[
        str | None,
        typer.Option(
            "--effects",
            metavar="any|approved|unapproved|none",
            help="Its tool calls changed something: at all, with an approval granted in the run, without one; or nothing.",
            show_default=False,
        ),
    ] = None,
    mark: Annotated[
        list[str] | None,
        typer.Option(
            "--mark",
            metavar="erased|held|pruned",
            help="Keys of it are destroyed, it is under a legal hold, entries of it are deleted.",
            show_default=False,
        ),
    ] = None,
    order: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="newest|spend",
            help="Which come first; by spend, only those that say what they cost.",
        ),
    ] = "newest",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many to list.")] = 50,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="CURSOR",
            help="Go on behind the page that ended with this cursor.",
            show_default=False,
        ),
    ] = None,
    ledger: LedgerOption = None,
    scan: ScanOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: the runs, and the cursor of the next page or null.")
    ] = False,
) -> None:
    """Find runs by what they did, who allowed it, when, and what it cost.

    Options that are given more than once are alternatives; different ones must all hold. In a text, * stands for any characters.

    [dim]$ runrecord runs --outcome failure --since 7d
    $ runrecord runs --tool 'create_*' --effects unapproved
    $ runrecord runs --approver u-17 --at-least 100 --currency USD
    $ runrecord runs --by spend --limit 10 --json[/]
    """  # fmt: skip
    from runrecord.cli.approvers import recorded_as
    from runrecord.ledger import LedgerError, RunQuery
    from runrecord.ledger.run_search import Cursor

    for option, amount in (("--at-least", at_least), ("--at-most", at_most)):
        if amount is not None and math.isnan(amount):
            fail(f"{option} is not an amount.", "write a number", code=_USAGE)
    if unknown := [each for each in mark or () if each not in _MARKS]:
        fail(f"--mark {unknown[0]!r} is none of {', '.join(_MARKS)}.", "take one of these", code=_USAGE)
    if after is not None:
        try:
            Cursor.parse(after)
        except LedgerError as error:
            fail(f"{error.message}.", error.next_step, code=_USAGE)
    with open_ledger(ledger, scan=scan) as opened:
        query = RunQuery(
            outcomes=tuple(outcome or ()), agents=tuple(agent or ()), tools=tuple(tool or ()), policies=tuple(policy or ()),
            approvers=recorded_as(opened, approver) if approver else (), tenants=tuple(tenant or ()),
            at_least=at_least, at_most=at_most, currency=currency, effects=_effects(effects), marks=tuple(mark or ()), order=_order(order),
            **({"since": moment(since, "--since")} if since else {}), **({"until": moment(until, "--until")} if until else {}),
        )  # fmt: skip
        page = opened.search(query, limit=limit, after=after)
        hints = [] if page.runs or as_json else list(_hints(opened, query))
    if as_json:
        console.print_json(data={"runs": [summary_json(each) for each in page.runs], "cursor": page.cursor})
        return
    if not page.runs:
        console.print(" ".join(["No run is like this.", *hints]), markup=False, soft_wrap=True)
        return
    console.print(render_runs(page.runs))
    if page.cursor:
        console.print(
            f"There are more: the same with --after {page.cursor}", style="dim", markup=False, soft_wrap=True
        )


def render_runs(summaries: Iterable[RunSummary]) -> Table:
    """Return a table of runs."""
    from rich.table import Table
    from rich.text import Text

    from runrecord.ledger.narrate import lasting, printable, when

    table = Table(box=None, pad_edge=False)
    table.add_column("run", overflow="fold")
    for title in ("agent", "outcome"):
        table.add_column(title)
    for title in ("started, UTC", "lasted"):
        table.add_column(title, no_wrap=True)
    for title in ("entries", "cost"):
        table.add_column(title, justify="right")
    table.add_column("")
    for each in summaries:
        took = lasting(max(each.end - each.start, 0) / 1e9)
        cost = ", ".join(f"{amount:.6g} {currency}".strip() for currency, amount in each.spend.items())
        cells = (
            each.run,
            each.agent,
            each.outcome,
            when(each.start).removesuffix(" UTC"),
            took,
            str(each.entries),
            cost,
            " ".join(each.marks),
        )
        table.add_row(
            *(
                Text(printable(cell), style=_STYLES.get(cell, "") if cell is each.outcome else "")
                for cell in cells
            )
        )
    return table


def summary_json(summary: RunSummary) -> dict[str, Any]:
    """Return a line about a run for programs."""
    return {**vars(summary), "spend": dict(summary.spend), "marks": list(summary.marks)}


def _effects(text: str | None) -> Effects | None:
    from runrecord.ledger import Effects

    try:
        return None if text is None else Effects(text)
    except ValueError:
        known = ", ".join(each.value for each in Effects)
        fail(f"--effects {text!r} is none of {known}.", "take one of these", code=_USAGE)


def _order(text: str) -> Order:
    from runrecord.ledger import Order

    try:
        return Order(text)
    except ValueError:
        known = " and ".join(each.value for each in Order)
        fail(f"--by {text!r} is none of {known}.", "take one of these", code=_USAGE)


def _hints(ledger: Ledger, query: RunQuery) -> Iterable[str]:
    """Yield what is there in the place of texts of which there is none."""
    from runrecord.ledger.narrate import printable
    from runrecord.ledger.run_search import like_any

    for kind, texts in [("outcome", query.outcomes), ("tenant", query.tenants), *query.facets]:
        known = ledger.texts(kind) if texts else []
        for text in texts:
            if known and not any(like_any((text,), each) for each in known):
                near = difflib.get_close_matches(text, known[:10_000], n=_NEAREST) or known[:_NEAREST]
                named = ", ".join(printable(each) for each in near if each)
                yield f"There is no {kind} {printable(text)!r}; there is {named or 'none'}."
