# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Offline proofs that an entry is in a log (C2SP tlog-proof): one text file, ``.tlog-proof``."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import MalformedProof
from runrecord.ledger.note import NoteVerifier, decode_base64
from runrecord.ledger.tlog import HASH_SIZE, verify_inclusion

HEADER = b"c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MAX_HASHES = 63


@dataclass(frozen=True, slots=True)
class TlogProof:
    """An entry's index, its inclusion proof and the checkpoint that the proof leads to.

    Attributes:
        index: The entry's index.
        hashes: The inclusion proof, from the leaf's sibling towards the root.
        checkpoint: The signed checkpoint, verbatim.
        extra: Opaque, **unauthenticated** data, or None.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def encode(self) -> bytes:
        """Return the text of the proof."""
        lines = [HEADER.decode()]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += (base64.b64encode(each).decode() for each in self.hashes)
        return "\n".join(lines).encode() + b"\n\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> TlogProof:
        """Read a proof; only the canonical form is accepted, and nothing is verified.

        Raises:
            MalformedProof: If it is not a proof.
        """
        head, blank, checkpoint = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise MalformedProof(
                "a tlog-proof holds other characters than ASCII before its checkpoint"
            ) from None
        if lines.pop(0) != HEADER.decode() or not blank:
            raise MalformedProof(f"a tlog-proof does not start with {HEADER.decode()} or has no checkpoint")
        extra: bytes | None = None
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0)[len("extra ") :])
            if extra is None:
                raise MalformedProof("the extra data of a tlog-proof is not base64")
        match = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if not match:
            raise MalformedProof("a tlog-proof has no index line")
        hashes = [decode_base64(line) for line in lines]
        if len(hashes) > _MAX_HASHES or any(each is None or len(each) != HASH_SIZE for each in hashes):
            raise MalformedProof("a tlog-proof holds a line that is not a hash, or more than 63 of them")
        return cls(int(match[1]), tuple(each for each in hashes if each is not None), checkpoint, extra)

    def verify(self, leaf_hash: bytes, verifiers: Iterable[NoteVerifier]) -> Checkpoint:
        """Check the checkpoint's signature and the entry's inclusion, and return the checkpoint.

        Args:
            leaf_hash: The hash of the entry (:func:`runrecord.ledger.tlog.leaf_hash`).
            verifiers: The trusted log keys.

        Raises:
            MalformedNote: If the checkpoint is not a signed note.
            MalformedCheckpoint: If the note is not a checkpoint.
            SignatureError: If no trusted key signed it.
            ProofError: If the entry is not shown to be in the log.
            OutOfRange: If the index is not below the checkpoint's size.
        """
        checkpoint = Checkpoint.open(self.checkpoint, verifiers)
        verify_inclusion(leaf_hash, self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint
