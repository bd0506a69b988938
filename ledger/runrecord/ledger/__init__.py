# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tamper-evident ledger: a C2SP tlog-tiles log of what agents did, that anyone can check offline."""

from __future__ import annotations

from runrecord.ledger.audit import Finding, Severity, audit_run
from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.calls import Approval, ToolCall
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.completeness import UNSEEN, Completeness, Verdict
from runrecord.ledger.dedup import conflict_key
from runrecord.ledger.entry import Entry, Kind, Link, MalformedEntry, Origin, UnknownSchema
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
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.log import Log
from runrecord.ledger.note import Note, NoteSigner, NoteVerifier
from runrecord.ledger.records import Record
from runrecord.ledger.report import render_report
from runrecord.ledger.run_facts import RunSummary
from runrecord.ledger.run_search import Effects, Order, RunPage, RunQuery
from runrecord.ledger.runs import RunView, Segment, Step
from runrecord.ledger.sequencer import Appended
from runrecord.ledger.stores.copy import Copied, copy_log
from runrecord.ledger.stores.location import default_location
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.tlog_proof import TlogProof
from runrecord.ledger.trust import Trust, bundle_signer
from runrecord.ledger.unknown_run import UnknownRun
from runrecord.ledger.verification import Check, Code, Verification
from runrecord.ledger.verify import verified_report, verify_bundle

__all__ = [
    "UNSEEN",
    "Appended",
    "Approval",
    "Check",
    "Checkpoint",
    "Code",
    "Completeness",
    "Copied",
    "Effects",
    "Entry",
    "EntryTooLarge",
    "Finding",
    "FsckReport",
    "Kind",
    "Ledger",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerFull",
    "LedgerLocked",
    "LedgerReadOnly",
    "LedgerStopped",
    "Link",
    "Log",
    "MalformedEntry",
    "MalformedError",
    "Note",
    "NoteSigner",
    "NoteVerifier",
    "Order",
    "Origin",
    "OutOfRange",
    "ProofError",
    "Record",
    "RolledBack",
    "RunPage",
    "RunQuery",
    "RunSummary",
    "RunView",
    "Segment",
    "Severity",
    "SignatureError",
    "Step",
    "TlogProof",
    "ToolCall",
    "Trust",
    "UnknownRun",
    "UnknownSchema",
    "Verdict",
    "Verification",
    "VerificationError",
    "audit_run",
    "build_bundle",
    "bundle_signer",
    "conflict_key",
    "copy_log",
    "default_location",
    "fsck",
    "leaf_hash",
    "render_report",
    "verified_report",
    "verify_bundle",
]
