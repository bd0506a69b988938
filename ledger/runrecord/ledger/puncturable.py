# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A puncturable pseudorandom function: one secret gives a key for each point, and can forget single points for good.

The tree of Goldreich, Goldwasser and Micali (1986) over SHA-256, 64 levels deep: ``child(node, bit) = SHA-256(node || bit)``, and
the value at a point is the leaf that its bits lead to, the most significant first. At first only the root is kept. To puncture a point is
to keep, in the place of the node above it, the siblings along the way to it: everything else can still be worked out, and nobody can
work out that point again (Boneh and Waters 2013; Kiayias et al. 2013).

Each input of the hash is 33 bytes, thus one block, so that there is nothing to extend; that SHA-256 is pseudorandom when it is keyed by the
message is what HMAC rests on too. HMAC itself would take five times as long, and 64 of them are on the way to the first entry
of each run.
"""

from __future__ import annotations

import hashlib
import secrets
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Final, NoReturn

LEVELS: Final = 64
NODE_BYTES: Final = 32
_BITS: Final = {"0": b"\x00", "1": b"\x01"}


class PuncturablePRF:
    """The function, without the points that were punctured. It never changes: ``puncture`` returns another one.

    Args:
        points: The punctured points, ascending, each once.
        nodes: The nodes that cover all other points, 32 bytes each, from left to right.

    Raises:
        ValueError: The two do not go with each other.
    """

    __slots__ = ("_nodes", "_points", "_starts")

    def __init__(self, points: Sequence[int], nodes: bytes) -> None:
        self._points = tuple(points)
        if any(not 0 <= point < 1 << LEVELS for point in self._points):
            raise ValueError("a point is not a number of 64 bits")
        if any(before >= after for before, after in pairwise(self._points)):
            raise ValueError("the points are not in order")
        self._starts = list(accumulate(_gaps(self._points), initial=0))
        if len(nodes) != self._starts[-1] * NODE_BYTES:
            raise ValueError("there are too few or too many nodes for the points")
        self._nodes = bytes(nodes)

    @classmethod
    def generate(cls) -> PuncturablePRF:
        """Return a new one, with nothing punctured."""
        return cls((), secrets.token_bytes(NODE_BYTES))

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "PuncturablePRF(hidden)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled or copied: what was punctured here would live on there."""
        raise TypeError("a PuncturablePRF can't be pickled")

    @property
    def points(self) -> tuple[int, ...]:
        """The punctured points, ascending."""
        return self._points

    @property
    def nodes(self) -> bytes:
        """The nodes that cover all other points, from left to right; secret."""
        return self._nodes

    def value(self, point: int) -> bytes | None:
        """Return the 32 bytes of a point, None if it was punctured."""
        place = self._covering(point)
        if place is None:
            return None
        index, depth = place
        return _descend(self._node(index), format(point, "064b")[depth:])

    def puncture(self, points: Iterable[int]) -> PuncturablePRF:
        """Return the function without some points; those that are punctured already change nothing."""
        below: dict[int, list[int]] = {}
        depths: dict[int, int] = {}
        for point in sorted(set(points)):
            place = self._covering(point)
            if place is not None:
                below.setdefault(place[0], []).append(point)
                depths[place[0]] = place[1]
        if not below:
            return self
        nodes: list[bytes] = []
        done = 0
        for index in sorted(below):
            nodes.append(self._nodes[done * NODE_BYTES : index * NODE_BYTES])
            _split(self._node(index), depths[index], below[index], nodes)
            done = index + 1
        nodes.append(self._nodes[done * NODE_BYTES :])
        fresh = (point for each in below.values() for point in each)
        return PuncturablePRF(sorted((*self._points, *fresh)), b"".join(nodes))

    def _node(self, index: int) -> bytes:
        return self._nodes[index * NODE_BYTES : (index + 1) * NODE_BYTES]

    def _covering(self, point: int) -> tuple[int, int] | None:
        """Return the place and the depth of the node above a point, None if the point was punctured."""
        points = self._points
        gap = bisect_left(points, point)
        if gap < len(points) and points[gap] == point:
            return None
        before = points[gap - 1] if gap else None
        after = points[gap] if gap < len(points) else None
        shared_before = -1 if before is None else _shared(before, point)
        shared_after = -1 if after is None else _shared(point, after)
        depth = max(shared_before, shared_after) + 1
        if after is None or shared_before > shared_after:  # a right sibling on the way to the point before
            place = 0 if before is None else _zeros(before, LEVELS - depth)
        else:  # a left sibling on the way to the point after; those of the point before come first
            width = LEVELS - shared_before - 1
            place = 0 if before is None else _zeros(before, width)
            place += _ones(after, width) - _ones(after, LEVELS - depth + 1)
        return self._starts[gap] + place, depth


def _gaps(points: Sequence[int]) -> Iterable[int]:
    """Yield how many nodes cover the points before the first one, between each two, and after the last."""
    if not points:
        yield 1
        return
    yield _ones(points[0], LEVELS)
    for before, after in pairwise(points):
        width = LEVELS - _shared(before, after) - 1
        yield _zeros(before, width) + _ones(after, width)
    yield _zeros(points[-1], LEVELS)


def _shared(one: int, other: int) -> int:
    """Return how many leading bits two points share."""
    return LEVELS - (one ^ other).bit_length()


def _ones(point: int, width: int) -> int:
    """Return how many of the lowest bits are set."""
    return (point & ((1 << width) - 1)).bit_count()


def _zeros(point: int, width: int) -> int:
    return width - _ones(point, width)


def _descend(node: bytes, bits: str) -> bytes:
    sha256 = hashlib.sha256
    for bit in bits:
        node = sha256(node + _BITS[bit]).digest()
    return node


def _split(node: bytes, depth: int, points: Sequence[int], found: list[bytes]) -> None:
    """Append the nodes that cover everything below a node but some points, from left to right."""
    if not points:
        found.append(node)
    elif depth < LEVELS:
        bit = LEVELS - depth - 1
        middle = bisect_left(points, (points[0] >> bit | 1) << bit)
        _split(_descend(node, "0"), depth + 1, points[:middle], found)
        _split(_descend(node, "1"), depth + 1, points[middle:], found)
