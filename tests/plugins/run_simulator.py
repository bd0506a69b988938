# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A world of agents whose records get lost, late, doubled, reordered and forged, and what anybody who knows the world would say of them.

`World(seed)` plays some runs: segments in several processes, handed over, suspended and resumed, with parts in other services and
answers in web handlers, some of which die. Then it does harm, and keeps what it did. `World.arrived` is what a ledger gets, in order.
`expected` works the verdict out with sets, from what arrived; `World.must_show` and `World.untouched` know what was done.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.values import wrap
from runrecord.semconv.root import records_root

T0 = 1_790_000_000_000_000_000
CLOSES = {Kind.RUN_CLOSE, Kind.SOURCE_CLOSE}
ANNOUNCED = {Kind.RUN_OPEN, Kind.TOOL_INTENT}
ROOTS: dict[str, list[tuple[int, int]]] = {}
"""The ids over which each root was made, so that nobody here has to make it a second time."""


@dataclass
class Source:
    """One process of a run, and what it counted."""

    id: str
    next: int = 0
    ids: dict[int, tuple[int, int]] = field(default_factory=dict)


class World:
    """What happened, and what arrived of it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.arrived: list[Entry] = []
        self.runs: list[str] = []
        self.lost: list[Entry] = []
        self.died: set[str] = set()
        self.waiting: set[str] = set()
        self._names = 0
        self._clock = T0
        for _ in range(self.random.choice([1, 1, 2, 3])):
            self._play()
        self.arrived = self._interleaved()
        self.emitted = list(self.arrived)
        self.harm = [self.random.choice(HARM) for _ in range(self.random.choice([0, 0, 1, 1, 2, 3]))]
        if seed % 10 == 7:  # behind the others, so that the worlds of seeds that are kept stay what they were
            self.harm.append(World.move_to_a_tenant)
        for harm in self.harm:
            harm(self)

    # -- what agents do ---------------------------------------------------------------------------------------------

    def name(self, digits: int) -> str:
        self._names += 1
        return sha256(f"{self.seed}/{self._names}".encode()).hexdigest()[:digits]

    def _entry(self, run: str, source: Source, kind: str, /, **facts: Any) -> Entry:
        self._clock += 1_000
        fields = {k: facts.pop(k) for k in ("seq", "span_id", "phase", "name") if k in facts}
        return Entry(
            kind=kind,
            run=run,
            tenant="tenant-1",
            source=source.id,
            trace_id=sha256(run.encode()).hexdigest()[:32],
            start=self._clock,
            end=self._clock + 1,
            attributes={name.replace("__", "."): wrap(value) for name, value in facts.items()},
            **fields,
        )

    def _take(self, run: str, source: Source) -> dict[str, Any]:
        number, span = source.next, self.name(16)
        source.next += 1
        source.ids[number] = (int(sha256(run.encode()).hexdigest()[:32], 16), int(span, 16))
        return {"seq": number, "span_id": span}

    def _root(self, source: Source, first: int) -> str:
        ids = [source.ids[n] for n in range(first, source.next)]
        root = records_root(ids)
        ROOTS[root] = ids
        return root

    def _play(self) -> None:
        rng, run = self.random, f"run-{self.seed}-{len(self.runs)}"
        self.runs.append(run)
        self._batches.setdefault(run, [])
        sources = [Source(self.name(16))]
        segments = rng.choice([1, 1, 1, 2, 2, 3])
        for segment in range(segments):
            if segment and rng.random() < 0.7:
                sources.append(Source(self.name(16)))
            source = sources[-1] if rng.random() < 0.8 else rng.choice(sources)
            while rng.random() < 0.15:
                self._segment(run, source, segment, "handed_over")
                source = Source(self.name(16))
                sources.append(source)
            last = segment == segments - 1
            how = rng.choices(["completed", "suspended", "dies"], [8, 1, 1] if last else [0, 9, 1])[0]
            self._segment(run, source, segment, how)
            if how == "dies":
                self.died.add(run)
                return
            if how == "suspended" and last:
                self.waiting.add(run)
            if rng.random() < 0.4 and not last:
                self._answer(run, Source(self.name(16)))

    @property
    def _batches(self) -> dict[str, list[Entry]]:
        return self.__dict__.setdefault("_said", {})

    def _say(self, entry: Entry) -> None:
        self._batches[entry.run].append(entry)

    def _answer(self, run: str, source: Source) -> None:
        facts = {"runrecord__run__records": 1, "runrecord__approval__id": self.name(8)}
        self._say(self._entry(run, source, Kind.APPROVAL_DECISION, **self._take(run, source), **facts))

    def _part(self, run: str) -> None:
        """Another service takes part, as a counted source of its own."""
        source = Source(self.name(16))
        own = self._take(run, source)
        for _ in range(self.random.randrange(3)):
            self._say(self._entry(run, source, Kind.STEP, **self._take(run, source)))
        counted = {"runrecord__run__records": source.next, "runrecord__run__root": self._root(source, 0)}
        self._say(self._entry(run, source, Kind.STEP, **own, **counted))

    def _segment(self, run: str, source: Source, segment: int, how: str) -> None:
        rng = self.random
        own = self._take(run, source)
        if rng.random() < 0.9:
            opened = {"runrecord__run__segment": segment, "phase": "start"}
            self._say(self._entry(run, source, Kind.RUN_OPEN, **own, **opened))
        for _ in range(rng.randrange(5)):
            self._act(run, source)
        if rng.random() < 0.2:
            self._part(run)
        if how == "dies":
            for _ in range(rng.randrange(2)):  # it was in the middle of a call
                call = self._take(run, source)
                self._say(self._entry(run, source, Kind.TOOL_INTENT, **call, phase="start"))
            return
        facts: dict[str, Any] = {
            "runrecord__run__segment": segment,
            "runrecord__run__records": source.next - own["seq"],
        }
        if rng.random() < 0.9:
            facts["runrecord__run__root"] = self._root(source, own["seq"])
        if how == "handed_over":
            facts["runrecord__run__stop_reason"] = "handed_over"
        kind = Kind.RUN_CLOSE if how == "completed" else Kind.SOURCE_CLOSE
        self._say(self._entry(run, source, kind, **own, **facts))

    def _act(self, run: str, source: Source) -> None:
        kind = self.random.choice([Kind.STEP, Kind.POLICY_DECISION, Kind.TOOL_RESULT, Kind.VERIFICATION])
        own = self._take(run, source)
        if kind == Kind.TOOL_RESULT and self.random.random() < 0.6:
            self._say(self._entry(run, source, Kind.TOOL_INTENT, **own, phase="start"))
        self._say(self._entry(run, source, kind, **own))

    def _interleaved(self) -> list[Entry]:
        """Let the runs arrive at the same time, each in its own order."""
        queues = [list(reversed(said)) for said in self._batches.values() if said]
        arrived: list[Entry] = []
        while queues:
            queue = self.random.choice(queues)
            arrived.append(queue.pop())
            queues = [each for each in queues if each]
        return arrived

    # -- what is done to them ---------------------------------------------------------------------------------------

    def pick(self, *kinds: str) -> Entry | None:
        found = [e for e in self.arrived if e.seq is not None and e.kind not in ANNOUNCED]
        found = [e for e in found if not kinds or e.kind in kinds]
        return self.random.choice(found) if found else None

    def lose(self) -> None:
        if self.arrived:
            entry = self.random.choice(self.arrived)
            self.arrived = [each for each in self.arrived if each is not entry]
            self.lost.append(entry)

    def lose_a_batch(self) -> None:
        start = self.random.randrange(len(self.arrived) + 1)
        end = start + self.random.randrange(6)
        self.lost.extend(self.arrived[start:end])
        del self.arrived[start:end]

    def delay(self) -> None:
        if self.arrived:
            entry = self.arrived.pop(self.random.randrange(len(self.arrived)))
            self.arrived.insert(self.random.randrange(len(self.arrived) + 1), entry)

    def reorder(self) -> None:
        self.random.shuffle(self.arrived)

    def duplicate(self) -> None:
        for entry in self.random.sample(self.arrived, min(len(self.arrived), self.random.randrange(1, 6))):
            self.arrived.insert(self.random.randrange(len(self.arrived) + 1), entry)

    def change(self) -> None:
        """Somebody sends another version of a record; whichever comes first is kept, and the other one is a conflict."""
        if entry := self.pick():
            self._put(replace(entry, end=entry.end + 7))

    def replace_lost(self) -> None:
        """Somebody puts a record of their own into the place of one that they took away."""
        entry = self.pick(Kind.STEP, Kind.POLICY_DECISION, Kind.VERIFICATION)
        if entry is None or entry.integer("runrecord.run.records") is not None:
            return
        self.arrived = [each for each in self.arrived if each is not entry]
        self.lost.append(entry)
        self._put(replace(entry, span_id=self.name(16), name="forged"))

    def miscount(self) -> None:
        """A record comes with another number than it took."""
        if entry := self.pick():
            wrong = max(0, (entry.seq or 0) + self.random.choice([-1, 1, 3]))
            self.arrived = [replace(e, seq=wrong) if e is entry else e for e in self.arrived]

    def misstate_the_count(self) -> None:
        if entry := self.pick(*CLOSES):
            count = max(0, (entry.integer("runrecord.run.records") or 0) + self.random.choice([-1, 1, 5]))
            wrong = replace(entry, attributes={**entry.attributes, "runrecord.run.records": wrap(count)})
            self.arrived = [wrong if e is entry else e for e in self.arrived]

    def forge_a_close(self) -> None:
        """Somebody closes a run of others, as a source of their own or in the name of one."""
        run = self.random.choice(self.runs)
        known = [e.source for e in self.arrived if e.run == run and e.source]
        source = Source(self.random.choice([*known, self.name(16)]) if known else self.name(16))
        facts = {
            "runrecord__run__segment": self.random.randrange(2),
            "runrecord__run__records": self.random.randrange(4),
        }
        where = {"seq": self.random.randrange(3), "span_id": self.name(16)}
        self._put(self._entry(run, source, Kind.RUN_CLOSE, **where, **facts))

    def replay_elsewhere(self) -> None:
        """A record of one run is sent again as one of another run."""
        if len(self.runs) > 1 and (entry := self.pick()):
            other = self.random.choice([run for run in self.runs if run != entry.run])
            self._put(replace(entry, run=other))

    def replay_as_a_tenant(self) -> None:
        if entry := self.pick():
            self._put(replace(entry, tenant="tenant-2"))

    def move_to_a_tenant(self) -> None:
        """A record comes as one of another tenant, and not as what it was."""
        if entry := self.pick():
            self.arrived = [replace(e, tenant="tenant-2") if e is entry else e for e in self.arrived]

    def stated_gap(self) -> None:
        run = self.random.choice(self.runs)
        self._put(
            Entry(kind=Kind.GAP, run=run, start=self._clock, end=self._clock, detail={"reason": "queue_full"})
        )

    def _put(self, entry: Entry) -> None:
        self.arrived.insert(self.random.randrange(len(self.arrived) + 1), entry)

    # -- what is known of the world -----------------------------------------------------------------------------------

    def untouched(self, run: str) -> bool:
        """Whether every record of a run arrived, and nothing else under its name; in any order, and any number of times."""
        own = {e.leaf() for e in self.emitted if e.run == run}
        keys = {e.key() for e in self.emitted if e.run == run}
        return own == {e.leaf() for e in self.arrived if e.run == run or e.key() in keys}

    def contradicted(self, run: str) -> bool:
        """Whether two versions of one of its records arrived, or records of two tenants."""
        own = [e for e in self.arrived if e.run == run]
        versions = Counter(key for key, _ in {(e.key(), e.leaf()) for e in own})
        return max(versions.values(), default=0) > 1 or len({e.tenant for e in own} - {""}) > 1

    def must_show(self, run: str) -> bool:
        """Whether a record is lost that its own source, or a close, still gives away."""
        here = [e for e in self.arrived if e.run == run and e.seq is not None and e.kind not in ANNOUNCED]
        return any(
            entry.run == run
            and entry.kind not in ANNOUNCED
            and not any(e.source == entry.source and e.seq == entry.seq for e in here)
            and any(e.source == entry.source and (e.seq or 0) > (entry.seq or 0) for e in here)
            for entry in self.lost
        )


HARM = (
    World.lose,
    World.lose,
    World.lose_a_batch,
    World.delay,
    World.reorder,
    World.duplicate,
    World.change,
    World.replace_lost,
    World.miscount,
    World.misstate_the_count,
    World.forge_a_close,
    World.replay_elsewhere,
    World.replay_as_a_tenant,
    World.stated_gap,
)


def expected(records: Sequence[tuple[int, Entry]]) -> set[str]:
    """Say, with sets, what is wrong with the records of a run: the verdicts that apply, the worst of which is the verdict."""
    return set(_wrong(records))


def _wrong(records: Sequence[tuple[int, Entry]]) -> Iterator[str]:
    entries = [entry for _, entry in records]
    real = [
        (i, e) for i, e in records if e.kind not in {Kind.CONFLICT, Kind.GAP, Kind.LATE, Kind.RUN_ABANDONED}
    ]
    counted = [(i, e) for i, e in real if e.kind not in ANNOUNCED and e.seq is not None]
    if any(entry.kind == Kind.CONFLICT for entry in entries):
        yield "CONFLICTS"
    if len({entry.tenant for entry in entries} - {""}) > 1:
        yield "CONFLICTS"
    if any(entry.kind == Kind.GAP for entry in entries):
        yield "GAPS"
    if max(Counter((e.source, e.seq) for _, e in counted).values(), default=0) > 1:
        yield "CONFLICTS"
    for source in {e.source for _, e in real}:
        yield from _wrong_of_source([e for _, e in real if e.source == source])
    ended = [(e.integer("runrecord.run.segment") or 0, e) for _, e in counted if e.kind in CLOSES]
    once = Counter(n for n, e in ended if e.text("runrecord.run.stop_reason") != "handed_over")
    if max(once.values(), default=0) > 1:
        yield "CONFLICTS"
    numbers = {n for n, _ in ended}
    if numbers != set(range(max(numbers, default=-1) + 1)):
        yield "GAPS"
    if not any(e.kind == Kind.RUN_CLOSE and n == max(numbers) for n, e in ended):
        yield "UNCLOSED"
    results = {e.span_id for _, e in real if e.kind == Kind.TOOL_RESULT}
    if {e.span_id for _, e in real if e.kind == Kind.TOOL_INTENT} - results:
        yield "GAPS"
    if late_ones(records):
        yield "COMPLETE+LATE"


def _numbers(close: Entry) -> set[int]:
    first = close.seq or 0
    return set(range(first, first + (close.integer("runrecord.run.records") or 0)))


def _counts(entry: Entry) -> bool:
    return entry.kind in CLOSES or entry.integer("runrecord.run.records") is not None


def _wrong_of_source(own: Sequence[Entry]) -> Iterator[str]:
    here = [e for e in own if e.kind not in ANNOUNCED]
    closes = [e for e in here if _counts(e)]
    have = {e.seq for e in here if e.seq is not None}
    counted: set[int] = set().union(*map(_numbers, closes)) if closes else set()
    behind = max((max(_numbers(c), default=(c.seq or 0) - 1) + 1 for c in closes), default=0)
    announced = set(range(behind))
    missing = (announced | counted | set(range(max(have, default=-1) + 1))) - have
    begun = [e for e in own if e.kind == Kind.RUN_OPEN]
    not_ended = [e for e in begun if e.span_id not in {c.span_id for c in closes}]
    running = {e.seq for e in not_ended if e.seq is not None} | (set() if closes else {0})
    if missing - running:
        yield "GAPS"
    if not_ended or (not closes and 0 in missing) or any(n >= behind for n in have):
        yield "UNCLOSED"
    for close in closes:
        root = close.text("runrecord.run.root")
        spans = {n: [e for e in here if e.seq == n] for n in _numbers(close)}
        if root and spans and all(len(found) == 1 for found in spans.values()):
            ids = [
                (int(found[0].trace_id, 16), int(found[0].span_id, 16)) for _, found in sorted(spans.items())
            ]
            if ids != ROOTS[root]:
                yield "CONFLICTS"


def late_ones(records: Sequence[tuple[int, Entry]]) -> set[int]:
    """Return the indices of what came after the close that counts it, or after the end of the run."""
    counted = [
        (i, e)
        for i, e in records
        if e.seq is not None and e.kind not in ANNOUNCED and e.kind != Kind.CONFLICT
    ]
    end = min((i for i, e in records if e.kind in {Kind.RUN_CLOSE, Kind.RUN_ABANDONED}), default=None)
    late = {i for i, _ in counted if end is not None and i > end}
    for at, close in counted:
        if _counts(close):
            late |= {
                i for i, e in counted if i > at and e.source == close.source and e.seq in _numbers(close)
            }
    return late


def is_open(records: Sequence[tuple[int, Entry]]) -> bool:
    """Say whether something of a run began and did not end, so that silence would mean that nobody will close it."""
    real = [(i, e) for i, e in records if e.kind not in {Kind.CONFLICT, Kind.GAP, Kind.LATE}]
    if not real or any(e.kind in {Kind.RUN_CLOSE, Kind.RUN_ABANDONED} for _, e in real):
        return False
    waits = [
        (e.integer("runrecord.run.segment") or 0, i, e.text("runrecord.run.stop_reason") != "handed_over")
        for i, e in real
        if e.kind == Kind.SOURCE_CLOSE
    ]
    if not waits or not max(waits)[2]:
        return True
    ended = {e.span_id for _, e in real if e.kind not in ANNOUNCED and _counts(e)}
    if {e.span_id for _, e in real if e.kind == Kind.RUN_OPEN} - ended:
        return True
    for source in {e.source for _, e in real}:
        own = [e for _, e in real if e.source == source and e.kind not in ANNOUNCED and e.seq is not None]
        behind = max(
            ((c.seq or 0) + (c.integer("runrecord.run.records") or 0) for c in own if _counts(c)), default=0
        )
        if any((e.seq or 0) >= behind for e in own):
            return True
    return False
