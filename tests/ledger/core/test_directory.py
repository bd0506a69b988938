# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The log in a directory: appends, duplicates, conflicts, checkpoints, proofs, readers beside the writer."""

from __future__ import annotations

import itertools
import os
import stat
import threading
import time

import pytest

from runrecord.ledger import (
    EntryTooLarge,
    LedgerError,
    LedgerReadOnly,
    LedgerStopped,
    Log,
    NoteSigner,
    OutOfRange,
    RolledBack,
    SignatureError,
    conflict_key,
    fsck,
    tlog,
)
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.dedup import REBUILD_CHUNK
from runrecord.ledger.tiles import TilePath, tiles_of

RAGGED = [1, 2, 3, 255, 256, 257, 511, 513]


def files_of(path):
    """Return every public file below a log's directory."""
    found = [each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file()]
    return sorted(each for each in found if not each.startswith(".state/"))


@pytest.mark.parametrize("size", RAGGED)
def test_a_log_is_the_tiles_of_its_size_and_every_leaf_is_proven(open_log, items, size):
    log = open_log()
    assert [each.index for each in log.append(items(0, size))] == list(range(size))
    checkpoint = log.publish()
    leaves = [leaf for _, leaf in items(0, size)]
    assert (checkpoint.size, checkpoint.root) == (size, tlog.root_of_leaves(leaves))
    assert files_of(log.path) == sorted(["checkpoint", *map(str, tiles_of(size))])
    assert list(log.leaves()) == leaves
    for index in {*range(0, size, 17), size - 1}:
        proof = log.inclusion_proof(index)
        tlog.verify_inclusion(tlog.leaf_hash(log.leaf(index)), index, size, proof, checkpoint.root)
    assert fsck(log.path).ok


def test_a_log_grows_by_any_steps_and_each_checkpoint_extends_the_one_before(open_log, items):
    log = open_log()
    checkpoints = [log.checkpoint]
    size = 0
    for step in (1, 1, 3, 250, 1, 1, 255, 600, 7):
        log.append(items(size, size + step))
        size += step
        checkpoints.append(log.publish())
    for old, new in itertools.pairwise(checkpoints):
        proof = log.consistency_proof(old.size, new.size)
        tlog.verify_consistency(old.size, old.root, new.size, new.root, proof)
        assert log.root(old.size) == old.root
    log.close()
    log = open_log()
    assert log.append(items(size, size + 1))[0].index == size
    assert fsck(log.path).ok
    full = [TilePath(None, 0), TilePath(0, 0), TilePath(None, 3), TilePath(0, 3)]
    assert not [each for each in full if (log.path / f"{each}.p").exists()]


@pytest.mark.timeout(60)
def test_seventy_thousand_entries(open_log):
    log = open_log()
    for start in range(0, 70_000, 5_000):
        log.append([(b"%d" % i, b"leaf %d" % i) for i in range(start, start + 5_000)])
    checkpoint = log.publish()
    assert files_of(log.path) == sorted(["checkpoint", *map(str, tiles_of(70_000))])
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        tlog.verify_inclusion(
            tlog.leaf_hash(b"leaf %d" % index), index, 70_000, log.inclusion_proof(index), checkpoint.root
        )
    old = log.root(65_537)
    tlog.verify_consistency(65_537, old, 70_000, checkpoint.root, log.consistency_proof(65_537))
    assert fsck(log.path).entries == 70_000


def test_a_new_log_is_a_signed_empty_tree(open_log, signer):
    log = open_log()
    assert Checkpoint.open((log.path / "checkpoint").read_bytes(), [signer.verifier]) == log.checkpoint
    assert (log.size, log.checkpoint.root, list(log.leaves())) == (0, tlog.EMPTY_ROOT, [])
    assert log.append([]) == []
    assert log.publish() is log.checkpoint


def test_what_is_appended_can_be_read_before_it_is_published(open_log, items):
    log = open_log()
    log.append(items(0, 3))
    log.publish()
    log.append(items(3, 5))
    assert (log.size, log.checkpoint.size) == (5, 3)
    assert list(log.leaves()) == [leaf for _, leaf in items(0, 5)]
    assert log.leaf(4) == items(4, 5)[0][1]
    with pytest.raises(OutOfRange, match="no checkpoint covers a tree of 5"):
        log.inclusion_proof(4, 5)


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (0, 6), (3, 2), (6, 6)])
def test_there_are_no_leaves_outside(open_log, items, start, end):
    log = open_log()
    log.append(items(0, 5))
    with pytest.raises(OutOfRange):
        log.leaves(start, end)


def test_an_entry_that_does_not_fit_is_refused_with_its_whole_call(open_log, items):
    log = open_log()
    with pytest.raises(EntryTooLarge, match="70000 bytes") as caught:
        log.append([*items(0, 2), (b"big", bytes(70_000))])
    assert "commitment" in caught.value.diagnostics()
    assert log.size == 0
    assert log.append([(b"big", bytes(65_535))])[0].index == 0


# --- duplicates and conflicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["same call", "pending", "published", "reopened"])
def test_the_same_entry_again_gives_the_old_index(open_log, items, when):
    log = open_log()
    call = items(0, 300)
    if when == "same call":
        results = log.append([*call, *call])[300:]
    else:
        log.append(call)
        if when != "pending":
            log.publish()
        if when == "reopened":
            log.close()
            log = open_log()
        results = log.append(call)
    assert [(each.index, each.status) for each in results] == [(i, "duplicate") for i in range(300)]
    assert log.size == 300


@pytest.mark.parametrize("when", ["same call", "pending", "published", "reopened"])
def test_another_entry_under_the_same_key_is_stated_once(open_log, when):
    seen = []

    def state(key, old_index, leaf):
        seen.append((key, old_index, leaf))
        return b"conflict at %d" % old_index

    log = open_log()
    if when == "same call":
        assert log.append([(b"k", b"one"), (b"k", b"two")], on_conflict=state)[1].status == "conflict"
    else:
        log.append([(b"k", b"one")])
        if when != "pending":
            log.publish()
        if when == "reopened":
            log.close()
            log = open_log()
        (result,) = log.append([(b"k", b"two")], on_conflict=state)
        assert (result.index, result.status) == (1, "conflict")
    assert seen == [(b"k", 0, b"two")]
    assert list(log.leaves()) == [b"one", b"conflict at 0"]
    for _ in range(2):  # the same conflict again, in memory and from the index
        (again,) = log.append([(b"k", b"two")], on_conflict=state)
        assert (again.index, again.status) == (1, "conflict")
        log.close()
        log = open_log()
    assert log.append([(b"k", b"three")])[0].index == 2
    assert log.leaf(2) == b"three"
    assert len(seen) == 1


def test_a_conflict_factory_that_fails_spoils_its_own_call_only(open_log, items):
    log = open_log()
    log.append([(b"k", b"one")])

    def fail(*_):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        log.append([*items(0, 2), (b"k", b"two")], on_conflict=fail)
    assert log.size == 1
    assert [each.index for each in log.append(items(0, 2))] == [1, 2]


def test_a_lost_key_index_is_rebuilt_from_the_leaves(open_log):
    """The function that works a key out also knows the entries that state a conflict."""
    first = b"k|one"
    second = b"k|two"

    def key_of(leaf):
        if leaf.startswith(b"conflict "):
            return conflict_key(b"k", tlog.leaf_hash(leaf.removeprefix(b"conflict ")))
        return leaf.split(b"|")[0]

    log = open_log()
    log.append([(b"k", first), (b"k", second)], on_conflict=lambda _key, _old, leaf: b"conflict " + leaf)
    log.append([(b"%d" % i, b"%d|" % i) for i in range(REBUILD_CHUNK + 10)])
    log.close()
    index = log.path / ".state" / "keys.sqlite"
    for damage in (index.unlink, lambda: index.write_bytes(b"no database" * 1000)):
        damage()
        with pytest.raises(LedgerError, match="gives the key of a leaf"):
            open_log()
        log = open_log(key_of=key_of)
        again = log.append([(b"k", first), (b"k", second), (b"5", b"5|"), (b"%d" % REBUILD_CHUNK, b"new")])
        assert [each.status for each in again] == ["duplicate", "conflict", "duplicate", "conflict"]
        assert again[1].index == 1
        log.close()


# --- threads, processes, handles ---------------------------------------------------------------------------------


def test_threads_that_append_the_same_entries_agree(open_log, items):
    log = open_log(checkpoint_interval=0.001)
    results = [[], []]

    def append(mine, start):
        for at in range(start, 2000, 7):
            mine.extend(log.append(items(at, min(at + 10, 2000))))
        for at in range(0, start, 7):
            mine.extend(log.append(items(at, at + 10)))

    threads = [threading.Thread(target=append, args=(mine, i * 700)) for i, mine in enumerate(results)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    new = [each.index for mine in results for each in mine if each.status == "new"]
    assert sorted(new) == list(range(2000))
    assert {each.status for mine in results for each in mine} == {"new", "duplicate"}
    assert sorted(log.leaves()) == sorted(leaf for _, leaf in items(0, 2000))
    log.close()
    assert fsck(log.path).checkpoint.size == 2000


def test_a_close_that_comes_just_before_a_publication_is_not_slept_through(open_log, items):
    log = open_log(checkpoint_interval=0.0)
    publisher, closing = log._publisher, threading.Thread(target=log.close, daemon=True)

    class Window(threading.Event):
        """Not cleared before the log is being closed."""

        def clear(self):
            closing.start()
            publisher._closing.wait()
            while not self.is_set():
                time.sleep(0)
            super().clear()

    first, publisher._dirty = publisher._dirty, Window()
    log.append(items(0, 1))
    first.set()
    assert publisher._closing.wait(30)
    closing.join(30)
    assert not closing.is_alive()
    assert fsck(log.path).checkpoint.size == 1


def test_a_checkpoint_comes_by_itself(open_log, items):
    log = open_log(checkpoint_interval=0.001)
    deadline = time.monotonic() + 30
    for size in (1, 2):
        log.append(items(size - 1, size))
        while log.checkpoint.size < size:
            assert time.monotonic() < deadline


def test_why_there_is_no_new_checkpoint_can_be_asked_for(open_log, items, caplog):
    """A directory stands where the checkpoint belongs: nothing is lost, the reason is logged once, and later it goes on."""
    log = open_log(checkpoint_interval=0.01)
    assert log.publish_failure is None
    checkpoint = log.path / "checkpoint"
    kept = checkpoint.read_bytes()
    checkpoint.unlink()
    (checkpoint / "in the way").mkdir(parents=True)
    log.append(items(0, 3))
    deadline = time.monotonic() + 60
    while log.publish_failure is None:
        assert time.monotonic() < deadline
    first = log.publish_failure
    while log.publish_failure is first:
        assert time.monotonic() < deadline
    assert str(log.path) in str(log.publish_failure)
    assert log.publish_failure.next_step
    assert log.append(items(3, 4))[0].status == "new"
    assert len([record for record in caplog.records if "no new checkpoint" in record.message]) == 1
    (checkpoint / "in the way").rmdir()
    checkpoint.rmdir()
    checkpoint.write_bytes(kept)
    while log.publish_failure is not None:
        assert time.monotonic() < deadline
    assert log.publish().size == 4


def test_a_signer_that_fails_is_the_reason_too(open_log, items, signer):
    class Unreachable(NoteSigner):
        def sign(self, text):
            if up:
                return super().sign(text)
            raise TimeoutError("token s3cret")

    up = [True]
    log = open_log(signer=Unreachable(signer.name, bytes(range(32))))
    up.clear()
    log.append(items(0, 3))
    with pytest.raises(LedgerError, match=r"size 3 can't be signed \(TimeoutError\)") as caught:
        log.publish()
    assert log.publish_failure is caught.value
    assert "s3cret" not in str(caught.value)
    up.append(True)
    assert log.publish().size == 3
    assert log.publish_failure is None


def test_a_reader_sees_what_a_checkpoint_covers_while_the_writer_goes_on(open_log, items):
    writer = open_log()
    writer.append(items(0, 200))
    writer.publish()
    reader = open_log(read_only=True)
    writer.append(items(200, 900))
    assert (reader.size, reader.origin, reader.vkey) == (200, writer.origin, writer.vkey)
    writer.publish()  # the partial tile of size 200 is gone; the full one takes its place
    assert list(reader.leaves()) == [leaf for _, leaf in items(0, 200)]
    tlog.verify_inclusion(
        tlog.leaf_hash(reader.leaf(199)), 199, 200, reader.inclusion_proof(199), reader.checkpoint.root
    )
    with pytest.raises(OutOfRange):
        reader.leaf(200)
    assert reader.refresh().size == reader.size == 900
    assert reader.refresh() == writer.refresh()
    for refused in (lambda: reader.append(items(0, 1)), reader.publish):
        with pytest.raises(LedgerReadOnly, match="opened to read"):
            refused()


def test_a_reader_refuses_a_checkpoint_that_does_not_extend_the_last(open_log, items, tmp_path):
    log = open_log()
    log.append(items(0, 5))
    log.publish()
    reader = open_log(read_only=True)
    other = open_log(tmp_path / "other")
    other.append(items(100, 110))
    other.publish()
    for name in files_of(other.path):
        (log.path / name).parent.mkdir(parents=True, exist_ok=True)
        (log.path / name).write_bytes((other.path / name).read_bytes())
    with pytest.raises(RolledBack, match="does not extend"):
        reader.refresh()
    (log.path / "checkpoint").unlink()
    with pytest.raises(RolledBack, match="is gone"):
        reader.refresh()


def test_a_reader_of_a_copy_needs_the_key(open_log, items, tmp_path, signer):
    log = open_log()
    log.append(items(0, 5))
    log.publish()
    copy = tmp_path / "copy"
    for name in files_of(log.path):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((log.path / name).read_bytes())
    with pytest.raises(LedgerError, match=r"the public key of the ledger .* is missing"):
        Log.open(copy, read_only=True)
    with pytest.raises(SignatureError):
        Log.open(copy, read_only=True, verifiers=[NoteSigner(signer.name, bytes(32)).verifier])
    assert list(Log.open(copy, read_only=True, verifiers=[signer.verifier]).leaves()) == list(log.leaves())


def test_there_is_nothing_to_read_where_no_log_is(tmp_path, signer):
    with pytest.raises(LedgerError, match="no ledger"):
        Log.open(tmp_path / "none", read_only=True, verifiers=[signer.verifier])


def test_a_closed_log_takes_nothing(open_log, items):
    log = open_log()
    log.append(items(0, 3))
    log.close()
    log.close()
    for refused in (lambda: log.append(items(3, 4)), log.publish):
        with pytest.raises(LedgerStopped, match="is closed"):
            refused()
    assert log.checkpoint.size == 3
    assert not list((log.path / ".state" / "wal").iterdir())
    with open_log() as again:
        assert again.size == 3


def test_a_forked_child_can_not_write(open_log, items, in_child):
    log = open_log()

    def work():
        with pytest.raises(LedgerStopped, match="forked"):
            log.append(items(0, 1))
        log.close()

    assert in_child(work) == 0
    assert log.append(items(0, 1))[0].index == 0


# --- keys --------------------------------------------------------------------------------------------------------


def test_a_log_makes_its_own_key_and_keeps_it_private(tmp_path, items):
    with Log.open(tmp_path / "log", origin="made.example/log") as log:
        log.append(items(0, 1))
        vkey = log.vkey
        secret = (log.path / ".state" / "log.key").read_text().strip()
        assert secret.startswith("PRIVATE+KEY+made.example/log+")
        assert secret.split("+", 4)[4] not in repr(log) + repr(log.verifiers)  # base64 may hold a plus itself
    key = tmp_path / "log" / ".state" / "log.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    with Log.open(tmp_path / "log") as log:
        assert (log.vkey, log.origin) == (vkey, "made.example/log")
    with pytest.raises(LedgerError, match=r"named 'made\.example/log', not 'other"):
        Log.open(tmp_path / "log", origin="other")
    with pytest.raises(LedgerError, match=r"named 'made\.example/log', not 'other'"):
        Log.open(tmp_path / "log", origin="other", read_only=True)
    key.unlink()
    with pytest.raises(LedgerError, match="private key"):
        Log.open(tmp_path / "log")


def test_logs_made_without_a_name_have_different_ones(tmp_path):
    with Log.open(tmp_path / "a") as one, Log.open(tmp_path / "b") as two:
        assert one.origin != two.origin


def test_a_key_can_be_rotated_while_the_old_one_is_trusted(open_log, items, signer):
    log = open_log()
    log.append(items(0, 3))
    log.close()
    new = NoteSigner(signer.name, os.urandom(32))
    with pytest.raises(SignatureError):
        open_log(signer=new)
    assert open_log(read_only=True).vkey == signer.vkey  # a key that is not trusted leaves no trace
    log = open_log(signer=new, verifiers=[signer.verifier])
    log.append(items(3, 4))
    log.close()
    reader = open_log(read_only=True)
    assert (reader.vkey, reader.size) == (new.vkey, 4)
