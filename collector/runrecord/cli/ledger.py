# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord ledger`: the ledger as a whole, wherever it is kept."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from runrecord.cli.administer import KeyFileOption, administer
from runrecord.cli.console import console, errors, fail
from runrecord.cli.show import LedgerOption

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")

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
    help="Move a ledger between stores, change its key, and let go of what was kept long enough.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


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


@ledger.command("prune")
def prune(
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="KIND=DAYS",
            help="How long to keep entries of a kind, or default=DAYS; can be repeated. Without it, as the gateway's retention_days says.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    ledger: LedgerOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Let go of entries that were kept long enough: whole entry bundles (256 entries) of closed epochs.

    Days count from the end of the epoch. A kind that is not named is kept for ever, unless default is; entries of runs under a legal hold
    stay. An entry says what went, all hashes stay, and so do all proofs. A gateway with retention_days does this once a day.

    [dim]$ runrecord ledger prune --keep default=365 --keep approval_decision=3650 --dry-run[/]
    """
    details = {"retention": " ".join(keep or ()), "dry_run": "true" if dry_run else "false"}
    done = administer(ledger, "prune", details, key_file=key_file)
    what = f"{int(done['entries']):,} entries (bundles {done['bundles']}), up to epoch {done['epoch']}"
    if not done["bundles"]:
        text = f"Nothing {'would go' if dry_run else 'went'}: no bundle of a closed epoch was kept long enough ({done['retention']})."
    elif dry_run:
        text = f"These would go: {what}."
    else:
        text = f"Pruned {what}. Entry {done['index']} states it."
    console.print(text, markup=False, soft_wrap=True)
    if done["held"]:
        console.print(f"Legal holds keep entries of: {done['held']}", markup=False, soft_wrap=True)
    if int(done["left"]):
        console.print(
            f"{done['left']} bundles that were stated as pruned are still there: the store does not let go of them yet. It is tried again "
            "with the next prune, and once an hour by a gateway.",
            markup=False,
            soft_wrap=True,
        )


@ledger.command("rotate-key")
def rotate_key(
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap", metavar="TIME", help="How long the old key goes on signing too: 30d, 12h, 0s."
        ),
    ] = "30d",
    new_key_file: Annotated[
        Path | None,
        typer.Option(
            "--new-key-file",
            metavar="FILE",
            help="Only make a new private key of the same name in FILE, for a gateway with key_file, and say how to change to it.",
            show_default=False,
        ),
    ] = None,
    ledger: LedgerOption = None,
) -> None:
    """Change the key that signs the checkpoints.

    The change is an entry of the ledger. Until the overlap has ended both keys sign, so that whoever has pinned the old one has time to
    pin the new one; then the old private key is removed. Bundles carry the proof of the change: who has pinned the old key alone can
    still verify them. It works while a gateway writes.

    [dim]$ runrecord ledger rotate-key --overlap 30d
    $ runrecord ledger rotate-key --new-key-file /etc/runrecord/log-2.key[/]
    """
    seconds = _duration(overlap)
    old = _newest_key(ledger)
    if new_key_file is not None:
        _make_key(old.partition("+")[0], new_key_file)
        return
    done = administer(ledger, "rotate_key", {"old": old, "overlap": str(seconds)})
    until = datetime.fromtimestamp(int(done["until"]) / 1e9, timezone.utc)
    console.print(
        f"The key of the ledger was changed (entry {done['index']}). The new one, to be pinned:", markup=False
    )
    console.print(f"  log {done['new']}", markup=False, soft_wrap=True)
    console.print(
        f"The old one signs too until {until:%Y-%m-%d %H:%MZ}; then it is removed from this machine. Give the new one to auditors, "
        "witnesses and whoever else has pinned the old one by then.",
        markup=False,
        soft_wrap=True,
    )


def _newest_key(location: str | None) -> str:
    from runrecord.ledger import LedgerError, Log, default_location

    try:
        with Log.open(location or default_location(), read_only=True) as log:
            return log.vkey
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step)


def _make_key(name: str, path: Path) -> None:
    from runrecord.ledger import LedgerError, NoteSigner
    from runrecord.ledger.files import write_whole

    if path.exists():
        fail(f"{path} is there already.", "name a file that does not exist yet")
    signer = NoteSigner.generate(name)
    try:
        write_whole(path, f"{signer.private_text()}\n".encode(), 0o600)
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step)
    console.print(f"Made {path}, of which this is the public half:", markup=False, soft_wrap=True)
    console.print(f"  log {signer.vkey}", markup=False, soft_wrap=True)
    console.print(
        f"Now set key_file of the exporter to {path} and previous_key_files to the old file, and restart the gateway, each one of several; "
        "the ledger states the change then. When key_overlap has passed, remove the old file from previous_key_files and destroy it.",
        markup=False,
        soft_wrap=True,
    )


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter("write 30d, 12h, 90m or 0s", param_hint="--overlap")
    return int(match[1]) * _UNITS[match[2]]
