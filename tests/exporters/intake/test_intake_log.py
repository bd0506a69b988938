# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The intake log keeps what it acknowledged, refuses what it can't keep, and hands out each record in order."""

from __future__ import annotations

import asyncio
import errno
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runrecord.exporters.intake import (
    IntakeFull,
    IntakeLimits,
    IntakeLocked,
    IntakeLog,
    IntakeStopped,
    IntakeUnusable,
)
from runrecord.processors.signal import Signal


@pytest.fixture
def open_log(tmp_path):
    """Open logs in one directory, closed at the end of the test."""
    opened = []

    def open_(*consumers, **options):
        log = IntakeLog(tmp_path / "intake", consumers=consumers, **options)
        opened.append(log)
        return log

    yield open_
    for log in opened:
        log.close()


def fill(log, count, start=0, size=10):
    for number in range(start, start + count):
        log.append_sync(Signal.TRACES, f"{number:0{size}d}".encode(), received_unix_nano=1_000 + number)


def bodies(consumer, **options):
    return [int(record.body) for record in consumer.read(**options)]


def test_a_record_comes_back_as_it_went_in(open_log):
    log = open_log("ledger")
    headers = (("x-tenant", "münchen"), ("empty", ""))
    assert log.append_sync(Signal.LOGS, b"\0body", headers=headers, received_unix_nano=17) == 0
    [record] = log.consumer("ledger").read()
    assert (record.sequence, record.signal, record.received_unix_nano) == (0, Signal.LOGS, 17)
    assert (record.headers, record.body) == (headers, b"\0body")
    assert "body=5 bytes" in repr(record)
    assert "x-tenant" not in repr(record)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Signal)),
            st.binary(max_size=300),
            st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=3).map(tuple),
        ),
        max_size=20,
    ),
    st.integers(1, 2000),
)
def test_any_records_come_back_through_any_segment_size_and_a_restart(
    tmp_path_factory, records, segment_bytes
):
    directory = tmp_path_factory.mktemp("intake")
    for _ in range(2):
        log = IntakeLog(directory, consumers=["a"], limits=IntakeLimits(segment_bytes=segment_bytes))
        for signal, body, headers in records:
            log.append_sync(signal, body, headers=headers)
        log.close()
    log = IntakeLog(directory, consumers=["a"])
    found = [(r.signal, r.body, r.headers) for r in log.consumer("a").read(max_records=1000)]
    log.close()
    assert found == records * 2


def test_async_appends_of_many_tasks_share_syncs(open_log):
    syncs = []

    def sync(descriptor):
        syncs.append(descriptor)
        os.fdatasync(descriptor)

    log = open_log("ledger", sync=sync)

    async def main():
        numbers = await asyncio.gather(*(log.append(Signal.TRACES, str(n).encode()) for n in range(500)))
        assert sorted(numbers) == list(range(500))

    asyncio.run(main())
    assert len(syncs) < 100
    assert len(log.consumer("ledger").read(max_records=1000)) == 500


def test_threads_and_tasks_append_at_once(open_log):
    log = open_log("ledger", limits=IntakeLimits(segment_bytes=4096))
    threads = [threading.Thread(target=fill, args=(log, 50, 100 * n)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = bodies(log.consumer("ledger"), max_records=1000)
    assert sorted(found) == [100 * n + i for n in range(4) for i in range(50)]
    for n in range(4):
        assert [value for value in found if value // 100 == n] == [100 * n + i for i in range(50)]


def test_a_cancelled_append_disturbs_nobody(open_log):
    log = open_log("ledger")

    async def main():
        task = asyncio.create_task(log.append(Signal.TRACES, b"1"))
        await asyncio.sleep(0)
        task.cancel()
        assert await log.append(Signal.TRACES, b"2") == 1
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_wait_returns_when_there_is_something(open_log):
    log = open_log("ledger")
    consumer = log.consumer("ledger")

    async def main():
        waiting = asyncio.create_task(consumer.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        await log.append(Signal.TRACES, b"1")
        await waiting
        assert bodies(consumer) == [1]

    asyncio.run(main())
    assert not log.wait_beyond_sync(consumer.position, timeout=0.01)
    fill(log, 1)
    assert log.wait_beyond_sync(consumer.position, timeout=10)


def test_closing_wakes_those_who_wait(open_log):
    log = open_log("ledger")

    async def main():
        waiting = asyncio.create_task(log.consumer("ledger").wait())
        await asyncio.sleep(0)
        await asyncio.to_thread(log.close)
        await waiting

    asyncio.run(main())
    with pytest.raises(IntakeStopped, match="closed"):
        log.append_sync(Signal.TRACES, b"x")


def test_two_consumers_go_their_own_way_and_restart_where_they_committed(open_log):
    log = open_log("ledger", "otlp_http/main")
    fill(log, 10)
    ledger, forwarder = log.consumer("ledger"), log.consumer("otlp_http/main")
    assert bodies(ledger) == list(range(10))
    ledger.commit(ledger.position)
    assert bodies(forwarder, max_records=4) == [0, 1, 2, 3]
    forwarder.commit(3)
    assert (ledger.backlog_records, forwarder.backlog_records) == (0, 7)
    assert forwarder.backlog_bytes > 0
    log.close()

    log = open_log("ledger", "otlp_http/main")
    assert bodies(log.consumer("ledger")) == []
    again = log.consumer("otlp_http/main")
    assert bodies(again) == list(range(3, 10))
    again.rewind()
    assert bodies(again, max_records=1) == [3]


def test_reading_goes_on_across_segments_from_the_middle_of_one(open_log):
    limits = IntakeLimits(segment_bytes=300)
    log = open_log("a", limits=limits)
    fill(log, 40)
    assert len(list(log.directory.glob("*.segment"))) > 3
    consumer = log.consumer("a")
    assert bodies(consumer, max_records=17) == list(range(17))
    consumer.commit(consumer.position)
    log.close()
    log = open_log("a", limits=limits)
    consumer = log.consumer("a")
    assert bodies(consumer) == list(range(17, 40))
    fill(log, 5, start=40)
    assert bodies(consumer) == [40, 41, 42, 43, 44]


def test_unwanted_records_are_passed_over(open_log):
    log = open_log("a")
    fill(log, 5)
    log.append_sync(Signal.LOGS, b"99")
    consumer = log.consumer("a")
    assert bodies(consumer, wanted=lambda record: record.signal is Signal.LOGS) == [99]
    assert consumer.position == 6


def test_what_all_consumers_took_is_deleted_and_what_one_did_not_is_kept(open_log):
    log = open_log("fast", "slow", limits=IntakeLimits(segment_bytes=300))
    fill(log, 40)
    before = len(list(log.directory.glob("*.segment")))
    fast, slow = log.consumer("fast"), log.consumer("slow")
    fast.read()
    fast.commit(fast.position)
    assert len(list(log.directory.glob("*.segment"))) == before
    assert bodies(slow) == list(range(40))
    slow.commit(slow.position)
    assert len(list(log.directory.glob("*.segment"))) == 1


def test_it_refuses_when_full_and_takes_more_when_the_slowest_moved_on(open_log):
    log = open_log("fast", "slow", limits=IntakeLimits(max_bytes=2000))
    fill(log, 1)
    log.consumer("slow").commit(0)
    log.consumer("fast").commit(1)
    with pytest.raises(IntakeFull, match="waiting for slow") as caught:
        fill(log, 1000, start=1)
    assert caught.value.retry_after > 0
    assert "max_size_mib" in caught.value.next_step
    accepted = log.next_sequence
    assert sum(path.stat().st_size for path in log.directory.glob("*.segment")) <= 2000
    fast, slow = log.consumer("fast"), log.consumer("slow")
    assert (
        bodies(slow) == [*bodies(log.consumer("slow"), max_records=1), *bodies(fast)] == list(range(accepted))
    )
    fast.commit(fast.position)
    slow.commit(slow.position)
    fill(log, 5, start=accepted)
    assert bodies(slow) == list(range(accepted, accepted + 5))


def test_a_log_smaller_than_a_segment_rolls_when_everything_was_taken(open_log):
    log = open_log("a", limits=IntakeLimits(max_bytes=1000))
    consumer = log.consumer("a")
    for number in range(200):
        fill(log, 1, start=number)
        assert bodies(consumer) == [number]
        consumer.commit(consumer.position)
    assert log.stored_bytes <= 1000


def test_a_record_larger_than_the_log_is_refused_for_ever(open_log):
    log = open_log("a", limits=IntakeLimits(max_bytes=1000))
    with pytest.raises(IntakeFull):
        log.append_sync(Signal.TRACES, bytes(1000))
    fill(log, 1)


def test_it_refuses_when_the_oldest_record_is_too_old(open_log):
    log = open_log("a", limits=IntakeLimits(max_age_seconds=3600))
    fill(log, 1)  # accepted in 1970
    with pytest.raises(IntakeFull, match="s old; waiting for a"):
        log.append_sync(Signal.TRACES, b"2")
    consumer = log.consumer("a")
    consumer.read()
    consumer.commit(consumer.position)
    log.append_sync(Signal.TRACES, b"2")


def test_a_second_process_is_refused(open_log):
    open_log("a")
    with pytest.raises(IntakeLocked, match=str(os.getpid())) as caught:
        open_log("a")
    assert "state_dir" in caught.value.next_step


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IntakeUnusable, match="Not a directory"):
        IntakeLog(tmp_path / "file" / "intake")


def test_a_failed_sync_stops_the_log_and_acknowledges_nothing(open_log):
    broken = threading.Event()

    def sync(descriptor):
        if broken.is_set():
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(descriptor)

    log = open_log("a", sync=sync)
    fill(log, 3)
    broken.set()
    with pytest.raises(IntakeStopped, match="Input/output error"):
        log.append_sync(Signal.TRACES, b"3")
    broken.clear()
    with pytest.raises(IntakeStopped, match="Input/output error"):
        log.append_sync(Signal.TRACES, b"3")
    assert isinstance(log.failure, IntakeStopped)
    assert bodies(log.consumer("a")) == [0, 1, 2]


def test_a_full_disk_refuses_and_leaves_no_half_record(open_log):
    """A file-size limit of the process stands in for the full disk: write() fails half-way in the same manner."""
    import resource
    import signal

    log = open_log("a")
    fill(log, 3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stored_bytes + 50, before[1]))
        with pytest.raises(IntakeFull, match="no room on the disk"):
            log.append_sync(Signal.TRACES, bytes(500))
        fill(log, 1, start=3, size=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    fill(log, 1, start=4)
    assert bodies(log.consumer("a")) == [0, 1, 2, 3, 4]
    log.close()
    assert bodies(open_log("a").consumer("a")) == [0, 1, 2, 3, 4]


def test_a_consumer_nobody_named_is_an_error(open_log):
    with pytest.raises(KeyError, match="no consumer 'b'"):
        open_log("a").consumer("b")


def test_a_consumer_that_left_is_forgotten_with_a_warning(open_log, caplog):
    log = open_log("a", "gone")
    fill(log, 3)
    log.close()
    log = open_log("a")
    assert "gone is no longer a consumer: it never took 3 records" in caplog.text
    assert [path.name for path in (log.directory / "cursors").iterdir()] == ["a.cursor"]


def test_a_new_consumer_starts_at_the_oldest_record(open_log):
    log = open_log("a")
    fill(log, 3)
    log.close()
    assert bodies(open_log("a", "new").consumer("new")) == [0, 1, 2]
