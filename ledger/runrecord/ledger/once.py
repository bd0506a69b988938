# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Stating something of which a log holds one, whatever else it says: of several writers, and of several attempts, the first counts."""

from __future__ import annotations

from collections.abc import Sequence

from runrecord.ledger.entry import Entry
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.log import Log


class _TakenError(Exception):
    pass


def _refuse(key: bytes, old_index: int, leaf: bytes) -> bytes:
    del key, old_index, leaf
    raise _TakenError


def append_once(log: Log, entries: Sequence[Entry]) -> list[int]:
    """Append statements, and return their indices; where the log holds another one under the key of any, none is appended.

    Raises:
        LedgerError: Nothing of the call was kept, see ``Log.append``.
    """
    try:
        return [
            each.index for each in log.append([(e.key(), e.leaf()) for e in entries], on_conflict=_refuse)
        ]
    except _TakenError:  # of all or of none: they are always appended together
        found = log.indices_of([each.key() for each in entries])
    indices = [index for index in found if index is not None]
    if len(indices) < len(entries):
        raise LedgerError(
            f"other writers state only a part of what is to be stated together in the ledger in {log.where}",
            "compare the clocks of the machines that write to it",
        )
    return indices
