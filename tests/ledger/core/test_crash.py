# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What survives a crash: kill -9 at any moment, a death at every single system call, a torn tail at every byte."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runrecord.ledger import LedgerCorrupt, LedgerStopped, Log, RolledBack, fsck, tlog
from runrecord.ledger.checkpoint import Checkpoint

WRITER = Path(__file__).with_name("writer.py")
ROUNDS = 10


def load_writer():
    spec = importlib.util.spec_from_file_location("ledger_crash_writer", WRITER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_acknowledged_is_lost_and_nothing_forks_under_kill_9(tmp_path, open_log):
    directory = tmp_path / "log"
    leaf_of = load_writer().leaf_of
    acknowledged: dict[int, bytes] = {}
    checkpoints = []
    for number in range(ROUNDS):
        with subprocess.Popen(
            [sys.executable, str(WRITER), str(directory), f"round {number}"], stdout=subprocess.PIPE
        ) as process:
            wanted = len(acknowledged) + 150 + 379 * number
            for line in process.stdout:
                if not line.endswith(b"\n"):
                    break  # cut off by the kill
                index, key = line.split(b" ", 1)
                assert int(index) not in acknowledged
                acknowledged[int(index)] = leaf_of(key.rstrip(b"\n"))
                if len(acknowledged) == wanted:
                    process.kill()
            assert process.wait() == -signal.SIGKILL
        checkpoints.append(Checkpoint.parse((directory / "checkpoint").read_bytes()))
        assert fsck(directory).ok
    log = open_log(directory)
    leaves = list(log.leaves())
    assert all(leaves[index] == leaf for index, leaf in acknowledged.items())
    newest = log.publish()
    for old in checkpoints:
        proof = log.consistency_proof(old.size, newest.size)
        tlog.verify_consistency(old.size, old.root, newest.size, newest.root, proof)
    log.close()
    assert fsck(directory).ok


class Death:
    """Kills this process at the ``moment``-th call that changes the disk; a dying write leaves half its bytes."""

    def __init__(self, moment):
        self.left = moment

    def step(self, before=lambda: None):
        self.left -= 1
        if self.left == 0:
            before()
            os.kill(os.getpid(), signal.SIGKILL)

    def patch(self):
        write, rename, unlink, rmtree = os.write, Path.rename, Path.unlink, shutil.rmtree

        def dying_write(fd, data):
            self.step(lambda: write(fd, bytes(data)[: len(data) // 2]))
            return write(fd, data)

        def dying(function):
            def wrapper(*args, **kwargs):
                self.step()
                return function(*args, **kwargs)

            return wrapper

        os.write = dying_write
        os.fdatasync = dying(os.fdatasync)
        os.ftruncate = dying(os.ftruncate)
        Path.rename, Path.unlink, shutil.rmtree = dying(rename), dying(unlink), dying(rmtree)


def workload(directory, signer, items, acknowledged):
    """Make a log, cross the borders of tiles, publish and close; tell what was acknowledged."""
    log = Log.open(directory, signer=signer, checkpoint_interval=None)
    for start, end in ((0, 3), (3, 300), (300, 302)):
        log.append(items(start, end))
        acknowledged.write(end.to_bytes(4, "big"))
        log.publish()
    log.append(items(302, 305))
    acknowledged.write((305).to_bytes(4, "big"))
    log.close()


@pytest.mark.timeout(120)
def test_a_death_at_any_system_call_loses_nothing(tmp_path, open_log, in_child, signer, items):
    moment, died = 0, True
    while died:
        moment += 1
        directory = tmp_path / str(moment)
        reading, writing = os.pipe()

        def work(moment=moment, directory=directory, writing=writing):
            Death(moment).patch()
            with os.fdopen(writing, "wb", buffering=0) as acknowledged:
                workload(directory, signer, items, acknowledged)

        died = in_child(work) == -signal.SIGKILL
        os.close(writing)
        told = os.read(reading, 100)
        os.close(reading)
        acknowledged = int.from_bytes(told[-4:], "big")
        before = (directory / "checkpoint").read_bytes() if (directory / "checkpoint").exists() else None
        log = open_log(directory)
        assert log.size >= acknowledged, moment
        assert list(log.leaves()) == [leaf for _, leaf in items(0, log.size)]
        statuses = [each.status for each in log.append(items(0, 310))]
        assert statuses.count("duplicate") == log.size - statuses.count("new") >= acknowledged
        newest = log.publish()
        if before:
            old = Checkpoint.open(before, [signer.verifier])
            proof = log.consistency_proof(old.size, newest.size)
            tlog.verify_consistency(old.size, old.root, newest.size, newest.root, proof)
        log.close()
        report = fsck(directory)
        assert report.ok, (moment, report.problems)
        assert report.checkpoint.size == 310
        assert not (directory / "tile" / "entries" / "000.p").exists()
        shutil.rmtree(directory)
    assert moment > 60


@pytest.fixture
def crashed(tmp_path, in_child, signer, items):
    """A log of three published entries, and two groups of two entries that only the write-ahead log has."""
    directory = tmp_path / "crashed"

    def work():
        log = Log.open(directory, signer=signer, checkpoint_interval=None)
        log.append(items(0, 3))
        log.publish()
        log.append(items(3, 5))
        log.append(items(5, 7))

    assert in_child(work) == 0
    (segment,) = (directory / ".state" / "wal").iterdir()
    return directory, segment


def frames_of(segment):
    """Return where each frame of a segment starts, and its end."""
    data = segment.read_bytes()
    starts = []
    at = data.find(data[16:20])
    while at >= 0:
        starts.append(at)
        at = data.find(data[16:20], at + 1)
    return data, [*starts, len(data)]


def test_a_tail_torn_at_any_byte_is_dropped_and_nothing_else(crashed, open_log, items, tmp_path):
    directory, segment = crashed
    data, (_, _, last, end) = frames_of(segment)
    relative = segment.relative_to(directory)
    for cut in range(last, end + 1):
        copy = tmp_path / f"cut{cut}"
        shutil.copytree(directory, copy)
        (copy / relative).write_bytes(data[:cut])
        log = open_log(copy)
        assert log.size == (7 if cut == end else 5), cut
        assert list(log.leaves()) == [leaf for _, leaf in items(0, log.size)]
        assert log.append(items(0, 9))[-1].index == 8
        log.close()
        assert fsck(copy).checkpoint.size == 9
        shutil.rmtree(copy)


def test_a_tail_garbled_at_any_byte_is_dropped(crashed, open_log, items, tmp_path):
    directory, segment = crashed
    data, (_, _, last, end) = frames_of(segment)
    relative = segment.relative_to(directory)
    for at in range(last, end):
        copy = tmp_path / f"garbled{at}"
        shutil.copytree(directory, copy)
        (copy / relative).write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        log = open_log(copy)
        assert log.size == 5
        log.close()
        shutil.rmtree(copy)


def test_damage_before_a_whole_frame_is_no_torn_tail(crashed, open_log, tmp_path):
    directory, segment = crashed
    data, (_, middle, last, _) = frames_of(segment)
    relative = segment.relative_to(directory)
    for at in range(middle, last):
        copy = tmp_path / f"damaged{at}"
        shutil.copytree(directory, copy)
        (copy / relative).write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        with pytest.raises(LedgerCorrupt, match=f"damaged at byte {middle}"):
            open_log(copy)
        shutil.rmtree(copy)


def test_a_segment_that_was_just_being_made_is_dropped(crashed, open_log):
    directory, segment = crashed
    torn = segment.with_name(f"{7:020d}.wal")
    torn.write_bytes(segment.read_bytes()[:9])
    assert open_log(directory).size == 7
    assert not torn.exists()


# --- rollback ----------------------------------------------------------------------------------------------------


@pytest.fixture
def grown(open_log, items):
    """A closed log of 300 entries, and a copy of it when it had 290."""
    log = open_log()
    log.append(items(0, 290))
    log.close()
    old = log.path.with_name("old")
    shutil.copytree(log.path, old)
    log = open_log()
    log.append(items(290, 300))
    log.close()
    return log.path, old


def test_older_files_under_a_newer_checkpoint_are_refused(grown, open_log):
    new, old = grown
    shutil.copy(new / "checkpoint", old / "checkpoint")
    with pytest.raises(RolledBack, match="not those that were signed at size 300"):
        open_log(old)


def test_an_older_public_part_is_refused(grown, open_log):
    """Tiles and checkpoint from a backup, beside the state of today."""
    new, old = grown
    shutil.rmtree(new / "tile")
    shutil.copytree(old / "tile", new / "tile")
    shutil.copy(old / "checkpoint", new / "checkpoint")
    with pytest.raises(RolledBack, match="has 290 entries, and once had 300"):
        open_log(new)


def test_a_missing_checkpoint_is_refused(grown, open_log):
    new, _ = grown
    (new / "checkpoint").unlink()
    with pytest.raises(RolledBack, match="is missing, although it holds entries"):
        open_log(new)


def test_entries_that_are_in_tiles_are_not_missed_in_the_write_ahead_log(crashed, open_log):
    directory, segment = crashed
    data, (first, second, *_) = frames_of(segment)
    segment.write_bytes(data[:first] + data[second:])
    log = open_log(directory)  # the first frame holds what is in tiles already
    assert log.size == 7
    log.close()


def test_lost_write_ahead_entries_are_refused(crashed, open_log):
    directory, segment = crashed
    data, (first, _, last, _) = frames_of(segment)
    segment.write_bytes(data[:first] + data[last:])
    with pytest.raises(RolledBack, match="entries 3 to 5 of the ledger"):
        open_log(directory)


def test_another_history_under_the_same_key_is_refused(grown, open_log, items, tmp_path):
    new, _ = grown
    other = open_log(tmp_path / "other")
    other.append(items(500, 800))
    other.close()
    shutil.rmtree(new / "tile")
    shutil.copytree(other.path / "tile", new / "tile")
    with pytest.raises(RolledBack, match="do not add up to the root"):
        open_log(new)
    shutil.copy(other.path / "checkpoint", new / "checkpoint")
    with pytest.raises(RolledBack, match="are not those that it once had"):
        open_log(new)


# --- a failing disk ----------------------------------------------------------------------------------------------


def run_script(script, directory):
    """Run a script in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_a_full_disk_refuses_whole_groups_and_goes_on_when_there_is_room(tmp_path, open_log):
    """A file-size limit makes the system refuse real writes, in the middle of them."""
    script = """
import resource, sys
from runrecord.ledger import Log, LedgerFull, NoteSigner
signer = NoteSigner("example.com/agents", bytes(range(32)))
log = Log.open(sys.argv[1], signer=signer, checkpoint_interval=None)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
log.append([(b"0", bytes(1000))])
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
for i in range(1, 100):
    try:
        log.append([(b"%d" % i, bytes(1000))])
    except LedgerFull as error:
        print(i, error.diagnostics().replace(chr(10), " "))
        break
try:
    log.publish()
except LedgerFull as error:
    print(error.message)
small = log.append([(b"small", b"fits")])
print(log.size, small[0].index)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.append([(b"%d" % i, bytes(1000))])
print(log.size, log.publish().size)
log.close()
"""
    lines = run_script(script, tmp_path / "log")
    refused = int(lines[0].split()[0])
    assert "no room to write" in lines[0]
    assert "free some space" in lines[0]
    size = int(lines[-3].split()[0])
    assert size == refused + 1
    assert lines[-2] == f"{size + 1} {size + 1}"
    log = open_log(tmp_path / "log")
    assert [len(each) for each in log.leaves()] == [1000] * refused + [4, 1000]
    assert fsck(log.path).ok


def test_a_failed_sync_stops_the_log_until_it_is_opened_again(open_log, items):
    """The log's own file is swapped for a pipe, which can be written and not be synced."""
    log = open_log()
    log.append(items(0, 3))
    wal = log._recovered.writer.journal
    reading, writing = os.pipe()
    real, wal._fd = wal._fd, writing
    for _ in range(2):
        with pytest.raises(LedgerStopped, match=r"sync of .* failed"):
            log.append(items(3, 5))
    with pytest.raises(LedgerStopped):
        log.publish()
    wal._fd = real
    os.close(reading)
    os.close(writing)
    log.close()
    log = open_log()
    assert log.size == 3
    assert log.append(items(0, 5))[-1].index == 4


def test_a_failed_publish_keeps_everything_for_the_next(open_log, items):
    log = open_log()
    log.append(items(0, 3))
    blocker = log.path / "tile"
    blocker.write_text("a file where a directory should be")
    with pytest.raises(Exception, match="tile"):
        log.publish()
    assert (log.checkpoint.size, log.size) == (0, 3)
    blocker.unlink()
    log.append(items(3, 5))
    assert log.publish().size == 5
    assert fsck(log.path).ok
