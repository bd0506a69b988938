# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Copying a log from one store to another: the same tiles and the same signed checkpoint, checked on both sides.

Every entry is read as a reader reads it, against the signed root; the tree is worked out again from the entries, and what is written
is what it says. The checkpoint comes last. A copy that was interrupted is taken up where it ended, and one of a log that has
grown adds what is new. A target that holds anything else than the beginning of the log is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.edge import Edge
from runrecord.ledger.errors import LedgerCorrupt, LedgerError, Pruned, RolledBack
from runrecord.ledger.files import disk_errors, make_directory, write_whole
from runrecord.ledger.fsck import fsck
from runrecord.ledger.note import NoteVerifier
from runrecord.ledger.pending import Pending
from runrecord.ledger.pruned import PRUNED
from runrecord.ledger.reader import LogReader
from runrecord.ledger.recovery import missing_checkpoint, open_checkpoint, read_checkpoint, trusted_keys
from runrecord.ledger.rotation import ROTATIONS
from runrecord.ledger.run_keys import RUN_KEYS_FILE, RUN_KEYS_ID
from runrecord.ledger.stores.base import CHECKPOINT, PUBLIC_KEY, HeadMoved, Opened, Store, Writer
from runrecord.ledger.stores.location import Location, open_store
from runrecord.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, TilePath, encode_tile, frame_entry
from runrecord.ledger.tlog import leaf_hash, tree_root

_BATCH: Final = 64  # objects that are on their way at a time
_BESIDE: Final = ("checkpoint.witnessed", RUN_KEYS_ID, PRUNED)  # what is kept beside a log, if it is there
_KEYS: Final = ("log.key", "bundle.key", "bundle.vkey", RUN_KEYS_FILE)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy has done.

    Attributes:
        checkpoint: The signed checkpoint, now of both logs.
        written: How many tiles and entry bundles were written; the others were there.
    """

    checkpoint: Checkpoint
    written: int


def copy_log(
    source: Location,
    target: Location,
    *,
    verifiers: Sequence[NoteVerifier] = (),
    key_of: Callable[[bytes], bytes] | None = None,
    with_keys: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Copied:
    """Copy what the checkpoint of a log covers.

    Args:
        source: Where the log is; it may be written meanwhile.
        target: Where it is to be; nobody may write there.
        verifiers: The trusted log keys; none trusts the one that the source states.
        key_of: Works the key of a leaf out, for the index of the target (:func:`runrecord.ledger.ledger.key_of`).
        with_keys: Also copy the private keys that this machine holds, so that the log can go on in the target.
        progress: If given, called with the number of entries that are done, and that of all.

    Raises:
        RolledBack: The target holds something else than the beginning of the log; nothing was changed.
        LedgerCorrupt: The source is not what was signed.
        LedgerError: Either can't be used, or the target is being written.
    """
    stores = open_store(source), open_store(target)
    try:
        return _copy(*stores, verifiers, key_of, with_keys=with_keys, progress=progress)
    finally:
        for each in stores:
            each.close()


def _copy(
    source: Store,
    target: Store,
    verifiers: Sequence[NoteVerifier],
    key_of: Callable[[bytes], bytes] | None,
    *,
    with_keys: bool,
    progress: Callable[[int, int], None] | None,
) -> Copied:
    trusted = trusted_keys(source, verifiers) if source.read(CHECKPOINT) is not None else ()
    checkpoint = read_checkpoint(source, trusted)
    if checkpoint is None:
        raise missing_checkpoint(source)
    reader = LogReader(source, checkpoint.size, checkpoint.root)
    before = _compare(source, target, checkpoint, reader, trusted)
    writer = target.writer()
    try:
        _require_settled(target, writer, before)
        copying = _Copying(source, target, writer, before)
        edge = copying.tiles(reader, checkpoint, progress)
        _put_keys(source, target, writer, [each for each in trusted if each.name == checkpoint.origin])
        copying.finish(checkpoint)
        for name in _BESIDE:
            data = source.read(name)
            if data is not None and data != target.read(name):
                writer.put(name, data)
        nothing = Pending(checkpoint.size, [], [], [])
        writer.restore(Opened(checkpoint, reader.node, reader.leaves, nothing, edge, key_of))
        if with_keys:
            _copy_keys(source.path / ".state", target.path / ".state")
    except HeadMoved:
        raise _being_written(target) from None
    finally:
        writer.close(remove_journal=False)
    report = fsck(target, trusted)
    if not report.ok:
        raise LedgerCorrupt(
            f"the copy in {target.where} is not what was copied: {report.problems[0]}",
            "check the store of the target; the source is whole",
        )
    return Copied(checkpoint, copying.written)


def _put_keys(source: Store, target: Store, writer: Writer, trusted: Sequence[NoteVerifier]) -> None:
    """Write the public keys, and the proofs by which older ones vouch for newer ones."""
    vkeys = "".join(f"{each.vkey}\n" for each in trusted).encode()
    if target.read(PUBLIC_KEY) != vkeys:
        writer.put(PUBLIC_KEY, vkeys)
    for name in source.names(ROTATIONS):
        data = source.read(name)
        if data is not None and data != target.read(name):
            writer.put(name, data)


def _compare(
    source: Store, target: Store, checkpoint: Checkpoint, reader: LogReader, trusted: Sequence[NoteVerifier]
) -> bytes | None:
    """Return the checkpoint of the target, None if it has none; it must be of the beginning of the log."""
    note = target.read(CHECKPOINT)
    if note is None:
        return None
    there = open_checkpoint(target, note, trusted)
    if there.origin != checkpoint.origin or there.size > checkpoint.size:
        raise RolledBack(
            f"the ledger in {target.where} is {there.origin!r} of size {there.size}, which does not go with {checkpoint.origin!r} of size "
            f"{checkpoint.size} in {source.where}",
            "name a target that is empty, or that holds an older copy of this ledger",
        )
    if tree_root(there.size, reader.node) != there.root:
        raise RolledBack(
            f"the first {there.size} entries of the ledger in {target.where} are not those in {source.where}: both are signed, and they "
            "contradict each other",
            "keep both as evidence, and name another target",
        )
    return note


def _require_settled(target: Store, writer: Writer, before: bytes | None) -> None:
    """Refuse a target with entries that no checkpoint covers, or of which nothing says what they are."""
    size = Checkpoint.parse(before).size if before else 0
    if any(frame.first + len(frame.leaves) > size for frame in writer.journal.recover()):
        raise RolledBack(
            f"the ledger in {target.where} has entries that no checkpoint covers",
            "open and close it once to have them published, or name another target",
        )


class _Copying:
    def __init__(self, source: Store, target: Store, writer: Writer, before: bytes | None) -> None:
        self._source = source
        self._target = target
        self._writer = writer
        self._before = before
        self._there = set(target.names("tile/"))
        self._batch: list[tuple[str, bytes]] = []
        self.written = 0

    def tiles(
        self, reader: LogReader, checkpoint: Checkpoint, progress: Callable[[int, int], None] | None
    ) -> Edge:
        """Write all tiles and bundles, and return the edge of the tree that they make."""
        edge, size = Edge(), checkpoint.size
        while edge.size < size:
            first, end = edge.size, min(edge.size + TILE_WIDTH, size)
            try:
                leaves = list(reader.leaves(first, end))
            except Pruned:
                hashes = [reader.node(0, index) for index in range(first, end)]
                edge.extend([b""] * len(hashes), hashes, self._full_tile)
            else:
                edge.extend([frame_entry(each) for each in leaves], list(map(leaf_hash, leaves)), self._full)
            if progress:
                progress(edge.size, size)
        if edge.bundle:
            self._write(TilePath(None, size // TILE_WIDTH, len(edge.bundle)), b"".join(edge.bundle))
        for level, partial in enumerate(edge.levels):
            if partial:
                index = size >> (TILE_HEIGHT * (level + 1))
                self._write(TilePath(level, index, len(partial)), encode_tile(partial))
        if edge.root() != checkpoint.root:
            raise LedgerCorrupt(
                f"the entries in {self._source.where} do not add up to the root that was signed for size {size}",
                "run fsck on it; restore it from a copy",
            )
        self._flush()
        return edge

    def _full(self, path: TilePath, data: bytes) -> None:
        if path.width == TILE_WIDTH:
            self._write(path, data)

    def _full_tile(self, path: TilePath, data: bytes) -> None:
        if path.level is not None:
            self._full(path, data)

    def _write(self, path: TilePath, data: bytes) -> None:
        name = str(path)
        if name in self._there and self._target.read(name) == data:
            return
        self._batch.append((name, data))
        if len(self._batch) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            self._publish(None)

    def finish(self, checkpoint: Checkpoint) -> None:
        """Put the checkpoint there, if it is another one."""
        if checkpoint.note != self._before:
            self._publish(checkpoint.note)

    def _publish(self, note: bytes | None) -> None:
        with self._writer.publication() as publication:
            newest = publication.newest()
            if newest is not None and newest != self._before:
                raise _being_written(self._target)
            for name, data in self._batch:
                publication.write(name, data)
            publication.settle()
            self.written += len(self._batch)
            self._batch = []
            if note is not None:
                publication.checkpoint(note)


def _being_written(target: Store) -> LedgerError:
    return LedgerError(
        f"someone writes to the ledger in {target.where}",
        "stop who does; then copy again: it goes on from here",
    )


def _copy_keys(source: Path, target: Path) -> None:
    """Copy the keys of this machine; one that is there stays."""
    for name in _KEYS:
        with disk_errors(source / name):
            if (source / name).exists() and not (target / name).exists():
                make_directory(target, 0o700)
                mode = 0o644 if name.endswith(".vkey") else 0o600
                write_whole(target / name, (source / name).read_bytes(), mode)
