# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord fsck`: is the whole ledger what was signed?"""

from __future__ import annotations

from typing import Annotated

import typer

from runrecord.cli.console import console, fail
from runrecord.cli.ledger import LogKeyOption
from runrecord.cli.show import LedgerOption

_SHOWN = 20


def fsck(
    ledger: LedgerOption = None,
    log_key: LogKeyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hash every entry of a ledger again, and compare every tile and the signed checkpoint.

    It may run beside a writer. Exit code 0 if all is as it was signed, 1 if anything is not.

    [dim]$ runrecord fsck --ledger s3://audit/ledger
    $ runrecord fsck --ledger ./copy --log-key example.com/log+1a2b3c4d+AT...[/]
    """
    from runrecord.ledger import LedgerError, Trust, default_location
    from runrecord.ledger import fsck as check

    try:
        report = check(ledger or default_location(), Trust.of(tuple(log_key or ())).log)
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step)
    size = report.checkpoint.size if report.checkpoint else None
    if as_json:
        console.print_json(
            data={
                "ledger": report.where,
                "ok": report.ok,
                "origin": report.checkpoint.origin if report.checkpoint else None,
                "size": size,
                "entries": report.entries,
                "pruned": report.pruned,
                "files": report.files,
                "beyond": report.beyond,
                "leftovers": report.leftovers,
                "problems": report.problems,
            }
        )
        raise typer.Exit(0 if report.ok else 1)
    for name in report.leftovers[:_SHOWN]:
        console.print(f"left over, harmless: {name}", markup=False, soft_wrap=True)
    if report.beyond:
        console.print(
            f"{report.beyond:,} files are beyond the checkpoint: a writer is at work, or was killed; nobody vouches for them yet.",
            markup=False,
            soft_wrap=True,
        )
    if not report.ok:
        for problem in report.problems[:_SHOWN]:
            console.print(problem, markup=False, soft_wrap=True)
        more = len(report.problems) - _SHOWN
        fail(
            f"the ledger in {report.where} is not what was signed"
            + (f"; {more} more problems, see --json." if more > 0 else "."),
            "restore it from a copy; keep this one as evidence",
        )
    console.print(
        f"The ledger in {report.where} is whole: {report.entries:,} entries and {report.files:,} files add up to its signed checkpoint."
        + (
            f" {report.pruned:,} entries were pruned, as the log states; their hashes are there."
            if report.pruned
            else ""
        ),
        markup=False,
        soft_wrap=True,
    )
