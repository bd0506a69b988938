# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Somebody without a key edits a log that was pruned and whose key was changed: nobody is told that more was let go of, or trusts another key."""

from __future__ import annotations

import pytest
from tampering import StoredFiles, changed_bytes, changed_lengths, exchanged_files, stored

from runrecord.ledger import Ledger, LedgerError, Log, NoteSigner, fsck
from runrecord.ledger.administration import carry_out
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.epochs import end_of
from runrecord.ledger.errors import Pruned

NOVEMBER = 1_794_000_000.0  # 2026-11-06
DAY = 86_400.0
DECEMBER = end_of("month", NOVEMBER) + DAY
JANUARY = end_of("month", DECEMBER) + DAY
KEY = ".state/log.vkey"
PRUNED_BELOW = 512


def steps(start, end):
    nano = int(NOVEMBER * 1e9)
    return [
        Entry(kind=Kind.STEP, run=f"r{n}", span_id=f"{n:016x}", start=nano, end=nano)
        for n in range(start, end)
    ]


class History:
    """A log whose key was changed and whose first 512 entries were pruned, in versions, and what was in it."""

    def __init__(self, path, seed):
        self.versions = []
        self.path = path / "nowhere"
        first = NoteSigner("example.com/agents", seed)
        self.pinned = first.verifier
        (path / "log" / ".state").mkdir(parents=True)
        key = path / "log" / ".state" / "log.key"
        key.write_text(f"{first.private_text()}\n")
        key.chmod(0o600)

        def opened(now):
            return Ledger(path / "log", checkpoint_interval=None, epochs="month", now=lambda: now)

        with opened(NOVEMBER) as ledger:
            ledger.append_entries(steps(0, 600))
        self.keep(path)
        with opened(DECEMBER) as ledger:
            ledger.append_entries(steps(600, 603))
            vkey, time = ledger.log.vkey, str(int(DECEMBER * 1e9))
            carry_out(ledger, "rotate_key", {"old": vkey, "overlap": "1000", "time": time})
        self.keep(path)
        with opened(JANUARY) as ledger:
            self.leaves = list(ledger.log.leaves())
            time = str(int(JANUARY * 1e9))
            carry_out(ledger, "prune", {"retention": "default=10", "time": time})
            self.leaves += [leaf for index, leaf in ledger.log.kept() if index >= len(self.leaves)]
        self.keep(path)
        *self.older, self.files = self.versions

    def keep(self, path):
        files = stored(path / "log")
        self.key = files.pop(KEY)
        self.versions.append(files)

    def passes_fsck(self, files):
        report = fsck(StoredFiles(files, self.path), self.pinned)
        return report.ok and not report.beyond

    def read_wrong(self, files):
        try:
            log = Log.open(StoredFiles({KEY: self.key, **files}, self.path), read_only=True)
        except LedgerError:
            return None
        with log:
            for index in (0, 255, 256, 511, *range(PRUNED_BELOW, min(log.size, len(self.leaves)))):
                try:
                    if log.leaf(index) != self.leaves[index]:
                        return f"entry {index}"
                except Pruned:
                    if index >= PRUNED_BELOW:
                        return f"entry {index} was pruned"
                except LedgerError:
                    pass
            return None if log.size <= len(self.leaves) else "its size"


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return History(tmp_path_factory.mktemp("history"), bytes(range(32)))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same by somebody else, under a key of the same name."""
    return History(tmp_path_factory.mktemp("other"), bytes(32))


def test_the_original_passes(history):
    assert history.passes_fsck(history.files)
    assert history.read_wrong(history.files) is None
    assert history.read_wrong({**history.files, "tile/entries/002.p/1": b""}) is None
    small = [name for name in history.files if not name.startswith("tile/")]
    assert len(small) == 3, small  # the checkpoint, the proof of the new key, the proof of the pruning


def require_detected(history, tampered, allowed=()):
    for how, files in tampered:
        assert history.read_wrong(files) is None, how
        assert not history.passes_fsck(files) or how in allowed, how


def beside(history):
    return {name: data for name, data in history.files.items() if not name.startswith("tile/")}


def test_the_files_beside_the_tiles(history, rounds):
    rest = {name: data for name, data in history.files.items() if name.startswith("tile/")}
    step = 1 if rounds.full else 41
    for how, files in (
        *changed_bytes(beside(history), (0,), step),
        *changed_lengths(beside(history), 2 * step),
    ):
        assert history.read_wrong({**rest, **files}) is None, how
        assert not history.passes_fsck({**rest, **files}), how


def test_every_file(history, other):
    others = {"itself": beside(history), "another history": other.files}
    others |= {f"version {i}": each for i, each in enumerate(history.older)}
    size = 609
    current = (f"{size - 512}", f"{size >> 8}")  # partial tiles of another width have been replaced
    replaced = {f"{name} removed" for name in history.files if ".p/" in name and not name.endswith(current)}
    require_detected(history, exchanged_files(history.files, others), replaced)


def test_pruned_files_put_back(history, other):
    """What was pruned may come back as it was; anything else in its place is noticed."""
    oldest = history.older[0]
    for name in ("tile/entries/000", "tile/entries/001"):
        assert name not in history.files
        whole = {**history.files, name: oldest[name]}
        assert history.passes_fsck(whole)
        assert history.read_wrong(whole) is None
        for data in (oldest[name][:-1], oldest[name].replace(b"step", b"stop"), b"", oldest["tile/0/000"]):
            require_detected(history, [(name, {**history.files, name: data})])
