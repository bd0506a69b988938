# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord export`: the entries of a ledger as JSON lines, for a SIEM."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from runrecord.cli.console import errors, fail
from runrecord.cli.show import LedgerOption, open_ledger

if TYPE_CHECKING:
    from typing import BinaryIO

    from runrecord.ledger import Log

_USAGE: Final = 4
_PAUSE: Final = 1.0


def export(
    start: Annotated[
        int | None,
        typer.Option(
            "--from", min=0, help="Begin with this entry; 0 unless you say otherwise.", show_default=False
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")
    ] = False,
    cursor: Annotated[
        Path | None,
        typer.Option(
            "--cursor",
            metavar="FILE",
            help="Begin behind what this file says, and keep it up to date.",
            show_default=False,
        ),
    ] = None,
    ledger: LedgerOption = None,
) -> None:
    r"""Print the entries under the signed checkpoint, one JSON object on a line: log, index, leaf hash, entry.

    With --cursor a shipper that restarts goes on where it was; after a crash the last lines may come twice, and have the same index.

    [dim]$ runrecord export --follow --cursor /var/lib/siem/ledger.cursor | your-shipper[/]
    """
    if start is not None and cursor is not None:
        fail("--from and --cursor exclude each other.", "keep one of them", code=_USAGE)
    at = _read(cursor) if cursor is not None else start or 0
    with open_ledger(ledger) as opened:
        try:
            while True:
                size = opened.refresh().size
                if at > size and not follow:
                    fail(
                        f"the ledger has {size} entries, and {at} is asked for.", "begin earlier", code=_USAGE
                    )
                at = _write(opened.log, at, size, sys.stdout.buffer)
                if cursor is not None:
                    _keep(cursor, at)
                if not follow:
                    return
                time.sleep(_PAUSE)
        except (KeyboardInterrupt, BrokenPipeError):
            raise typer.Exit from None


def _write(log: Log, start: int, end: int, out: BinaryIO) -> int:
    """Write entries, and return where the next begins."""
    import json

    from runrecord.ledger import leaf_hash

    origin = json.dumps(log.origin).encode()
    leaves = log.kept(start, end) if start < end else ()
    # A leaf is JSON already, and is printed as it was hashed.
    out.writelines(
        b'{"log":%s,"index":%d,"hash":"%s","entry":%s}\n'
        % (origin, index, leaf_hash(leaf).hex().encode(), leaf)
        for index, leaf in leaves
    )
    out.flush()
    return max(start, end)


def _read(cursor: Path) -> int:
    try:
        return int(cursor.read_text())
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        fail(f"{cursor} is no cursor.", "delete it to begin with the first entry", code=_USAGE)


def _keep(cursor: Path, at: int) -> None:
    scratch = cursor.with_name(f".{cursor.name}.new")
    try:
        scratch.write_text(f"{at}\n")
        scratch.replace(cursor)
    except OSError as error:
        errors.print(f"warning: {cursor} can't be written: {error.strerror}", markup=False, soft_wrap=True)
