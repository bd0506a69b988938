# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord ledger`: the ledger as a whole, wherever it is kept."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress

from runrecord.cli.console import console, errors, fail

LogKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--log-key",
        metavar="VKEY",
        help="A public log key to trust; can be repeated. Without one, the key that the ledger states itself.",
        show_default=False,
    ),
]

ledger = typer.Typer(
    name="ledger",
    help="Move a ledger between stores: a directory, PostgreSQL, an object store.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@ledger.callback()
def _group() -> None:
    """Keep `copy` a command of its own, although it is the only one."""


@ledger.command("copy")
def copy(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="The ledger: a directory or a URL.", show_default=False)
    ],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="Where it is to be: a directory or a URL.", show_default=False)
    ],
    log_key: LogKeyOption = None,
    with_keys: Annotated[
        bool,
        typer.Option(
            "--with-keys",
            help="Also copy the private keys that this machine holds, so that the ledger goes on in TO. Leave it out for a copy that you hand on.",
        ),
    ] = False,
) -> None:
    """Copy a ledger to another store, as far as its checkpoint covers it, and check the copy.

    The copy has the same tiles and the same checkpoint. Run it again after an interruption, or to add what is new. A target that holds
    anything but the beginning of the same ledger is refused. Passwords belong into the environment, or ~/.pgpass.

    [dim]$ runrecord ledger copy ./ledger postgresql://runrecord@db.example.com/audit --with-keys
    $ runrecord ledger copy ./ledger "s3://audit/ledger?region=eu-central-1&lock_mode=compliance&lock_days=400"
    $ runrecord ledger copy s3://audit/ledger ./restored[/]
    """
    from runrecord.ledger import LedgerError, Trust, copy_log
    from runrecord.ledger.ledger import key_of

    try:
        verifiers = Trust.of(tuple(log_key or ())).log
        with Progress(console=errors, transient=True) as bar:
            task = bar.add_task("entries")
            copied = copy_log(
                source,
                target,
                verifiers=verifiers,
                key_of=key_of,
                with_keys=with_keys,
                progress=lambda done, size: bar.update(task, completed=done, total=size),
            )
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step)
    size = copied.checkpoint.size
    console.print(
        f"Copied {copied.checkpoint.origin}: {size:,} entries, {copied.written:,} files were new. The copy was read again, and adds up "
        "to the signed checkpoint.",
        markup=False,
        soft_wrap=True,
    )
