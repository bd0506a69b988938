# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What leaves the index of runs with entries that were pruned: whoever reads the index learns no more than who reads the log."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable

from runrecord.ledger.run_facts import Row, RunFacts, facts_of, row_of
from runrecord.ledger.run_tables import NO_RUN, UPDATE, values_of
from runrecord.ledger.tiles import TILE_WIDTH


def forget(
    connection: sqlite3.Connection, bundles: Iterable[int], leaf: Callable[[int], bytes]
) -> list[RunFacts]:
    """Take the entries of some bundles out of their runs, and runs that have no other entries out of the index.

    Args:
        connection: In a transaction.
        bundles: Numbers of entry bundles that are gone.
        leaf: Returns a leaf, nothing for one that is gone; those of what is left of a run are read.

    Returns:
        The runs of which something is left, worked out anew; their facets are the caller's to write.
    """
    gone = set(bundles)
    end = (max(gone, default=-1) + 1) * TILE_WIDTH
    places: list[tuple[int, int]] = []
    left: defaultdict[int, list[int]] = defaultdict(list)
    asked = "SELECT number, idx FROM entries WHERE number BETWEEN 0 AND ?"
    for number, index in connection.execute(asked, (end,)):
        if index // TILE_WIDTH in gone:
            places.append((number, index))
        else:
            left[number].append(index)
    touched = sorted({number for number, _ in places})
    rows: dict[int, list[Row]] = {}
    for number in touched:
        leaves = {index: leaf(index) for index in left.pop(number, ())}
        places += ((number, index) for index, each in leaves.items() if not each)
        rows[number] = [row_of(index, each) for index, each in leaves.items() if each]
    execute = connection.executemany
    execute("DELETE FROM entries WHERE number = ? AND idx = ?", places)
    execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", [(NO_RUN, index) for _, index in places])
    connection.execute("CREATE TEMP TABLE touched (number INTEGER PRIMARY KEY)")
    execute("INSERT INTO touched VALUES (?)", [(number,) for number in touched])
    connection.execute("DELETE FROM facets WHERE number IN (SELECT number FROM touched)")
    connection.execute("DROP TABLE touched")
    execute("DELETE FROM runs WHERE number = ?", [(number,) for number in touched if not rows[number]])
    anew: list[RunFacts] = []
    for number in touched:
        if rows[number]:
            (run,) = connection.execute("SELECT run FROM runs WHERE number = ?", (number,)).fetchone()
            facts = facts_of(run, number, rows[number])
            facts.pruned = True
            anew.append(facts)
    execute(UPDATE, [(*values_of(facts), facts.number) for facts in anew])
    return anew
