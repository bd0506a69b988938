# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints (C2SP tlog-checkpoint): the signed statement of a log's size and root."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from runrecord.ledger.errors import MalformedCheckpoint, SignatureError
from runrecord.ledger.note import Note, NoteSigner, NoteVerifier, decode_base64, sign_note
from runrecord.ledger.tlog import HASH_SIZE

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_BODY_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's size and root.

    Attributes:
        origin: Which log; equal to the name of the key that signs it.
        size: How many leaves.
        root: The root hash over them, 32 bytes.
        extensions: Extra lines, opaque; this library writes none.
        note: The whole signed note that it was read from, or empty.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    note: bytes = b""

    def body(self) -> bytes:
        """Return the text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()

    def sign(self, signers: Iterable[NoteSigner]) -> Checkpoint:
        """Return the same checkpoint with its signed note."""
        return Checkpoint(self.origin, self.size, self.root, self.extensions, sign_note(self.body(), signers))

    @classmethod
    def parse_body(cls, text: bytes, note: bytes = b"") -> Checkpoint:
        """Read a checkpoint's text; only the canonical form is accepted.

        Raises:
            MalformedCheckpoint: If it is not a checkpoint.
        """
        try:
            whole = text.decode()
        except UnicodeDecodeError:
            raise MalformedCheckpoint("a checkpoint is not UTF-8") from None
        lines = whole.split("\n")
        if lines.pop() or len(lines) < _BODY_LINES or not all(lines):
            raise MalformedCheckpoint("a checkpoint is not made of three or more lines with text")
        origin, size, root64, *extensions = lines
        root = decode_base64(root64)
        if not _SIZE.fullmatch(size) or root is None or len(root) != HASH_SIZE:
            raise MalformedCheckpoint(
                "the second and third line of a checkpoint are not a size and a root hash"
            )
        return cls(origin, int(size), root, tuple(extensions), note)

    @classmethod
    def parse(cls, note: bytes) -> Checkpoint:
        """Read a signed checkpoint **without** checking who signed it.

        Raises:
            MalformedNote: If it is not a signed note.
            MalformedCheckpoint: If its text is not a checkpoint.
        """
        return cls.parse_body(Note.parse(note).text, note)

    @classmethod
    def open(cls, note: bytes, verifiers: Iterable[NoteVerifier]) -> Checkpoint:
        """Read a checkpoint that its own log signed.

        Args:
            note: The signed note.
            verifiers: The trusted keys; one of those that signed must be named like the origin.

        Raises:
            MalformedNote: If it is not a signed note.
            MalformedCheckpoint: If its text is not a checkpoint.
            SignatureError: If no trusted key of that origin signed it.
        """
        parsed = Note.parse(note)
        names = {each.name for each in parsed.verified_by(verifiers)}
        checkpoint = cls.parse_body(parsed.text, note)
        if checkpoint.origin not in names:
            raise SignatureError(
                f"the checkpoint of {checkpoint.origin!r} is signed by {', '.join(sorted(names))} only"
            )
        return checkpoint
