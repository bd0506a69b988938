# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Is a checkpoint that somebody kept one of the same log? Its proof in a bundle, as text, and what it comes to.

::

    runrecord.ledger.consistency/v1
    SIZE ROOT          of the smaller tree, the root in base64
    SIZE ROOT          of the larger one
                       RFC 6962 consistency proof, a hash in base64 per line
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from runrecord.ledger.errors import MalformedProof
from runrecord.ledger.note import decode_base64
from runrecord.ledger.tlog import HASH_SIZE, verify_consistency

_HEADER: Final = "runrecord.ledger.consistency/v1"
_TREE: Final = re.compile(r"(0|[1-9][0-9]{0,18}) ([A-Za-z0-9+/]{43}=)")
_MAX_LINES: Final = 3 + 127


@dataclass(frozen=True)
class Tree:
    """Size and root of a log at one time."""

    size: int
    root: bytes


@dataclass(frozen=True)
class ConsistencyProof:
    """That one tree is the beginning of another.

    Attributes:
        old: The smaller tree.
        new: The larger one.
        hashes: The proof.
    """

    old: Tree
    new: Tree
    hashes: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Return the text."""
        trees = (f"{tree.size} {base64.b64encode(tree.root).decode()}" for tree in (self.old, self.new))
        lines = (_HEADER, *trees, *(base64.b64encode(each).decode() for each in self.hashes))
        return "".join(f"{line}\n" for line in lines).encode()

    @classmethod
    def parse(cls, data: bytes) -> ConsistencyProof:
        """Read a proof; only the canonical form is accepted, and nothing is verified.

        Raises:
            MalformedProof: It is not one.
        """
        try:
            header, *lines, end = data.decode("ascii").split("\n")
        except ValueError:
            raise MalformedProof("a consistency proof is not lines of ASCII") from None
        if header != _HEADER or end or not 2 <= len(lines) < _MAX_LINES:  # noqa: PLR2004 - two trees
            raise MalformedProof(
                f"a consistency proof does not start with {_HEADER}, or has too few or too many lines"
            )
        trees = [_tree(line) for line in lines[:2]]
        return cls(trees[0], trees[1], tuple(map(_hash, lines[2:])))

    def verify(self) -> None:
        """Check that the smaller tree is the beginning of the larger one.

        Raises:
            ProofError: The proof does not show it.
            OutOfRange: The smaller one is larger.
        """
        verify_consistency(self.old.size, self.old.root, self.new.size, self.new.root, self.hashes)


def between(one: Tree, other: Tree) -> tuple[Tree, Tree]:
    """Return the smaller tree first."""
    return (one, other) if one.size <= other.size else (other, one)


def _tree(line: str) -> Tree:
    match = _TREE.fullmatch(line)
    if not match:
        raise MalformedProof("a line of a consistency proof is not a size and a root")
    return Tree(int(match[1]), _hash(match[2]))


def _hash(line: str) -> bytes:
    value = decode_base64(line)
    if value is None or len(value) != HASH_SIZE:
        raise MalformedProof("a line of a consistency proof is not a hash")
    return value
