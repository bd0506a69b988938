# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The body of ``add-checkpoint``: an old size, a consistency proof, a checkpoint."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from runrecord.ledger.errors import MalformedProof
from runrecord.ledger.note import decode_base64
from runrecord.ledger.tlog import HASH_SIZE

MAX_HASHES: Final = 63
MAX_REQUEST: Final = 64 << 10
"""Bytes of a request: a proof of 63 hashes, and a checkpoint with a hundred signatures, some of them of ML-DSA-44."""
SIZE_TYPE: Final = "text/x.tlog.size"
_OLD: Final = re.compile(rb"old (0|[1-9][0-9]{0,18})")
_MAX_SIZE: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One request.

    Attributes:
        old_size: Size of the checkpoint that the witness is believed to have cosigned last; 0 if none.
        hashes: Consistency proof from there, empty if that is 0.
        checkpoint: The signed checkpoint.
    """

    old_size: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """Return the body of the request."""
        lines = [b"old %d" % self.old_size, *map(base64.b64encode, self.hashes)]
        return b"\n".join(lines) + b"\n\n" + self.checkpoint

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """Read a request; nothing is verified.

        Raises:
            MalformedProof: If it is not one.
        """
        head, blank, checkpoint = body.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        match = _OLD.fullmatch(first)
        if not match or not blank or int(match[1]) > _MAX_SIZE:
            raise MalformedProof("the request does not begin with 'old SIZE', proof lines and an empty line")
        if len(lines) > MAX_HASHES:
            raise MalformedProof(f"the request has {len(lines)} proof lines, more than {MAX_HASHES}")
        hashes: list[bytes] = []
        for line in lines:
            decoded = decode_base64(line.decode("ascii", "replace"))
            if decoded is None or len(decoded) != HASH_SIZE:
                raise MalformedProof("a proof line of the request is not a hash in base64")
            hashes.append(decoded)
        return cls(int(match[1]), tuple(hashes), checkpoint)
