# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What happens in a ledger, as log events to the user's own back end: a cheap copy of what an operator could not take back later.

They go where ``service.telemetry.logs.processors`` says, beside the gateway's own logs; none of them holds content.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from typing import Final

from runrecord.collector.own_signals import tell
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import MalformedError
from runrecord.ledger.log import Log
from runrecord.ledger.sequencer import Appended
from runrecord.ledger.tlog import leaf_hash
from runrecord.semconv import attributes as names

_log = logging.getLogger("runrecord.ledger.events")
_TOLD: Final = frozenset(
    {
        Kind.RUN_CLOSE,
        Kind.RUN_ABANDONED,
        Kind.LATE,
        Kind.GAP,
        Kind.CONFLICT,
    }
)
_OF_OPERATORS: Final = frozenset(
    {Kind.ERASURE, Kind.KEY_ROTATION, Kind.EPOCH_OPEN, Kind.EPOCH_CLOSE, Kind.PRUNED, Kind.LEGAL_HOLD}
)
CHECKPOINT: Final = "runrecord.ledger.checkpoint"
"""Event: a checkpoint was signed; its body is the signed note."""


def tell_entries(origin: str, appended: Iterable[tuple[Entry, Appended]]) -> None:
    """Tell of those entries that say how a run ended, or that something is missing or contradicts itself.

    Args:
        origin: Of the log.
        appended: Entries, and where they are.
    """
    for entry, place in appended:
        conflict = place.status == "conflict"
        if (entry.kind in _TOLD | _OF_OPERATORS and place.status == "new") or conflict:
            facts: dict[str, str | int] = {
                names.LEDGER_ORIGIN: origin,
                names.LEDGER_INDEX: place.index,
                names.LEDGER_LEAF_HASH: leaf_hash(entry.leaf()).hex(),
                names.RUN_ID: entry.run,
                names.TENANT_ID: entry.tenant,
            }
            if conflict:
                del facts[names.LEDGER_LEAF_HASH]  # the leaf there is one about this record
            kind = Kind.CONFLICT if conflict else entry.kind
            outcome = entry.text(names.RUN_OUTCOME)
            if outcome and not conflict:
                facts[names.RUN_OUTCOME] = outcome
            tell(
                _log, f"runrecord.ledger.{kind}", {key: value for key, value in facts.items() if value != ""}
            )


def tell_since(log: Log, size: int) -> None:
    """Tell of what operators did, as the entries from an index on say it."""
    for index, leaf in log.kept(size):
        with contextlib.suppress(MalformedError):
            entry = Entry.parse(leaf)
            if entry.kind in _OF_OPERATORS:
                tell_entries(log.origin, [(entry, Appended(index, "new"))])


def tell_checkpoint(checkpoint: Checkpoint) -> None:
    """Tell of a new checkpoint.

    Args:
        checkpoint: Signed.
    """
    facts: dict[str, str | int] = {
        names.LEDGER_ORIGIN: checkpoint.origin,
        "runrecord.ledger.size": checkpoint.size,
        "runrecord.ledger.root": checkpoint.root.hex(),
    }
    tell(_log, CHECKPOINT, facts, body=checkpoint.note.decode())
