# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The right edge of a growing tree: the tiles that are not full yet, and what appending to them writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runrecord.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, TilePath, encode_tile
from runrecord.ledger.tlog import EMPTY_ROOT, complete_subtrees, fold

TileWriter = Callable[[TilePath, bytes], None]


class Edge:
    """The partial tiles of a tree, level by level, and the partial entry bundle.

    Args:
        size: How many leaves the tree has.
        levels: The hashes of the partial tile of each level, level 0 first, 0 to 255 each.
        bundle: The entries of the partial bundle, with their length prefix; as many as level 0 has hashes.
    """

    __slots__ = ("bundle", "levels", "size")

    def __init__(
        self, size: int = 0, levels: Sequence[Sequence[bytes]] = (), bundle: Sequence[bytes] = ()
    ) -> None:
        self.size = size
        self.levels = [list(each) for each in levels]
        self.bundle = list(bundle)

    def copy(self) -> Edge:
        """Return an independent copy, to grow while the original stays what is published."""
        return Edge(self.size, self.levels, self.bundle)

    def root(self) -> bytes:
        """Return the root of the tree."""
        subtrees: list[bytes] = []
        for hashes in reversed(self.levels):
            if hashes:
                tile = Tile(hashes)
                subtrees += (tile.node(level, index) for level, index in complete_subtrees(0, len(hashes)))
        return fold(subtrees) if subtrees else EMPTY_ROOT

    def extend(self, framed: Sequence[bytes], hashes: Sequence[bytes], write: TileWriter) -> list[TilePath]:
        """Append leaves, and write every tile and bundle that changes.

        Args:
            framed: The entries with their length prefix.
            hashes: Their leaf hashes.
            write: Takes the path and the content of each tile and bundle.

        Returns:
            The tiles and bundles that became full; the partial ones before them are superseded.
        """
        full: list[TilePath] = []
        changed = 0  # levels 0..changed-1 end in another partial tile than before
        if not self.levels:
            self.levels.append([])
        taken = 0
        while taken < len(hashes):
            leaves = self.levels[0]
            count = min(TILE_WIDTH - len(leaves), len(hashes) - taken)
            leaves += hashes[taken : taken + count]
            self.bundle += framed[taken : taken + count]
            taken += count
            self.size += count
            changed = max(changed, 1)
            if len(leaves) == TILE_WIDTH:
                path = TilePath(None, self.size // TILE_WIDTH - 1)
                write(path, b"".join(self.bundle))
                full.append(path)
                self.bundle = []
                changed = max(changed, self._carry(write, full))
        if self.bundle:
            write(TilePath(None, self.size // TILE_WIDTH, len(self.bundle)), b"".join(self.bundle))
        for level, partial in enumerate(self.levels[:changed]):
            if partial:
                index = self.size >> (TILE_HEIGHT * (level + 1))
                write(TilePath(level, index, len(partial)), encode_tile(partial))
        return full

    def _carry(self, write: TileWriter, full: list[TilePath]) -> int:
        """Write the full tile at level 0 and those that it fills above; return the number of levels that changed."""
        level = 0
        while len(self.levels[level]) == TILE_WIDTH:
            hashes = self.levels[level]
            path = TilePath(level, (self.size >> (TILE_HEIGHT * (level + 1))) - 1)
            write(path, encode_tile(hashes))
            full.append(path)
            self.levels[level] = []
            level += 1
            if level == len(self.levels):
                self.levels.append([])
            self.levels[level].append(Tile(hashes).node(TILE_HEIGHT, 0))
        return level + 1
