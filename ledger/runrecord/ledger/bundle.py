# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write the audit bundle of a run: one file that proves, offline, what the ledger holds about it.

::

    statement.dsse.json        DSSE-signed in-toto Statement: subject, contents, SHA-256 of every other file
    entries/<log>.bin          the leaves, each behind its length (uint16, the framing of C2SP tlog-tiles)
    entries.jsonl              the same for reading, one per line
    proofs/<log>/<i>.tlog-proof  one C2SP tlog-proof per entry; of more than 10,000 entries all in proofs/<log>.bin
    checkpoints/<log>-<n>.note the checkpoint that all of them lead to
    timestamps/<log>-<n>.tsr   when an authority (RFC 3161) saw that checkpoint, if one was asked
    consistency/<log>-<k>.txt  that a checkpoint of size k, which the reader kept, is of the same log, if it was asked for
    statements/<log>/<i>.tlog-proof  what the log states of itself that concerns the run: that entries were pruned
    disclosures.json           commitments that were opened for the reader: value and salt, if any
    policy.txt                 the keys as the producer states them: a suggestion, never trusted
    README.txt, report.html    for people

The subject is the RFC 6962 root over the leaf hashes of the run, in the order of the log. The same ledger, checkpoint and key give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from runrecord.ledger.audit import Finding, audit_run
from runrecord.ledger.bundle_format import (
    DISCLOSURES,
    ENTRIES,
    MAX_PROOF_FILES,
    MAX_RECORDS,
    PAYLOAD_TYPE,
    POLICY,
    PREDICATE_TYPE,
    README,
    REPORT,
    STATEMENT,
    STATEMENT_TYPE,
    checkpoint_path,
    consistency_path,
    digest,
    entries_path,
    log_name,
    proof_path,
    proofs_path,
    rotation_path,
    statement_path,
    timestamp_path,
)
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.claims import claims, producer
from runrecord.ledger.consistency import ConsistencyProof, Tree, between
from runrecord.ledger.container import pack
from runrecord.ledger.disclosures import Disclosure, by_place, encode_disclosures
from runrecord.ledger.dsse import key_id, seal
from runrecord.ledger.entry import Entry
from runrecord.ledger.errors import LedgerCorrupt, LedgerError, ProofError
from runrecord.ledger.inclusion import InclusionChecker, encode_proofs
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.narrate import printable
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.reader import RESTORE
from runrecord.ledger.records import Record
from runrecord.ledger.report import Evidence, render_report
from runrecord.ledger.rotation import parse_rotation, stored_proofs
from runrecord.ledger.runs import RunView
from runrecord.ledger.strict_json import JSON
from runrecord.ledger.tiles import TILE_WIDTH, TilePath, frame_entry
from runrecord.ledger.timestamp import stamped_at
from runrecord.ledger.tlog import leaf_hash, root_of_hashes
from runrecord.ledger.tlog_proof import TlogProof
from runrecord.ledger.trust import Trust, bundle_signer
from runrecord.semconv.canonical import canonical_json

_README: Final = """\
Audit bundle of run {run}
{rule}

What it is
  {count} records of one run of an AI agent, taken from the append-only log
  {origin}
  at size {size}, with a proof for each that the log holds it, signed.

How to check it (no network needed)
  pip install "runrecord[cli]"
  runrecord verify THIS-FILE --trust TRUST-FILE --report OWN-REPORT.html

  The trust file holds the public key of the log and that of the bundle. Get it from the operator by another way
  than this bundle: policy.txt in here is only what whoever made the bundle says.

What is inside
  report.html           the run for reading; open it in a browser, or make your own as above
  entries.jsonl         the records for reading, one per line
  entries/, proofs/     the records as the log holds them, and a proof for each (C2SP tlog-proof)
  checkpoints/          the signed size and root of the log
  consistency/          that checkpoints which you kept are of the same log, if you asked for it
  statements/, keys/    what the log says of itself, with proofs: entries that were pruned, changes of its key
  disclosures.json      values that were opened for you, if any
  statement.dsse.json   the signed statement, with the SHA-256 of every other file

What it can't show
  An emitter that never emitted is invisible. Times and contents are claims of the emitters; the proofs show that
  nobody changed them since. Contents appear as keyed commitments only.
"""


def build_bundle(
    ledger: Ledger,
    run: str,
    *,
    signer: NoteSigner | None = None,
    cosign: Callable[[Checkpoint], Checkpoint] | None = None,
    timestamp: Callable[[bytes], bytes] | None = None,
    known: Sequence[Checkpoint] = (),
    disclose: Callable[[RunView], Sequence[Disclosure]] | None = None,
) -> bytes:
    """Return the audit bundle of a run.

    Args:
        ledger: The ledger; one opened to write publishes a checkpoint first, so that it covers the run.
        run: The run id, or the start of it.
        signer: The bundle key; None takes the one of the ledger directory, or makes it there.
        cosign: Adds cosignatures of witnesses to the checkpoint; None takes the checkpoint that the gateway had cosigned, if it
            covers the run.
        timestamp: Returns the time stamp of an authority (RFC 3161) over the checkpoint's note.
        known: Checkpoints that the reader kept; the bundle proves that they are of this log.
        disclose: Opens commitments of the run for the reader.

    Raises:
        UnknownRun: None or several runs match.
        LedgerCorrupt: An entry is not under the signed checkpoint; nothing is signed then.
        LedgerError: The run is too large for a bundle, or no key can be made.
    """
    checkpoint = ledger.publish()
    view = ledger.run(run)
    if cosign is None:
        checkpoint = _witnessed(ledger, view) or checkpoint
    indices = sorted(record.index for record in view.records if record.index < checkpoint.size)
    if len(indices) > MAX_RECORDS:
        raise LedgerError(
            f"run {view.run} has {len(indices):,} records, more than the {MAX_RECORDS:,} that a bundle holds",
            "keep a copy of the ledger as evidence instead: runrecord ledger copy",
        )
    log = log_name(checkpoint.origin)
    leaves = [ledger.log.leaf(index) for index in indices]
    hashes = list(map(leaf_hash, leaves))
    proofs = _proofs(ledger, checkpoint, indices, hashes)
    view = RunView(view.run, [Record(i, Entry.parse(leaf)) for i, leaf in zip(indices, leaves, strict=True)])
    opened = disclose(view) if disclose is not None else ()
    histories = [_consistent(ledger, checkpoint, each) for each in known]
    key = signer or bundle_signer(ledger.path, checkpoint.origin)
    if cosign is not None:
        checkpoint = cosign(checkpoint)
    files = {
        entries_path(log): b"".join(map(frame_entry, leaves)),
        ENTRIES: b"".join(leaf + b"\n" for leaf in leaves),
        checkpoint_path(log, checkpoint.size): checkpoint.note,
    }
    stamp = timestamp(checkpoint.note) if timestamp is not None else b""
    if stamp:
        files[timestamp_path(log, checkpoint.size)] = stamp
    for other, proof in zip(known, histories, strict=True):
        files[consistency_path(log, other.size)] = proof.encode()
    if len(indices) > MAX_PROOF_FILES:
        files[proofs_path(log)] = encode_proofs(proofs)
    else:
        for index, path in zip(indices, proofs, strict=True):
            files[proof_path(log, index)] = TlogProof(index, path, checkpoint.note).encode()
    statements = _statements(ledger, checkpoint)
    files |= _about_the_log(ledger, checkpoint, statements)
    suggested = Trust(ledger.log.verifiers, (key.verifier,)).text()
    files[POLICY] = (
        b"# What the producer of this bundle says its keys are. NOT trusted.\n" + suggested.encode()
    )
    files[README] = _readme(view, checkpoint, len(indices)).encode()
    sizes = sorted({each.size for each in known})
    evidence = Evidence(
        checkpoint, key_id(key), stamped_at(stamp) if stamp else "", sizes, by_place(opened), statements
    )
    findings = audit_run(view)
    files[REPORT] = render_report(view, findings, evidence).encode()
    if opened:
        files[DISCLOSURES] = encode_disclosures(opened)
    logs: list[JSON] = [
        {
            "origin": checkpoint.origin,
            "size": str(checkpoint.size),
            "root": checkpoint.root.hex(),
            "indices": [str(index) for index in indices],
            **({"known": [str(size) for size in sizes]} if sizes else {}),
            **({"statements": [str(each.index) for each in statements]} if statements else {}),
        }
    ]
    statement = _statement(view, findings, logs, root_of_hashes(hashes), files)
    return pack({STATEMENT: seal(PAYLOAD_TYPE, canonical_json(statement), key), **files})


def _witnessed(ledger: Ledger, view: RunView) -> Checkpoint | None:
    """Return the checkpoint that witnesses have cosigned, if it covers all that is there of the run."""
    witnessed = ledger.log.witnessed
    covers = witnessed is not None and all(record.index < witnessed.size for record in view.records)
    return witnessed if covers else None


def _proofs(
    ledger: Ledger, checkpoint: Checkpoint, indices: Sequence[int], hashes: Sequence[bytes]
) -> list[tuple[bytes, ...]]:
    """Return the proofs, and refuse an entry that does not lead to the checkpoint: a writer has not compared it yet."""
    checker = InclusionChecker(checkpoint.size, checkpoint.root)
    proofs: list[tuple[bytes, ...]] = []
    for index, leaf in zip(indices, hashes, strict=True):
        proofs.append(tuple(ledger.log.inclusion_proof(index, checkpoint.size)))
        try:
            checker.check(index, leaf, proofs[-1])
        except ProofError as error:
            path = ledger.log.objects.locate(str(TilePath(None, index // TILE_WIDTH)))
            raise LedgerCorrupt(
                f"entry {index} in {path} is not the one that the log signed: {error.message}", RESTORE
            ) from error
    return proofs


def _statements(ledger: Ledger, checkpoint: Checkpoint) -> list[Record]:
    """Return what the log states of itself, of which a reader of any run has to know."""
    pruning = ledger.log.pruning
    if pruning is None or pruning.index >= checkpoint.size:
        return []
    return [Record(pruning.index, Entry.parse(pruning.leaf))]


def _about_the_log(ledger: Ledger, checkpoint: Checkpoint, statements: Sequence[Record]) -> dict[str, bytes]:
    """Return the proofs of what the log states of itself, and of changes of its key."""
    log = log_name(checkpoint.origin)
    files = {
        rotation_path(log, parse_rotation(change).index): change
        for change in stored_proofs(ledger.log.objects)
    }
    for each in statements:
        path = tuple(ledger.log.inclusion_proof(each.index, checkpoint.size))
        proof = TlogProof(each.index, path, checkpoint.note, each.entry.leaf())
        files[statement_path(log, each.index)] = proof.encode()
    return files


def _consistent(ledger: Ledger, checkpoint: Checkpoint, known: Checkpoint) -> ConsistencyProof:
    """Return the proof that a checkpoint which somebody kept is of this log."""
    what = f"the checkpoint of {known.origin!r} at size {known.size}"
    if known.origin != checkpoint.origin:
        raise LedgerError(
            f"{what} is not of this log, {checkpoint.origin!r}", "name a checkpoint of this log"
        )
    old, new = between(Tree(known.size, known.root), Tree(checkpoint.size, checkpoint.root))
    if new.size > ledger.log.checkpoint.size:
        raise LedgerCorrupt(
            f"{what} is newer than this ledger, which has {ledger.log.checkpoint.size} entries", RESTORE
        )
    proof = ConsistencyProof(old, new, tuple(ledger.log.consistency_proof(old.size, new.size)))
    try:
        proof.verify()
    except ProofError as error:
        raise LedgerCorrupt(
            f"{what} is not of the history that this ledger holds: {error.message}",
            "compare the key that signed it, and find out which of the two was changed",
        ) from error
    return proof


def _statement(
    view: RunView, findings: Sequence[Finding], logs: list[JSON], root: bytes, files: dict[str, bytes]
) -> dict[str, JSON]:
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": f"run:{view.run}", "digest": {"sha256": root.hex()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "run": view.run,
            "producer": producer(),
            "logs": logs,
            **claims(view, findings),
            "materials": {name: digest(data) for name, data in files.items()},
        },
    }


def _readme(view: RunView, checkpoint: Checkpoint, count: int) -> str:
    run = printable(view.run)
    rule = "=" * len(f"Audit bundle of run {run}")
    return _README.format(run=run, rule=rule, count=count, origin=checkpoint.origin, size=checkpoint.size)
