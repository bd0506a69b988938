# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The machine loses its power: whatever the disk has kept, nothing acknowledged is lost and nothing forks."""

from __future__ import annotations

import os
import random
import shutil

import pytest
from power_loss import LOST, Choice, chosen, enumerated, everything, state
from recorded_disk import Disk, Told

from runrecord.ledger import files, fsck, run_index, wal
from runrecord.ledger.entry import Entry
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.stores.directory import DirectoryPublication

ONLY_SYNCED = Choice("nothing but what was synced is there", others=LOST)


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


def losses_after_a_kill(story, memory, killed, require_whole, seeds):
    for seed, choose in seeds:
        before = killed(Disk(memory / f"{seed}"), choose.randrange(1, 190), story.tell)
        after = killed(before, choose.choice((0, 0, choose.randrange(1, 40))), story.go_on)
        told = [
            i for i, event in enumerate(after.events, 1) if isinstance(event, Told) and i > len(before.events)
        ]
        for length in (*told, choose.randrange(len(before.events), len(after.events) + 1), len(after.events)):
            events = after.events[:length]
            for left in (state(events, ONLY_SYNCED), chosen(events, choose)):
                require_whole(left, events, f"seed {seed}")
        shutil.rmtree(before.root)


def test_a_kill_then_a_loss(story, memory, killed, require_whole, rounds):
    """What the killed process has written and not synced, its successor can read: it must not build on it."""
    losses_after_a_kill(story, memory, killed, require_whole, rounds(30, share=0.3))


# --- with the index of runs, and keys that the ledger makes --------------------------------------------------------------


@pytest.fixture
def run(builders):
    """The entries of a small run."""
    made = builders.RunBuilder()
    made.begin()
    made.close()
    return made.entries


def tell_ledger(disk, run):
    """Append entries one by one; return the keys that the ledger made."""
    for start in range(2):
        with Ledger(disk.root / "log", checkpoint_interval=None) as ledger:
            for entry in run[start::2]:
                ledger.append_entries([entry])
                disk.told("acknowledged", entry.span_id)
                ledger.publish()


def require_runs(path, events, run):
    told = {event.value for event in events if isinstance(event, Told)}
    with Ledger(path, checkpoint_interval=None) as ledger:
        before = list(ledger.log.leaves())
        assert told <= {Entry.parse(leaf).span_id for leaf in before}
        ledger.append_entries(run)
        assert sorted(ledger.log.leaves()) == sorted(entry.leaf() for entry in run)
        ledger.publish()
        (summary,) = ledger.runs()
        assert summary.entries == len(run)
        assert len(ledger.run(summary.run).records) == len(run)
    assert fsck(path).problems == []
    with Ledger(path, read_only=True) as ledger:
        assert ledger.runs() == [summary]


def spoil(left, in_use, choose):
    """While it is in use the index of runs is not synced: anything may be there."""
    name = "log/.state/index.sqlite"
    content = left.files.get(name, b"")
    if in_use.encode() in content:
        at = choose.randrange(len(content) + 1)
        tail = len(content) - at
        torn = (
            content[:at],
            content[:at] + bytes(tail),
            content[:at] + choose.randbytes(tail),
            choose.randbytes(9),
        )
        left.files[name] = choose.choice((*torn, content[:at] + bytes(min(tail, 512)) + content[at + 512 :]))


def test_a_ledger_with_its_index_of_runs(memory, run, rounds, monkeypatch):
    disk = Disk(memory / "disk")
    with disk.recording():
        tell_ledger(disk, run)
    in_use = run_index._boot()
    for seed, choose in rounds(25, share=0.3):
        events = disk.events[: choose.randrange(len(disk.events) + 1)]
        left = chosen(events, choose)
        spoil(left, in_use, choose)
        monkeypatch.setattr(run_index, "_boot", lambda: "after the power loss")
        place = memory / f"{seed}"
        place.mkdir()
        left.write(place)
        try:
            require_runs(place / "log", events, run)
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error
        shutil.rmtree(place)


# --- the harness can fail ------------------------------------------------------------------------------------------------


def nothing(*_):
    """Instead of something that makes durable."""


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (wal, "sync"),
        (wal, "sync_directory"),
        (files, "sync_directory"),
        (DirectoryPublication, "settle"),
    ],
    ids=[
        "the write-ahead log",
        "the names of its segments",
        "the names of tiles",
        "tiles before the checkpoint",
    ],
)
def test_a_missing_sync_is_found(where, name, monkeypatch, story, memory, require_whole):  # noqa: PLR0917
    monkeypatch.setattr(where, name, nothing)
    disk = Disk(memory / "disk")
    with disk.recording():
        story.tell(disk)
    monkeypatch.undo()

    def lose() -> None:
        for length in range(len(disk.events)):
            require_whole(state(disk.events[:length], ONLY_SYNCED), disk.events[:length], name)

    with pytest.raises(AssertionError, match=ONLY_SYNCED.how):
        lose()


def only_cut(path, data, _mode):
    """Drop the torn tail, and trust what the kernel says is before it."""
    fd = os.open(path, os.O_WRONLY)
    os.ftruncate(fd, len(data))
    os.close(fd)


def test_trust_in_what_a_killed_process_left_is_found(story, memory, killed, require_whole, monkeypatch):
    monkeypatch.setattr(wal, "write_whole", only_cut)
    seeds = [(seed, random.Random(seed)) for seed in range(100)]
    with pytest.raises(AssertionError, match="seed"):
        losses_after_a_kill(story, memory, killed, require_whole, seeds)
