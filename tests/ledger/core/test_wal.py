# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The write-ahead log by itself: segments, release, damage; and the limits that keep memory bounded."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from runrecord.ledger import LedgerCorrupt, LedgerStopped, fsck, sequencer
from runrecord.ledger.dedup import key_digest
from runrecord.ledger.tiles import frame_entry
from runrecord.ledger.wal import WriteAheadLog


def fill(wal, start, end):
    for i in range(start, end):
        wal.append(i, [key_digest(b"%d" % i)], [frame_entry(b"leaf %d" % i * 20)])


def read(directory):
    wal = WriteAheadLog(directory)
    frames = list(wal.recover())
    wal.close()
    return [frame.first for frame in frames], [leaf for frame in frames for leaf in frame.leaves]


def test_segments_follow_each_other_and_are_freed_when_no_entry_in_them_is_needed(tmp_path):
    wal = WriteAheadLog(tmp_path, segment_size=500)
    fill(wal, 0, 20)
    segments = sorted(tmp_path.iterdir())
    assert len(segments) > 3
    assert read(tmp_path) == (list(range(20)), [b"leaf %d" % i * 20 for i in range(20)])
    second, third = (int(each.stem) for each in segments[1:3])
    wal.release(second - 1)
    assert sorted(tmp_path.iterdir()) == segments
    wal.release(third - 1)
    assert sorted(tmp_path.iterdir()) == segments[1:]
    wal.release(1000)
    assert sorted(tmp_path.iterdir()) == segments[-1:]
    wal.close(remove=True)
    assert not list(tmp_path.iterdir())


def test_a_segment_that_is_not_the_last_can_not_be_torn(tmp_path):
    wal = WriteAheadLog(tmp_path, segment_size=500)
    fill(wal, 0, 20)
    wal.close()
    first = min(tmp_path.iterdir())
    data = first.read_bytes()
    for broken in (data[:-1], data[:10], b"", data[:-1] + b"x", b"X" + data[1:]):
        first.write_bytes(broken)
        with pytest.raises(LedgerCorrupt, match=first.name):
            read(tmp_path)
    first.write_bytes(data)
    assert len(read(tmp_path)[0]) == 20


def test_an_entry_can_not_pass_for_a_frame(tmp_path):
    """The copy of a whole frame inside a torn one does not make the tear look like damage."""
    wal = WriteAheadLog(tmp_path)
    fill(wal, 0, 1)
    (segment,) = tmp_path.iterdir()
    frame = segment.read_bytes()[16:]
    other = tmp_path / "other"
    other.mkdir()
    wal = WriteAheadLog(other)
    fill(wal, 0, 1)
    wal.append(1, [key_digest(b"1")], [frame_entry(frame)])
    wal.close()
    (segment,) = other.iterdir()
    segment.write_bytes(segment.read_bytes()[:-1])
    assert read(other)[0] == [0]


def test_a_log_that_is_not_published_keeps_its_memory_bounded(open_log, monkeypatch):
    monkeypatch.setattr(sequencer, "PENDING_BYTES", 10_000)
    log = open_log()
    for i in range(40):
        log.append([(b"%d" % i, bytes(1000))])
    assert 20 <= log.checkpoint.size < 40
    assert log.size == 40


def test_keys_that_left_memory_are_still_known(open_log, items, monkeypatch):
    monkeypatch.setattr(sequencer, "RECENT_KEYS", 10)
    log = open_log()
    for start in range(0, 700, 100):
        log.append(items(start, start + 100))
        log.publish()
    assert len(log._sequencer._recent) <= 110
    again = log.append([*items(0, 700), (b"key 5", b"another")])
    assert [(each.index, each.status) for each in again] == [
        *((i, "duplicate") for i in range(700)),
        (700, "conflict"),
    ]


def test_an_interrupt_in_the_middle_of_a_commit_stops_the_log(open_log, items):
    """Ctrl-C after the write: whether the entries are in can't be told any more, except by opening the ledger again."""
    log = open_log()
    log.append(items(0, 3))
    real = os.fdatasync

    def interrupted(fd):
        real(fd)
        signal.raise_signal(signal.SIGINT)

    os.fdatasync = interrupted
    try:
        with pytest.raises(KeyboardInterrupt):
            log.append(items(3, 5))
    finally:
        os.fdatasync = real
    with pytest.raises(LedgerStopped, match="may or may not"):
        log.append(items(3, 5))
    log.close()
    log = open_log()
    assert [each.index for each in log.append(items(0, 6))] == list(range(6))
    log.close()
    assert fsck(log.path).ok


def test_threads_that_wait_share_one_sync(open_log, items):
    """The first sync lasts until seven more threads wait; then one write and one sync serve all seven."""
    log = open_log()
    log.append(items(900, 901))
    real, syncs = os.fdatasync, []
    deadline = time.monotonic() + 30

    def slow(fd):
        syncs.append(fd)
        while len(syncs) == 1 and len(log._sequencer._queue) < 7:
            assert time.monotonic() < deadline
        real(fd)

    results = []
    os.fdatasync = slow
    try:
        threads = [
            threading.Thread(target=lambda n=n: results.extend(log.append(items(n, n + 1)))) for n in range(8)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        os.fdatasync = real
    assert sorted(each.index for each in results) == list(range(1, 9))
    assert len(syncs) == 2
