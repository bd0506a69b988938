# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord hold`: keep a run from being erased or pruned, for as long as a court or an inquiry needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from runrecord.cli.administer import ActorOption, KeyFileOption, actor_name, administer
from runrecord.cli.console import console
from runrecord.cli.show import LedgerOption

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="The run id, or the start of it.", show_default=False)
]
ReasonOption = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="TEXT",
        help="Why, for example the number of a case; stands in the ledger in clear.",
        show_default=False,
    ),
]

hold = typer.Typer(
    name="hold",
    help="Keep runs from being erased or pruned: legal holds.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@hold.command("place")
def place(
    run: RunArgument,
    reason: ReasonOption,
    actor: ActorOption = None,
    ledger: LedgerOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Place a legal hold on a run: until it is released, the run is neither erased nor pruned.

    The hold is an entry of the ledger, and so in every later bundle of the run. It works while a gateway writes.

    [dim]$ runrecord hold place 7f3a --reason "case 2026-113"[/]
    """
    details = {"run": run, "action": "placed", "reason": reason, "actor": actor_name(actor)}
    done = administer(ledger, "legal_hold", details, key_file=key_file)
    console.print(f"Run {done['run']} is under a legal hold: entry {done['index']}.", markup=False)


@hold.command("release")
def release(
    run: RunArgument,
    reason: ReasonOption,
    actor: ActorOption = None,
    ledger: LedgerOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Release a run from its legal hold.

    [dim]$ runrecord hold release 7f3a --reason "case 2026-113 is closed"[/]
    """
    details = {"run": run, "action": "released", "reason": reason, "actor": actor_name(actor)}
    done = administer(ledger, "legal_hold", details, key_file=key_file)
    console.print(f"Run {done['run']} is released from its legal hold: entry {done['index']}.", markup=False)
