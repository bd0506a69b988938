# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord verify`: check an audit bundle offline, against keys that the reader already has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from runrecord.cli.bundle import read_file, read_policy, write_file
from runrecord.cli.console import console, errors, fail
from runrecord.cli.show import reasons_json

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from runrecord.ledger import RunView, Trust, Verification

_MARKS: Final = {
    0: ("ok", "green"),
    1: ("FAILED", "bold red"),
    2: ("incomplete", "bold yellow"),
    3: ("unverifiable", "bold red"),
}
_RESULTS: Final = {
    0: "VERIFIED: the record is authentic and complete.",
    1: "FAILED: do not rely on this bundle.",
    2: "INCOMPLETE: what is here is authentic, and something is missing or contradicts itself.",
    3: "UNVERIFIABLE: nothing can be said about this bundle.",
}
_MAX_FILE: Final = 256 * 1024 * 1024
_MAX_TEXT: Final = 1_000_001
_USAGE: Final = 4
_MAX_SHOWN: Final = 5


def verify(  # noqa: PLR0917 - typer passes them by name
    file: Annotated[Path, typer.Argument(help="The bundle, a .auditbundle.zip file.", show_default=False)],
    trust: Annotated[
        Path | None,
        typer.Option(
            "--trust",
            metavar="FILE",
            help="The trust file: lines 'log VKEY' and 'bundle VKEY'.",
            show_default=False,
        ),
    ] = None,
    log_key: Annotated[
        list[str] | None,
        typer.Option(
            "--log-key", metavar="VKEY", help="A public log key; can be repeated.", show_default=False
        ),
    ] = None,
    bundle_key: Annotated[
        list[str] | None,
        typer.Option(
            "--bundle-key", metavar="VKEY", help="A public bundle key; can be repeated.", show_default=False
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="A policy (C2SP tlog-policy): the logs to trust, and the witnesses that must have cosigned.",
            show_default=False,
        ),
    ] = None,
    tsa_roots: Annotated[
        Path | None,
        typer.Option(
            "--tsa-roots",
            metavar="FILE",
            help="PEM file of roots of time stamping authorities; the checkpoint must have a stamp of one.",
            show_default=False,
        ),
    ] = None,
    known: Annotated[
        list[Path] | None,
        typer.Option(
            "--known",
            metavar="FILE",
            help="A checkpoint that you kept from earlier: the log must be the same one. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger",
            metavar="DIR|URL",
            help="Pin the keys that a ledger of yours states.",
            show_default=False,
        ),
    ] = None,
    first_use: Annotated[
        bool,
        typer.Option(
            "--trust-on-first-use",
            help="Take the keys from the bundle itself. Proves nothing about who made it.",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write the HTML report anew from the entries that were proven; the one in the bundle is its producer's.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Verify an audit bundle, without a network and without trusting whoever made it.

    Exit code 0 authentic and complete, 1 failed, 2 gaps, unclosed, conflicts or unwitnessed, 3 unverifiable (unknown keys or schema), 4 wrong command line.

    [dim]$ runrecord verify refund.auditbundle.zip --trust trust.txt
    $ runrecord verify refund.auditbundle.zip --trust trust.txt --report refund.html
    $ runrecord verify refund.auditbundle.zip --trust trust.txt --known march.checkpoint
    $ runrecord verify refund.auditbundle.zip --log-key example.com/log+1a2b3c4d+AT... --bundle-key ...[/]
    """
    from runrecord.ledger import verify_bundle

    pinned = _trust(trust, log_key or [], bundle_key or [], ledger)
    wanted = read_policy(policy) if policy else None
    roots = _roots(tsa_roots) if tsa_roots else ()
    kept = [read_file(path, _MAX_TEXT) for path in known or ()]
    archive = read_file(file, _MAX_FILE + 1)
    result = verify_bundle(archive, pinned, policy=wanted, tsa_roots=roots, known=kept, first_use=first_use)
    if as_json:
        _print_json(file, result)
    else:
        _print(file, result)
    if report is not None:
        _write_report(report, result)
    raise typer.Exit(int(result.code))


def _trust(file: Path | None, log_keys: list[str], bundle_keys: list[str], ledger: str | None) -> Trust:
    from runrecord.ledger import LedgerError, Trust

    try:
        trust = Trust.of(tuple(log_keys), tuple(bundle_keys))
        if file is not None:
            trust |= Trust.parse(read_file(file, _MAX_TEXT).decode("utf-8", "replace"))
        return trust | Trust.of_ledger(ledger) if ledger is not None else trust
    except LedgerError as error:
        fail(f"{error.message}.", error.next_step, code=_USAGE)


def _roots(path: Path) -> list[Certificate]:
    from runrecord.ledger import LedgerError
    from runrecord.ledger.timestamp import load_roots

    try:
        return load_roots(read_file(path, _MAX_TEXT))
    except LedgerError as error:
        fail(f"{path}: {error.message}.", error.next_step, code=_USAGE)


def _print(file: Path, result: Verification) -> None:
    from rich.table import Table
    from rich.text import Text

    if result.first_use:
        errors.print(
            "WARNING: the keys were taken from the bundle itself. Anybody can make such a bundle; pin the operator's keys.",
            style="bold yellow",
            soft_wrap=True,
        )
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in result.checks:
        mark, style = _MARKS[int(check.code)]
        text = Text(_shown(check.text))
        if check.next_step:
            text.append(f"\nnext: {_shown(check.next_step)}", style="dim")
        table.add_row(Text(mark, style=style), Text(check.name, style="bold"), text)
    console.print(table)
    if result.view is not None:
        _print_run(result, result.view)
    _, style = _MARKS[int(result.code)]
    verdict = _RESULTS[int(result.code)]
    if result.code == 0 and result.first_use:
        verdict, style = (
            "CONSISTENT: the bundle is complete and fits its own keys; nothing shows who made it.",
            "bold yellow",
        )
    console.print(f"\n{verdict}", style=style, markup=False, soft_wrap=True)
    console.print(f"{file}", style="dim", markup=False, soft_wrap=True)
    if result.view is not None:
        for limit in result.limits:
            console.print(limit, style="dim", markup=False, soft_wrap=True)


def _print_run(result: Verification, view: RunView) -> None:
    from runrecord.ledger.narrate import printable, stated

    for statement in result.statements:
        line = f"  {stated(statement)}  #{statement.index}"
        console.print(line, markup=False, soft_wrap=True)
    for opened in result.disclosed[:_MAX_SHOWN]:
        line = f"  DISCLOSED {printable(opened.name)} of #{opened.index}: {_value(opened.value)}"
        console.print(line, markup=False, soft_wrap=True)
    if len(result.disclosed) > _MAX_SHOWN:
        rest = len(result.disclosed) - _MAX_SHOWN
        console.print(f"  and {rest} more disclosed values: --json, or the report", markup=False)
    violations = [finding for finding in result.findings if finding.severity.value == "violation"]
    run = printable(view.run)
    for reason in view.completeness.reasons:
        entries = " ".join(f"#{index}" for index in reason.indices[:_MAX_SHOWN])
        line = f"  {reason.verdict.value}: {printable(reason.text)}  {entries}"
        console.print(line.rstrip(), markup=False, soft_wrap=True)
    console.print(
        f"\nRun {run}: {printable(view.outcome)}, {len(violations)} rule{'' if len(violations) == 1 else 's'} violated",
        markup=False,
        soft_wrap=True,
    )
    for finding in violations:
        entries = " ".join(f"#{index}" for index in finding.indices)
        console.print(f"  {finding.rule}: {_shown(finding.text)}  {entries}", markup=False, soft_wrap=True)


def _write_report(path: Path, result: Verification) -> None:
    from runrecord.ledger import LedgerError, verified_report

    try:
        write_file(path, verified_report(result).encode())
    except LedgerError as error:
        errors.print(f"No report: {error.message}.", markup=False, soft_wrap=True)
        return
    errors.print(f"Wrote {path}.", markup=False, soft_wrap=True)


def _shown(text: str) -> str:
    from runrecord.ledger.narrate import printable

    return "; ".join(printable(part) for part in text.split("; "))


def _value(value: object) -> str:
    from runrecord.ledger.narrate import printable
    from runrecord.semconv.canonical import canonical_form

    return printable(value if isinstance(value, str) else canonical_form(value).decode())


def _print_json(file: Path, result: Verification) -> None:
    console.print_json(
        data={
            "file": str(file),
            "code": int(result.code),
            "result": result.code.name.lower(),
            "trust": "first use" if result.first_use else "pinned",
            "checks": [
                {"name": c.name, "result": c.code.name.lower(), "text": c.text, "next": c.next_step}
                for c in result.checks
            ],
            "run": result.view.run if result.view else None,
            "verdict": result.view.completeness.verdict.value if result.view else None,
            "reasons": reasons_json(result.view.completeness) if result.view else [],
            "statements": [
                {"entry": s.index, "kind": s.entry.kind, **s.entry.detail} for s in result.statements
            ],
            "disclosed": [{"entry": d.index, "name": d.name, "value": d.value} for d in result.disclosed],
            "findings": [
                {"rule": f.rule, "severity": f.severity.value, "text": f.text, "entries": list(f.indices)}
                for f in result.findings
            ],
            "limits": list(result.limits),
        }
    )
