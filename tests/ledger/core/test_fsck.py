# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tampering with a log: every byte of every file, every missing or added file, every swap."""

from __future__ import annotations

import shutil

import pytest

from runrecord.ledger import NoteSigner, fsck
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.tiles import encode_bundle


@pytest.fixture
def log(open_log, items):
    """A closed log of 259 short entries in two checkpoints: full, partial and superseded tiles."""
    made = open_log()
    made.append([(key, key[-2:]) for key, _ in items(0, 257)])
    made.publish()
    made.append([(key, key[-2:]) for key, _ in items(257, 259)])
    made.close()
    return made


def public_files(path):
    return sorted(each for each in path.rglob("*") if each.is_file() and ".state" not in each.parts)


def test_a_good_log_passes(log, signer):
    report = fsck(log.path, signer.verifier)
    assert (report.ok, report.entries, report.beyond) == (True, 259, 0)
    assert report.checkpoint == log.checkpoint
    assert report.files == len(public_files(log.path)) - 1
    assert fsck(log.path).ok
    assert fsck(str(log.path), [signer.verifier]).ok


def test_no_byte_can_change(log, signer):
    """Of full tiles, which are thousands of bytes of the same kind, one byte in 17."""
    for path in public_files(log.path):
        data = path.read_bytes()
        for at in range(0, len(data), 17 if len(data) > 1000 else 1):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            report = fsck(log.path, signer.verifier)
            assert not report.ok, (path, at)
        path.write_bytes(data)
    assert fsck(log.path, signer.verifier).ok


def test_no_file_can_be_cut_or_go_missing(log, signer):
    superseded = [log.path / "tile" / each / "001.p" / "1" for each in ("0", "entries")]
    for path in sorted({*public_files(log.path)} - {*superseded}):
        data = path.read_bytes()
        for broken in (data[:-1], data + b"x", b""):
            path.write_bytes(broken)
            assert not fsck(log.path, signer.verifier).ok, path
        path.unlink()
        report = fsck(log.path, signer.verifier)
        assert any("is missing" in each for each in report.problems), path
        path.write_bytes(data)


def test_a_report_names_the_entry(log, signer):
    tile = log.path / "tile" / "0" / "001.p" / "3"
    data = tile.read_bytes()
    tile.write_bytes(data[:70] + b"\0" + data[71:])
    (problem,) = fsck(log.path, signer.verifier).problems
    assert problem == "tile/0/001.p/3: the hash of entry 258 differs from what the entries and the tree say"


def test_an_entry_that_was_edited_with_its_tile_is_still_found(log, signer):
    bundle = log.path / "tile" / "entries" / "001.p" / "3"
    bundle.write_bytes(encode_bundle([b"56", b"57", b"XX"]))
    problems = fsck(log.path, signer.verifier).problems
    assert any("do not add up to the root signed for size 259" in each for each in problems)


def test_a_whole_log_signed_by_another_key_is_refused(log, signer):
    stranger = NoteSigner(signer.name, bytes(32))
    (problem,) = fsck(log.path, stranger.verifier).problems
    assert "not signed by a trusted key" in problem
    forged = Checkpoint(signer.name, 259, bytes(32)).sign([signer])
    (log.path / "checkpoint").write_bytes(forged.note)
    assert not fsck(log.path, signer.verifier).ok


def test_files_that_no_log_has_are_named(log, signer):
    for name in ("tile/0/notes.txt", "tile/0/000~", "tile/entries/1"):
        path = log.path / name
        path.write_text("what is this?")
        (problem,) = fsck(log.path, signer.verifier).problems
        assert name in problem
        path.unlink()


def test_what_a_crash_left_beyond_the_checkpoint_is_counted_not_blamed(log, signer, open_log, items):
    old = (log.path / "checkpoint").read_bytes()
    again = open_log()
    again.append(items(259, 262))
    again.close()
    (log.path / "checkpoint").write_bytes(old)
    report = fsck(log.path, signer.verifier)
    assert (report.ok, report.beyond) == (True, 2)


def test_a_directory_without_a_log_is_a_problem_not_an_exception(tmp_path, signer):
    assert fsck(tmp_path, signer.verifier).problems == ["checkpoint: the file is missing"]
    assert "public key of the ledger" in fsck(tmp_path).problems[0]


def test_a_log_of_one_directory_can_be_checked_as_a_copy(log, signer, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(log.path, copy, ignore=shutil.ignore_patterns(".state"))
    assert fsck(copy, signer.verifier).ok
