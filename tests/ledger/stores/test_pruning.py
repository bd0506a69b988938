# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Epochs and pruning: what holds in every store, also after a crash between any two steps."""

from __future__ import annotations

import pytest

from runrecord.ledger import Ledger, LedgerCorrupt, NoteSigner, UnknownRun, copy_log, fsck
from runrecord.ledger.administration import carry_out
from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.epochs import closed_epochs, end_of, name_of
from runrecord.ledger.errors import LedgerError, Pruned
from runrecord.ledger.ledger import key_of
from runrecord.ledger.log import Log
from runrecord.ledger.prune import Pruner
from runrecord.ledger.publisher import Publisher
from runrecord.ledger.retention import Retention
from runrecord.ledger.tlog import verify_inclusion
from runrecord.ledger.trust import Trust
from runrecord.ledger.verify import Code, verify_bundle

DAY = 86_400.0
NOVEMBER = 1_794_000_000.0  # 2026-11-06
SIGNER = NoteSigner("example.com/agents", bytes(range(32)))
BUNDLE_KEY = NoteSigner("example.com/agents/bundle", b"B" * 32)
KEEP = Retention({"default": 10, Kind.APPROVAL_DECISION: 100})


class Clock:
    """Seconds since the epoch, which only the test moves."""

    def __init__(self, seconds=NOVEMBER):
        self.seconds = seconds

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_ledger(place, clock):
    opened = []

    def open_it(**options):
        options = {"signer": SIGNER, "checkpoint_interval": None, "now": clock, "epochs": "month", **options}
        opened.append(Ledger(options.pop("location", place.location), **options))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def steps(start, end, kind=Kind.STEP, run="run-{}"):
    """Entries of which each is a run of its own."""
    nano = int(NOVEMBER * 1e9)
    return [
        Entry(kind=kind, run=run.format(n), name="step", span_id=f"{n:016x}", start=nano + n, end=nano + n)
        for n in range(start, end)
    ]


def asked(clock, **details):
    return {"retention": str(KEEP), "time": str(int(clock.seconds * 1e9)), **details}


@pytest.fixture
def two_months(open_ledger, clock):
    """A ledger with 600 entries of November, 300 of December, and some of January; it is the third of January."""
    ledger = open_ledger()
    ledger.append_entries(steps(0, 600))
    clock.seconds = end_of("month", clock.seconds) + DAY
    ledger.append_entries(steps(600, 900))
    clock.seconds = end_of("month", clock.seconds) + 2 * DAY
    ledger.append_entries(steps(900, 910))
    ledger.publish()
    return ledger


def bundles(ledger):
    names = ledger.log.objects.names("tile/entries/")
    return sorted(int(name.rpartition("/")[2]) for name in names if ".p/" not in name)


def of_kind(ledger, *kinds):
    found = [(index, Entry.parse(leaf)) for index, leaf in ledger.log.kept()]
    return [(index, entry) for index, entry in found if entry.kind in kinds]


@pytest.mark.parametrize(
    ("calendar", "seconds", "name", "end"),
    [
        ("month", NOVEMBER, "2026-11", 1_796_083_200.0),
        ("week", NOVEMBER, "2026-W45", 1_794_182_400.0),
        ("month", 1_798_761_599.0, "2026-12", 1_798_761_600.0),
        ("week", 1_798_761_600.0, "2026-W53", 1_799_020_800.0),
        ("month", 1_706_659_200.0, "2024-01", 1_706_745_600.0),
    ],
)
def test_months_and_weeks_are_those_of_utc(calendar, seconds, name, end):
    assert (name_of(calendar, seconds), end_of(calendar, seconds)) == (name, end)
    assert name_of(calendar, end) != name


def test_an_epoch_is_closed_before_the_first_entry_of_the_next(two_months, clock):
    stated = of_kind(two_months, Kind.EPOCH_CLOSE, Kind.EPOCH_OPEN)
    assert [(index, entry.kind, entry.detail["epoch"]) for index, entry in stated] == [
        (600, "epoch_close", "2026-11"),
        (601, "epoch_open", "2026-12"),
        (902, "epoch_close", "2026-12"),
        (903, "epoch_open", "2027-01"),
    ]
    for _, entry in stated[::2]:
        assert entry.detail["root"] == two_months.log.root(int(entry.detail["size"])).hex()
    assert [(e.name, e.first, e.size) for e in closed_epochs(two_months.log, clock.seconds)] == [
        ("2026-12", 600, 902),
        ("2026-11", 0, 600),
    ]


def test_where_nothing_is_appended_no_epoch_is_closed(two_months, open_ledger, place, clock):
    size = two_months.log.size
    two_months.close()
    clock.seconds += 100 * DAY
    ledger = open_ledger()
    assert ledger.log.size == size
    ledger.append_entries(steps(905, 906))  # known, and still the calendar has turned
    assert ledger.log.size == size + 2
    ledger.turn_epoch()
    clock.seconds += 100 * DAY
    ledger.turn_epoch()  # the epoch holds nothing but its beginning
    assert ledger.log.size == size + 2


def test_an_epoch_that_can_not_be_closed_now_stops_nobody(open_ledger, clock, monkeypatch, caplog):
    ledger = open_ledger()
    ledger.append_entries(steps(0, 1))
    clock.seconds += 40 * DAY
    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "publish", lambda _: (_ for _ in ()).throw(LedgerError("no room")))
        ledger.append_entries(steps(1, 2))
        assert "can't be closed now" in caplog.text
    ledger.append_entries(steps(2, 3))
    assert ledger.log.size == 3
    clock.seconds += 61
    ledger.append_entries(steps(3, 4))
    assert ledger.log.size == 6


def test_what_was_kept_long_enough_goes_and_the_rest_stays_provable(two_months, place, clock, tmp_path):
    ledger = two_months
    bundle = build_bundle(ledger, "run-3", signer=BUNDLE_KEY)
    proofs = {
        index: (ledger.log.leaf_hash(index), ledger.log.inclusion_proof(index)) for index in (3, 511, 600)
    }
    before = ledger.log.checkpoint
    said = carry_out(ledger, "prune", asked(clock, dry_run="true"))
    assert (said["bundles"], said["entries"], said["index"]) == ("0-1", "512", "")
    assert bundles(ledger) == [0, 1, 2]
    done = carry_out(ledger, "prune", asked(clock))
    assert (done["bundles"], done["epoch"], done["removed"], done["left"]) == ("0-1", "2026-11", "2", "0")
    assert bundles(ledger) == [2]
    ((index, stated),) = of_kind(ledger, Kind.PRUNED)
    assert str(index) == done["index"]
    assert stated.detail["minimum"] == "512"
    assert stated.detail["retention"] == "approval_decision=100 default=10"
    for each, (leaf, proof) in proofs.items():
        verify_inclusion(leaf, each, before.size, proof, before.root)
        now = ledger.log.checkpoint
        verify_inclusion(leaf, each, now.size, ledger.log.inclusion_proof(each), now.root)
    for log in (ledger.log, Log.open(place.location, read_only=True)):
        with pytest.raises(Pruned, match=r"entries 0 to 255 .* below 512 were pruned.*entry 914 states it"):
            log.leaf(3)
        assert log.leaf(512) == steps(512, 513)[0].leaf()
        assert [each for each, _ in log.kept()] == list(range(512, ledger.log.size))
        if log is not ledger.log:
            log.close()
    report = fsck(place.location)
    assert (report.ok, report.pruned, report.entries) == (True, 512, ledger.log.size - 512), report.problems
    trust = Trust((SIGNER.verifier,), (BUNDLE_KEY.verifier,))
    assert verify_bundle(bundle, trust).code is not Code.FAILED
    for reader in (ledger, Ledger(place.location, read_only=True)):
        with pytest.raises(UnknownRun, match="entries below 512 were pruned"):
            reader.run("run-3")
        assert reader.run("run-520").records[0].index == 520
        assert len(list(reader.runs())) == 910 - 512
        if reader is not ledger:
            reader.close()
    assert [each.index for each in ledger.append_entries(steps(0, 3))] == [0, 1, 2]  # their keys are known
    assert [each.status for each in ledger.append_entries(steps(2, 3, run="other-{}"))] == ["conflict"]
    ledger.close()
    copied = str(tmp_path / "copy")
    assert copy_log(place.location, copied, key_of=key_of).checkpoint.size == ledger.log.checkpoint.size
    assert fsck(copied).ok


def test_kinds_that_are_kept_for_longer_and_held_runs_keep_their_bundles(open_ledger, clock):
    ledger = open_ledger(retention=KEEP)
    ledger.append_entries([*steps(0, 300), *steps(300, 301, Kind.APPROVAL_DECISION), *steps(301, 1100)])
    clock.seconds = end_of("month", clock.seconds) + DAY
    ledger.append_entries(steps(1100, 1101))
    carry_out(
        ledger,
        "legal_hold",
        {"run": "run-600", "action": "placed", "reason": "a case", "actor": "me", "time": "1"},
    )
    clock.seconds += 10.5 * DAY
    pruner = Pruner()
    done = pruner.attend(ledger)
    assert (done.plan.bundles, done.plan.held) == ([0, 3], {"run-600"})
    assert bundles(ledger) == [1, 2]
    assert ledger.log.pruning.minimum == 1024
    assert ledger.run("run-600").records
    assert pruner.attend(ledger) is None  # once a day
    carry_out(
        ledger,
        "legal_hold",
        {"run": "run-600", "action": "released", "reason": "closed", "actor": "me", "time": "2"},
    )
    clock.seconds += DAY
    assert pruner.attend(ledger).plan.bundles == [2]
    clock.seconds += 90 * DAY
    assert pruner.attend(ledger).plan.bundles == [1]
    assert bundles(ledger) == []
    ledger.retention = Retention()
    with pytest.raises(LedgerError, match="nobody says"):
        carry_out(ledger, "prune", {"time": "1"})


def test_what_is_missing_and_not_stated_is_damage(two_months, place, clock):
    carry_out(two_months, "prune", asked(clock))
    two_months.close()
    place.put("tile/entries/002", None)  # above the minimum
    with (
        Log.open(place.location, read_only=True) as log,
        pytest.raises(LedgerCorrupt, match="002 is missing"),
    ):
        log.leaf(512)
    assert any("entries/002" in each for each in fsck(place.location).problems)


@pytest.mark.parametrize("data", [None, b"", b"c2sp.org/tlog-proof@v1\nindex 0\n\n"])
def test_without_the_statement_what_is_missing_is_damage(two_months, place, clock, data):
    carry_out(two_months, "prune", asked(clock))
    two_months.close()
    place.put("pruned.tlog-proof", data)
    with (
        Log.open(place.location, read_only=True) as log,
        pytest.raises(LedgerCorrupt, match="000 is missing"),
    ):
        log.leaf(3)
    assert not fsck(place.location).ok


@pytest.mark.parametrize("step", ["append", "publish", "pruned.tlog-proof", "pruning", "remove"])
def test_a_pruning_that_was_cut_short_goes_on(two_months, open_ledger, place, step, cut_short):
    with cut_short(step):
        carry_out(two_months, "prune", asked(two_months.now))
    assert bundles(two_months) == [0, 1, 2]  # nothing goes before it is stated and proven
    two_months.close()
    assert fsck(place.location).ok
    ledger = open_ledger(retention=KEEP)
    Pruner().attend(ledger)
    assert bundles(ledger) == [2]
    assert len(of_kind(ledger, Kind.PRUNED)) == 1
    assert fsck(place.location).ok


def test_what_the_store_does_not_let_go_of_is_tried_again(two_months, clock, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr(Log, "remove", lambda _, names: list(names))
        done = carry_out(two_months, "prune", asked(clock))
    assert (done["removed"], done["left"]) == ("0", "2")
    assert "can't be removed yet" in caplog.text
    assert carry_out(two_months, "prune", asked(clock, dry_run="true"))["left"] == "2"
    assert two_months.log.leaf(3)
    again = carry_out(two_months, "prune", asked(clock))
    assert (again["index"], again["left"]) == ("", "0")
    assert bundles(two_months) == [2]


def test_a_lost_key_index_is_made_of_what_is_left(clock, tmp_path):
    path = tmp_path / "own"

    def open_it():
        return Ledger(path, signer=SIGNER, checkpoint_interval=None, now=clock, epochs="month")

    with open_it() as ledger:
        ledger.append_entries(steps(0, 300))
        clock.seconds += 30 * DAY
        ledger.append_entries(steps(300, 301))
        clock.seconds += 30 * DAY
        carry_out(ledger, "prune", asked(clock))
        assert bundles(ledger) == []
        size = ledger.log.size
    for name in ("keys.sqlite", "index.sqlite"):
        (path / ".state" / name).unlink()
    with open_it() as ledger:
        assert ledger.log.size == size
        assert [each.status for each in ledger.append_entries(steps(256, 301))] == ["duplicate"] * 45
        assert [each.status for each in ledger.append_entries(steps(0, 1))] == ["new"]
        assert len(list(ledger.runs())) == 45 + 1
    assert fsck(path).ok


def test_writers_that_share_a_log_close_an_epoch_once(shared_place, clock):
    def open_it():
        return Ledger(
            shared_place.location, signer=SIGNER, checkpoint_interval=None, now=clock, epochs="month"
        )

    with open_it() as first, open_it() as second:
        first.append_entries(steps(0, 300))
        second.append_entries(steps(300, 310))
        clock.seconds += 30 * DAY
        second.append_entries(steps(310, 311))
        first.append_entries(steps(311, 312))
        assert len(of_kind(first, Kind.EPOCH_CLOSE)) == len(of_kind(first, Kind.EPOCH_OPEN)) == 1
        clock.seconds += 30 * DAY
        assert carry_out(first, "prune", asked(clock))["bundles"] == "0"
        assert carry_out(second, "prune", asked(clock))["bundles"] == ""
        assert second.append_entries(steps(0, 1))[0].index == 0
        second.append_entries(steps(312, 313))
        assert second.publish().size == first.log.size + 1
    assert fsck(shared_place.location).ok
