# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord receipt`: one entry for systems that speak SCITT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runrecord.cli.bundle import KeyOption, write_file
from runrecord.cli.console import console
from runrecord.cli.show import LedgerOption, open_ledger


def receipt(
    entry: Annotated[
        int, typer.Argument(min=0, help="The number of the entry in the log.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="ENTRY.receipt.cose unless you say otherwise.",
            show_default=False,
        ),
    ] = None,
    leaf: Annotated[
        Path | None,
        typer.Option("--leaf", metavar="FILE", help="Also write the entry itself.", show_default=False),
    ] = None,
    key: KeyOption = None,
    ledger: LedgerOption = None,
) -> None:
    """Write the COSE receipt (RFC 9942) of an entry, for systems of SCITT (RFC 9943).

    Whoever has the entry and the public key checks with it that the log holds the entry. 'runrecord show RUN --json' names the numbers.

    [dim]$ runrecord receipt 41 --leaf 41.json[/]
    """
    from runrecord.ledger import Entry, bundle_signer
    from runrecord.ledger.receipt import make_receipt

    with open_ledger(ledger) as opened:
        log = opened.log
        checkpoint = opened.publish()
        data = log.leaf(entry)
        signer = bundle_signer(opened.path, log.origin, key)
        made = make_receipt(
            data,
            entry,
            checkpoint.size,
            log.inclusion_proof(entry, checkpoint.size),
            issuer=log.origin,
            subject=f"run:{Entry.parse(data).run}",
            signer=signer,
        )
    path = output or Path(f"{entry}.receipt.cose")
    write_file(path, made)
    console.print(f"Wrote {path} ({len(made):,} bytes), signed by", markup=False, soft_wrap=True)
    console.print(f"  {signer.vkey}", markup=False, soft_wrap=True, highlight=False)
    if leaf is not None:
        write_file(leaf, data)
        console.print(f"Wrote {leaf}: the entry.", markup=False, soft_wrap=True)
