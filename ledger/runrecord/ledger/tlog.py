# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree of RFC 6962: hashes, roots, inclusion and consistency proofs.

A hash is 32 raw bytes. A proof is a list of hashes, from the leaf's sibling towards the root (RFC 6962 section 2.1.1)
or in the order of section 2.1.2. Trees are read through a function ``node(level, index)`` that returns the hash
of the complete subtree over leaves ``index * 2**level .. (index + 1) * 2**level``; nothing else is ever asked of storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

from runrecord.ledger.errors import OutOfRange, ProofError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

NodeReader = Callable[[int, int], bytes]
"""``node(level, index)``: the hash of one complete subtree."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962 section 2.1: a zero byte in front)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962 section 2.1: a one byte in front)."""
    return sha256(b"\x01" + left + right).digest()


def parents(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes one level up; a last hash without a sibling is left out."""
    hasher = sha256
    return [hasher(b"\x01" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes) - 1, 2)]


class RootStack:
    """The root of a growing list of leaves, in logarithmic space.

    Holds the hash of one complete subtree per set bit of the size, largest first.
    """

    __slots__ = ("_stack", "size")

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._stack: list[bytes] = []
        for each in hashes:
            self.push(each)

    @classmethod
    def of(cls, size: int, node: NodeReader) -> RootStack:
        """Return the stack of the first ``size`` leaves of a tree that can be read."""
        stack = cls()
        stack.size = size
        stack._stack = [node(level, index) for level, index in complete_subtrees(0, size)]
        return stack

    def push(self, digest: bytes) -> None:
        """Add the hash of the next leaf."""
        stack = self._stack
        stack.append(digest)
        size = self.size
        while size & 1:
            right = stack.pop()
            stack[-1] = sha256(b"\x01" + stack[-1] + right).digest()
            size >>= 1
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves pushed so far."""
        return fold(self._stack) if self._stack else EMPTY_ROOT


def fold(subtrees: Sequence[bytes]) -> bytes:
    """Return the root over adjacent complete subtrees, given largest (leftmost) first; at least one."""
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def root_of_leaves(leaves: Iterable[bytes]) -> bytes:
    """Return the root over these leaves; the root of no leaves is the hash of nothing."""
    return RootStack(map(leaf_hash, leaves)).root()


def root_of_hashes(hashes: Iterable[bytes]) -> bytes:
    """Return the root over these leaf hashes."""
    return RootStack(hashes).root()


def complete_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """Split ``start..end`` into complete subtrees ``(level, index)``, left to right.

    ``start`` must be a multiple of the largest power of two in ``end - start``, as it is in every range a proof asks for.
    """
    found: list[tuple[int, int]] = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def range_hash(start: int, end: int, node: NodeReader) -> bytes:
    """Return the hash over leaves ``start..end`` (a range that a proof asks for, not empty)."""
    return fold([node(level, index) for level, index in complete_subtrees(start, end)])


def tree_root(size: int, node: NodeReader) -> bytes:
    """Return the root of the tree of the first ``size`` leaves."""
    return range_hash(0, size, node) if size else EMPTY_ROOT


def _split(size: int) -> int:
    """Return the largest power of two smaller than ``size`` (RFC 6962's k); ``size`` is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the proof that leaf ``index`` is in the tree of the first ``size`` leaves.

    Raises:
        OutOfRange: Unless ``0 <= index < size``.
    """
    if not 0 <= index < size:
        raise OutOfRange(f"no leaf {index} in a tree of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(range_hash(middle, end, node))
            end = middle
        else:
            proof.append(range_hash(start, middle, node))
            start = middle
    proof.reverse()
    return proof


def consistency_proof(old_size: int, new_size: int, node: NodeReader) -> list[bytes]:
    """Return the proof that the tree of ``old_size`` leaves is a prefix of the tree of ``new_size``.

    It is empty when the sizes are equal or ``old_size`` is 0: there is nothing to prove.

    Raises:
        OutOfRange: Unless ``0 <= old_size <= new_size``.
    """
    if not 0 <= old_size <= new_size:
        raise OutOfRange(f"a tree of {old_size} can't be a prefix of a tree of {new_size}")
    if old_size in (0, new_size):
        return []
    proof: list[bytes] = []
    start, end = 0, new_size
    # Down to the subtree that both trees share whole; its hash is known to the verifier only when it starts at 0.
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            proof.append(range_hash(middle, end, node))
            end = middle
        else:
            proof.append(range_hash(start, middle, node))
            start = middle
    if start:
        proof.append(range_hash(start, end, node))
    proof.reverse()
    return proof


def _climb(node: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Walk from a node towards the root, yielding each sibling and whether it stands on the left.

    Args:
        node: The node's index in its level.
        last: The index of the last node in that level.
        path: The siblings.

    Raises:
        ProofError: If the path has the wrong length or holds something that is no hash.
    """
    for sibling in path:
        if len(sibling) != HASH_SIZE:
            raise ProofError(f"a proof holds a hash of {len(sibling)} bytes instead of {HASH_SIZE}")
        if last == 0:
            raise ProofError("a proof has more hashes than the tree has levels")
        on_left = bool(node & 1) or node == last
        if on_left:
            while node and not node & 1:  # the right edge: levels where this node has no sibling
                node >>= 1
                last >>= 1
        yield sibling, on_left
        node >>= 1
        last >>= 1
    if last:
        raise ProofError("a proof has fewer hashes than the tree has levels")


def root_from_inclusion(digest: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that an inclusion proof leads to (RFC 9162 section 2.1.3.2).

    Args:
        digest: The leaf's hash.
        index: The leaf's index.
        size: The size of the tree.
        proof: From the leaf's sibling towards the root.

    Raises:
        ProofError: If the proof has the wrong length for this index and size.
        OutOfRange: Unless ``0 <= index < size``.
    """
    if not 0 <= index < size:
        raise OutOfRange(f"no leaf {index} in a tree of {size}")
    root = digest
    for sibling, on_left in _climb(index, size - 1, proof):
        root = node_hash(sibling, root) if on_left else node_hash(root, sibling)
    return root


def verify_inclusion(digest: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf is in a tree.

    Raises:
        ProofError: If the proof does not lead from the leaf's hash to the root.
        OutOfRange: Unless ``0 <= index < size``.
    """
    if root_from_inclusion(digest, index, size, proof) != root:
        raise ProofError(
            f"the inclusion proof of leaf {index} does not lead to the root of the tree of {size}"
        )


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that one tree is a prefix of another (RFC 9162 section 2.1.4.2).

    Raises:
        ProofError: If the proof does not lead to both roots.
        OutOfRange: Unless ``0 <= old_size <= new_size``.
    """
    if not 0 <= old_size <= new_size:
        raise OutOfRange(f"a tree of {old_size} can't be a prefix of a tree of {new_size}")
    failed = ProofError(f"the tree of {old_size} is not shown to be a prefix of the tree of {new_size}")
    if old_size in (0, new_size):
        expected = EMPTY_ROOT if old_size == 0 else new_root
        if proof or old_root != expected:
            raise failed
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:  # a complete subtree: the verifier knows its hash
        path.insert(0, old_root)
    if not path:
        raise failed
    level = (old_size & -old_size).bit_length() - 1  # the largest complete subtree that ends the old tree
    old = new = path[0]
    for sibling, on_left in _climb((old_size - 1) >> level, (new_size - 1) >> level, path[1:]):
        if on_left:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    if old != old_root or new != new_root:
        raise failed
