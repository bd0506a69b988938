# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Reading a log: leaves and tree nodes, as far as one checkpoint covers them, and only if it vouches for them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from runrecord.ledger.edge import Edge
from runrecord.ledger.errors import LedgerCorrupt, MalformedTile, OutOfRange, Pruned
from runrecord.ledger.note import NoteVerifier
from runrecord.ledger.pruned import Pruning, pruning_or_none
from runrecord.ledger.stores.base import Objects
from runrecord.ledger.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Tile,
    TilePath,
    decode_bundle,
    decode_tile,
    frame_entry,
)
from runrecord.ledger.tlog import leaf_hash

_TILES_KEPT = 256  # at most 32 KB each, with the levels above
_BUNDLES_KEPT = 64
RESTORE = (
    "restore the ledger from a copy; audit bundles that were made earlier still prove what they hold: "
    "check them with 'runrecord verify'"
)


class LogReader:
    """The tiles and entry bundles of a store.

    Thread-safe; files that a checkpoint covers never change, so what was read is kept.

    Args:
        store: Where they are.
        size: How many leaves may be read: the size of a checkpoint.
        signed: The root that the checkpoint states. With it, nothing is returned that does not lead to it: a partial tile is on the
            right edge, which must add up to the root; a full tile must have the hash that stands in the tile above it; an
            entry must have the hash that stands in its tile. Each file is hashed once, when it is read.
            None trusts the files, as their one writer may.
        verifiers: The trusted log keys, for what the log states of itself after this checkpoint.

    Raises:
        LedgerCorrupt: With ``signed``, if the tiles at the right edge are missing or don't add up to the root.
    """

    def __init__(
        self,
        store: Objects,
        size: int,
        signed: bytes | None = None,
        *,
        verifiers: Callable[[], Sequence[NoteVerifier]] = tuple,
    ) -> None:
        self._store = store
        self.size = size
        self._checks = signed is not None
        self._verifiers = verifiers
        self._pruning: Pruning | None = None
        self._edge_tiles: dict[tuple[int, int, int], Tile] = {}
        self._tile = lru_cache(_TILES_KEPT)(self._read_tile)
        self._bundle = lru_cache(_BUNDLES_KEPT)(self._read_bundle)
        if signed is not None:
            self._read_edge(signed)

    def _read_edge(self, signed: bytes) -> None:
        """Read the partial tiles, which no tile vouches for, keep them, and compare what they add up to with the signed root."""
        levels: list[list[bytes]] = []
        rest = self.size
        while rest:
            index, width = divmod(rest, TILE_WIDTH)
            if width:
                key = (len(levels), index, width)
                self._edge_tiles[key] = tile = self._load_tile(*key)
                levels.append([tile.node(0, i) for i in range(width)])
            else:
                levels.append([])
            rest = index
        if Edge(self.size, levels).root() != signed:
            files = ", ".join(str(TilePath(*key)) for key in self._edge_tiles)
            raise LedgerCorrupt(
                f"the ledger in {self._store.where} was changed after its checkpoint of size {self.size} was signed: {files or 'the checkpoint'} "
                "does not add up to the signed root",
                RESTORE,
            )

    def _read(self, path: TilePath) -> bytes:
        """Return a file's bytes; of a partial one that is gone, the full one's."""
        paths = [path] if path.width == TILE_WIDTH else [path, TilePath(path.level, path.index)]
        for each in paths:
            if (data := self._store.read(str(each))) is not None:
                return data
        if path.level is None:
            self._require_kept(path.index)
        raise LedgerCorrupt(
            f"{self._store.locate(str(path))} is missing, although the checkpoint of size {self.size} covers it",
            RESTORE,
        )

    @property
    def pruning(self) -> Pruning | None:
        """What the log states that it has let go of, None if nothing, or if nothing vouches for that."""
        self._pruning = pruning_or_none(self._store, self.size, self.node, self._verifiers()) or self._pruning
        return self._pruning

    def forget(self) -> None:
        """Forget the entry bundles that were read: some may have been removed."""
        self._bundle.cache_clear()

    def _require_kept(self, bundle: int) -> None:
        """Raise about a missing bundle that the log states to have let go of."""
        pruning = self._pruning
        if pruning is None or not pruning.covers(bundle):
            pruning = self.pruning  # there may be a newer one
        if pruning is not None and pruning.covers(bundle):
            raise pruning.error(bundle * TILE_WIDTH, (bundle + 1) * TILE_WIDTH)

    def _load_tile(self, level: int, index: int, width: int) -> Tile:
        path = TilePath(level, index, width)
        try:
            hashes = decode_tile(self._read(path))
        except MalformedTile as error:
            raise self._damaged(path, error.message) from error
        if len(hashes) < width:
            raise self._damaged(path, f"it holds {len(hashes)} hashes instead of {width}")
        return Tile(hashes[:width])

    def _read_tile(self, level: int, index: int, width: int) -> Tile:
        """Return a tile; if this reader checks, only one that leads to the signed root."""
        if kept := self._edge_tiles.get((level, index, width)):
            return kept
        tile = self._load_tile(level, index, width)
        if self._checks:
            above, place = divmod(index, TILE_WIDTH)
            vouched = self._tile(level + 1, above, self._width(level + 1, above)).node(0, place)
            if tile.node(TILE_HEIGHT, 0) != vouched:
                leaves = TILE_WIDTH << (TILE_HEIGHT * level)
                raise self._damaged(
                    TilePath(level, index),
                    f"its hashes, of entries {index * leaves} to {(index + 1) * leaves - 1}, do not lead to the root that was signed for "
                    f"size {self.size}",
                )
        return tile

    def _read_bundle(self, index: int, width: int) -> list[bytes]:
        path = TilePath(None, index, width)
        try:
            leaves = decode_bundle(self._read(path))
        except MalformedTile as error:
            raise self._damaged(path, error.message) from error
        if len(leaves) < width:
            raise self._damaged(path, f"it holds {len(leaves)} entries instead of {width}")
        leaves = leaves[:width]
        if self._checks:
            self._compare(path, leaves)
        return leaves

    def _compare(self, path: TilePath, leaves: Sequence[bytes]) -> None:
        """Refuse a bundle with an entry that does not have the hash in its tile."""
        tile = self._tile(0, path.index, path.width)
        for place, leaf in enumerate(leaves):
            if leaf_hash(leaf) != tile.node(0, place):
                entry = path.index * TILE_WIDTH + place
                raise self._damaged(
                    path,
                    f"entry {entry} is not the one that the log signed: it does not have the hash in "
                    f"{TilePath(0, path.index, path.width)}",
                )

    def _damaged(self, path: TilePath, reason: str) -> LedgerCorrupt:
        return LedgerCorrupt(f"{self._store.locate(str(path))} is damaged or was changed: {reason}", RESTORE)

    def _width(self, level: int, index: int) -> int:
        """Return how many hashes of a tile the checkpoint covers; below 1 it covers none."""
        return min(TILE_WIDTH, (self.size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree (a :data:`runrecord.ledger.tlog.NodeReader`).

        Raises:
            OutOfRange: If the checkpoint does not cover the subtree.
            LedgerCorrupt: If a file is missing or damaged.
        """
        if index < 0 or (index + 1) << level > self.size:
            raise OutOfRange(f"no complete subtree {index} at level {level} in a tree of {self.size}")
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, within = divmod(index, 1 << (TILE_HEIGHT - height))
        return self._tile(tile_level, tile_index, self._width(tile_level, tile_index)).node(height, within)

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the leaves ``start..end``, a bundle at a time.

        Raises:
            OutOfRange: Unless ``0 <= start <= end <= size``.
            Pruned: If one of them was pruned.
            LedgerCorrupt: If a file is missing or damaged.
        """
        if not 0 <= start <= end <= self.size:
            raise OutOfRange(f"leaves {start} to {end} are not all in a log of {self.size}")
        while start < end:
            index, offset = divmod(start, TILE_WIDTH)
            stop = min(TILE_WIDTH, offset + end - start)
            yield from itertools.islice(self._bundle(index, self._width(0, index)), offset, stop)
            start += stop - offset

    def kept(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield index and leaf of the entries of ``start..end`` that were not pruned (errors as of :meth:`leaves`)."""
        while start < end:
            stop = min((start // TILE_WIDTH + 1) * TILE_WIDTH, end)
            with contextlib.suppress(Pruned):
                yield from enumerate(self.leaves(start, stop), start)
            start = stop

    def leaf(self, index: int) -> bytes:
        """Return one leaf.

        Raises:
            OutOfRange: Unless ``0 <= index < size``.
            LedgerCorrupt: If a file is missing or damaged.
        """
        if not 0 <= index < self.size:
            raise OutOfRange(f"no leaf {index} in a log of {self.size}")
        bundle, offset = divmod(index, TILE_WIDTH)
        return self._bundle(bundle, self._width(0, bundle))[offset]

    def edge(self) -> Edge:
        """Return the right edge, each entry of its bundle checked against its hash.

        Raises:
            LedgerCorrupt: If a file is missing or damaged.
        """
        levels: list[list[bytes]] = []
        rest = self.size
        while rest:
            index, width = divmod(rest, TILE_WIDTH)
            tile = self._tile(len(levels), index, width) if width else None
            levels.append([tile.node(0, i) for i in range(width)] if tile else [])
            rest = index
        bundle: list[bytes] = []
        if levels and levels[0]:
            index = self.size // TILE_WIDTH
            bundle = self._bundle(index, len(levels[0]))
            if not self._checks:  # else they were compared when they were read
                self._compare(TilePath(None, index, len(bundle)), bundle)
        return Edge(self.size, levels, [frame_entry(each) for each in bundle])
