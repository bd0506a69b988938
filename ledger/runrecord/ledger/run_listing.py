# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A page of runs: the index says which, and the leaves of those, and of no other run, say what is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runrecord.ledger.run_facts import RunFacts, row_of
from runrecord.ledger.run_index import RunIndex, differs
from runrecord.ledger.run_search import Cursor, Place, RunPage, RunQuery, place_of


@dataclass(frozen=True)
class Listing:
    """The runs of a log as it was at one size.

    Attributes:
        index: Covers at least so many leaves.
        leaf: Returns a leaf; a reader's checks it. Nothing for one that was pruned.
        size: The size.
        checks: Whether the leaves of each run that is shown have to say what the index says.
    """

    index: RunIndex
    leaf: Callable[[int], bytes]
    size: int
    checks: bool

    def page(self, query: RunQuery, after: Place | None, limit: int) -> RunPage:
        """Return at most ``limit`` runs that are like a query, in its order, behind a place.

        Raises:
            RunIndexError: The index says something else about one of them than its leaves.
        """
        found: dict[int, RunFacts] = {}
        at = after
        while len(found) <= limit:
            batch = self.index.search(query, self.size, at, limit + 1)
            for facts in self._checked(query, batch) if self.checks else batch:
                found[facts.number] = facts
            if len(batch) <= limit:
                break
            at = place_of(batch[-1], query.order)
        # Only now: what changed since this size while the index was asked is among these, and not missed.
        for facts in self.truth(self.index.changed(self.size)):
            is_behind = after is None or place_of(facts, query.order) < after
            if facts.entries and is_behind and query.matches(facts):
                found[facts.number] = facts
        ordered = sorted(found.values(), key=lambda facts: place_of(facts, query.order), reverse=True)
        runs = tuple(facts.summary for facts in ordered[:limit])
        if len(ordered) <= limit:
            return RunPage(runs, None)
        return RunPage(runs, str(Cursor(self.size, place_of(ordered[limit - 1], query.order))))

    def truth(self, runs: Iterable[tuple[int, str]]) -> list[RunFacts]:
        """Return what the leaves say of runs, each given by its number and id.

        Raises:
            RunIndexError: A leaf that the index names is not of its run.
        """
        found = {number: RunFacts(run, number) for number, run in runs}
        places = [
            (index, facts) for facts in found.values() for index in self.index.indices(facts.run, self.size)
        ]
        places.sort(key=lambda place: place[0])  # so that each bundle is read once
        for index, facts in places:
            leaf = self.leaf(index)
            if not leaf:
                facts.pruned = True
                continue
            row = row_of(index, leaf)
            if row.run != facts.run:
                raise differs(facts.run)
            facts.add(row)
        return list(found.values())

    def whole(self) -> None:
        """Check that no leaf is hidden: each is listed once, and those of no run belong to none.

        Raises:
            RunIndexError: One is.
        """
        for index in self.index.outside(self.size):
            if run := row_of(index, self.leaf(index)).run:
                raise differs(run)

    def _checked(self, query: RunQuery, batch: list[RunFacts]) -> list[RunFacts]:
        said = {facts.number: facts for facts in batch}
        truth = self.truth((facts.number, facts.run) for facts in batch)
        for facts in truth:
            if facts.pruned:  # the index may still go by what is gone
                continue
            facts.pruned = said[facts.number].pruned
            if facts != said[facts.number] or not query.matches(facts):
                raise differs(facts.run)
        return [facts for facts in truth if facts.entries and query.matches(facts)]
