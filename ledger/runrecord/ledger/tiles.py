# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The C2SP tlog-tiles layout: paths, tiles of 256 hashes, bundles of 256 entries."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runrecord.ledger.errors import EntryTooLarge, MalformedTile
from runrecord.ledger.tlog import HASH_SIZE, parents

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_ENTRY_SIZE = 0xFFFF
"""Bytes; entries are prefixed with a uint16 (C2SP tlog-tiles, "Log entries")."""

_MAX_LEVEL = 63
_LENGTH = struct.Struct(">H")
_PATH = re.compile(r"tile/(?:(entries)|(0|[1-9][0-9]?))/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True)
class TilePath:
    """Where one tile or entry bundle lies.

    Attributes:
        level: The tile's level from 0, or None for an entry bundle.
        index: The index within the level, from 0.
        width: 1 to 256; below 256 it is a partial one.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __str__(self) -> str:
        """Return the path below the log's prefix, for example ``tile/0/x001/x234/067.p/8``."""
        level = "entries" if self.level is None else str(self.level)
        rest, last = divmod(self.index, 1000)
        name = f"{last:03d}"
        while rest:
            rest, last = divmod(rest, 1000)
            name = f"x{last:03d}/{name}"
        suffix = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{name}{suffix}"

    @classmethod
    def parse(cls, text: str) -> TilePath:
        """Read a path; only the one canonical spelling is accepted.

        Raises:
            MalformedTile: If it is not a tile path.
        """
        match = _PATH.fullmatch(text)
        if match:
            entries, level, digits, width = match.groups()
            path = cls(
                level=None if entries else int(level),
                index=int(digits.replace("x", "").replace("/", "")),
                width=int(width) if width else TILE_WIDTH,
            )
            if (
                (path.level or 0) <= _MAX_LEVEL
                and (not width or path.width < TILE_WIDTH)
                and str(path) == text
            ):
                return path
        raise MalformedTile(f"not a tile path: {text[:100]!r}")


def tiles_of(size: int) -> list[TilePath]:
    """Return every tile and entry bundle that a tree of ``size`` leaves consists of (big for a big tree)."""
    found: list[TilePath] = []
    level: int | None = None
    hashes = size
    while hashes:
        full, rest = divmod(hashes, TILE_WIDTH)
        found += [TilePath(level, index) for index in range(full)]
        if rest:
            found.append(TilePath(level, full, rest))
        if level is None:
            level = 0
        else:
            level += 1
            hashes = full
    return found


def frame_entry(leaf: bytes) -> bytes:
    """Return the entry as it stands in a bundle: a big-endian uint16 length, then the bytes.

    Raises:
        EntryTooLarge: If the entry is longer than 65,535 bytes.
    """
    if len(leaf) > MAX_ENTRY_SIZE:
        raise EntryTooLarge(
            f"an entry of {len(leaf)} bytes is over the {MAX_ENTRY_SIZE} that the tile format can hold",
            "keep the content elsewhere and log a commitment to it",
        )
    return _LENGTH.pack(len(leaf)) + leaf


def encode_bundle(leaves: Iterable[bytes]) -> bytes:
    """Return an entry bundle of these leaves."""
    return b"".join(map(frame_entry, leaves))


def decode_bundle(data: bytes, width: int | None = None) -> list[bytes]:
    """Return the leaves of an entry bundle.

    Args:
        data: The bundle.
        width: How many entries it must hold, 1 to 256; None accepts any number.

    Raises:
        MalformedTile: If an entry is cut off or their number is wrong.
    """
    leaves: list[bytes] = []
    offset, end = 0, len(data)
    while offset < end:
        start = offset + 2
        if start > end:
            raise MalformedTile(f"entry {len(leaves)} of a bundle is cut off in its length")
        offset = start + ((data[start - 2] << 8) | data[start - 1])
        if offset > end:
            raise MalformedTile(f"entry {len(leaves)} of a bundle is cut off after {end - start} bytes")
        leaves.append(data[start:offset])
    if width is not None and len(leaves) != width:
        raise MalformedTile(f"an entry bundle holds {len(leaves)} entries instead of {width}")
    return leaves


def encode_tile(hashes: Sequence[bytes]) -> bytes:
    """Return a tile of these hashes."""
    return b"".join(hashes)


def decode_tile(data: bytes, width: int | None = None) -> list[bytes]:
    """Return the hashes of a tile.

    Raises:
        MalformedTile: If the data is not a whole number of hashes, or not ``width`` of them.
    """
    count, rest = divmod(len(data), HASH_SIZE)
    if rest or not 0 < count <= TILE_WIDTH or (width is not None and count != width):
        wanted = "1 to 256 hashes" if width is None else f"{width} hashes"
        raise MalformedTile(f"a tile of {len(data)} bytes is not {wanted} of {HASH_SIZE} bytes")
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]


class Tile:
    """The hashes of one tile and, worked out when first asked for, the eight levels above them."""

    __slots__ = ("_levels",)

    def __init__(self, hashes: list[bytes]) -> None:
        self._levels = [hashes]

    @property
    def width(self) -> int:
        """How many hashes the tile holds, 1 to 256."""
        return len(self._levels[0])

    def node(self, height: int, index: int) -> bytes:
        """Return the hash of a complete subtree inside the tile, ``height`` 0 (the tile's hashes) to 8 (its root)."""
        levels = self._levels
        while len(levels) <= height:
            levels.append(parents(levels[-1]))
        return levels[height][index]
