# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Writers that are processes of their own are killed at any moment: nothing acknowledged is lost, nothing forks, fsck passes."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from s3_server import BUILD_SECONDS

from runrecord.ledger import Log, NoteSigner, RolledBack, fsck, tlog
from runrecord.ledger.checkpoint import Checkpoint

WRITER = Path(__file__).with_name("writer.py")
ROUNDS = 4


def load_writer():
    spec = importlib.util.spec_from_file_location("stores_crash_writer", WRITER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Writer:
    """A process, what it said, and a thread that listens and kills it once it has said so much."""

    def __init__(self, location, name, wanted):
        command = [sys.executable, str(WRITER), location, name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.acknowledged = {}
        self._wanted = wanted
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # else cut off by the kill
                index, key = line.split(b" ", 1)
                self.acknowledged[key.rstrip(b"\n")] = int(index)
                if len(self.acknowledged) == self._wanted:
                    self.process.kill()

    def wait(self):
        self._thread.join(100)
        with self.process:
            said = self.process.stderr.read()
        assert self.process.returncode == -signal.SIGKILL, said
        return self.acknowledged


@pytest.fixture(
    params=[
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("s3", marks=[pytest.mark.go, pytest.mark.timeout(BUILD_SECONDS)]),
    ]
)
def crash_place(request):
    return request.getfixturevalue(f"{request.param}_place")


def test_nothing_acknowledged_is_lost_and_nothing_forks_when_writers_are_killed(crash_place):
    location, leaf_of = crash_place.location, load_writer().leaf_of
    known: dict[bytes, int] = {}
    checkpoints = []
    for number in range(ROUNDS):
        writers = [
            Writer(location, f"{number}-{which}", 150 + 379 * number + 200 * which) for which in range(2)
        ]
        for writer in writers:
            for key, index in writer.wait().items():
                assert known.setdefault(key, index) == index, key
        checkpoints.append(Checkpoint.parse(crash_place.objects()["checkpoint"]))
        report = fsck(location)
        assert report.ok, report.problems
    signer = NoteSigner("example.com/agents", bytes(range(32)))
    with Log.open(location, signer=signer, checkpoint_interval=None, key_of=load_writer().key_of) as log:
        leaves = list(log.leaves())
        assert all(leaves[index] == leaf_of(key) for key, index in known.items())
        assert len(set(leaves)) == len(leaves)
        again = log.append([(key, leaf_of(key)) for key in known])
        assert {each.status for each in again} == {"duplicate"}
        newest = log.publish()
        for old in checkpoints:
            proof = log.consistency_proof(old.size, newest.size)
            tlog.verify_consistency(old.size, old.root, newest.size, newest.root, proof)
    report = fsck(location)
    assert (report.ok, report.beyond, report.entries) == (True, 0, len(leaves))


def test_the_machine_that_comes_back_with_an_older_store_is_told(crash_place, open_log, items):
    """All of the store is put back, and this machine remembers what it has signed."""
    log = open_log(crash_place.location)
    log.append(items(0, 3))
    log.publish()
    before = crash_place.objects()
    log.append(items(3, 5))
    log.close()
    for name in crash_place.objects():
        crash_place.put(name, before.get(name))
    for name, data in before.items():
        crash_place.put(name, data)
    with pytest.raises(RolledBack):
        open_log(crash_place.location)
