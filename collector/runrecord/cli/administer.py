# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that change a ledger: their common options, and how they reach the process that writes to it."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from runrecord.cli.console import errors, fail

KeyFileOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="The private log key, if it is not beside the ledger: key_file of the exporter; given again, previous_key_files. Not needed while a gateway writes to the ledger's directory.",
        show_default=False,
    ),
]
ActorOption = Annotated[
    str | None,
    typer.Option(
        "--actor",
        metavar="NAME",
        help="Who orders it; stands in the ledger in clear. Default: your login name.",
        show_default=False,
    ),
]


def actor_name(actor: str | None) -> str:
    """Return who orders something: the given name, or the login name."""
    return actor if actor is not None else getpass.getuser()


def administer(
    ledger: str | None, action: str, details: Mapping[str, str], *, key_file: list[Path] | None = None
) -> Mapping[str, str]:
    """Do something to a ledger, if need be by the gateway that writes to it, and return what came of it.

    Raises:
        typer.Exit: It was refused; what is wrong and the next step are printed.
    """
    from runrecord.ledger import LedgerError, NoteSigner
    from runrecord.ledger.administration import administer as do
    from runrecord.ledger.stores.location import default_location

    try:
        signers = [NoteSigner.parse(path.read_text()) for path in key_file or ()]
        with errors.status("waiting for the process that writes to the ledger ..."):
            return do(ledger or default_location(), action, details, signers=signers)
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step)
    except (OSError, UnicodeDecodeError) as error:
        fail(
            f"{' or '.join(map(str, key_file or ()))} can't be read ({type(error).__name__}).",
            "name the files that hold the private log keys",
        )
