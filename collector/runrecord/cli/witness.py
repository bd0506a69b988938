# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord witness`: be the second party that sees other people's ledgers grow."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from runrecord.cli.console import console, fail

if TYPE_CHECKING:
    from runrecord.collector.servers import HttpServer
    from runrecord.ledger.note import NoteVerifier
    from runrecord.ledger.witness import Witness, WitnessState

_USAGE = 4
_State = Annotated[
    Path, typer.Argument(help="The directory of the witness: its key and its memory.", show_default=False)
]

witness = typer.Typer(
    name="witness",
    help="Be a witness: cosign the checkpoints of logs that can show that they only grew (C2SP tlog-witness).",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@witness.command("init")
def init(
    directory: _State,
    name: Annotated[
        str,
        typer.Option(
            help="Of its key, by convention a URL without the scheme: witness.example.com/w1",
            show_default=False,
        ),
    ],
) -> None:
    """Make a witness, and print its public key.

    Key and memory are one file, on purpose: who loses the memory has lost the key. Do not put it back from a copy; make a new witness.

    [dim]$ runrecord witness init /var/lib/runrecord/witness --name witness.example.com/w1[/]
    """
    from runrecord.ledger import LedgerError
    from runrecord.ledger.witness import WitnessState

    try:
        state = WitnessState.create(directory, name)
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step, code=_USAGE)
    _line(state.signer.vkey)
    console.print(
        "This line is for the policies of those who trust it: witness NAME VKEY [URL]. Next: runrecord witness serve",
        style="dim",
        soft_wrap=True,
    )
    state.close()


@witness.command("serve")
def serve(
    directory: _State,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            metavar="VKEY",
            help="The public key of a log to cosign; can be repeated.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A policy file (C2SP tlog-policy) whose lines 'log' name them.",
            show_default=False,
        ),
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; put a TLS proxy in front.")
    ] = "127.0.0.1:2026",
) -> None:
    """Answer the logs that are named here, until Ctrl-C or SIGTERM.

    What was cosigned is durable before it is answered. A log that can't show that it extends what was cosigned gets no
    cosignature, and the attempt is kept: see it with 'runrecord witness evidence'.

    [dim]$ runrecord witness serve /var/lib/runrecord/witness --log example.com/agents+1a2b3c4d+AT...[/]
    """
    try:
        from runrecord.cli.witnessing.application import WitnessApplication
        from runrecord.collector.errors import GatewayError
        from runrecord.collector.servers import HttpServer
        from runrecord.collector.values import parse_address
    except ModuleNotFoundError as error:
        fail(
            f"witness serve needs {error.name}, which is not installed.",
            'pip install "runrecord[gateway]"',
            code=_USAGE,
        )
    from runrecord.ledger.witness import Witness

    state, keys = _open(directory), _keys(log or [], policy)
    if not keys:
        fail("no log is named.", "name one with --log VKEY, or --policy FILE", code=_USAGE)
    try:
        address = parse_address(listen)
    except ValueError as error:
        fail(f"--listen {listen}: {error}.", "write HOST:PORT, such as 127.0.0.1:2026", code=_USAGE)
    try:
        server = HttpServer(WitnessApplication(answering := Witness(state, keys)), address, "the witness")
    except GatewayError as error:
        fail(str(error), error.next_step or None)
    try:
        asyncio.run(_serve(server, answering, sorted({key.name for key in keys})))
    finally:
        state.close()


async def _serve(server: HttpServer, answering: Witness, logs: list[str]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    _line(f"  witness      {answering.signer.vkey}")
    for origin in logs:
        _line(f"  log          {origin}")
    _line(f"  submissions  http://{server.bound}/add-checkpoint")
    console.print("The witness is ready. Stop it with Ctrl-C.")
    sys.stdout.flush()
    await stop.wait()
    await server.stop()


@witness.command("evidence")
def evidence(
    directory: _State,
    opened: Annotated[
        int | None,
        typer.Option(
            "--open", metavar="NUMBER", help="Write this request out, as it was received.", show_default=False
        ),
    ] = None,
) -> None:
    """List requests that a log has signed and that contradict what was cosigned: proof of two histories.

    [dim]$ runrecord witness evidence /var/lib/runrecord/witness[/]
    """
    state = _open(directory)
    try:
        kept = state.evidence()
    finally:
        state.close()
    if opened is not None:
        if not 0 < opened <= len(kept):
            fail(f"there is no number {opened} of {len(kept)}.", "list them without --open", code=_USAGE)
        sys.stdout.buffer.write(kept[opened - 1][3])
        return
    for number, (origin, why, when, _) in enumerate(kept, 1):
        _line(
            f"{number:>4}  {datetime.fromtimestamp(when, timezone.utc):%Y-%m-%d %H:%M:%SZ}  {origin}  {why}"
        )
    console.print(f"{len(kept)} contradicting requests were kept.", style="dim")


def _open(directory: Path) -> WitnessState:
    from runrecord.ledger import LedgerError
    from runrecord.ledger.witness import WitnessState

    try:
        return WitnessState(directory)
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step, code=_USAGE)


def _keys(vkeys: list[str], policy: Path | None) -> list[NoteVerifier]:
    from runrecord.ledger import LedgerError
    from runrecord.ledger.note import NoteVerifier
    from runrecord.ledger.tlog_policy import TlogPolicy

    try:
        keys = [NoteVerifier(vkey) for vkey in vkeys]
        if policy is not None:
            keys += [peer.verifier for peer in TlogPolicy.parse(policy.read_bytes()).logs]
    except OSError as error:
        fail(f"{policy} can't be read: {error.strerror}.", "check the path", code=_USAGE)
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step, code=_USAGE)
    return keys


def _line(text: str) -> None:
    console.print(escape(text), soft_wrap=True, highlight=False)
