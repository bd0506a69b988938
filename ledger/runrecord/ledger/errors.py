# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong in a ledger, as one family of exceptions.

::

    LedgerError
     +-- LedgerLocked         another process writes to this ledger
     +-- LedgerReadOnly       the directory or the handle can't be written
     +-- LedgerFull           no space left for the next entry
     +-- LedgerStopped        closed, forked, or stopped after a failed sync
     +-- EntryTooLarge        an entry does not fit the tile format
     +-- Pruned               an entry whose time of retention has ended
     +-- OutOfRange           an index or a size that the log does not have
     +-- MalformedError       bytes that are not the canonical form of what they claim to be
     |    +-- MalformedNote, MalformedCheckpoint, MalformedProof, MalformedTile, MalformedPolicy
     +-- VerificationError    well-formed, and wrong
     |    +-- SignatureError  no signature by a trusted key
     |    +-- ProofError      a proof that does not lead to the root
     +-- LedgerCorrupt        the files on disk contradict each other
          +-- RolledBack      the files are older than what this log has already signed

No message holds a key, a leaf or any other content: only paths, indices, sizes and names.
"""

from __future__ import annotations

# ruff: noqa: N818 - most are named for the state of the ledger that the caller meets


class LedgerError(Exception):
    """A ledger refused something.

    Args:
        message: What is wrong and where, in one sentence.
        next_step: What the reader can do about it.
    """

    def __init__(self, message: str, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def diagnostics(self) -> str:
        """Return the message and the next step, for a person."""
        return f"{self.message}\nnext: {self.next_step}" if self.next_step else self.message

    def __str__(self) -> str:
        """Return both on one line, so that a bare traceback shows the next step too."""
        return f"{self.message} ({self.next_step})" if self.next_step else self.message


class LedgerLocked(LedgerError):
    """Another process holds the ledger for writing."""


class LedgerReadOnly(LedgerError):
    """The ledger can't be written: its file system, its permissions, or a handle opened to read."""


class LedgerFull(LedgerError):
    """There is no room for the next entry; nothing of the refused call was kept."""


class LedgerStopped(LedgerError):
    """The handle no longer takes entries: closed, used after a fork, or a sync to disk failed."""


class EntryTooLarge(LedgerError):
    """An entry is longer than 65,535 bytes, the limit of the tile format (C2SP tlog-tiles, "Log Entries")."""


class OutOfRange(LedgerError, IndexError):
    """An index or a size lies outside the log, or outside what its checkpoint covers."""


class Pruned(LedgerError):
    """An entry is not there any more, and the log states that it let go of it."""


class MalformedError(LedgerError):
    """Bytes are not the one canonical form of what they claim to be."""


class MalformedNote(MalformedError):
    """Not a signed note, or not a note key (C2SP signed-note)."""


class MalformedCheckpoint(MalformedError):
    """Not a checkpoint body (C2SP tlog-checkpoint)."""


class MalformedProof(MalformedError):
    """Not a transparency log proof (C2SP tlog-proof)."""


class MalformedTile(MalformedError):
    """Not a tile, an entry bundle or a tile path (C2SP tlog-tiles)."""


class MalformedPolicy(MalformedError):
    """Not a trust policy (C2SP tlog-policy)."""


class VerificationError(LedgerError):
    """Well-formed data does not verify."""


class SignatureError(VerificationError):
    """No signature by a trusted key, or a bad signature under a trusted key's name."""


class ProofError(VerificationError):
    """A proof does not lead to the stated root."""


class LedgerCorrupt(LedgerError):
    """The files on disk contradict each other."""


class RolledBack(LedgerCorrupt):
    """The files on disk are older than, or differ from, what this log has already signed."""
