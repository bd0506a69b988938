# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Legal holds: a run under one is neither erased nor pruned until it is released.

A hold is an entry of the run like any other statement of the ledger, and so is its release: whether a run is held, since when, why and
who said so follows from the log alone, and is in every bundle of the run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Final

from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerError, MalformedError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.records import Record

PLACED: Final = "placed"
RELEASED: Final = "released"
_MAX_TEXT: Final = 1_000
_HOLD: Final = f'"kind":"{Kind.LEGAL_HOLD}"'.encode()


class RunHeld(LedgerError):  # noqa: N818 - a state of the run, named as users meet it
    """A run is under a legal hold."""


def hold_of(records: Iterable[Record]) -> Record | None:
    """Return the entry that holds the run of some records, None if it is not held.

    Args:
        records: Those of one run, in any order.
    """
    newest = max(
        (record for record in records if record.entry.kind == Kind.LEGAL_HOLD),
        key=lambda record: record.index,
        default=None,
    )
    return newest if newest is not None and newest.entry.detail.get("action") == PLACED else None


def held(ledger: Ledger, run: str) -> Record | None:
    """Return the entry that holds the run with exactly this id, None if it is not held.

    Raises:
        LedgerError: The ledger can't be read.
    """
    return hold_of(ledger.records_of(run))


def held_runs(ledger: Ledger) -> set[str]:
    """Return the runs that are held, by the entries themselves: all of them are read.

    Raises:
        LedgerError: The ledger can't be read.
    """
    holds: dict[str, list[Record]] = {}
    for index, leaf in ledger.log.kept():
        if _HOLD in leaf:
            with contextlib.suppress(MalformedError):
                entry = Entry.parse(leaf)
                holds.setdefault(entry.run, []).append(Record(index, entry))
    return {run for run, records in holds.items() if hold_of(records) is not None}


def refuse_held(ledger: Ledger, run: str, what: str) -> None:
    """Raise if a run is held.

    Args:
        ledger: The ledger.
        run: The run's exact id.
        what: What was to be done to it, as in "erased".

    Raises:
        RunHeld: It is held; the message names the entry.
    """
    record = held(ledger, run)
    if record is not None:
        raise RunHeld(
            f"run {run} is under a legal hold (entry {record.index}) and can't be {what}",
            f"if the hold has ended: runrecord hold release {run}",
        )


def change(ledger: Ledger, details: Mapping[str, str]) -> Mapping[str, str]:
    """Place or release a hold (an action of :mod:`runrecord.ledger.administration`).

    Args:
        ledger: Open to write.
        details: ``run`` (its id or the start of it), ``action`` (``placed`` or ``released``), ``reason``, ``actor`` and ``time``.

    Returns:
        ``run`` and the ``index`` of the entry.

    Raises:
        UnknownRun: None or several runs match.
        LedgerError: The run is held already, or is not.
    """
    run = ledger.resolve(details["run"])
    action, time = details["action"], int(details["time"])
    texts = {"reason": details.get("reason", "").strip(), "actor": details.get("actor", "").strip()}
    for name, text in texts.items():
        if not text or len(text) > _MAX_TEXT:
            raise LedgerError(
                f"a legal hold needs {'an' if name == 'actor' else 'a'} {name} of 1 to {_MAX_TEXT} characters",
                "say why, and who ordered it; both stand in the ledger in clear",
            )
    records = ledger.records_of(run)
    entry = Entry(
        kind=Kind.LEGAL_HOLD,
        run=run,
        tenant=max(record.entry.tenant for record in records),
        start=time,
        end=time,
        detail={"action": action, **texts},
    )
    again = next((record for record in records if record.entry == entry), None)
    if again is None:  # else a crash came before the answer
        hold = hold_of(records)
        if action == PLACED and hold is not None:
            raise LedgerError(
                f"run {run} is under a legal hold already (entry {hold.index})",
                "release it first to state another reason",
            )
        if action == RELEASED and hold is None:
            raise LedgerError(
                f"run {run} is not under a legal hold", "see 'runrecord show' for what concerns it"
            )
        [again] = [Record(each.index, entry) for each in ledger.append_entries([entry])]
        ledger.publish()
    return {"run": run, "index": str(again.index)}
