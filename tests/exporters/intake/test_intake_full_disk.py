# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A disk without room: nothing that was acknowledged is lost, and the log goes on by itself when consumers catch up."""

from __future__ import annotations

import resource
import signal
import time

import pytest

from runrecord.exporters.intake import IntakeFull, IntakeLog
from runrecord.exporters.intake.store import SegmentStore
from runrecord.processors.signal import Signal

SIZE = 10_000


def append(log, number):
    log.append_sync(Signal.TRACES, str(number).encode().ljust(SIZE))


def fill_until_refused(log, start=0):
    number = start
    while True:
        try:
            append(log, number)
        except IntakeFull:
            return number
        number += 1


def take(consumer):
    found = [int(record.body) for record in consumer.read(max_records=10_000, max_bytes=1 << 30)]
    consumer.commit(consumer.position)
    return found


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_refuses_and_goes_on_by_itself_when_all_is_taken(small_disk):
    log = IntakeLog(small_disk / "intake", consumers=["a", "b"])
    a, b = log.consumer("a"), log.consumer("b")
    start = 0
    for _ in range(3):
        end = fill_until_refused(log, start)
        assert end - start > 20
        assert "no room on the disk" in str(log.no_room)
        assert take(a) == list(range(start, end))
        with pytest.raises(IntakeFull):
            append(log, end)  # b has not taken anything
        assert take(b) == list(range(start, end))
        wait_until(lambda: log.no_room is None)  # without any request
        assert log.stored_bytes < SIZE
        start = end
    append(log, start)
    assert take(a) == take(b) == [start]
    log.close()


def test_it_goes_on_after_a_restart_too(small_disk):
    log = IntakeLog(small_disk / "intake", consumers=["a"])
    end = fill_until_refused(log)
    log.close()
    log = IntakeLog(small_disk / "intake", consumers=["a"])
    with pytest.raises(IntakeFull):
        append(log, end)
    assert take(log.consumer("a")) == list(range(end))
    log.close()
    log = IntakeLog(small_disk / "intake", consumers=["a"])
    assert log.next_sequence == end
    assert fill_until_refused(log, end) > end + 20
    log.close()


def test_what_was_consumed_before_the_disk_was_full_is_freed_at_the_start(small_disk):
    log = IntakeLog(small_disk / "intake", consumers=["a"])
    for number in range(20):
        append(log, number)
    take(log.consumer("a"))
    log.close()
    with pytest.raises(OSError, match="No space"):  # somebody else fills it
        (small_disk / "other").write_bytes(bytes(10 << 20))
    log = IntakeLog(small_disk / "intake", consumers=["a"])
    append(log, 20)
    assert take(log.consumer("a")) == [20]
    log.close()


def test_a_new_consumer_on_a_full_disk_misses_nothing(small_disk):
    log = IntakeLog(small_disk / "intake", consumers=["a"])
    end = fill_until_refused(log)
    log.close()
    with pytest.raises(OSError, match="No space"):
        (small_disk / "other").write_bytes(bytes(10 << 20))
    log = IntakeLog(small_disk / "intake", consumers=["a", "new"])
    assert take(log.consumer("a")) == list(range(end))
    (small_disk / "other").unlink()
    assert take(log.consumer("new")) == list(range(end))
    log.close()
    log = IntakeLog(small_disk / "intake", consumers=["a", "new"])
    assert log.committed("new") == end
    append(log, end)
    assert take(log.consumer("new")) == take(log.consumer("a")) == [end]
    log.close()


def test_a_failed_new_segment_leaves_no_file_that_hides_records(small_disk):
    """The disk is full when a segment should begin; later ones begin elsewhere."""
    store = SegmentStore(small_disk / "intake")
    payload = [b"\1\0\0" + bytes(8) + b"x"]
    store.append([payload], 1)
    with pytest.raises(OSError, match="No space"):
        (small_disk / "other").write_bytes(bytes(10 << 20))
    with pytest.raises(IntakeFull):
        store.roll()
    assert len(list((small_disk / "intake").glob("*.segment"))) == 1
    store.append([payload], 1)  # there is room in the page
    (small_disk / "other").unlink()
    store.roll()
    store.append([payload], 1)
    store.close()
    log = IntakeLog(small_disk / "intake", consumers=["a"])
    assert [record.sequence for record in log.consumer("a").read()] == [0, 1, 2]
    log.close()


@pytest.mark.parametrize("step", ["set aside", "emptied", "renamed"])
def test_a_crash_while_a_segment_is_emptied_is_finished_at_the_start(tmp_path, step):
    log = IntakeLog(tmp_path, consumers=["a"])
    for number in range(5):
        append(log, number)
    assert take(log.consumer("a")) == list(range(5))
    log.close()
    [segment] = tmp_path.glob("*.segment")
    aside = segment.rename(tmp_path / f"{5:020d}.emptying")
    if step != "set aside":
        aside.write_bytes(b"")
    if step == "renamed":
        aside.rename(aside.with_suffix(".segment"))
    log = IntakeLog(tmp_path, consumers=["a"])
    assert log.next_sequence == 5
    append(log, 5)
    log.close()
    log = IntakeLog(tmp_path, consumers=["a"])
    assert take(log.consumer("a")) == [5]
    assert len(list(tmp_path.glob("*.segment"))) == 1
    log.close()


def test_a_limit_of_file_size_is_a_full_disk_too(tmp_path):
    """The same without a disk of its own, for those who may not mount one."""
    log = IntakeLog(tmp_path, consumers=["a"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6 * SIZE, before[1]))
        end = fill_until_refused(log)
        assert take(log.consumer("a")) == list(range(end))
        again = fill_until_refused(log, end)
        assert again >= end + 5
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    log.close()
    log = IntakeLog(tmp_path, consumers=["a"])
    assert take(log.consumer("a")) == list(range(end, again))
    log.close()
