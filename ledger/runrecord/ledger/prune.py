# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Pruning as an operator asks for it, and as a gateway does it by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from runrecord.ledger.errors import LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.legal_hold import held_runs
from runrecord.ledger.pruned import encode_ranges
from runrecord.ledger.retention import Outcome, Retention, finish_pruning
from runrecord.ledger.retention import prune as let_go

_EVERY_SECONDS: Final = 86_400.0
_AGAIN_SECONDS: Final = 3_600.0


def prune(ledger: Ledger, details: Mapping[str, str]) -> Mapping[str, str]:
    """Let go of what was kept long enough (an action of :mod:`runrecord.ledger.administration`).

    Args:
        ledger: Open to write.
        details: ``retention`` (as text; empty for that of the process that writes), ``dry_run`` (``true`` or not) and ``time``.

    Returns:
        ``bundles``, ``entries``, ``epoch``, ``held`` (runs), ``index``, ``removed`` and ``left``.

    Raises:
        LedgerError: Nobody said how long entries are kept, or the ledger can't be read or written.
    """
    retention = Retention.parse(details.get("retention", "")) or ledger.retention
    if not retention:
        raise LedgerError(
            "nobody says for how long the entries are to be kept",
            "give --keep default=365, or set retention_days of the exporter in the gateway that writes to the ledger",
        )
    done = let_go(
        ledger,
        retention,
        held_runs,
        dry_run=details.get("dry_run") == "true",
        time=int(details["time"]),
    )
    return {
        "bundles": encode_ranges(done.plan.bundles),
        "entries": str(done.plan.entries),
        "epoch": done.plan.epoch,
        "held": " ".join(sorted(done.plan.held)),
        "index": "" if done.index is None else str(done.index),
        "removed": str(done.removed),
        "left": str(done.left),
        "retention": str(retention),
    }


class Pruner:
    """Prunes a ledger once a day, by its own retention; what a lock or a crash delayed is tried again once an hour."""

    def __init__(self) -> None:
        self._next = 0.0
        self.left = 0
        """How many entry bundles are stated as pruned and could not be removed yet."""

    def attend(self, ledger: Ledger) -> Outcome | None:
        """Prune if it is time to; call it now and then.

        Raises:
            LedgerError: It did not work; it is tried again in an hour.
        """
        now = ledger.now()
        if now < self._next:
            return None
        self._next = now + _AGAIN_SECONDS
        done = None
        if ledger.retention:
            done = let_go(ledger, ledger.retention, held_runs)
            self.left = done.left
        else:
            self.left = finish_pruning(ledger, held_runs)[1]
        if not self.left:
            self._next = now + _EVERY_SECONDS
        return done
