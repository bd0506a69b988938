# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord erase`: destroy what a ledger knows of the content of runs, one by one or all those of a person."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from runrecord.cli.administer import ActorOption, KeyFileOption, actor_name, administer
from runrecord.cli.console import console, errors, fail
from runrecord.cli.show import LedgerOption

if TYPE_CHECKING:
    from runrecord.ledger import Ledger, LedgerError
    from runrecord.ledger.erasure import Target
    from runrecord.ledger.subjects import Found
    from runrecord.semconv.commitment import TenantKey

_USAGE = 4
_ROUNDS = 5
_BATCH = 500


def erase(  # noqa: PLR0917 - typer passes them by name
    run: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="RUN", help="A run, by its id or the start of it.", show_default=False),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            metavar="VALUE",
            help="A person, as their id or address stands in user.id and the like; - reads it from standard input.",
            show_default=False,
        ),
    ] = None,
    legal_basis: Annotated[
        str,
        typer.Option(
            "--legal-basis",
            metavar="TEXT",
            help="On what ground, for example 'GDPR Art. 17, request 2026-31'; stands in the ledger in clear.",
            show_default=False,
        ),
    ] = "",
    actor: ActorOption = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attribute", metavar="NAME", help="A further attribute that names persons."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="The gateway's configuration: finds persons also under the pseudonyms that its redaction makes.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    ledger: LedgerOption = None,
    key_file: KeyFileOption = None,
) -> None:
    """Destroy the content of runs: the key of their commitments, and what the vault holds of them.

    The entries stay, and every proof of them stays valid; an entry says who had it erased, when, and on what ground. What stands in
    clear in them stays, too. A run is erased as a whole, whoever else appears in it. It works while a gateway writes.

    [dim]$ runrecord erase --run 7f3a --legal-basis "GDPR Art. 17, request 2026-31"
    $ runrecord erase --subject ada@example.com --dry-run[/]
    """
    if bool(run) == (subject is not None):
        fail("Name runs or a person.", "runrecord erase --run RUN, or --subject VALUE", _USAGE)
    if not legal_basis.strip() and not dry_run:
        fail(
            "An erasure needs a ground.",
            '--legal-basis "GDPR Art. 17, request 2026-31", or --dry-run',
            _USAGE,
        )
    asked = {"legal_basis": legal_basis, "actor": actor_name(actor), "time": str(time.time_ns())}
    if run:
        _erase_runs(ledger, run, asked, key_file, dry_run=dry_run, yes=yes)
    else:
        value = sys.stdin.readline().strip() if subject == "-" else (subject or "").strip()
        if not value:
            fail("The person is not named.", "--subject VALUE", _USAGE)
        person = _Person(value, attribute or [], config)
        _erase_subject(ledger, person, asked, key_file, dry_run=dry_run, yes=yes)


class _Person:
    """Someone to look for.

    Args:
        value: As given.
        attributes: Further attributes to look in.
        config: Where the redaction policy stands; None for the default one.
    """

    def __init__(self, value: str, attributes: Sequence[str], config: Path | None) -> None:
        from runrecord.cli.redacting.policy import PolicyFileError, load_policy
        from runrecord.ledger.subjects import SUBJECT_ATTRIBUTES
        from runrecord.semconv.commitment import load_tenant_key
        from runrecord.semconv.errors import SemconvError

        self.value = value
        self.attributes = (*SUBJECT_ATTRIBUTES, *attributes)
        try:
            self.tenant_key: TenantKey = load_tenant_key(create=False)
            self._redactor = load_policy(config).redactor
        except SemconvError as error:
            fail(str(error))
        except PolicyFileError as error:
            fail(f"The redaction policy can't be used: {error}")

    def values(self, tenant: str) -> list[str]:
        """Return the texts under which they may appear in the records of a tenant."""
        from runrecord.cli.redacting.subject import written

        return [self.value, *written(self._redactor, self.value, self.attributes, tenant)]

    def commitment(self, run: str) -> str:
        """Return what the entry of an erasure says of them."""
        from runrecord.ledger.erasure import LABEL_SUBJECT

        return self.tenant_key.run_key(run).commit(LABEL_SUBJECT, self.value)


def _erase_runs(
    where: str | None,
    runs: Sequence[str],
    asked: dict[str, str],
    key_file: list[Path] | None,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    from runrecord.ledger import LedgerError
    from runrecord.ledger.erasure import SCOPE_RUN, Target

    try:
        with _reading(where) as ledger:
            names = list(dict.fromkeys(ledger.resolve(each) for each in runs))
            entries = {name: len(ledger.records_of(name)) for name in names}
            free = _refusals(ledger, names)
    except LedgerError as error:
        _fail(error)
    for name in names:
        why = f"  not now: {free[name]}" if free.get(name) else ""
        console.print(f"  {name}  {entries[name]} entries{why}", markup=False, soft_wrap=True)
    if dry_run:
        return
    _confirm(len(names), yes=yes)
    _carry_out(where, [Target(name) for name in names], {**asked, "scope": SCOPE_RUN}, key_file)


def _erase_subject(
    where: str | None,
    person: _Person,
    asked: dict[str, str],
    key_file: list[Path] | None,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    from runrecord.ledger import LedgerError
    from runrecord.ledger.erasure import SCOPE_SUBJECT, Target

    since = done = 0
    for turn in range(_ROUNDS):  # once more for what came meanwhile
        try:
            with _reading(where) as ledger:
                size = ledger.log.size
                found = _find(ledger, person, since)
                refused = _refusals(ledger, found)
        except LedgerError as error:
            _fail(error)
        wanted = [run for run, each in found.items() if each.committed and run not in refused]
        if not turn:
            _tell(found, refused)
            if dry_run:
                return
            if wanted:
                _confirm(len(wanted), yes=yes)
        if not wanted:
            break
        for start in range(0, len(wanted), _BATCH):
            targets = [Target(run, person.commitment(run)) for run in wanted[start : start + _BATCH]]
            _carry_out(where, targets, {**asked, "scope": SCOPE_SUBJECT}, key_file)
        since, done = size, done + len(wanted)
    if not done:
        console.print("Nothing was erased.")


def _find(ledger: Ledger, person: _Person, since: int) -> dict[str, Found]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from runrecord.ledger.run_keys import RunKeys
    from runrecord.ledger.subjects import find_subject

    columns = (
        TextColumn("entries looked through"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    keys = RunKeys(ledger.run_secrets, person.tenant_key)
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("", total=ledger.log.size, completed=since)
        return find_subject(
            ledger,
            keys,
            person.values,
            attributes=person.attributes,
            since=since,
            progress=lambda done, size: bar.update(task, completed=done, total=size),
        )


def _tell(found: dict[str, Found], refused: dict[str, str]) -> None:
    if not found:
        console.print("No entry names this person, as far as the keys here can tell.")
        return
    for run, each in found.items():
        parts = [f"{len(each.committed)} entries commit to them"] if each.committed else []
        if each.clear:
            first = ", ".join(map(str, each.clear[:5]))
            parts.append(f"{len(each.clear)} name them in clear and stay ({first})")
        if run in refused and each.committed:
            parts.append(f"not now: {refused[run]}")
        console.print(f"  {run}  {'; '.join(parts)}", markup=False, soft_wrap=True)


def _refusals(ledger: Ledger, runs: Sequence[str] | dict[str, Found]) -> dict[str, str]:
    from runrecord.ledger.erasure import refusal

    now = time.time_ns()
    found = {run: refusal(ledger, run, now) for run in runs}
    return {run: error.message for run, error in found.items() if error is not None}


def _confirm(count: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        fail("Nobody can be asked whether this is meant.", "add --yes", _USAGE)
    what = "this run" if count == 1 else f"these {count} runs"
    if not typer.confirm(f"Destroy the content of {what} for good?", err=True):
        raise typer.Exit(1)


def _carry_out(
    where: str | None, targets: Sequence[Target], asked: dict[str, str], key_file: list[Path] | None
) -> None:
    from runrecord.ledger.erasure import encode_targets

    done = administer(where, "erase", {**asked, "targets": encode_targets(targets)}, key_file=key_file)
    for run, index in json.loads(done["erased"]).items():
        console.print(f"Run {run}: its content is erased, entry {index}.", markup=False)
    refused = json.loads(done["refused"])
    for run, why in refused.items():
        errors.print(f"Run {run} is not erased: {why}", markup=False)


def _reading(where: str | None) -> Ledger:
    from runrecord.ledger import Ledger
    from runrecord.ledger.stores.location import default_location

    return Ledger(where or default_location(), read_only=True)


def _fail(error: LedgerError) -> NoReturn:
    fail(f"{error.message}.", error.next_step)
