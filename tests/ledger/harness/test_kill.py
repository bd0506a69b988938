# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A process is killed (SIGKILL) at a fault point or at any time, again and again: the next one goes on from all that was acknowledged."""

from __future__ import annotations

import os
import select
import shutil
import signal

import pytest
from recorded_disk import Disk

from runrecord.ledger import fsck

POINTS = ("open", "write", "sync", "name", "sign", "index")
MOST_KILLS = 4
ONE_LOG = 20  # kills of the writers of one log before the next is made


@pytest.mark.parametrize("point", POINTS)
def test_kills_at_fault_points(point, story, memory, killed, rounds):
    """Each process tells the story from its beginning; all but the last are killed, at a point of this kind first, then at any."""
    kills = 0
    for seed, choose in rounds(6, share=0.12):
        disk = Disk(memory / f"{seed}")
        disk = killed(disk, choose.randrange(1, 7), story.tell, frozenset({point}))
        assert disk.fault.struck
        for _ in range(choose.randrange(MOST_KILLS)):
            disk = killed(disk, choose.randrange(1, 190), story.tell)
            kills += bool(disk.fault.struck)
        size = story.recovered_size(disk.root / "log")
        try:
            story.require_kept(size, disk.events)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
        shutil.rmtree(disk.root)
    assert kills


def write(story, path, choose, told):
    """Append until killed, while checkpoints are published in the background; tell after each group how much is acknowledged."""
    log = story.open(path, checkpoint_interval=0.001)
    while True:
        end = log.size + choose.choice((1, 2, 30))
        log.append(story.items(log.size, end))
        os.write(told, end.to_bytes(8, "big"))


def test_kills_at_any_time(story, memory, in_background, rounds):
    acknowledged = count = 0
    path = memory / "log"
    for seed, choose in rounds(20, share=0.3):
        child, told = in_background(lambda told, choose=choose: write(story, path, choose, told))
        for _ in range(choose.randrange(30)):
            acknowledged = int.from_bytes(os.read(told, 8), "big") or acknowledged
        select.select([], [], [], choose.random() * 0.003)
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        rest = os.read(told, 1_000_000)
        os.close(told)
        acknowledged = int.from_bytes(rest[-8:], "big") or acknowledged
        if (path / "checkpoint").exists():
            assert fsck(path, story.signer.verifier).problems == [], f"seed {seed}"
        count += 1
        if count % ONE_LOG == 0:
            size = story.recovered_size(path)
            assert size >= acknowledged, f"one of the {ONE_LOG} seeds up to {seed}"
            acknowledged = 0
            shutil.rmtree(path)
    assert count >= ONE_LOG
