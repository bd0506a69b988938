# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Thousands of worlds in which records are lost, late, doubled, reordered and forged: the ledger's verdict is right in each.

To see one that failed again, and to keep it, add its seed to `KEPT`.
"""

from __future__ import annotations

import random

import pytest
from run_simulator import World, expected, is_open, late_ones

from runrecord.ledger.completeness import Verdict, assess
from runrecord.ledger.entry import Kind
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.lifecycle import Lifecycle
from runrecord.ledger.records import Record

KEPT: tuple[int, ...] = (6, 392, 600, 1163, 1691, 1922, 3546)
"""Seeds that failed once."""
WORLDS = 3_000
TICK, QUIET = 4.0, 8.0
"""Seconds between two batches, and without a record until a run is given up."""
TOGETHER = 100
"""Worlds that share a ledger: their records arrive at the same time."""
ORDER = [verdict.value for verdict in Verdict]


class Statements:
    """What the ledger states, on a clock of its own; it is restarted now and then, with nothing but the log."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.now = 0.0
        self.last = {}
        self.lifecycle = self.start()

    def start(self):
        def records_of(run, without):
            return self.ledger.records_of(run, without=without)

        def since(_):
            return {each.run for each in self.ledger.runs()}

        return Lifecycle(None, records_of, since, abandon_after=QUIET, clock=lambda: self.now)

    def restart(self):
        """Lose what is in memory; every open run gets its time anew."""
        self.lifecycle = self.start()
        self.last = dict.fromkeys(self.last, self.now)

    def append(self, entries):
        results = self.ledger.append_entries(entries)
        records = [
            Record(result.index, entry)
            for entry, result in zip(entries, results, strict=True)
            if result.status != "conflict"
        ]
        statements = self.lifecycle.observe(records)
        self.last |= {
            entry.run: self.now
            for entry, result in zip(entries, results, strict=True)
            if result.status == "new" and entry.kind != Kind.GAP
        }
        if statements:
            self.ledger.append_entries(statements)
            again = self.ledger.append_entries(self.lifecycle.observe(records))
            assert {result.status for result in again} == {"duplicate"}

    def pass_time(self):
        """Let time pass, and give up what nobody closed; whoever knows all records knows which runs those are."""
        self.now += TICK
        self.lifecycle.tick(caught_up=True)
        given_up = self.lifecycle.abandoned()
        quiet = [run for run, last in self.last.items() if run and self.now - last >= QUIET]
        open_ones = {
            run for run in quiet if is_open([(r.index, r.entry) for r in self.ledger.records_of(run)])
        }
        assert {entry.run for entry in given_up} == open_ones, {e.run for e in given_up} ^ open_ones
        if given_up:
            self.append(given_up)


def arrive(ledger, worlds):
    """Append what arrives in all worlds, mixed, in batches, with what the ledger states of it."""
    statements = Statements(ledger)
    shuffled = random.Random(worlds[0].seed)
    queues = [list(reversed(world.arrived)) for world in worlds if world.arrived]
    while queues:
        batch = []
        while queues and len(batch) < 400:
            queue = shuffled.choice(queues)
            batch.append(queue.pop())
            queues = [each for each in queues if each]
        statements.append(batch)
        statements.pass_time()
        if shuffled.random() < 0.2:
            statements.restart()


def check(ledger, world):
    for run in world.runs:
        records = ledger.records_of(run)
        found = assess(records)
        arrived = [(record.index, record.entry) for record in records]
        wrong = expected(arrived)
        said = max(wrong, key=ORDER.index, default="COMPLETE")
        harm = [each.__name__ for each in world.harm]
        where = f"seed {world.seed}, {run}, {harm}: {found}"
        assert found.verdict.value == said, f"{where}; expected {said} of {wrong}"
        assert {reason.verdict.value for reason in found.reasons} == wrong, where
        check_what_it_rests_on(found, records, where)
        check_against_the_world(world, run, found, where)
        stated = {int(r.entry.detail["of"]) for r in records if r.entry.kind == Kind.LATE}
        assert stated == late_ones(arrived), where


def check_what_it_rests_on(found, records, where):
    indices = {record.index for record in records}
    for reason in found.reasons:
        conflicting = reason.verdict is Verdict.CONFLICTS  # may be with an entry of another run
        assert conflicting or set(reason.indices) <= indices, where
        assert reason.indices or reason.missing or not records, where
        for hole in reason.missing:
            places = range(hole.first, min(hole.last, hole.first + 50) + 1)
            assert not [
                r
                for r in records
                if r.entry.source == hole.source
                and r.entry.seq in places
                and r.entry.kind not in (Kind.RUN_OPEN, Kind.TOOL_INTENT, Kind.CONFLICT)
            ], where
    if found.complete:
        assert found.closes, where


def check_against_the_world(world, run, found, where):
    """What nobody needs to work out: it is known what was done."""
    if world.untouched(run):
        if run in world.died or run in world.waiting:
            assert found.verdict in (Verdict.UNCLOSED, Verdict.GAPS), where
        else:
            assert found.complete, where
    if world.must_show(run):
        assert not found.complete, where
    if world.contradicted(run):
        assert found.verdict is Verdict.CONFLICTS, where


@pytest.mark.parametrize("first", range(0, WORLDS, TOGETHER * 5))
def test_the_verdict_is_right_in_every_world(first, tmp_path):
    for start in range(first, first + TOGETHER * 5, TOGETHER):
        with Ledger(tmp_path / str(start), origin="example.com/test", checkpoint_interval=None) as ledger:
            worlds = [World(seed) for seed in range(start, start + TOGETHER)]
            arrive(ledger, worlds)
            for world in worlds:
                check(ledger, world)


@pytest.mark.parametrize("seed", KEPT)
def test_a_world_that_was_judged_wrongly_once(seed, ledger):
    world = World(seed)
    arrive(ledger, [world])
    check(ledger, world)


def test_every_verdict_occurs_and_every_kind_of_harm_is_done():
    seen = set()
    for seed in range(300):
        world = World(seed)
        for run in world.runs:
            distinct = list({e.leaf(): e for e in world.arrived if e.run == run}.values())
            wrong = expected(list(enumerate(distinct)))
            seen.add(max(wrong, key=ORDER.index, default="COMPLETE"))
    assert seen == set(ORDER)
