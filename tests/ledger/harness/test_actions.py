# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Erasing, changing the key and pruning, stopped anywhere: what was answered holds, and doing it again comes to the same."""

from __future__ import annotations

import shutil

import pytest
from power_loss import LOST, Choice, chosen, enumerated, state
from recorded_disk import Disk, Told

from runrecord.ledger import fsck
from runrecord.ledger.administration import carry_out
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.epochs import end_of
from runrecord.ledger.erasure import Target, encode_targets
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.note import NoteVerifier

NOVEMBER = 1_794_000_000.0  # 2026-11-06
DAY = 86_400.0
ONLY_SYNCED = Choice("nothing but what was synced is there", others=LOST)


def steps(start, end):
    """Entries of which each is a run of its own."""
    nano = int(NOVEMBER * 1e9)
    return [
        Entry(kind=Kind.STEP, run=f"run-{n}", name="step", span_id=f"{n:016x}", start=nano, end=nano + n)
        for n in range(start, end)
    ]


class Action:
    """Something that is asked for once, in a ledger that was prepared for it."""

    now = NOVEMBER

    def open(self, path, now=None):
        return Ledger(path, checkpoint_interval=None, epochs="month", now=lambda: now or self.now)

    def prepare(self, disk):
        with self.open(disk.root / "log") as ledger:
            ledger.append_entries(steps(0, 10))
            disk.told("key", ledger.log.vkey)
            disk.told("secret", ledger.run_secrets.secret("", "run-2"))

    def ask(self, ledger, events):
        """Ask for it; return what was answered."""
        raise NotImplementedError

    def do(self, disk):
        with self.open(disk.root / "log") as ledger:
            disk.told("answered", dict(self.ask(ledger, disk.events)))

    def require_done(self, ledger, answer):
        """See that it is done."""
        raise NotImplementedError

    def require_whole(self, path, events):
        answered = told(events, "answered")
        with self.open(path) as ledger:
            size = ledger.log.size
            assert size >= 10
            if answered is not None:
                self.require_done(ledger, answered)
            again = self.ask(ledger, events)
            assert answered is None or self.same(again, answered)
            self.require_done(ledger, again)
            assert ledger.run_secrets.secret("", "run-2") == told(events, "secret")
            ledger.append_entries(steps(5_000, 5_001))
            ledger.publish()
        report = fsck(path, NoteVerifier(told(events, "key")))
        assert report.problems == []

    def same(self, one, other):
        return dict(one) == other


def told(events, what):
    return next(
        (event.value for event in reversed(events) if isinstance(event, Told) and event.what == what), None
    )


def entries(ledger, kind):
    found = [Entry.parse(leaf) for _, leaf in ledger.log.kept()]
    return [entry for entry in found if entry.kind == kind]


class Erase(Action):
    def ask(self, ledger, events):
        details = {
            "scope": "run",
            "legal_basis": "GDPR Art. 17, request 31",
            "actor": "grace",
            "time": "1800000000000000000",
            "targets": encode_targets([Target("run-1")]),
        }
        return carry_out(ledger, "erase", details)

    def require_done(self, ledger, answer):
        assert ledger.run_secrets.secret("", "run-1") is None
        assert len(entries(ledger, Kind.ERASURE)) == 1


class Rotate(Action):
    def ask(self, ledger, events):
        details = {"old": told(events, "key"), "overlap": "1000", "time": str(int(NOVEMBER * 1e9))}
        return carry_out(ledger, "rotate_key", details)

    def require_done(self, ledger, answer):
        assert ledger.log.vkey == answer["new"]
        assert len(entries(ledger, Kind.KEY_ROTATION)) == 1


class Prune(Action):
    """Of 600 entries of November, on the third of January."""

    now = end_of("month", end_of("month", NOVEMBER)) + 2 * DAY

    def prepare(self, disk):
        path = disk.root / "log"
        with self.open(path, NOVEMBER) as ledger:
            ledger.append_entries(steps(0, 600))
            disk.told("key", ledger.log.vkey)
            disk.told("secret", ledger.run_secrets.secret("", "run-2"))
        with self.open(path, end_of("month", NOVEMBER) + DAY) as ledger:
            ledger.append_entries(steps(600, 610))

    def ask(self, ledger, events):
        return carry_out(ledger, "prune", {"retention": "default=10", "time": str(int(self.now * 1e9))})

    def same(self, one, other):
        return True  # the second time there is nothing left to do

    def require_done(self, ledger, answer):
        names = ledger.log.objects.names("tile/entries/")
        assert (
            sorted(name for name in names if ".p/" not in name) == ["tile/entries/002"]
            or ledger.log.size < 768
        )
        assert len(entries(ledger, Kind.PRUNED)) == 1
        kept = dict(ledger.log.kept())
        assert min(kept) == 512
        assert [kept[index] for index in range(512, 600)] == [each.leaf() for each in steps(512, 600)]


@pytest.fixture(params=[Erase, Rotate, Prune])
def action(request):
    return request.param()


@pytest.fixture
def prepared(action, memory):
    disk = Disk(memory / "prepared")
    with disk.recording():
        action.prepare(disk)
    return disk


@pytest.fixture
def require(action, memory):
    def require_state(left, events, why):
        place = memory / "state"
        place.mkdir()
        left.write(place)
        try:
            action.require_whole(place / "log", events)
        except BaseException as error:
            raise AssertionError(
                f"{why}: {left.how}, after {len(events)} events, the last {events[-1]!r:.200}"
            ) from error
        shutil.rmtree(place)

    return require_state


def test_a_loss_while_it_is_done(action, prepared, killed, require, rounds):
    begin = len(prepared.events)
    after = killed(Disk(prepared.root, prepared.events), 0, action.do)
    for length in range(begin, len(after.events) + 1, 1 if rounds.full else 7):
        events = after.events[:length]
        for left in enumerated(events) if rounds.full else (state(events, ONLY_SYNCED),):
            require(left, events, "enumerated")
    for seed, choose in rounds(4, share=0.1):
        events = after.events[: choose.randrange(begin, len(after.events) + 1)]
        require(chosen(events, choose), events, f"seed {seed}")


def test_a_kill_at_any_operation(action, prepared, memory, killed, require, rounds):  # noqa: PLR0917
    root = memory / "copy"

    def copied(moment):
        shutil.copytree(prepared.root, root)
        return killed(Disk(root, prepared.events), moment, action.do)

    operations = copied(0).fault.count
    shutil.rmtree(root)
    assert operations > 20
    most = (
        150 if rounds.full else 8
    )  # single SQL statements are operations too: of an action that makes many, some
    for moment in range(1, operations + 1, -(-operations // most)):
        after = copied(moment)
        assert after.fault.struck
        try:
            action.require_whole(root / "log", after.events)
        except BaseException as error:
            raise AssertionError(f"killed at {moment}, after {after.events[-1]!r:.200}") from error
        require(state(after.events, ONLY_SYNCED), after.events, f"killed at {moment}")
        shutil.rmtree(root)
