# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tamper-evident ledger: a C2SP tlog-tiles log that anyone can check offline."""

from __future__ import annotations

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.dedup import conflict_key
from runrecord.ledger.directory import DirectoryLog
from runrecord.ledger.errors import (
    EntryTooLarge,
    LedgerCorrupt,
    LedgerError,
    LedgerFull,
    LedgerLocked,
    LedgerReadOnly,
    LedgerStopped,
    MalformedError,
    OutOfRange,
    ProofError,
    RolledBack,
    SignatureError,
    VerificationError,
)
from runrecord.ledger.fsck import FsckReport, fsck
from runrecord.ledger.note import Note, NoteSigner, NoteVerifier
from runrecord.ledger.sequencer import Appended
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.tlog_proof import TlogProof

__all__ = [
    "Appended",
    "Checkpoint",
    "DirectoryLog",
    "EntryTooLarge",
    "FsckReport",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerFull",
    "LedgerLocked",
    "LedgerReadOnly",
    "LedgerStopped",
    "MalformedError",
    "Note",
    "NoteSigner",
    "NoteVerifier",
    "OutOfRange",
    "ProofError",
    "RolledBack",
    "SignatureError",
    "TlogProof",
    "VerificationError",
    "conflict_key",
    "fsck",
    "leaf_hash",
]
