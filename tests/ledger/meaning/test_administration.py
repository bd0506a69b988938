# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What operators do to a ledger: directly, and through the process that writes to it; shown with legal holds."""

from __future__ import annotations

import json
import threading

import pytest

from runrecord.ledger.administration import administer, carry_out, carry_out_requests
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.legal_hold import RunHeld, held, refuse_held

PLACE = {"run": "run-0001", "action": "placed", "reason": "case 7", "actor": "ada"}
RELEASE = {**PLACE, "action": "released", "reason": "case 7 is closed"}


@pytest.fixture
def place(tmp_path):
    """A ledger with one run of two entries, in a directory."""
    with Ledger(tmp_path / "ledger") as ledger:
        for number in (1, 2):
            ledger.append_entries(
                [
                    Entry(
                        Kind.STEP,
                        run="run-0001",
                        trace_id="ab" * 16,
                        span_id=f"{number:016x}",
                        tenant="t",
                        start=number,
                        end=number + 1,
                    )
                ]
            )
    return tmp_path / "ledger"


class Writer(threading.Thread):
    """Has the ledger, and attends to requests as a gateway does."""

    def __init__(self, place):
        super().__init__()
        self.ledger = Ledger(place)
        self.done = threading.Event()
        self.carried_out = 0

    def run(self):
        while not self.done.wait(0.01):
            self.carried_out += carry_out_requests(self.ledger)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()
        self.ledger.close()


def held_in(place):
    with Ledger(place, read_only=True) as ledger:
        return held(ledger, "run-0001")


def test_a_hold_is_an_entry_of_the_run_and_its_release_another(place):
    assert held_in(place) is None
    done = administer(place, "legal_hold", PLACE)
    assert done == {"run": "run-0001", "index": "2"}
    record = held_in(place)
    assert (record.index, record.entry.kind, record.entry.tenant) == (2, "legal_hold", "t")
    assert record.entry.detail == {"action": "placed", "reason": "case 7", "actor": "ada"}
    assert record.entry.start > 0
    administer(place, "legal_hold", RELEASE)
    assert held_in(place) is None


def test_what_is_done_to_a_run_later_does_not_make_it_longer(place):
    with Ledger(place, read_only=True) as ledger:
        before = ledger.run("run-0001")
        [listed] = ledger.runs()
    administer(place, "legal_hold", PLACE)
    with Ledger(place, read_only=True) as ledger:
        after = ledger.run("run-0001")
        assert len(after.records) == len(before.records) + 1
        assert (after.start, after.end) == (before.start, before.end)
        [now] = ledger.runs()
        assert (now.start, now.end) == (listed.start, listed.end)


def test_what_is_held_is_refused_by_the_entry_that_holds_it(place):
    administer(place, "legal_hold", PLACE)
    with (
        Ledger(place, read_only=True) as ledger,
        pytest.raises(RunHeld, match=r"\(entry 2\).*can't be erased"),
    ):
        refuse_held(ledger, "run-0001", "erased")


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({**PLACE, "reason": " "}, "needs a reason"),
        ({**PLACE, "actor": "x" * 1001}, "needs an actor"),
        (RELEASE, "is not under a legal hold"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(place, details, message):
    with pytest.raises(LedgerError, match=message):
        administer(place, "legal_hold", details)
    assert held_in(place) is None


def test_a_second_hold_is_refused_and_the_first_carried_out_again_is_the_same_entry(place):
    with Ledger(place) as ledger:
        first = carry_out(ledger, "legal_hold", {**PLACE, "time": "5"})
        assert carry_out(ledger, "legal_hold", {**PLACE, "time": "5"}) == first
        with pytest.raises(LedgerError, match=r"already \(entry 2\)"):
            carry_out(ledger, "legal_hold", {**PLACE, "time": "6"})
        assert ledger.log.size == 3


def test_the_process_that_writes_carries_out_what_another_asks_for(place):
    with Writer(place) as writer:
        done = administer(place, "legal_hold", PLACE)
        with pytest.raises(LedgerError, match="there is no run 'run-9'") as refused:
            administer(place, "legal_hold", {**PLACE, "run": "run-9"})
        assert "run-0001" in refused.value.next_step
    assert writer.carried_out == 2
    assert held_in(place).index == int(done["index"])
    assert list((place / ".state" / "requests").iterdir()) == []


def test_a_request_that_nobody_answers_stays_until_somebody_can(place):
    with Ledger(place), pytest.raises(LedgerError, match=r"did not answer within 0\.1 s") as left:
        administer(place, "legal_hold", PLACE, timeout=0.1)
    [request] = (place / ".state" / "requests").iterdir()
    assert str(request) in left.value.next_step
    assert request.stat().st_mode & 0o777 == 0o600
    with Ledger(place) as ledger:
        assert carry_out_requests(ledger) == 1
        assert held(ledger, "run-0001")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"action":"legal_hold","details":{"run":"run-0001"}}',
        b'{"action":"legal_hold","details":{"time":"1","run":7}}',
        b'{"action":"no_such","details":{"time":"1"}}',
        b'{"action":"legal_hold","details":{"time":"1"}}',
        b'{"action":"' + b"x" * (1 << 20) + b'"}',
    ],
)
def test_a_broken_request_is_answered_and_harms_nothing(place, data):
    directory = place / ".state" / "requests"
    directory.mkdir(mode=0o700)
    (directory / ("a" * 32 + ".json")).write_bytes(data)
    (directory / "notes.txt").write_bytes(b"not ours")
    with Ledger(place) as ledger:
        assert carry_out_requests(ledger) == 1
        assert ledger.log.size == 2
    assert json.loads((directory / ("a" * 32 + ".answer")).read_bytes())["error"]
    assert sorted(path.name for path in directory.iterdir()) == ["a" * 32 + ".answer", "notes.txt"]


def test_nothing_is_made_where_there_is_no_ledger(tmp_path):
    with pytest.raises(LedgerError, match="there is no ledger"):
        administer(tmp_path / "none", "legal_hold", PLACE)
    assert not (tmp_path / "none").exists()
