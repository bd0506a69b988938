# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A puncturable pseudorandom function: one secret gives a key for each point, and can forget single points for good.

The tree of Goldreich, Goldwasser and Micali (1986) over SHA-256, with four children to a node and 32 levels: ``child(node, digit) =
SHA-256(node || digit)``, and the value at a point is the leaf that its digits of two bits lead to, the most significant first. At first
only the root is kept. To puncture a point is to keep, in the place of the node above it, the siblings along the way to it: everything
else can still be worked out, and nobody can work out that point again (Boneh and Waters 2013; Kiayias et al. 2013).

Each input of the hash is 33 bytes, thus one block, so that there is nothing to extend; that SHA-256 is pseudorandom when it is keyed by the
message is what HMAC rests on too. HMAC itself would take five times as long, and this is on the way to the first entry of each run. Two
children to a node would take twice as long, and keep two thirds of the bytes for a punctured point, which are 3 kB.
"""

from __future__ import annotations

import hashlib
import secrets
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Final, NoReturn

NODE_BYTES: Final = 32

_BITS: Final = 64  # of a point
_LEVELS: Final = 32
_LAST: Final = 3  # the highest digit
_LOW: Final = 0x5555_5555_5555_5555  # the lower bit of each digit


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
        if any(not 0 <= point < 1 << _BITS for point in self._points):
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
        return _descend(self._node(index), point, depth, _LEVELS)

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
        if not points:
            return 0, 0
        before = points[gap - 1] if gap else None
        after = points[gap] if gap < len(points) else None
        shared_before = -1 if before is None else _shared(before, point)
        shared_after = -1 if after is None else _shared(point, after)
        level = max(shared_before, shared_after)  # at which the way leaves that to a neighbour
        digit = _digit(point, level)
        if before is None or shared_before < shared_after:  # a left sibling of the way to the point after
            assert after is not None  # the way shares at least the root with one of them
            place = _left(after, shared_before + 1) - _left(after, level) + digit
            if before is not None:
                place += _right(before, shared_before + 1)
                place += _digit(after, shared_before) - _digit(before, shared_before) - 1
        else:  # a right sibling of the way to the point before, or one between the two ways
            place = _right(before, level + 1) + digit - _digit(before, level) - 1
        return self._starts[gap] + place, level + 1


def _gaps(points: Sequence[int]) -> Iterable[int]:
    """Yield how many nodes cover the points before the first one, between each two, and after the last."""
    if not points:
        yield 1
        return
    yield _left(points[0], 0)
    for before, after in pairwise(points):
        level = _shared(before, after)
        between = _digit(after, level) - _digit(before, level) - 1
        yield _right(before, level + 1) + between + _left(after, level + 1)
    yield _right(points[-1], 0)


def _shared(one: int, other: int) -> int:
    """Return how many leading digits two points share."""
    return (_BITS - (one ^ other).bit_length()) // 2


def _digit(point: int, level: int) -> int:
    """Return a digit of a point, that at level 0 the most significant."""
    return point >> (_BITS - 2 - 2 * level) & _LAST


def _left(point: int, level: int) -> int:
    """Return how many siblings to the left the way to a point has, from a level on."""
    rest = point & ((1 << (_BITS - 2 * level)) - 1)
    return (rest & _LOW).bit_count() + 2 * (rest >> 1 & _LOW).bit_count()


def _right(point: int, level: int) -> int:
    """Return how many siblings to the right the way to a point has, from a level on."""
    return _LAST * (_LEVELS - level) - _left(point, level)


def _descend(node: bytes, point: int, level: int, end: int) -> bytes:
    """Return the node at another level on the way to a point."""
    sha256 = hashlib.sha256
    for digit in _digits(point)[level:end]:
        node = sha256(node + digit).digest()
    return node


def _digits(point: int) -> list[bytes]:
    return [digit for byte in point.to_bytes(_BITS // 8, "big") for digit in _OF_BYTE[byte]]


_OF_BYTE: Final = [tuple(bytes([byte >> shift & _LAST]) for shift in (6, 4, 2, 0)) for byte in range(256)]


def _split(node: bytes, level: int, points: Sequence[int], found: list[bytes]) -> None:
    """Append the nodes that cover everything below a node but some points, from left to right."""
    if not points:
        found.append(node)
    elif level < _LEVELS:
        for digit in range(_LAST + 1):
            own = [point for point in points if _digit(point, level) == digit]
            _split(hashlib.sha256(node + bytes([digit])).digest(), level + 1, own, found)
