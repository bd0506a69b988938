# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A record is an entry with its place in the log; here is the order of the records of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from runrecord.ledger.entry import Entry


@dataclass(frozen=True)
class Record:
    """An entry and its index in the log."""

    index: int
    entry: Entry


def in_run_order(records: Iterable[Record]) -> list[Record]:
    """Return records in the order of the run, as far as it can be known.

    The index of the log is arrival order only. Within a source the counter decides. Between sources only their clocks
    can, so a record sorts at the latest start that its source had claimed up to its counter; equal times fall
    back on source and index. Records without a counter sort at their own start.
    """
    by_source: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_source[record.entry.source].append(record)
    keyed: list[tuple[int, str, int, int, Record]] = []
    for source, own in by_source.items():
        latest = 0
        own.sort(key=lambda r: (r.entry.seq is None, r.entry.seq or 0, r.entry.start, r.index))
        for position, record in enumerate(own):
            latest = record.entry.start if record.entry.seq is None else max(latest, record.entry.start)
            keyed.append((latest, source, position, record.index, record))
    keyed.sort(key=lambda item: item[:4])
    return [item[4] for item in keyed]


def starts_before(first: Record, second: Record) -> bool:
    """Return whether one record started before another, by the counter of a shared source, else by their clocks."""
    a, b = first.entry, second.entry
    if a.source and a.source == b.source and a.seq is not None and b.seq is not None:
        return a.seq < b.seq
    return a.start < b.start
