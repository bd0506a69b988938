# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The key of a ledger is changed: what holds in every store, also after a crash between any two steps."""

from __future__ import annotations

import pytest

from runrecord.ledger import Ledger, NoteSigner, SignatureError, copy_log, fsck
from runrecord.ledger.administration import carry_out
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerError, VerificationError
from runrecord.ledger.keyring import KeyRotated, public_keys
from runrecord.ledger.ledger import key_of
from runrecord.ledger.note import Note
from runrecord.ledger.rotation import learn, stored_proofs
from runrecord.ledger.stores.location import open_store
from runrecord.ledger.tlog_proof import TlogProof

DAY = 86_400.0
ORIGIN = "example.com/agents"
OLD, NEW, NEWER = (NoteSigner(ORIGIN, bytes([n]) * 32) for n in (1, 2, 3))


class Clock:
    """Seconds since the epoch, which only the test moves."""

    def __init__(self):
        self.seconds = 1_800_000_000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_ledger(place, clock):
    opened = []

    def open_it(signer=None, previous=(), **options):
        options = {
            "signer": signer,
            "previous": previous,
            "checkpoint_interval": None,
            "now": clock,
            **options,
        }
        opened.append(Ledger(options.pop("location", place.location), **options))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def steps(start, end):
    return [
        Entry(kind=Kind.STEP, run=f"run {n}", name="step", start=n + 1, end=n + 2) for n in range(start, end)
    ]


def signed_by(ledger):
    return {line.key_hash for line in Note.parse(ledger.log.checkpoint.note).signatures}


def rotations(ledger):
    return [entry for entry in map(Entry.parse, ledger.log.leaves()) if entry.kind == Kind.KEY_ROTATION]


def test_both_keys_sign_during_the_overlap_and_then_the_new_one_alone(place, open_ledger, clock):
    ledger = open_ledger(OLD)
    ledger.append_entries(steps(0, 300))
    ledger.close()
    ledger = open_ledger(NEW, [OLD], overlap=10 * DAY)
    assert signed_by(ledger) == {OLD.key_hash, NEW.key_hash}
    (stated,) = rotations(ledger)
    until = str(int((clock.seconds + 10 * DAY) * 1e9))
    assert stated.detail == {"old": OLD.vkey, "new": NEW.vkey, "until": until}
    assert ledger.log.vkey == NEW.vkey
    clock.seconds += 9.9 * DAY
    ledger.append_entries(steps(300, 301))
    ledger.publish()
    for key in (OLD, NEW):
        assert Checkpoint.open(ledger.log.checkpoint.note, [key.verifier]).size == 302
        assert fsck(place.location, key.verifier).ok
    clock.seconds += 0.2 * DAY
    ledger.append_entries(steps(301, 302))
    assert signed_by(ledger) == {OLD.key_hash, NEW.key_hash}
    ledger.publish()
    assert signed_by(ledger) == {NEW.key_hash}
    ledger.close()
    for keys in (NEW.verifier, OLD.verifier, ()):  # the old key vouches for the new one
        report = fsck(place.location, keys)
        assert report.ok, report.problems
    assert not fsck(place.location, NEWER.verifier).ok
    store = open_store(place.location)
    assert [key.vkey for key in public_keys(store)] == [NEW.vkey, OLD.vkey]
    store.close()
    assert open_ledger(NEW).log.size == 303
    assert open_ledger(read_only=True, location=place.location).log.vkey == NEW.vkey


def test_who_has_pinned_the_oldest_key_learns_the_newest(place, open_ledger, clock):
    open_ledger(OLD).close()
    open_ledger(NEW, [OLD], overlap=0).close()
    clock.seconds += DAY
    ledger = open_ledger(NEWER, [NEW], overlap=DAY)
    ledger.append_entries(steps(0, 3))
    ledger.close()
    store = open_store(place.location)
    proofs = stored_proofs(store)
    store.close()
    learned = learn(proofs, [OLD.verifier])
    assert [(each.old.vkey, each.new.vkey) for each in learned] == [
        (OLD.vkey, NEW.vkey),
        (NEW.vkey, NEWER.vkey),
    ]
    assert [each.new.vkey for each in learn(proofs, [NEW.verifier])] == [NEWER.vkey]
    assert learn(proofs, [NEWER.verifier]) == []
    assert learn(proofs, [NoteSigner(ORIGIN, bytes(32)).verifier]) == []
    assert fsck(place.location, OLD.verifier).ok


def test_a_proof_of_a_change_that_does_not_hold_is_refused(place, open_ledger):
    open_ledger(OLD).close()
    open_ledger(NEW, [OLD]).close()
    store = open_store(place.location)
    (proof,) = stored_proofs(store)
    store.close()
    parsed = TlogProof.parse(proof)
    checkpoint = Checkpoint.parse(parsed.checkpoint)
    for signers in ([OLD], [NEW]):
        alone = TlogProof(parsed.index, parsed.hashes, checkpoint.sign(signers).note, parsed.extra).encode()
        with pytest.raises(SignatureError, match="not signed by the "):
            learn([alone], [OLD.verifier])
    forged = proof.replace(NEW.vkey.encode(), NEWER.vkey.encode())
    assert forged == proof  # the entry is in base64
    leaf = (parsed.extra or b"").replace(NEW.vkey.encode(), NEWER.vkey.encode())
    forged = TlogProof(parsed.index, parsed.hashes, checkpoint.sign([OLD, NEWER]).note, leaf).encode()
    with pytest.raises(VerificationError, match="does not lead"):
        learn([forged], [OLD.verifier])


def test_a_writer_that_has_only_one_of_two_keys_is_told_what_to_do(place, open_ledger, clock):
    open_ledger(OLD).close()
    with pytest.raises(SignatureError) as refused:
        open_ledger(NEW)
    assert "previous_key_files" in refused.value.next_step
    open_ledger(NEW, [OLD], overlap=DAY).close()
    with pytest.raises(KeyRotated, match="has only the old one") as told:
        open_ledger(OLD)
    assert "key_file" in told.value.next_step
    with pytest.raises(KeyRotated, match="signs too until 2027-01-16") as told:
        open_ledger(NEW)
    assert "previous_key_files" in told.value.next_step
    clock.seconds += DAY
    assert open_ledger(NEW).log.vkey == NEW.vkey


@pytest.mark.parametrize("step", ["log.vkey", "append", "publish", "keys/"])
def test_a_change_that_was_cut_short_is_finished_by_the_next_writer(place, open_ledger, step, cut_short):
    ledger = open_ledger(OLD)
    ledger.append_entries(steps(0, 2))
    ledger.close()
    with cut_short(step):
        open_ledger(NEW, [OLD], overlap=DAY)
    ledger = open_ledger(NEW, [OLD], overlap=DAY)
    assert len(rotations(ledger)) == 1
    assert signed_by(ledger) == {OLD.key_hash, NEW.key_hash}
    ledger.close()
    assert fsck(place.location, OLD.verifier).ok
    store = open_store(place.location)
    assert len(learn(stored_proofs(store), [OLD.verifier])) == 1
    store.close()


def test_the_key_on_this_machine_is_changed_by_an_action_once(place, open_ledger, clock):
    ledger = open_ledger(origin=ORIGIN)
    path = ledger.path / ".state" / "log.key"
    old, time = ledger.log.vkey, int(clock.seconds * 1e9)
    details = {"old": old, "overlap": str(DAY), "time": str(time)}
    done = carry_out(ledger, "rotate_key", details)
    assert (done["old"], done["until"]) == (old, str(time + int(DAY * 1e9)))
    assert carry_out(ledger, "rotate_key", details) == done  # a crash came before the answer
    assert len(rotations(ledger)) == 1
    with pytest.raises(LedgerError, match="another one than the one to be replaced"):
        carry_out(ledger, "rotate_key", {**details, "old": NEW.vkey})
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().split("\n")) == 4
    ledger.close()
    ledger = open_ledger()
    assert (ledger.log.vkey, len(signed_by(ledger))) == (done["new"], 2)
    clock.seconds += DAY
    ledger.append_entries(steps(0, 1))
    ledger.publish()
    assert len(signed_by(ledger)) == 1
    assert path.read_text().count("PRIVATE") == 1
    ledger.close()
    assert open_ledger().log.vkey == done["new"]


def test_an_old_key_whose_overlap_ends_while_nobody_writes_is_removed_too(open_ledger, clock):
    ledger = open_ledger(origin=ORIGIN)
    path = ledger.path / ".state" / "log.key"
    asked = {"old": ledger.log.vkey, "overlap": str(DAY), "time": str(int(clock.seconds * 1e9))}
    carry_out(ledger, "rotate_key", asked)
    ledger.close()
    clock.seconds += 2 * DAY
    assert path.read_text().count("PRIVATE") == 2
    assert len(signed_by(open_ledger())) == 2  # nothing new was signed
    assert path.read_text().count("PRIVATE") == 1
    assert "until" not in path.read_text()


def test_keys_that_others_keep_are_not_changed_by_an_action(open_ledger):
    ledger = open_ledger(OLD)
    with pytest.raises(LedgerError, match="a file that its configuration names") as told:
        carry_out(ledger, "rotate_key", {"old": OLD.vkey, "overlap": "0", "time": "1"})
    assert "previous_key_files" in told.value.next_step


def test_a_copy_takes_the_keys_and_their_proofs_along(place, open_ledger, clock, tmp_path):
    open_ledger(OLD).close()
    ledger = open_ledger(NEW, [OLD], overlap=0)
    clock.seconds += 1
    ledger.append_entries(steps(0, 3))
    ledger.close()
    copy_log(place.location, str(tmp_path / "copy"), key_of=key_of)
    assert fsck(str(tmp_path / "copy"), OLD.verifier).ok
    assert open_ledger(NEW, location=str(tmp_path / "copy")).log.vkey == NEW.vkey


def test_readers_that_stay_open_follow_the_change(place, open_ledger, clock):
    ledger = open_ledger(OLD)
    reader = open_ledger(read_only=True)
    ledger.close()
    ledger = open_ledger(NEW, [OLD], overlap=0)
    clock.seconds += 1
    ledger.append_entries(steps(0, 1))
    ledger.publish()
    assert signed_by(ledger) == {NEW.key_hash}
    assert reader.refresh().size == 2


def test_writers_that_share_a_log_change_its_key_one_after_the_other(shared_place, clock):
    def open_it(*keys):
        return Ledger(
            shared_place.location, signer=keys[0], previous=keys[1:], checkpoint_interval=None, now=clock
        )

    behind = open_it(OLD)
    with open_it(NEW, OLD) as first, open_it(NEW, OLD) as second:
        assert len(rotations(first)) == 1
        behind.append_entries(steps(0, 1))  # durable, whoever publishes it
        with pytest.raises(KeyRotated, match="has only the old one"):
            behind.publish()
        second.append_entries(steps(1, 2))
        assert second.publish().size == 3
        assert len(rotations(second)) == 1
        assert signed_by(second) == {OLD.key_hash, NEW.key_hash}
        with pytest.raises(KeyRotated):
            behind.close()
    assert fsck(shared_place.location, OLD.verifier).entries == 3
