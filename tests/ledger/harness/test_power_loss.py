# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The machine loses its power: whatever the disk has kept, nothing acknowledged is lost and nothing forks."""

from __future__ import annotations

import shutil

import pytest
from power_loss import LOST, Choice, chosen, enumerated, everything, state
from recorded_disk import Disk, Told


@pytest.fixture
def told(story, memory):
    """The record of the whole story."""
    disk = Disk(memory / "disk")
    with disk.recording():
        story.tell(disk)
    return disk


def test_the_record_holds_everything_that_is_on_the_disk(told):
    whole = everything(told.events)
    found = {
        path.relative_to(told.root).as_posix(): path.read_bytes()
        for path in told.root.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }
    assert {name for name, data in whole.files.items() if data != found.get(name)} == set()
    assert found.keys() == whole.files.keys()
    directories = {path.relative_to(told.root).as_posix() for path in told.root.rglob("*") if path.is_dir()}
    assert directories == whole.directories - {"."}


def test_a_loss_after_any_event(told, require_whole, rounds):
    lengths = range(len(told.events) + 1) if rounds.full else range(40)
    for length in lengths:
        for left in enumerated(told.events[:length]):
            require_whole(left, told.events[:length], "enumerated")
    for seed, choose in rounds(60):
        length = choose.randrange(len(told.events) + 1)
        require_whole(chosen(told.events[:length], choose), told.events[:length], f"seed {seed}")
    print(f"{len(told.events)} events, {len(require_whole.states)} different states")


def test_a_kill_then_a_loss(story, memory, killed, require_whole, rounds):
    """What the killed process has written and not synced, its successor can read: it must not build on it."""
    for seed, choose in rounds(30):
        before = killed(Disk(memory / f"{seed}"), choose.randrange(1, 190), story.tell)
        after = killed(
            Disk(before.root, before.events), choose.choice((0, 0, choose.randrange(1, 40))), story.go_on
        )
        told = [
            i for i, event in enumerate(after.events, 1) if isinstance(event, Told) and i > len(before.events)
        ]
        for length in (*told, choose.randrange(len(before.events), len(after.events) + 1), len(after.events)):
            events = after.events[:length]
            nothing_unsynced = state(events, Choice("nothing but what was synced is there", others=LOST))
            for left in (nothing_unsynced, chosen(events, choose)):
                require_whole(left, events, f"seed {seed}")
        shutil.rmtree(before.root)
