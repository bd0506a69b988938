# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Many inclusion proofs to one checkpoint: checking them without doing the work that they share twice, and keeping them in one file.

Two neighbouring leaves share the upper part of their proofs. A proof whose node, and all of whose hashes from there on, are those of
the proof before has been checked from there on: the same hashes of the same node lead to the same root.

The file of a bundle with many entries, ``proofs/<log>.bin``, holds for each entry in order two bytes and some hashes: how many hashes
stand here, how many more are the last ones of the proof before, and the former, from the leaf's sibling upwards.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

from runrecord.ledger.errors import MalformedProof, ProofError
from runrecord.ledger.tlog import HASH_SIZE, verify_inclusion
from runrecord.ledger.tlog_proof import HEADER, TlogProof

_LINE: Final = 45  # 32 bytes in base64, and a line feed
_HASHES: Final = re.compile(rb"(?:\n[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)*")
_MAX_HASHES: Final = 63


class InclusionChecker:
    """Checks proofs of ascending leaves; each is checked whole, what it shares with the one before only once.

    Args:
        size: Of the tree.
        root: Of the tree.
        checkpoint: The signed note that every proof file must hold.
    """

    def __init__(self, size: int, root: bytes, checkpoint: bytes = b"") -> None:
        self._size = size
        self._root = root
        self._tail = b"\n\n" + checkpoint
        self._hashes: Sequence[bytes] = ()
        self._nodes: list[tuple[int, int, bytes]] = []

    def check_file(self, index: int, digest: bytes, proof: bytes) -> None:
        """Check that a leaf is in the tree, by a ``.tlog-proof`` of exactly this leaf and checkpoint, in canonical form.

        Args:
            index: Of the leaf.
            digest: Its hash.
            proof: The file.

        Raises:
            MalformedProof: It is not such a file.
            ProofError: The proof does not lead from the leaf to the root.
            OutOfRange: The index is not below the size.
        """
        head = b"%b\nindex %d" % (HEADER, index)
        lines = proof[len(head) : len(proof) - len(self._tail)]
        if not (
            proof.startswith(head)
            and proof.endswith(self._tail)
            and len(proof) == len(head) + len(lines) + len(self._tail)
        ):
            TlogProof.parse(proof)
            raise MalformedProof(f"the proof of entry {index} is for another entry or another checkpoint")
        if not _HASHES.fullmatch(lines):
            TlogProof.parse(proof)
            raise MalformedProof(f"the proof of entry {index} is not in canonical form")
        decode = binascii.a2b_base64
        self.check(index, digest, [decode(lines[at : at + _LINE]) for at in range(0, len(lines), _LINE)])

    def check(self, index: int, digest: bytes, hashes: Sequence[bytes]) -> None:
        """Check that a leaf is in the tree.

        Args:
            index: Of the leaf.
            digest: Its hash.
            hashes: Its proof, from the leaf's sibling towards the root.

        Raises:
            ProofError: It does not lead from the leaf to the root.
            OutOfRange: The index is not below the size.
        """
        count = len(hashes)
        shared = self._shared(hashes)
        nodes: list[tuple[int, int, bytes]] = []
        node, last, at = index, self._size - 1, 0
        if not 0 <= index < self._size or count > _MAX_HASHES:
            verify_inclusion(digest, index, self._size, hashes, self._root)
            raise ProofError(f"the proof of entry {index} has {count} hashes")
        while at < count and last:
            if count - at <= shared:
                before = len(self._nodes) - (count - at) - 1
                if self._nodes[before] == (node, last, digest):
                    self._nodes, self._hashes = nodes + self._nodes[before:], hashes
                    return
            nodes.append((node, last, digest))
            sibling = hashes[at]
            if node & 1 or node == last:
                digest = sha256(b"\x01" + sibling + digest).digest()
                while node and not node & 1:  # the right edge: levels where this node has no sibling
                    node >>= 1
                    last >>= 1
            else:
                digest = sha256(b"\x01" + digest + sibling).digest()
            node >>= 1
            last >>= 1
            at += 1
        if at != count or last or digest != self._root or any(len(each) != HASH_SIZE for each in hashes):
            raise ProofError(
                f"the inclusion proof of leaf {index} does not lead to the root of the tree of {self._size}"
            )
        nodes.append((node, last, digest))
        self._nodes, self._hashes = nodes, hashes

    def _shared(self, hashes: Sequence[bytes]) -> int:
        """Return how many of the last hashes are those of the proof before."""
        shared = 0
        for own, other in zip(reversed(hashes), reversed(self._hashes), strict=False):
            if own != other:
                break
            shared += 1
        return shared


def encode_proofs(proofs: Sequence[Sequence[bytes]]) -> bytes:
    """Return the file that holds the proofs of ascending leaves."""
    found, before = bytearray(), tuple[bytes, ...]()
    for proof in map(tuple, proofs):
        shared = 0
        while (
            shared < min(len(proof), len(before))
            and proof[len(proof) - shared - 1] == before[len(before) - shared - 1]
        ):
            shared += 1
        own = proof[: len(proof) - shared]
        found += bytes((len(own), shared)) + b"".join(own)
        before = proof
    return bytes(found)


def decode_proofs(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """Yield the proofs of a file.

    Raises:
        MalformedProof: It is not such a file.
    """
    at, number, before = 0, 0, tuple[bytes, ...]()
    while at < len(data):
        own, shared = data[at], data[at + 1] if at + 1 < len(data) else 0
        start, at = at + 2, at + 2 + own * HASH_SIZE
        if at > len(data):
            raise MalformedProof(f"proof {number} is cut off")
        if shared > len(before) or own + shared > _MAX_HASHES:
            raise MalformedProof(
                f"proof {number} has more hashes than a proof can have, or shares more than there are"
            )
        hashes = tuple(data[i : i + HASH_SIZE] for i in range(start, at, HASH_SIZE))
        before = hashes + before[len(before) - shared :]
        number += 1
        yield before
