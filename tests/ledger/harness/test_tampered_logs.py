# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Somebody without the log key edits a stored log: fsck says so, and a reader returns nothing that was not signed."""

from __future__ import annotations

from itertools import chain, islice

import pytest
from tampering import (
    StoredFiles,
    changed_bytes,
    changed_lengths,
    edited_leaves,
    exchanged_files,
    moved_leaves,
    rebuilt,
    stored,
)

from runrecord.ledger import LedgerError, Log, NoteSigner, fsck, tlog
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.ledger import key_of
from runrecord.ledger.reader import LogReader

SIGNER = NoteSigner("example.com/agents", bytes(range(32)))
STRANGER = NoteSigner("example.com/agents", bytes(32))
OTHER = NoteSigner("example.com/other", bytes(32))


KEY = ".state/log.vkey"
"""A reader believes the key that lies beside the log; who pins a key does not."""


def public(files):
    """Return what a reader with a pinned key goes by."""
    return {name: data for name, data in files.items() if name != KEY}


class Original:
    """A log as it is stored, an older version of it, and another log."""

    def __init__(self, path, fill):
        log = Log.open(path / "log", signer=SIGNER, checkpoint_interval=None)
        versions = []
        for items in fill:
            log.append(items)
            log.publish()
            versions.append(stored(path / "log"))
        log.close()
        self.key = versions[-1].pop(KEY)
        self.files = versions.pop()
        self.older = [public(each) for each in versions]
        self.leaves = [leaf for items in fill for _, leaf in items]
        self.checkpoints = {Checkpoint.parse(each["checkpoint"]) for each in [*versions, self.files]}
        with Log.open(path / "other", signer=OTHER, checkpoint_interval=None) as other:
            other.append([(key, leaf[::-1]) for items in fill for key, leaf in items])
        self.other = public(stored(path / "other"))
        self.path = path / "nowhere"

    def passes_fsck(self, files):
        report = fsck(StoredFiles(files, self.path), SIGNER.verifier)
        return report.ok and not report.beyond

    def read_wrong(self, files):
        """Return what a reader is told that is not so; None if it is all true, or refused."""
        try:
            log = Log.open(StoredFiles({KEY: self.key, **files}, self.path), read_only=True)
        except LedgerError:
            return None
        with log:
            if log.checkpoint not in self.checkpoints:
                return "the checkpoint"
            wrong = [index for index in range(log.size) if self.wrong_entry(log, index)]
            return f"entry {wrong[0]}" if wrong else None

    def wrong_entry(self, log, index):
        size, root = log.checkpoint.size, log.checkpoint.root
        try:
            if log.leaf(index) != self.leaves[index]:
                return True
            if 2 < index < 255:
                return False  # one proof from each corner of the tree
            proof = log.inclusion_proof(index)
        except LedgerError:
            return False
        return tlog.root_from_inclusion(tlog.leaf_hash(self.leaves[index]), index, size, proof) != root


def require_detected(original, tampered, allowed=()):
    """Return how many there were."""
    count = 0
    for how, files in tampered:
        count += 1
        assert original.read_wrong(files) is None, how
        assert not original.passes_fsck(files) or how in allowed, how
    return count


@pytest.fixture(scope="module")
def tiled(tmp_path_factory):
    """259 entries of two bytes in three versions: full tiles, partial ones, one that a full one has replaced."""

    def items(start, end):
        return [(b"%d" % i, b"%02d" % (i % 100)) for i in range(start, end)]

    return Original(tmp_path_factory.mktemp("tiled"), [items(0, 2), items(2, 257), items(257, 259)])


@pytest.fixture(scope="module")
def small(tmp_path_factory, builders):
    """The entries of a run with an approval, in two versions."""
    entries = builders.approved_refund().entries[:7]
    items = [(key_of(entry.leaf()), entry.leaf()) for entry in entries]
    return Original(tmp_path_factory.mktemp("small"), [items[:4], items[4:]])


def test_the_originals_pass(tiled, small):
    for original in (tiled, small):
        assert original.passes_fsck(original.files)
        assert original.read_wrong(original.files) is None


def test_every_byte_of_a_small_log(small, rounds):
    bits, step = (range(8), 1) if rounds.full else ((0,), 5)
    assert require_detected(small, changed_bytes(small.files, bits, step)) > 1_000


def test_every_byte_of_tiles(tiled, rounds):
    bits, step = (range(8), 1) if rounds.full else ((0,), 127)
    assert require_detected(tiled, changed_bytes(tiled.files, bits, step)) > 80


def test_every_length(tiled, small, rounds):
    assert require_detected(small, changed_lengths(small.files, 1 if rounds.full else 17)) > 500
    assert require_detected(tiled, changed_lengths(tiled.files, 11 if rounds.full else 97)) > 100


def test_every_file(tiled, small):
    for original, superseded in (
        (tiled, ["tile/0/001.p/1", "tile/entries/001.p/1"]),
        (small, ["tile/0/000.p/4", "tile/entries/000.p/4"]),
    ):
        versions = {f"version {i}": each for i, each in enumerate(original.older)}
        others = {"itself": original.files, **versions, "another log": original.other}
        allowed = {f"{name} removed" for name in superseded}  # C2SP tlog-tiles, "Partial Tiles"
        assert require_detected(original, exchanged_files(original.files, others), allowed) > 50


def test_files_of_an_older_version_together(tiled, small):
    """All of an older version is a log that was signed: only who remembers more can tell. Less than all of it is not."""
    for original in (tiled, small):
        for older in original.older:
            assert original.passes_fsck(older)
            for name in older:
                mixed = {**older, name: original.files.get(name, b"")}
                assert original.read_wrong(mixed) is None, name
                assert not original.passes_fsck(mixed) or mixed == older, name


def attempts(original, leaves):
    """What can be made of other leaves without the log key: more and more of what follows from them."""
    old_tree = {name: data for name, data in original.files.items() if not name.startswith("tile/entries/")}
    everything = rebuilt(original.files, leaves)
    entries = {name: data for name, data in everything.items() if name.startswith("tile/entries/")}
    tiles = {name: data for name, data in everything.items() if name.startswith("tile/")}
    yield "entries", {**old_tree, **entries}
    yield "entries and tiles", {"checkpoint": original.files["checkpoint"], **tiles}
    yield "entries, tiles and root", everything
    yield "entries, tiles and root, under another key", rebuilt(original.files, leaves, STRANGER)


def every_attempt(original, edits):
    for how, leaves in edits:
        for extent, files in attempts(original, leaves):
            yield f"{how}; {extent} changed", files


def test_every_member_of_every_entry(small):
    assert require_detected(small, every_attempt(small, edited_leaves(small.leaves))) > 3_000


def test_every_place_of_an_entry(small):
    assert require_detected(small, every_attempt(small, moved_leaves(small.leaves))) > 200


# --- the harness can fail ------------------------------------------------------------------------------------------------


def with_the_key(original, edits):
    for how, leaves in edits:
        yield how, rebuilt(original.files, leaves, SIGNER)


def test_who_has_the_key_is_not_detected(small):
    for how, files in with_the_key(small, chain(edited_leaves(small.leaves), moved_leaves(small.leaves))):
        assert small.passes_fsck(files), how
        assert (
            small.read_wrong(files) == "the checkpoint" or "from 4 on deleted" in how
        )  # that is what an older version was


def test_a_reader_that_compares_nothing_is_found(small, monkeypatch):
    """As the writer reads, who trusts the files: the entries that it returns are wrong."""
    real = LogReader.__init__

    def trusting(self, store, size, _signed=None, *rest, **options):
        real(self, store, size, None, *rest, **options)

    monkeypatch.setattr(LogReader, "__init__", trusting)
    found = {
        small.read_wrong(files) for _, files in every_attempt(small, islice(edited_leaves(small.leaves), 20))
    }
    assert "entry 0" in found
