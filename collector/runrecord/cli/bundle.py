# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord bundle`: the evidence about a run in one file that an outsider can check."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from runrecord.cli.console import console, errors, fail
from runrecord.cli.show import LedgerOption, open_ledger, tell_of_pruning

if TYPE_CHECKING:
    from runrecord.ledger.checkpoint import Checkpoint
    from runrecord.ledger.tlog_policy import TlogPolicy
    from runrecord.ledger.witness.client import Prover

_USAGE: Final = 4
_MAX_NOTE: Final = 1_000_001

KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="The private bundle key; the ledger's own unless you say otherwise.",
        show_default=False,
    ),
]
"""The option that every command has which signs evidence."""


def bundle(  # noqa: PLR0917 - typer passes them by name
    run: Annotated[str, typer.Argument(help="A run id or the start of one.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="RUN.auditbundle.zip unless you say otherwise.",
            show_default=False,
        ),
    ] = None,
    key: KeyOption = None,
    trust_out: Annotated[
        Path | None,
        typer.Option(
            "--trust-out",
            metavar="FILE",
            help="Also write the public keys, for the verifier.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="Have the witnesses of this policy (C2SP tlog-policy) cosign the checkpoint.",
            show_default=False,
        ),
    ] = None,
    tsa: Annotated[
        str | None,
        typer.Option(
            "--tsa",
            metavar="URL",
            help="Have a time stamping authority (RFC 3161) stamp the checkpoint; it sees a digest only.",
            show_default=False,
        ),
    ] = None,
    known: Annotated[
        list[Path] | None,
        typer.Option(
            "--known",
            metavar="FILE",
            help="A checkpoint that the auditor kept: prove that it is of the same log. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    disclose: Annotated[
        list[str] | None,
        typer.Option(
            "--disclose",
            metavar="NAME",
            help="Open the commitments to this attribute, or with INDEX:NAME that of one entry. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[
        Path | None,
        typer.Option(
            "--values",
            metavar="FILE",
            help="What is disclosed: JSON, index of the entry to name of the attribute to value.",
            show_default=False,
        ),
    ] = None,
    ledger: LedgerOption = None,
) -> None:
    """Write the audit bundle of a run: its records, a proof for each, a report, all signed.

    Hand the two public keys over by another way than the bundle; whoever verifies pins them. With --policy, witnesses are asked to
    cosign: then not even the operator of the ledger can have shown others another history. Nothing but what --disclose names is opened.

    [dim]$ runrecord bundle 7f3a -o refund.auditbundle.zip --trust-out trust.txt
    $ runrecord verify refund.auditbundle.zip --trust trust.txt
    $ runrecord bundle 7f3a --known march.checkpoint --disclose gen_ai.tool.call.arguments --values values.json[/]
    """
    from runrecord.cli.disclose import discloser
    from runrecord.ledger import Trust, build_bundle, bundle_signer
    from runrecord.ledger.bundle_format import SUFFIX, log_name
    from runrecord.ledger.timestamp import request_timestamp

    wanted = read_policy(policy) if policy else None
    kept = [_read_checkpoint(path) for path in known or ()]
    with open_ledger(ledger) as opened:
        name = opened.resolve(run)
        tell_of_pruning(opened, opened.run(name))
        signer = bundle_signer(opened.path, opened.log.origin, key)
        cosign = None if wanted is None else partial(_cosign, wanted, opened.log.consistency_proof)
        stamp = partial(request_timestamp, tsa) if tsa else None
        opening = discloser(opened, disclose, values) if disclose else None
        archive = build_bundle(
            opened, name, signer=signer, cosign=cosign, timestamp=stamp, known=kept, disclose=opening
        )
        trust = Trust(opened.log.verifiers, (signer.verifier,)).text()
    path = output or Path(f"{log_name(name)}{SUFFIX}")
    write_file(path, archive)
    console.print(f"Wrote {path} ({len(archive):,} bytes).", markup=False, soft_wrap=True)
    if trust_out:
        write_file(trust_out, trust.encode())
        console.print(
            f"Wrote {trust_out}: the public keys; hand it over by another way than the bundle.",
            markup=False,
            soft_wrap=True,
        )
        console.print(f"\n  $ runrecord verify {path} --trust {trust_out}", markup=False, soft_wrap=True)
        return
    console.print(
        "\nWhoever verifies it pins these two keys. Hand them over by another way than the bundle:",
        markup=False,
    )
    for line in trust.splitlines():
        console.print(f"  {line}", markup=False, soft_wrap=True)


def read_policy(path: Path) -> TlogPolicy:
    """Read a policy file, or exit with what is wrong."""
    from runrecord.ledger import LedgerError
    from runrecord.ledger.tlog_policy import TlogPolicy

    try:
        return TlogPolicy.parse(path.read_bytes())
    except OSError as error:
        fail(f"{path} can't be read: {error.strerror or 'an I/O error'}.", "check the path", code=_USAGE)
    except LedgerError as error:
        fail(f"{path}: {error.message}.", error.next_step, code=_USAGE)


def _read_checkpoint(path: Path) -> Checkpoint:
    from runrecord.ledger import LedgerError
    from runrecord.ledger.checkpoint import Checkpoint

    try:
        return Checkpoint.parse(read_file(path, _MAX_NOTE))
    except LedgerError as error:
        hint = "name the file 'checkpoint' of a ledger, or one of checkpoints/ in a bundle"
        fail(f"{path} is no checkpoint: {error.message}.", hint, code=_USAGE)


def read_file(path: Path, limit: int) -> bytes:
    """Read the first bytes of a file, or exit with what is wrong."""
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        fail(f"{path} can't be read: {error.strerror or 'an I/O error'}.", "check the path", code=_USAGE)


def _cosign(policy: TlogPolicy, prove: Prover, checkpoint: Checkpoint) -> Checkpoint:
    from runrecord.ledger.witness import cosign

    done = cosign(checkpoint, policy, prove)
    for failure in done.failures.values():
        errors.print(f"warning: {failure.message}", markup=False, soft_wrap=True)
        if failure.next_step:
            errors.print(f"next: {failure.next_step}", markup=False, soft_wrap=True, style="dim")
    if not done.enough:
        errors.print(
            f"warning: not enough witnesses have cosigned for quorum {policy.quorum}; the bundle will be verified as unwitnessed",
            markup=False,
            soft_wrap=True,
        )
    return done.checkpoint


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    scratch = ""
    try:
        descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except OSError as error:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
        fail(
            f"{path} can't be written: {error.strerror or 'an I/O error'}.",
            "name another file with --output FILE",
        )
