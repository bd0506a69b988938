# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Erasing what a ledger knows of a run's content: the key goes, the entries and all proofs stay.

First the log says so, in an entry of kind ``erasure`` for each run: scope, legal basis, who ordered it, when; a person only as a
commitment under the tenant's key of the run. Only then is the run's secret destroyed (:mod:`runrecord.ledger.run_keys`). A crash between
the two is repaired by the next start, which destroys what the log says was erased; so does every other writer of a shared store. What a
vault keeps can't be read from then on, and is removed (:mod:`runrecord.ledger.vault`).
What comes of the run later is recorded without content (:func:`runrecord.ledger.opening.without_content`).

A ledger may promise to keep the content of each run for some time (rules such as SEC 17a-4 want that): then an erasure is refused until
then. A run under a legal hold is not erased either.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.legal_hold import refuse_held
from runrecord.ledger.records import Record
from runrecord.ledger.unknown_run import UnknownRun
from runrecord.ledger.vault import remove_erased

SCOPE_RUN: Final = "run"
SCOPE_SUBJECT: Final = "subject"
LABEL_SUBJECT: Final = "erasure.subject"
"""Under which the tenant's key of a run commits to the person at whose wish it was erased."""
KEEP_DAYS: Final = ".state/erasure-after-days"
"""The object beside the log with the number of days for which the content of a run is kept in any case."""
MAX_TARGETS: Final = 2_000
"""Runs of one request."""

_MAX_TEXT: Final = 1_000
_MAX_DAYS: Final = 36_500
_DAY: Final = 86_400 * 1_000_000_000
_COMMITMENT: Final = re.compile(r"hmac-sha256:[0-9a-f]{64}")


class ErasureRefused(LedgerError):  # noqa: N818 - a state of the run, named as users meet it
    """The content of a run must not be erased yet, or is erased already."""


@dataclass(frozen=True, slots=True)
class Target:
    """A run to erase.

    Attributes:
        run: Its exact id.
        subject: The commitment to the person at whose wish it is erased, or empty.
    """

    run: str
    subject: str = ""


def erasure_of(records: Iterable[Record], tenant: str | None = None) -> Record | None:
    """Return the entry that states the erasure of a run, the first if there are several; None if it was not erased.

    Args:
        records: Those of the run, in any order.
        tenant: Whose part of the run; None for that of any tenant.
    """
    found = (
        record
        for record in records
        if record.entry.kind == Kind.ERASURE and tenant in (None, record.entry.tenant)
    )
    return min(found, key=lambda record: record.index, default=None)


def kept_days(ledger: Ledger) -> int:
    """Return for how many days after its last record the content of a run is kept in any case.

    Raises:
        LedgerError: What says so can't be read.
    """
    data = ledger.log.objects.read(KEEP_DAYS)
    if data is None:
        return 0
    try:
        return max(0, int(data))
    except ValueError:
        raise LedgerError(
            f"{ledger.log.objects.locate(KEEP_DAYS)} does not hold a number of days",
            "start the gateway once: it writes the one of its configuration",
        ) from None


def keep_for_days(ledger: Ledger, days: int) -> None:
    """State for how many days the content of a run is kept in any case.

    Raises:
        LedgerError: It can't be written.
    """
    if not 0 <= days <= _MAX_DAYS:
        raise LedgerError(f"content can't be kept for {days} days", f"give 0 to {_MAX_DAYS}")
    if kept_days(ledger) != days:
        ledger.log.keep(KEEP_DAYS, b"%d\n" % days)


def refusal(ledger: Ledger, run: str, now: int) -> LedgerError | None:
    """Return why a run can't be erased now, None if it can.

    Args:
        ledger: The ledger.
        run: The run's exact id.
        now: The time, nanoseconds since the Unix epoch.
    """
    try:
        records = ledger.records_of(run)
        tenants = _tenants(records)
        if not records:
            raise UnknownRun(f"there is no run {run!r}", "see 'runrecord runs'")
        if all(erasure_of(records, tenant) is not None for tenant in tenants):
            stated = erasure_of(records)
            assert stated is not None  # there is at least one tenant, if only the empty one
            raise ErasureRefused(
                f"run {run} is erased already (entry {stated.index})", "nothing is left to do"
            )
        refuse_held(ledger, run, "erased")
        until = max(record.entry.end for record in records) + (days := kept_days(ledger)) * _DAY
        if days and now < until:
            day = datetime.fromtimestamp(until / 1e9, timezone.utc).date()
            raise ErasureRefused(
                f"run {run} can't be erased before {day}: this ledger keeps the content of each run for {days} days",
                "that is erasure.after_days of the exporter; ask again then",
            )
    except LedgerError as error:
        return error
    return None


def settle(ledger: Ledger) -> None:
    """Carry out what the log says was erased, by this writer or another: destroy the keys, then empty the vault.

    Raises:
        LedgerError: Something can't be reached; the next time goes on from there.
    """
    ledger.apply_erasures()
    remove_erased(ledger)


def encode_targets(targets: Sequence[Target]) -> str:
    """Return what ``erase`` takes as ``targets``."""
    return json.dumps([{"run": target.run, "subject": target.subject} for target in targets])


def erase(ledger: Ledger, details: Mapping[str, str]) -> Mapping[str, str]:
    """Erase runs (an action of :mod:`runrecord.ledger.administration`).

    Args:
        ledger: Open to write.
        details: ``targets`` (see ``encode_targets``), ``scope`` (``run`` or ``subject``), ``legal_basis``, ``actor`` and ``time``.

    Returns:
        ``erased``: a JSON object of runs and the index of the entry of each; ``refused``: one of runs and why.

    Raises:
        ErasureRefused: None of them may be erased; the message is that of the first.
        LedgerError: The request is not complete, or the ledger can't be written.
    """
    targets, stated = _parse(details)
    now = time.time_ns()
    secrets = ledger.run_secrets  # before anything is promised
    entries: list[Entry] = []
    refused: dict[str, LedgerError] = {}
    for target in targets:
        mine = _entries(ledger.records_of(target.run), target, stated, int(details["time"]))
        why = (
            None if mine and all(_known(ledger, each) for each in mine) else refusal(ledger, target.run, now)
        )
        if why is None:
            entries += mine
        else:
            refused[target.run] = why
    if refused and not entries:
        raise next(iter(refused.values()))
    results = ledger.append_entries(entries)
    ledger.publish()
    secrets.puncture((entry.tenant, entry.run) for entry in entries)
    settle(ledger)
    erased = {entry.run: result.index for entry, result in zip(entries, results, strict=True)}
    return {
        "erased": json.dumps(erased),
        "refused": json.dumps({run: error.message for run, error in refused.items()}),
    }


def _known(ledger: Ledger, entry: Entry) -> bool:
    """Return whether a crash came between this very statement and the answer to it."""
    return any(record.entry == entry for record in ledger.records_of(entry.run))


def _entries(records: Sequence[Record], target: Target, stated: Mapping[str, str], time: int) -> list[Entry]:
    """Return the statements about a run: one for each tenant that is named in it, for each has a key of its own."""
    detail = {**stated, "subject": target.subject} if target.subject else dict(stated)
    return [
        Entry(kind=Kind.ERASURE, run=target.run, tenant=tenant, start=time, end=time, detail=detail)
        for tenant in _tenants(records)
    ]


def _tenants(records: Sequence[Record]) -> list[str]:
    """Return the tenants that have a key of the run; what the ledger states of its own is under no key."""
    of_spans = {record.entry.tenant for record in records if record.entry.span_id}
    return sorted(of_spans or {record.entry.tenant for record in records})


def _parse(details: Mapping[str, str]) -> tuple[list[Target], dict[str, str]]:
    texts = {name: details.get(name, "").strip() for name in ("legal_basis", "actor")}
    for name, text in texts.items():
        if not text or len(text) > _MAX_TEXT:
            raise LedgerError(
                f"an erasure needs {'an actor' if name == 'actor' else 'a legal basis'} of 1 to {_MAX_TEXT} characters",
                "say on what ground, and who ordered it; both stand in the ledger in clear, so name nobody else",
            )
    scope = details.get("scope")
    if scope not in (SCOPE_RUN, SCOPE_SUBJECT):
        raise LedgerError("an erasure is of runs or of a subject", "set scope to run or subject")
    try:
        found: Any = json.loads(details.get("targets", ""))
        targets = [Target(str(each["run"]), str(each["subject"])) for each in found]
    except (ValueError, TypeError, KeyError, RecursionError):
        targets = []
    subjects = all(not each.subject or _COMMITMENT.fullmatch(each.subject) for each in targets)
    if not 0 < len(targets) <= MAX_TARGETS or not subjects or not all(each.run for each in targets):
        raise LedgerError(
            f"an erasure names 1 to {MAX_TARGETS} runs, and a subject only as a commitment",
            "ask for fewer runs at a time",
        )
    return targets, {"scope": scope, **texts}
