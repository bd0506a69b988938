# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway keeps entries as long as its configuration says, and changes the key of its ledger when it is asked to."""

from __future__ import annotations

import pytest

from runrecord.ledger import Ledger, fsck
from runrecord.ledger.administration import administer
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.note import Note

DAY = 86_400.0
NOVEMBER = 1_761_955_200.0  # 2025-11-01, so that the clock of the machine is behind all of it


@pytest.fixture
def two_months(tmp_path):
    """A ledger with 300 entries of November and one of December 2025; its public key."""
    clock = [NOVEMBER]
    with Ledger(tmp_path / "ledger", origin="example.com/g", epochs="month", now=lambda: clock[0]) as made:
        made.append_entries([Entry(kind=Kind.STEP, run="run", name="step", start=n) for n in range(300)])
        clock[0] += 31 * DAY
        made.append_entries([Entry(kind=Kind.STEP, run="run", name="step", start=300)])
        return made.log.vkey


def test_a_gateway_prunes_and_changes_its_key(two_months, gateway_process, settings, poll, tmp_path):
    directory = tmp_path / "ledger"
    config = settings()
    name = next(name for name in config["exporters"] if name.startswith("ledger"))
    config["exporters"][name] = {"directory": str(directory), "retention_days": {"default": 30}}
    gateway = gateway_process(config).start()
    try:
        poll(lambda: not (directory / "tile" / "entries" / "000").exists())
        done = administer(directory, "rotate_key", {"old": two_months, "overlap": str(DAY)})
    finally:
        gateway.stop()
    assert done["old"] == two_months
    with Ledger(directory, read_only=True) as ledger:
        assert ledger.log.vkey == done["new"]
        assert len(Note.parse(ledger.log.checkpoint.note).signatures) == 2
        kinds = [Entry.parse(leaf).kind for _, leaf in ledger.log.kept()]
    assert kinds[-1] == Kind.KEY_ROTATION
    assert kinds.count(Kind.PRUNED) == 1
    report = fsck(directory)
    assert (report.problems, report.pruned) == ([], 256)
