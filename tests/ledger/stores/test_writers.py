# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Who may write: one process to a directory, several to the other stores, and never two histories."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from runrecord.ledger import LedgerError, LedgerLocked, fsck, tlog

WRITERS = 4


def test_a_second_writer_to_a_directory_is_refused(directory_place, open_log):
    open_log(directory_place.location)
    with pytest.raises(LedgerLocked):
        open_log(directory_place.location)


def test_several_writers_take_turns_and_log_nothing_twice(shared_place, open_log, items):
    """Each appends its own entries and those of all others; one of them also publishes all the time."""
    logs = [
        open_log(shared_place.location, checkpoint_interval=0.01 if i < 2 else None) for i in range(WRITERS)
    ]
    start = threading.Barrier(WRITERS)

    def work(number):
        start.wait()
        results = {}
        for turn in range(8):
            batch = [
                *items(turn * 50, turn * 50 + 50),
                *items(10_000 * (number + 1) + turn, 10_000 * (number + 1) + turn + 1),
            ]
            for (key, leaf), result in zip(batch, logs[number].append(batch), strict=True):
                results[key] = (result.index, leaf)
        return results

    with ThreadPoolExecutor(WRITERS) as pool:
        acknowledged = list(pool.map(work, range(WRITERS)))
    size = 8 * 50 + WRITERS * 8
    newest = max((log.publish() for log in logs), key=lambda each: each.size)
    assert newest.size == size
    places = {}
    for results in acknowledged:
        for key, (index, leaf) in results.items():
            assert places.setdefault(key, (index, leaf)) == (index, leaf)
    assert sorted(index for index, _ in places.values()) == list(range(size))
    for log in logs:
        log.close()
    report = fsck(shared_place.location)
    assert (report.ok, report.entries, report.leftovers) == (True, size, [])
    reader = open_log(shared_place.location, read_only=True)
    leaves = list(reader.leaves())
    assert all(leaves[index] == leaf for index, leaf in places.values())


def test_a_writer_that_was_away_takes_in_what_others_moved_into_tiles(shared_place, open_log, items):
    away, busy = open_log(shared_place.location), open_log(shared_place.location)
    away.append(items(0, 3))
    busy.append(items(3, 400))
    busy.publish()
    busy.append(items(400, 410))
    results = away.append(items(395, 412))
    assert [(each.index, each.status) for each in results] == [
        (index, "duplicate" if index < 410 else "new") for index in range(395, 412)
    ]
    assert [away.leaf(index) for index in (0, 5, 399, 400, 411)] == [
        items(index, index + 1)[0][1] for index in (0, 5, 399, 400, 411)
    ]
    old, newest = busy.checkpoint, away.publish()
    assert (old.size, newest.size) == (400, 412)
    proof = away.consistency_proof(400)
    tlog.verify_consistency(400, old.root, 412, newest.root, proof)
    assert busy.publish() == newest
    assert busy.size == 412


def test_a_publisher_that_was_away_takes_the_newer_checkpoint(shared_place, open_log, items):
    away, busy = open_log(shared_place.location), open_log(shared_place.location)
    away.append(items(0, 5))
    busy.append(items(5, 600))
    newest = busy.publish()
    assert away.publish() == newest
    assert away.size == 600
    assert away.append([(b"key 7", b"leaf 7 another")])[0].status == "conflict"
    assert away.append(items(0, 601))[-1].index == 601


def test_conflicts_are_settled_between_writers(shared_place, open_log, items):
    one, two = open_log(shared_place.location), open_log(shared_place.location)
    one.append(items(0, 1))
    assert two.append([(b"key 0", b"leaf 0 other")])[0].status == "conflict"
    assert one.append([(b"key 0", b"leaf 0 other")])[0].index == 1
    assert two.append(items(0, 1))[0] == one.append(items(0, 1))[0]


def test_a_second_machine_without_the_key_is_told_what_to_do(shared_place, open_log, tmp_path, monkeypatch):
    open_log(shared_place.location, signer=None, origin="example.com/two")
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "second machine"))
    with pytest.raises(LedgerError, match="the private key of the ledger") as caught:
        open_log(shared_place.location, signer=None)
    assert "key_file of the exporter" in caught.value.diagnostics()
