# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An operation fails: the log stops or refuses, and what it says afterwards is true, also after a power loss."""

from __future__ import annotations

import contextlib
import errno
import random
import shutil

import pytest
from power_loss import LOST, Choice, chosen, state
from recorded_disk import Disk, Fault

from runrecord.ledger import LedgerError, LedgerStopped

ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS)


STEPS = ((0, 3), (3, 5), (5, 300), (300, 302), (302, 305))
TRIES = 4


def tell(story, disk):
    """The story, told by someone who sends again what was refused, and opens the log again when it has stopped; return what was refused."""
    story.signer.disk = disk
    refusals, log = [], None
    steps = list(STEPS)
    while steps and len(refusals) < TRIES:
        try:
            log = log or story.open(disk.root / "log")
            start, end = steps[0]
            results = log.append(story.items(start, end))
            assert [each.index for each in results] == [*range(start, end)]
            disk.told("acknowledged", end)
            log.publish()
            if len(steps) == 2:
                log.close()
                log = None
            del steps[0]
        except LedgerError as error:
            refusals.append(error)
            if log is not None and isinstance(error, LedgerStopped):
                with contextlib.suppress(LedgerError):
                    log.close()
                log = None
    if log is not None:
        with contextlib.suppress(LedgerError):
            log.close()
    return refusals


def require_true(story, require_whole, disk, why, choose):
    events = disk.events
    for left in (
        state(events, Choice("nothing is lost")),
        state(events, Choice("nothing but what was synced is there", others=LOST)),
        chosen(events, choose),
    ):
        require_whole(left, events, why)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_an_error_at_any_operation(lasting, story, memory, require_whole, rounds):
    disk = Disk(memory / "counted")
    with disk.recording():
        assert not tell(story, disk)
    operations = disk.fault.count
    assert operations > 150
    rng = random.Random(0)
    every = [(error, moment) for error in ERRORS for moment in range(1, operations + 1)]
    for error, moment in every if rounds.full else rng.sample(every, 40):
        disk = Disk(memory / "disk", fault=Fault(moment, error, lasting=lasting))
        why = f"{errno.errorcode[error]} at operation {moment}"
        with disk.recording():
            refusals = tell(story, disk)
            disk.fault.moment, disk.fault.struck = 0, ""  # the disk was repaired
        for refusal in refusals:
            assert refusal.next_step, why
            assert str(disk.root) in refusal.message or "can't be signed" in refusal.message, why
        require_true(story, require_whole, disk, f"{why} ({disk.fault.count})", random.Random(moment))
        shutil.rmtree(disk.root)
