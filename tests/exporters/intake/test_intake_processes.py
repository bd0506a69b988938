# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Logs that other processes write, read here: nothing acknowledged is missed, nothing unsynced is seen, all is trimmed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from runrecord.exporters.intake import IntakeFull, IntakeLimits, IntakeLog
from runrecord.exporters.intake.followed import FollowedLog
from runrecord.exporters.intake.merged import MergedIntake
from runrecord.exporters.intake.wakeup import WakeupReader
from runrecord.processors.signal import Signal

CHILD = """
import sys, threading
from runrecord.exporters.intake import IntakeLog, IntakeLimits
from runrecord.exporters.intake.wakeup import WakeupWriter
from runrecord.processors.signal import Signal
limits = IntakeLimits(segment_bytes=20_000)
log = IntakeLog(sys.argv[1], consumers=None, limits=limits, wake=WakeupWriter(int(sys.argv[3])))
print("open", flush=True)
number, count = int(sys.argv[2]), int(sys.argv[4])
for number in range(number, number + count):
    log.append_sync(Signal.TRACES, str(number).encode() + b" " * (number % 97))
    print(number, flush=True)
sys.stdin.read()
"""


class Writer:
    """A process that appends and says what was acknowledged."""

    def __init__(self, directory, start, wake, count=1_000_000):
        command = [sys.executable, "-c", CHILD, str(directory), str(start), str(wake), str(count)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[wake]
        )
        self.data = b""

    def until(self, lines):
        deadline = time.monotonic() + 60
        while self.data.count(b"\n") < lines + 1:
            assert time.monotonic() < deadline
            self.data += os.read(self.process.stdout.fileno(), 65536)
        return self

    def acknowledged(self):
        return [int(line) for line in self.data[: self.data.rfind(b"\n")].split()[1:]]

    def kill(self):
        self.process.kill()
        self.data += self.process.stdout.read()
        self.end()
        return self.acknowledged()

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


@pytest.fixture
def pipe():
    """Return both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def take(source, wanted):
    """Read until so many records came; commit each batch."""
    found = []
    while len(found) < wanted:
        await asyncio.wait_for(source.wait(), 60)
        records = await asyncio.to_thread(source.read, max_records=50)
        found += [(record.partition, int(record.body)) for record in records]
        source.done(reversed(records))
        source.commit()
    return found


def test_a_log_is_followed_while_its_writer_dies_and_comes_back(tmp_path, pipe):
    chance = random.Random(20261122)

    async def main():
        acknowledged, writer = [], Writer(tmp_path, 0, pipe[1]).until(1)
        wakeup = WakeupReader(pipe[0])
        log = FollowedLog(tmp_path, consumers=["a"], wakeup=wakeup)
        source = MergedIntake({0: log}, former={}, consumers=["a"]).consumer("a")
        found = []
        for round_ in range(1, 6):
            found += await take(source, chance.randrange(1, 300))
            acknowledged += await asyncio.to_thread(writer.kill)
            writer = Writer(tmp_path, round_ * 1_000_000, pipe[1]).until(1)
        acknowledged += await asyncio.to_thread(writer.kill)
        writer = Writer(tmp_path, 9_000_000, pipe[1], count=1).until(1)
        while (0, 9_000_000) not in found[-50:]:
            found += await take(source, 1)
        writer.end()
        wakeup.close()
        log.close()
        return [number for _, number in found], acknowledged

    found, acknowledged = asyncio.run(main())
    assert max(Counter(found).values()) == 1
    assert set(acknowledged) <= set(found)
    assert found == sorted(found)


def test_a_reader_that_comes_back_goes_on_where_it_committed(tmp_path, pipe):
    Writer(tmp_path, 0, pipe[1], count=500).until(500).end()

    async def some(wanted):
        wakeup = WakeupReader(pipe[0])
        log = FollowedLog(tmp_path, consumers=["a", "b"], wakeup=wakeup)
        found = await take(log.consumer("a"), wanted)
        wakeup.close()
        log.close()
        return [number for _, number in found]

    first = asyncio.run(some(100))
    assert first + asyncio.run(some(500 - len(first))) == list(range(500))


def test_the_writer_deletes_what_consumers_elsewhere_have_taken_and_refuses_until_they_have(tmp_path, pipe):
    limits = IntakeLimits(max_bytes=20_000)
    log = IntakeLog(tmp_path, consumers=None, limits=limits)
    try:
        assert asyncio.run(open_and_leave(tmp_path, pipe[0], "a")) == 0  # a consumer that takes nothing
        with pytest.raises(IntakeFull, match="waiting for a"):
            fill_up(log)
        stored = log.stored_bytes

        async def consume():
            wakeup = WakeupReader(pipe[0])
            followed = FollowedLog(tmp_path, consumers=["a"], wakeup=wakeup)
            source = followed.consumer("a")
            records = source.read(max_records=1000)
            source.done(records)
            source.commit()
            wakeup.close()
            return len(records)

        assert asyncio.run(consume()) > 10
        deadline = time.monotonic() + 30
        while log.stored_bytes >= stored:
            assert time.monotonic() < deadline
        log.append_sync(Signal.TRACES, b"x" * 1000)
        assert log.oldest_age_seconds() < 30
    finally:
        log.close()


def fill_up(log):
    while True:
        log.append_sync(Signal.TRACES, b"x" * 1000)


async def open_and_leave(directory, descriptor, name):
    wakeup = WakeupReader(descriptor)
    followed = FollowedLog(directory, consumers=[name], wakeup=wakeup)
    position = followed.consumer(name).position
    wakeup.close()
    followed.close()
    return position


def test_consumers_take_turns_among_logs_and_a_former_one_is_read_to_its_end_and_removed(tmp_path, pipe):
    def filled(name, count, consumers):
        log = IntakeLog(tmp_path / name, consumers=consumers)
        for number in range(count):
            log.append_sync(Signal.TRACES, str(number).encode())
        return log

    written, gone = filled("intake", 100, None), filled("intake-2", 30, ("a", "b"))

    async def main():
        wakeup = WakeupReader(pipe[0])
        followed = FollowedLog(tmp_path / "intake", consumers=["a", "b"], wakeup=wakeup)
        merged = MergedIntake({0: followed}, former={1: gone}, consumers=["a", "b"])
        first, second = merged.consumer("a"), merged.consumer("b")
        assert (first.backlog_records, second.backlog_records) == (130, 130)
        records = [first.read(max_records=5), first.read(max_records=5)]
        assert {record.partition for batch in records for record in batch} == {0, 1}
        first.done(record for batch in reversed(records) for record in batch)
        assert Counter(await take(first, 120)).keys() | {
            (record.partition, int(record.body)) for batch in records for record in batch
        } == {*((0, n) for n in range(100)), *((1, n) for n in range(30))}
        assert first.backlog_records == 0
        assert (tmp_path / "intake-2").exists()
        await take(second, 130)
        assert not (tmp_path / "intake-2").exists()
        assert merged.former == ()
        waiting = asyncio.ensure_future(first.wait())
        await asyncio.sleep(0)
        assert not waiting.done(), "a log that is gone must not look like one that has something"
        waiting.cancel()
        wakeup.close()
        merged.close()

    asyncio.run(main())
    written.close()


def test_a_consumer_that_is_added_starts_where_the_slowest_is_and_one_that_is_taken_away_holds_nothing(
    tmp_path,
):
    log = IntakeLog(tmp_path, consumers=["a", "b"], limits=IntakeLimits(segment_bytes=100))
    try:
        for number in range(20):
            log.append_sync(Signal.TRACES, str(number).encode())
        first, second = log.consumer("a"), log.consumer("b")
        for source, wanted in ((first, 15), (second, 5)):
            source.done(source.read(max_records=wanted))
            source.commit()
        log.set_consumers(["a", "b", "c"])
        assert log.consumer("c").position == 5
        before = log.stored_bytes
        log.set_consumers(["a"])
        assert log.stored_bytes < before
        second.done(second.read(max_records=1))
        second.commit()  # it is forgotten: nothing to write
        with pytest.raises(KeyError):
            log.consumer("c")
        assert int(first.read()[0].body) == 15
    finally:
        log.close()
