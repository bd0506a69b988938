# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger beside others at equal durability, and how it reads when it is large."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from bench import runs
from bench.gateway import corpus
from bench.ledgers import Log, Missing
from runrecord.ledger import Entry, Kind, Ledger, build_bundle, fsck, verify_bundle
from runrecord.ledger.tlog import leaf_hash, verify_inclusion
from runrecord.ledger.trust import Trust
from runrecord.processors.ledger.projection import project
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import load_tenant_key

_SECONDS = 3.0
_PUBLISHED = 40_000


@dataclass
class Row:
    """What was measured of one log at one size of groups.

    Attributes:
        log: Which.
        group: How many entries at once.
        rate: Entries per second, durable.
        cpu: Microseconds of CPU of this process for an entry.
        size: Bytes on disk for an entry, beyond those of the entry itself.
        missing: Why it is not there.
    """

    log: Log
    group: int
    rate: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    size: float = 0.0
    missing: str = ""


def entries(count: int) -> list[Entry]:
    """Entries of real spans, no two of one key."""
    key, found = load_tenant_key(), list[Entry]()
    for body in corpus(max(1, count // 300), 0.03):
        found += project(Signal.TRACES, body, tenant_key=key)
        if len(found) >= count:
            break
    return found[:count]


def again(sample: Sequence[Entry], number: int) -> list[Entry]:
    """Return the same entries of other runs, whose ids are as random as those of the first ones."""
    ids: dict[str, str] = {"": ""}

    def other(old: str) -> str:
        if old not in ids:
            ids[old] = blake2b(
                old.encode(), digest_size=len(old) // 2, salt=number.to_bytes(16, "big")
            ).hexdigest()
        return ids[old]

    return [replace(entry, run=other(entry.run), trace_id=other(entry.trace_id)) for entry in sample]


def measure(logs: Sequence[Log], rounds: int, sample: Sequence[Entry]) -> list[Row]:
    """Measure all logs at all sizes, which take turns."""
    rows = [Row(log, group) for log in logs for group in log.groups]
    for number in range(rounds):
        for row in rows:
            title = f"\r  round {number + 1} of {rounds}: {row.log.title}, groups of {row.group:<20}"
            print(f"{title:<90}", end="", file=sys.stderr, flush=True)
            if row.missing:
                continue
            try:
                with tempfile.TemporaryDirectory(prefix="runrecord-bench-") as directory:
                    _round(row, Path(directory), sample)
            except Missing as error:
                row.missing = str(error)
    print("\r" + " " * 90 + "\r", end="", file=sys.stderr)
    return rows


def _round(row: Row, place: Path, sample: Sequence[Entry]) -> None:
    with row.log.open(place) as append:
        append(sample[: row.group])  # warm
        done, spent, cpu, at, copy = 0, 0.0, 0.0, row.group, 0
        fresh = list(sample)
        while spent < _SECONDS and done < 60_000:
            if at + row.group > len(fresh):
                copy, at = copy + 1, 0
                fresh = again(sample, copy)
            group = fresh[at : at + row.group]
            at += row.group
            started, began = time.perf_counter(), time.process_time()
            append(group)
            spent += time.perf_counter() - started
            cpu += time.process_time() - began
            done += len(group)
    leaves = sum(len(entry.leaf()) for entry in sample) / len(sample)
    held = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    row.rate.append(done / spent)
    row.cpu.append(cpu / done * 1e6)
    row.size = held / (done + row.group) - leaves if held else 0.0


@dataclass
class Large:
    """How a large ledger reads; seconds, medians.

    Attributes:
        entries: How many entries it has.
        cost: At so many entries, microseconds of CPU for each of those before, with their checkpoints.
        index: Bytes of the index of runs for an entry.
        figures: What was asked, and how long it took.
    """

    entries: int
    cost: dict[int, float] = field(default_factory=dict[int, float])
    index: float = 0.0
    figures: dict[str, float] = field(default_factory=dict[str, float])


def measure_large(count: int, sample: Sequence[Entry]) -> Large:
    """Fill a ledger with ``count`` entries in groups of 512, and read it."""
    found = Large(count)
    with tempfile.TemporaryDirectory(prefix="runrecord-bench-") as directory:
        place = Path(directory) / "ledger"
        with Ledger(place, origin="bench.example/log") as ledger:
            _fill(ledger, count, sample, found)
        with Ledger(place, read_only=True) as ledger:
            _read(ledger, found)
        found.index = (place / ".state" / "index.sqlite").stat().st_size / count
        found.figures |= {name: wall for name, (wall, _) in runs.measure(place).items()}
        began = time.perf_counter()
        report = fsck(place)
        found.figures["fsck of all entries"] = time.perf_counter() - began
        assert report.ok and report.entries >= count  # noqa: PT018 - it measures what it says
        _bundle(Path(directory) / "run", found)
    return found


def _fill(ledger: Ledger, count: int, sample: Sequence[Entry], found: Large) -> None:
    """Append, and publish as often as a ledger does that takes 40,000 entries a second: that is part of the cost."""
    chance, done, mark, published = random.Random(1), 0, 10_000, 0
    costs: list[tuple[float, int]] = []
    while done < count:
        spent, first = 0.0, done
        while done < min(mark, count) and done - published < _PUBLISHED:
            fresh = [runs.varied(entry, chance) for entry in again(sample, done // len(sample) + 1)]
            began = time.process_time()
            for at in range(0, len(fresh), 512):
                ledger.append_entries(fresh[at : at + 512])
            spent += time.process_time() - began
            done += len(fresh)
        began = time.process_time()
        ledger.publish()
        costs.append((spent + time.process_time() - began, done - first))
        published = done
        if done >= mark:
            cpu, number = (sum(each) for each in zip(*costs[-5:], strict=True))
            found.cost[done] = cpu / number * 1e6
            mark *= 10
        print(f"\r  {done:,} of {count:,} entries   ", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 50 + "\r", end="", file=sys.stderr)


def _read(ledger: Ledger, found: Large) -> None:
    log, size = ledger.log, ledger.log.checkpoint.size
    places = [size * part // 100 for part in range(1, 100)]
    proofs = [(index, log.leaf(index)) for index in places]
    found.figures["an inclusion proof"] = _median(lambda index, _: log.inclusion_proof(index, size), proofs)
    made = [(index, leaf, log.inclusion_proof(index, size)) for index, leaf in proofs]
    root = log.checkpoint.root
    found.figures["its verification"] = _median(
        lambda index, leaf, hashes: verify_inclusion(leaf_hash(leaf), index, size, hashes, root), made
    )


def _bundle(place: Path, found: Large) -> None:
    """A run of a thousand entries."""
    steps = [
        Entry(
            kind=Kind.STEP, run="bench", source="aaaa000000000001", seq=number, trace_id=f"{1:032x}",
            span_id=f"{number + 1:016x}", name="agent_step", start=number + 1, end=number + 2,
        )
        for number in range(1000)
    ]  # fmt: skip
    with Ledger(place, origin="bench.example/run") as ledger:
        ledger.append_entries(steps)
        archive = build_bundle(ledger, "bench")
        found.figures["a bundle of 1,000 entries, made"] = _median(
            lambda: build_bundle(ledger, "bench"), [()] * 5
        )
        trust = Trust.of_ledger(place)
    found.figures["a bundle of 1,000 entries, verified"] = _median(
        lambda: verify_bundle(archive, trust), [()] * 9
    )


def _median(call: Callable[..., object], arguments: Sequence[tuple[object, ...]]) -> float:
    times: list[float] = []
    for each in arguments:
        began = time.perf_counter()
        call(*each)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
