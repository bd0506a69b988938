# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Check a whole log against its checkpoint: hash every entry again, and compare every tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.edge import Edge
from runrecord.ledger.errors import LedgerError, MalformedTile
from runrecord.ledger.note import NoteVerifier
from runrecord.ledger.pruned import PRUNED, Pruning, read_pruning
from runrecord.ledger.reader import LogReader
from runrecord.ledger.recovery import read_checkpoint, trusted_keys
from runrecord.ledger.stores.base import Store
from runrecord.ledger.stores.location import Location, open_store
from runrecord.ledger.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    TilePath,
    decode_bundle,
    decode_tile,
    encode_tile,
    frame_entry,
)
from runrecord.ledger.tlog import HASH_SIZE, RootStack, leaf_hash
from runrecord.ledger.tlog_proof import TlogProof

_PROBLEMS_KEPT = 100


@dataclass(slots=True)
class FsckReport:
    """What a check of a log found.

    Attributes:
        where: The log's place, for people.
        checkpoint: The signed checkpoint, None if there is no good one.
        entries: How many entries were hashed.
        pruned: How many entries were let go of, as the log states.
        files: How many tiles and entry bundles were compared.
        beyond: How many files hold more than the checkpoint covers; a running or crashed writer leaves them, nobody vouches for them.
        leftovers: Objects that a writer uploaded and never came to use; they do no harm.
        problems: What is wrong, one sentence each; the first hundred.
    """

    where: str
    checkpoint: Checkpoint | None = None
    entries: int = 0
    pruned: int = 0
    files: int = 0
    beyond: int = 0
    leftovers: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether the log is whole and is what was signed."""
        return not self.problems

    def add(self, problem: str) -> None:
        """Note a problem."""
        if len(self.problems) < _PROBLEMS_KEPT:
            self.problems.append(problem)


def fsck(location: Location, verifiers: Sequence[NoteVerifier] | NoteVerifier = ()) -> FsckReport:
    """Hash every entry that the checkpoint covers, and compare the root and every tile.

    It reads the public files only, and may run beside a writer.

    Args:
        location: The log's directory or a copy of it, or the address of its store.
        verifiers: The trusted log keys, and with them those that they vouch for (:mod:`runrecord.ledger.rotation`); none trusts the keys
            that the log states itself.

    Returns:
        The report. It never raises for what is wrong with the log.
    """
    store = open_store(location)
    report = FsckReport(store.where)
    try:
        given = [verifiers] if isinstance(verifiers, NoteVerifier) else verifiers
        _fsck(store, given, report)
    finally:
        store.close()
    return report


def _fsck(store: Store, verifiers: Sequence[NoteVerifier], report: FsckReport) -> None:
    try:
        trusted = trusted_keys(store, verifiers)
        checkpoint = read_checkpoint(store, trusted)
    except LedgerError as error:
        report.add(f"checkpoint: {error.message}")
        return
    if checkpoint is None:
        report.add("checkpoint: the file is missing")
        return
    report.checkpoint = checkpoint
    try:
        _Check(store, checkpoint, report, trusted).run()
    except LedgerError as error:  # the store stopped to answer
        report.add(error.message)


class _Check:
    def __init__(
        self, store: Store, checkpoint: Checkpoint, report: FsckReport, verifiers: Sequence[NoteVerifier]
    ) -> None:
        self._store = store
        self._partials: dict[TilePath, list[TilePath]] = {}
        self._size = checkpoint.size
        self._expected_root = checkpoint.root
        self._report = report
        self._pruning = self._find_pruning(verifiers)

    def run(self) -> None:
        self._check_names()
        edge, tree = Edge(), RootStack()
        while edge.size < self._size:
            index, width = edge.size // TILE_WIDTH, min(TILE_WIDTH, self._size - edge.size)
            if self._is_pruned(index) and (hashes := self._hashes(index)) is not None:
                for each in hashes:
                    tree.push(each)
                self._report.pruned += width
                edge.extend([b""] * width, hashes, self._compare_full_tile)
                continue
            leaves = self._leaves(TilePath(None, index, width))
            if leaves is None:
                self._report.add(f"checkpoint: its root can't be checked without entry {edge.size}")
                break
            hashes = [leaf_hash(each) for each in leaves]
            for each in hashes:
                tree.push(each)
            self._report.entries += len(leaves)
            edge.extend([frame_entry(each) for each in leaves], hashes, self._compare_full)
        else:
            if not tree.root() == edge.root() == self._expected_root:
                self._report.add(
                    f"checkpoint: the entries do not add up to the root signed for size {self._size}"
                )
        if edge.bundle:
            self._compare(TilePath(None, edge.size // TILE_WIDTH, len(edge.bundle)), b"".join(edge.bundle))
        for level, partial in enumerate(edge.levels):
            if partial:
                index = edge.size >> (TILE_HEIGHT * (level + 1))
                self._compare(TilePath(level, index, len(partial)), encode_tile(partial))

    def _is_pruned(self, bundle: int) -> bool:
        """Return whether an entry bundle is missing, and the log states to have let go of it."""
        if self._pruning is None or not self._pruning.covers(bundle):
            return False
        return self._read(TilePath(None, bundle))[0] is None

    def _hashes(self, index: int) -> list[bytes] | None:
        path = TilePath(0, index)
        data, _ = self._read(path)
        try:
            return decode_tile(data or b"", TILE_WIDTH)
        except MalformedTile as error:
            self._report.add(f"{path}: {error.message}" if data else f"{path}: the file is missing")
            return None

    def _find_pruning(self, verifiers: Sequence[NoteVerifier]) -> Pruning | None:
        reader = LogReader(self._store, self._size)
        pruning = None
        try:
            pruning = read_pruning(self._store, self._size, reader.node, verifiers)
            if pruning is not None and (data := self._store.read(PRUNED)) is not None:
                TlogProof.parse(data).verify(leaf_hash(pruning.leaf), verifiers)  # others go by the proof
        except LedgerError as error:
            self._report.add(f"{PRUNED}: {error.message}")
        return pruning

    def _leaves(self, path: TilePath) -> list[bytes] | None:
        data, _ = self._read(path)
        if data is None:
            self._report.add(f"{path}: the file is missing")
            return None
        try:
            leaves = decode_bundle(data)
        except MalformedTile as error:
            self._report.add(f"{path}: {error.message}")
            return None
        if len(leaves) < path.width:
            self._report.add(f"{path}: it holds {len(leaves)} entries instead of {path.width}")
            return None
        return leaves[: path.width]

    def _read(self, path: TilePath) -> tuple[bytes | None, bool]:
        """Return a file and whether it is the one that was asked for; of a partial one that is superseded, it is the full one."""
        for each in (path, TilePath(path.level, path.index)):
            try:
                data = self._store.read(str(each))
            except LedgerError as error:
                self._report.add(f"{each}: {error.message}")
                return None, False
            if data is not None:
                return data, each == path
        return None, False

    def _compare_full(self, path: TilePath, expected: bytes) -> None:
        if path.width == TILE_WIDTH:
            self._compare(path, expected)

    def _compare_full_tile(self, path: TilePath, expected: bytes) -> None:
        if path.level is not None:
            self._compare_full(path, expected)

    def _compare(self, path: TilePath, expected: bytes) -> None:
        """Compare a tile or bundle, and the partial ones before it, with what the entries say."""
        data, exact = self._read(path)
        if data is None:
            self._report.add(f"{path}: the file is missing")
        else:
            self._compare_data(path, data, expected, exact=exact)
        for partial in self._partials.get(TilePath(path.level, path.index), ()):
            if partial.width < path.width and (data := self._store.read(str(partial))) is not None:
                size = _prefix(path, expected, partial.width)
                self._compare_data(partial, data, expected[:size], exact=True)

    def _compare_data(self, path: TilePath, data: bytes, expected: bytes, *, exact: bool) -> None:
        self._report.files += 1
        if data == expected or (not exact and data.startswith(expected)):
            return
        where = "its entries differ" if path.level is None else "its hashes differ"
        if path.level == 0:
            differing = next(
                (
                    i
                    for i in range(0, len(expected), HASH_SIZE)
                    if data[i : i + HASH_SIZE] != expected[i : i + HASH_SIZE]
                ),
                None,
            )
            if differing is not None:
                where = f"the hash of entry {path.index * TILE_WIDTH + differing // HASH_SIZE} differs"
        self._report.add(f"{path}: {where} from what the entries and the tree say")

    def _check_names(self) -> None:
        """Report files that belong to no log, count those beyond the checkpoint, and note the partial ones."""
        for name in self._store.names("tile/"):
            try:
                path = TilePath.parse(name)
            except MalformedTile:
                self._report.add(f"{name}: no file of this name belongs to a log")
                continue
            covered = self._size >> (TILE_HEIGHT * (path.level or 0))
            if path.index * TILE_WIDTH + path.width > covered:
                self._report.beyond += 1
            elif path.width < TILE_WIDTH:
                self._partials.setdefault(TilePath(path.level, path.index), []).append(path)
        self._report.leftovers = sorted(self._store.leftovers())


def _prefix(path: TilePath, expected: bytes, width: int) -> int:
    """Return how many bytes the first ``width`` hashes or entries of a tile or bundle take."""
    if path.level is not None:
        return width * HASH_SIZE
    offset = 0
    for _ in range(width):
        offset += 2 + int.from_bytes(expected[offset : offset + 2], "big")
    return offset
