# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Several writers of one store, each on its own machine: what one of them erases is erased by all."""

from __future__ import annotations

import json
import shutil

import pytest

from runrecord.ledger import NoteSigner
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.erasure import Target, encode_targets, erase
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.run_keys import RunKeysError

ASKED = {
    "scope": "run",
    "legal_basis": "GDPR Art. 17",
    "actor": "grace",
    "time": "1",
    "targets": encode_targets([Target("run-1")]),
}


@pytest.fixture
def machine(place, tmp_path, monkeypatch):
    """Open the ledger as on a machine of a name, with its own state."""
    signer = NoteSigner("example.com/agents", bytes(range(32)))
    opened = []

    def open_it(name, **options):
        monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / name))
        opened.append(Ledger(place.location, signer=signer, checkpoint_interval=None, **options))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def step(number, run="run-1"):
    return Entry(Kind.STEP, run=run, trace_id="ab" * 16, span_id=f"{number:016x}")


def test_what_one_writer_erases_the_others_erase(place, machine):
    if not place.shared:
        pytest.skip("a directory has one writer")
    first = machine("first")
    first.append_entries([step(1), step(2, "run-2")])
    assert first.run_secrets
    state = first.path / ".state"
    second = machine("second")
    with pytest.raises(RunKeysError, match="are not in"):  # not others, with which nothing would agree
        assert second.run_secrets
    shutil.copy(state / "run.keys", second.path / ".state" / "run.keys")
    second.append_entries([step(3, "run-3")])
    names = ("run-1", "run-2", "run-3")
    secrets = [first.run_secrets.secret("", name) for name in names]
    assert [second.run_secrets.secret("", name) for name in names] == secrets
    assert json.loads(erase(first, ASKED)["erased"]) == {"run-1": 3}
    assert second.run_secrets.secret("", "run-1") == secrets[0]  # it has not looked yet
    assert (second.apply_erasures(), second.apply_erasures()) == (1, 0)
    assert [second.run_secrets.secret("", name) for name in names] == [None, *secrets[1:]]
    third = machine("second", run_secrets=None)  # a restart of the second
    assert third.run_secrets.secret("", "run-1") is None
    assert json.loads(
        erase(second, {**ASKED, "time": "2", "targets": encode_targets([Target("run-2")])})["erased"]
    )
    assert first.apply_erasures() == 1
    first.append_entries([step(5, "run-3")])
    assert [first.run_secrets.secret("", name) for name in names] == [None, None, secrets[2]]


def test_erased_in_any_store(place, machine):
    ledger = machine("one")
    ledger.append_entries([step(1)])
    assert ledger.run_secrets.secret("", "run-1") is not None
    index = json.loads(erase(ledger, ASKED)["erased"])["run-1"]
    assert ledger.run_secrets.secret("", "run-1") is None
    ledger.close()
    again = machine("one")
    assert again.run_secrets.secret("", "run-1") is None
    assert again.log.leaf(index) == again.records_of("run-1")[-1].entry.leaf()
