# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What stands behind a report: who signed, who witnessed, when it was stamped, what was opened for its reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from runrecord.ledger import cosignature
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import MalformedError
from runrecord.ledger.note import Note
from runrecord.ledger.records import Record
from runrecord.ledger.strict_json import JSON


@dataclass(frozen=True)
class Evidence:
    """What is beside the report, as whoever makes the bundle knows it.

    Attributes:
        checkpoint: The checkpoint that the proofs lead to.
        bundle_key: Name and hash of the key that signs the bundle, or empty.
        stamped: Who stamped the checkpoint and when, in words, or empty.
        known: Sizes of older checkpoints that are shown to be beginnings of this one.
        disclosed: Values that were opened, by the index of their entry and their name in it.
        statements: What the log states of itself that concerns every run.
        checked: For a report that the reader made: the steps of the verification, each with its result and what was found.
    """

    checkpoint: Checkpoint
    bundle_key: str = ""
    stamped: str = ""
    known: Sequence[int] = ()
    disclosed: Mapping[tuple[int, str], JSON] = field(default_factory=dict[tuple[int, str], JSON])
    statements: Sequence[Record] = ()
    checked: Sequence[tuple[str, str, str]] = ()

    @property
    def signed_by(self) -> list[str]:
        """Names and hashes of the log keys that signed the checkpoint."""
        return [
            f"{name}+{key_hash:08x}" for name, key_hash, _ in self._lines() if name == self.checkpoint.origin
        ]

    @property
    def witnesses(self) -> list[tuple[str, str]]:
        """Who else signed the checkpoint, and when, in words."""
        return [(name, _time(value)) for name, _, value in self._lines() if name != self.checkpoint.origin]

    def _lines(self) -> Iterator[tuple[str, int, bytes]]:
        try:
            note = Note.parse(self.checkpoint.note)
        except MalformedError:  # a checkpoint that was not signed yet
            return
        for line in note.signatures:
            yield line.name, line.key_hash, line.value


def _time(signature: bytes) -> str:
    parts = cosignature.split(signature)
    try:
        return (
            "" if parts is None else f"{datetime.fromtimestamp(parts[0], timezone.utc):%Y-%m-%d %H:%M:%S UTC}"
        )
    except (OverflowError, ValueError, OSError):
        return ""
