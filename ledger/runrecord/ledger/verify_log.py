# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of a verification that are about the log: its checkpoint, who vouches for it, and the proof of every entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from runrecord.ledger.bundle_format import (
    ENTRIES,
    checkpoint_path,
    consistency_path,
    entries_path,
    proof_path,
    proofs_path,
    statement_path,
    timestamp_path,
)
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.consistency import ConsistencyProof, Tree, between
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.errors import LedgerError, MalformedError, ProofError, SignatureError
from runrecord.ledger.inclusion import InclusionChecker, decode_proofs
from runrecord.ledger.note import Note, NoteVerifier
from runrecord.ledger.records import Record
from runrecord.ledger.rotation import Rotation, learn
from runrecord.ledger.tiles import decode_bundle
from runrecord.ledger.timestamp import verify_timestamp
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.tlog_policy import TlogPolicy
from runrecord.ledger.tlog_proof import TlogProof
from runrecord.ledger.trust import Trust
from runrecord.ledger.verification import Code
from runrecord.ledger.verify_state import Bundle, BundleLog, Stop, fail

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def checkpoints(bundle: Bundle) -> str:
    """Check that a key of each log signed its checkpoint: a pinned one, or one that a pinned one vouches for."""
    said: list[str] = []
    for log in bundle.logs:
        note = _note(bundle, log)
        pinned = [key for key in bundle.trust.log if key.name == log.origin]
        learned = _learned(bundle, log, pinned)
        bundle.trust |= Trust(log=tuple(change.new for change in learned))
        keys = [*pinned, *(change.new for change in learned)]
        if not keys or not _claims(note, keys):
            raise Stop(
                Code.UNVERIFIABLE,
                f"the checkpoint of log {log.origin!r} is not signed by a pinned log key",
                "get the key of this log from its operator",
            )
        checkpoint = Checkpoint.open(note, keys)
        if (checkpoint.origin, checkpoint.size, checkpoint.root) != (log.origin, log.size, log.root):
            fail(f"the checkpoint of log {log.origin!r} is not the one that the statement names")
        bundle.checkpoints.append(checkpoint)
        said.append(f"{log.origin} at size {log.size}, signed by its log key")
        if not _claims(note, pinned):
            entries = ", ".join(str(change.index) for change in learned)
            said[-1] += (
                f", for which the pinned key vouches: it was changed (entry {entries}), and both keys signed that"
            )
    return ", ".join(said)


def _learned(bundle: Bundle, log: BundleLog, pinned: Sequence[NoteVerifier]) -> list[Rotation]:
    """Return the changes of a log's key that lead from a pinned one to others."""
    proofs = [bundle.files[name] for name in bundle.changes_of_key(log) if name in bundle.files]
    try:
        learned = learn(proofs, pinned)
    except LedgerError as error:
        fail(f"a change of the key of log {log.origin!r} does not hold: {error.message}")
    return learned


def witnesses(bundle: Bundle, policy: TlogPolicy) -> str:
    """Check that the witnesses of a policy have cosigned."""
    said: list[str] = []
    for log in bundle.logs:
        witnessed = policy.witnessed(_note(bundle, log))
        by = ", ".join(f"{name} at {_time(when)}" for name, when in witnessed.times.items())
        said.append(f"{log.origin} at size {log.size}: {by or 'by nobody'}")
        if not witnessed.enough:
            raise Stop(
                Code.INCOMPLETE,
                f"unwitnessed: {said[-1]}; the policy wants {policy.quorum}",
                "ask the operator for a bundle that the witnesses have cosigned",
            )
    return f"cosigned: {'; '.join(said)}"


def times(bundle: Bundle, roots: Sequence[Certificate]) -> str:
    """Check that an authority stamped the checkpoint."""
    said: list[str] = []
    for log in bundle.logs:
        reply = bundle.files.get(timestamp_path(log.name, log.size))
        if reply is None:
            raise Stop(
                Code.INCOMPLETE,
                f"the checkpoint of log {log.origin!r} has no time stamp",
                "ask the operator for a bundle with one",
            )
        try:
            stamped = verify_timestamp(reply, _note(bundle, log), roots)
        except SignatureError as error:
            raise Stop(Code.UNVERIFIABLE, error.message, "pin the root of the authority") from None
        by = stamped.authority or "an authority under a pinned root"
        said.append(
            f"{log.origin} at size {log.size} was there at {stamped.time:%Y-%m-%d %H:%M:%SZ}, says {by}"
        )
    return "; ".join(said)


def history(bundle: Bundle) -> str:
    """Check that the checkpoints that the reader kept are of the same log."""
    said = [_compare(bundle, note) for note in bundle.known]
    return f"the log is the one of which you kept {', '.join(said)}"


def _compare(bundle: Bundle, note: bytes) -> str:
    kept = _kept(bundle, note)
    log = next((log for log in bundle.logs if log.origin == kept.origin), None)
    if log is None:
        raise Stop(
            Code.UNVERIFIABLE,
            f"the checkpoint that you kept is of log {kept.origin!r}, from which nothing is here",
            "compare it with a bundle of that log",
        )
    what = f"{kept.origin} at size {kept.size}"
    own, other = Tree(log.size, log.root), Tree(kept.size, kept.root)
    fork = (
        f"THE LOG FORKED: its key signed two different histories; {what} as you kept it is not in the log of this bundle, "
        f"at size {log.size}"
    )
    if kept.size in (0, log.size):
        if kept.size and kept.root != log.root:
            fail(fork)
        return what
    data = bundle.files.get(consistency_path(log.name, kept.size))
    if data is None:
        raise Stop(
            Code.INCOMPLETE,
            f"nothing in the bundle shows whether {what}, as you kept it, belongs to the same log at size {log.size}",
            "send the operator your checkpoint and ask for a bundle made with --known FILE",
        )
    proof = ConsistencyProof.parse(data)
    old, new = between(own, other)
    if (proof.old, proof.new) != (old, new):
        told = proof.old if kept.size < log.size else proof.new
        try:
            proof.verify()
        except LedgerError:
            fail(f"the proof about {what} is for other trees, and wrong")
        fail(
            fork
            if told.size == kept.size and own in (proof.old, proof.new)
            else f"the proof about {what} is for other trees"
        )
    try:
        proof.verify()
    except ProofError as error:
        fail(f"the bundle does not prove that {what}, as you kept it, is of the same log: {error.message}")
    return what


def _kept(bundle: Bundle, note: bytes) -> Checkpoint:
    try:
        kept = Checkpoint.parse(note)
        keys = [key for key in bundle.trust.log if key.name == kept.origin]
        return Checkpoint.open(note, keys)
    except MalformedError as error:
        raise Stop(
            Code.UNVERIFIABLE,
            f"what you kept is not a checkpoint: {error.message}",
            "name the file 'checkpoint' of a ledger, or one of checkpoints/ in a bundle",
        ) from None
    except SignatureError as error:
        raise Stop(
            Code.UNVERIFIABLE,
            f"the checkpoint that you kept proves nothing: {error.message}",
            "pin the key that signed it, if it is one of the operator's",
        ) from None


def inclusion(bundle: Bundle) -> str:
    """Check the proof of every entry."""
    for log in bundle.logs:
        log.leaves = decode_bundle(bundle.files[entries_path(log.name)])
        if len(log.leaves) != len(log.indices):
            fail(f"log {log.origin!r}: {len(log.leaves)} entries are here, {len(log.indices)} were signed")
        log.hashes = list(map(leaf_hash, log.leaves))
        _prove(bundle, log)
        bundle.statements += [_stated(bundle, log, index) for index in log.statements]
    if not _are_lines(bundle.files[ENTRIES], (leaf for log in bundle.logs for leaf in log.leaves)):
        fail(f"{ENTRIES} does not hold the entries that are proven")
    return f"{sum(len(log.leaves) for log in bundle.logs)} entries are in the log"


def _stated(bundle: Bundle, log: BundleLog, index: int) -> Record:
    """Return an entry that a log holds about itself, from its proof."""
    proof = TlogProof.parse(bundle.files[statement_path(log.name, index)])
    leaf = proof.extra or b""
    if proof.index != index or proof.checkpoint != _note(bundle, log):
        fail(f"the proof of statement {index} is for another entry or another checkpoint")
    try:
        InclusionChecker(log.size, log.root).check(index, leaf_hash(leaf), proof.hashes)
    except LedgerError as error:
        fail(f"statement {index} is not in the log: {error.message}")
    entry = Entry.parse(leaf)
    if entry.run or entry.kind != Kind.PRUNED:
        fail(f"entry {index} is no statement of the log about itself")
    return Record(index, entry)


def _are_lines(data: bytes, leaves: Iterable[bytes]) -> bool:
    """Return whether data is these leaves, one per line; without a copy of them all."""
    at = 0
    for leaf in leaves:
        end = at + len(leaf)
        if data[at:end] != leaf or data[end : end + 1] != b"\n":
            return False
        at = end + 1
    return at == len(data)


def _prove(bundle: Bundle, log: BundleLog) -> None:
    files = bundle.files
    checker = InclusionChecker(log.size, log.root, _note(bundle, log))
    index = -1
    try:
        if proofs_path(log.name) in bundle.materials:
            proofs: Iterable[tuple[bytes, ...] | None] = decode_proofs(files[proofs_path(log.name)])
            found = iter(proofs)
            for index, digest in zip(log.indices, log.hashes, strict=True):
                proof = next(found, None)
                if proof is None:
                    fail(f"entry {index} has no proof")
                checker.check(index, digest, proof)
            if next(found, None) is not None:
                fail("there are more proofs than entries")
            return
        for index, digest in zip(log.indices, log.hashes, strict=True):
            checker.check_file(index, digest, files[proof_path(log.name, index)])
    except MalformedError as error:
        fail(error.message)
    except LedgerError as error:
        fail(f"entry {index} is not in the log: {error.message}")


def _note(bundle: Bundle, log: BundleLog) -> bytes:
    return bundle.files[checkpoint_path(log.name, log.size)]


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s after 1970"


def _claims(note: bytes, keys: list[NoteVerifier]) -> bool:
    """Return whether a note carries a signature line of one of the keys, right or wrong."""
    identities = {(key.name, key.key_hash) for key in keys}
    return any((line.name, line.key_hash) in identities for line in Note.parse(note).signatures)
