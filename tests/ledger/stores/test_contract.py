# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for a log in every store."""

from __future__ import annotations

import os

import pytest

from runrecord.ledger import (
    LedgerCorrupt,
    LedgerError,
    LedgerReadOnly,
    LedgerStopped,
    NoteSigner,
    OutOfRange,
    RolledBack,
    SignatureError,
    fsck,
    tlog,
)

SIZES = (3, 256, 300, 700)


def grow(log, items):
    """Append and publish in steps that cross the borders of tiles; return the checkpoints."""
    notes = []
    for start, end in zip((0, *SIZES), SIZES, strict=False):
        log.append(items(start, end))
        notes.append(log.publish().note)
    return notes


def test_the_same_entries_and_key_give_the_same_bytes_and_proofs_as_in_a_directory(
    place, open_log, items, tmp_path
):
    log, model = open_log(place.location), open_log(str(tmp_path / "model"))
    assert grow(log, items) == grow(model, items)
    size = SIZES[-1]
    for index in (0, 255, 256, 299, size - 1):
        assert log.inclusion_proof(index) == model.inclusion_proof(index)
        assert log.leaf(index) == model.leaf(index)
    for old in SIZES:
        assert log.consistency_proof(old) == model.consistency_proof(old)
    log.close()
    model.close()
    expected = {name: (model.path / name).read_bytes() for name in ["checkpoint"]}
    for path in (model.path / "tile").rglob("*"):
        if path.is_file():
            expected[path.relative_to(model.path).as_posix()] = path.read_bytes()
    assert place.objects() == expected


def test_what_was_acknowledged_is_there_again_and_is_not_logged_twice(place, open_log, items):
    log = open_log(place.location)
    log.append(items(0, 300))
    log.publish()
    log.append(items(300, 310))  # in no tile when the log closes without having published
    log._publisher.publish = lambda: None
    log.close()
    log = open_log(place.location)
    assert (log.size, log.checkpoint.size) == (310, 300)
    assert list(log.leaves()) == [leaf for _, leaf in items(0, 310)]
    results = log.append(items(0, 312))
    assert [each.index for each in results] == list(range(312))
    assert [each.status for each in results] == ["duplicate"] * 310 + ["new"] * 2
    assert log.publish().size == 312


def test_another_leaf_under_a_key_is_a_conflict_now_and_later(place, open_log, items):
    log = open_log(place.location)
    log.append(items(0, 5))
    (first,) = log.append([(b"key 2", b"leaf 2 other")])
    assert (first.index, first.status) == (5, "conflict")
    log.publish()
    log.append(items(5, 300))
    log.close()
    log = open_log(place.location)
    for _ in range(2):
        (again,) = log.append([(b"key 2", b"leaf 2 other")])
        assert (again.index, again.status) == (5, "conflict")
    (third,) = log.append([(b"key 2", b"leaf 2 third")])
    assert (third.index, third.status) == (301, "conflict")


def test_a_batch_that_fails_leaves_nothing_and_the_log_goes_on(place, open_log, items):
    log = open_log(place.location)
    log.append(items(0, 2))

    def fail(*_):
        raise ValueError("no such conflict")

    with pytest.raises(ValueError, match="no such conflict"):
        log.append([*items(2, 4), (b"key 0", b"other")], on_conflict=fail)
    with pytest.raises(LedgerError, match="65535"):
        log.append([(b"large", bytes(70_000))])
    assert log.append(items(2, 3))[0].index == 2
    assert log.publish().size == 3


def test_a_reader_sees_what_a_checkpoint_covers_while_the_writer_goes_on(place, open_log, items):
    log = open_log(place.location)
    log.append(items(0, 300))
    log.publish()
    log.append(items(300, 301))
    reader = open_log(place.location, read_only=True, signer=None)
    assert reader.size == 300
    assert reader.vkey == log.vkey
    assert list(reader.leaves(250, 300)) == [leaf for _, leaf in items(250, 300)]
    with pytest.raises(OutOfRange):
        reader.leaf(300)
    with pytest.raises(LedgerReadOnly, match="opened to read"):
        reader.append(items(0, 1))
    newest = log.publish()
    assert reader.refresh() == newest
    assert reader.leaf(300) == items(300, 301)[0][1]
    proof = reader.inclusion_proof(300)
    tlog.verify_inclusion(reader.leaf_hash(300), 300, 301, proof, newest.root)


def test_where_there_is_no_ledger_a_reader_says_so(place, open_log):
    with pytest.raises(LedgerError, match="there is no ledger in"):
        open_log(place.location, read_only=True)
    assert fsck(place.location).problems


def test_fsck_passes_a_good_log_and_names_what_was_changed(place, open_log, items, signer):
    log = open_log(place.location)
    grow(log, items)
    log.close()
    report = fsck(place.location)
    assert (report.ok, report.entries, report.beyond) == (True, 700, 0)
    assert report.leftovers == []
    assert fsck(place.location, signer.verifier).ok
    for name, data in place.objects().items():
        place.put(name, data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        assert not fsck(place.location, signer.verifier).ok, name
        place.put(name, data)
    place.put("tile/entries/001", None)
    assert any("tile/entries/001" in each for each in fsck(place.location).problems)


def test_a_changed_entry_is_refused_by_a_reader_that_names_it(place, open_log, items):
    log = open_log(place.location)
    grow(log, items)
    log.close()
    data = place.objects()["tile/entries/001"]
    place.put("tile/entries/001", data.replace(b"leaf 300 ", b"leaf 30X "))
    reader = open_log(place.location, read_only=True)
    assert reader.leaf(0) == items(0, 1)[0][1]
    with pytest.raises(LedgerCorrupt, match=r"tile/entries/001 .* entry 300 "):
        reader.leaf(256)


def test_an_older_log_than_this_machine_has_signed_is_refused(place, open_log, items):
    """Someone restores a backup: all of it fits together, and entries are gone."""
    log = open_log(place.location)
    log.append(items(0, 290))
    log.publish()
    before = place.objects()
    log.append(items(290, 400))
    log.close()
    for name in place.objects().keys() - before.keys():
        place.put(name, None)
    for name, data in before.items():
        place.put(name, data)
    with pytest.raises(RolledBack):
        open_log(place.location)


def test_a_checkpoint_that_is_gone_is_not_taken_for_a_new_log(place, open_log, items):
    log = open_log(place.location)
    grow(log, items)
    log.close()
    place.put("checkpoint", None)
    with pytest.raises(RolledBack, match="is missing, although it holds entries"):
        open_log(place.location)
    with pytest.raises(RolledBack, match="is missing, although it holds entries"):
        open_log(place.location, read_only=True)


def test_another_key_neither_reads_nor_writes(place, open_log, items):
    log = open_log(place.location)
    log.append(items(0, 3))
    log.close()
    stranger = NoteSigner(log.origin, bytes(32))
    with pytest.raises(SignatureError, match="not signed by the key of this ledger"):
        open_log(place.location, signer=stranger)
    assert open_log(place.location).publish().size == 3


def test_a_key_is_made_on_this_machine_and_found_again(place, open_log, items):
    log = open_log(place.location, signer=None, origin="example.com/made")
    log.append(items(0, 3))
    log.close()
    key = log.path / ".state" / "log.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert open_log(place.location, signer=None).origin == "example.com/made"
    assert fsck(place.location).ok


def test_a_closed_log_takes_nothing(place, open_log, items):
    log = open_log(place.location)
    log.append(items(0, 3))
    log.close()
    log.close()
    with pytest.raises(LedgerStopped, match="closed"):
        log.append(items(3, 4))
    assert open_log(place.location).size == 3


def test_a_fork_appends_nothing_and_breaks_nothing(place, open_log, items):
    log = open_log(place.location)
    log.append(items(0, 3))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log.append(items(3, 4))
        except LedgerStopped:
            log.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert log.append(items(3, 4))[0].index == 3
    assert log.publish().size == 4
