# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Verify an audit bundle offline, against keys that the reader already has.

Nothing in the bundle is believed before a pinned key vouches for it: the bundle key for the statement, the statement for the
other files, the log key for the checkpoint, the checkpoint for every entry. Input is hostile; no input raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, cast

from runrecord.ledger.audit import audit_run
from runrecord.ledger.bundle_format import (
    ENTRIES,
    PAYLOAD_TYPE,
    POLICY,
    PREDICATE_TYPE,
    README,
    REPORT,
    STATEMENT,
    STATEMENT_TYPE,
    checkpoint_path,
    digest,
    entries_path,
    log_name,
    proof_path,
    timestamp_path,
)
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.completeness import Verdict
from runrecord.ledger.container import MalformedBundle, unpack
from runrecord.ledger.dsse import UntrustedKey, unseal
from runrecord.ledger.entry import Entry, UnknownSchema
from runrecord.ledger.errors import LedgerError, SignatureError
from runrecord.ledger.note import Note, NoteVerifier
from runrecord.ledger.records import Record
from runrecord.ledger.runs import RunView
from runrecord.ledger.strict_json import (
    JSON,
    StrictJsonError,
    array,
    decimal,
    mapping,
    read_object,
    refuse,
    string,
    string_map,
)
from runrecord.ledger.tiles import decode_bundle
from runrecord.ledger.timestamp import verify_timestamp
from runrecord.ledger.tlog import leaf_hash, root_of_hashes, verify_inclusion
from runrecord.ledger.tlog_policy import TlogPolicy
from runrecord.ledger.tlog_proof import TlogProof
from runrecord.ledger.trust import Trust
from runrecord.ledger.verification import Check, Code, Verification
from runrecord.semconv.canonical import canonical_json

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

NO_KEYS: Final = "unverifiable: no pinned keys"
_DO_NOT_RELY: Final = "do not rely on this bundle; ask for it again, and keep this one as evidence"
_HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PLAIN: Final = frozenset({ENTRIES, POLICY, README, REPORT})


class _Stop(Exception):  # noqa: N818 - control flow, never seen outside
    def __init__(self, code: Code, text: str, next_step: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.next_step = code, text, next_step


@dataclass
class _Log:
    """One log that the statement names."""

    name: str
    origin: str
    size: int
    root: bytes
    indices: tuple[int, ...]
    leaves: list[bytes] = field(default_factory=list[bytes])


class _Bundle:
    """The state of one verification; each method is one step and returns what it found."""

    def __init__(self, archive: bytes, trust: Trust, first_use: bool) -> None:
        self.archive = archive
        self.trust = trust
        self.first_use = first_use
        self.files: dict[str, bytes] = {}
        self.run = ""
        self.subject = b""
        self.materials: dict[str, str] = {}
        self.logs: list[_Log] = []
        self.records: list[Record] = []
        self.claimed = ""
        self.view: RunView | None = None

    def container(self) -> str:
        try:
            self.files = unpack(self.archive)
        except MalformedBundle as error:
            if STATEMENT.encode() in self.archive:  # it once was one
                raise
            _not_a_bundle(error.message if self.archive else "the file is empty")
        if STATEMENT not in self.files:
            _not_a_bundle(f"the archive has no {STATEMENT}")
        return f"{len(self.files)} files, {len(self.archive)} bytes, canonical form"

    def keys(self) -> str:
        if self.first_use:
            try:
                self.trust = self.trust | Trust.parse(self.files.get(POLICY, b"").decode("utf-8"))
            except UnicodeDecodeError:
                _fail(f"{POLICY} is not text")
            if not self.trust:
                raise _Stop(
                    Code.UNVERIFIABLE,
                    "unverifiable: the bundle suggests no keys either",
                    "ask the operator for the trust file",
                )
            return "taken from the bundle itself, as you asked: this shows that it is consistent, NOT who made it"
        if not self.trust:
            if self.trust.log or self.trust.bundle:
                have, lack = ("log", "bundle") if self.trust.log else ("bundle", "log")
                raise _Stop(
                    Code.UNVERIFIABLE,
                    f"unverifiable: a {have} key is pinned, and no {lack} key",
                    f"add the operator's {lack} key: a line '{lack} VKEY' in the trust file, or --{lack}-key VKEY",
                )
            raise _Stop(
                Code.UNVERIFIABLE,
                NO_KEYS,
                "give the operator's keys: --trust FILE, or --log-key and --bundle-key; not those in the bundle",
            )
        return f"{len(self.trust.log)} log and {len(self.trust.bundle)} bundle keys are pinned"

    def statement(self) -> str:
        payload = unseal(self.files[STATEMENT], PAYLOAD_TYPE, self.trust.bundle)
        try:
            statement = read_object(payload)
            if canonical_json(statement) != payload or statement.get("_type") != STATEMENT_TYPE:
                refuse("it is not a canonical in-toto Statement v1")
            if statement.get("predicateType") != PREDICATE_TYPE:
                raise _Stop(
                    Code.UNVERIFIABLE,
                    "the statement is of a kind that this version can't read",
                    "use a newer runrecord",
                )
            self._read_statement(statement)
        except (StrictJsonError, ValueError) as error:
            reason = str(error) if isinstance(error, StrictJsonError) else "it is not canonical JSON"
            _fail(f"the statement is signed and not well-formed: {reason}")
        return f"signed by the bundle key, about run {self.run}"

    def _read_statement(self, statement: dict[str, JSON]) -> None:
        predicate = mapping(statement, "predicate")
        self.run = string(predicate, "run")
        self.materials = string_map(predicate, "materials")
        self.claimed = string(mapping(predicate, "completeness"), "verdict")
        match array(statement, "subject"):
            case [{"name": str(name), "digest": {"sha256": str(value)}}] if (
                name == f"run:{self.run}" and self.run
            ):
                self.subject = _hash(value)
            case _:
                refuse("its subject is not the run")
        for item in array(predicate, "logs"):
            if not isinstance(item, dict):
                refuse("logs does not hold objects")
            log = cast("dict[str, JSON]", item)
            indices = tuple(decimal(index, "indices") for index in array(log, "indices"))
            if list(indices) != sorted(set(indices)):
                refuse("the indices of a log do not ascend")
            origin = string(log, "origin")
            size = decimal(log.get("size"), "size")
            self.logs.append(_Log(log_name(origin), origin, size, _hash(string(log, "root")), indices))
        if not self.logs or len({log.name for log in self.logs}) != len(self.logs):
            refuse("it names no log, or one twice")

    def contents(self) -> str:
        expected, optional = set(_PLAIN), set[str]()
        for log in self.logs:
            expected |= {entries_path(log.name), checkpoint_path(log.name, log.size)}
            expected |= {proof_path(log.name, index) for index in log.indices}
            optional.add(timestamp_path(log.name, log.size))
        for what, names in (
            (
                "file that the statement does not name",
                self.files.keys() - self.materials.keys() - {STATEMENT},
            ),
            ("missing file", self.materials.keys() - self.files.keys()),
            ("missing file", expected - self.files.keys()),
            ("file that does not belong in a bundle", self.materials.keys() - expected - optional),
        ):
            if names:
                _fail(f"{len(names)} {what}{'s' if len(names) > 1 else ''}, such as {min(names)}")
        for name, data in self.files.items():
            if name != STATEMENT and digest(data) != self.materials[name]:
                _fail(f"{name} is not the file that was signed: its SHA-256 differs")
        return f"{len(self.materials)} files have the signed SHA-256; none is missing, none was added"

    def checkpoints(self) -> str:
        for log in self.logs:
            note = self.files[checkpoint_path(log.name, log.size)]
            keys = [key for key in self.trust.log if key.name == log.origin]
            if not keys or not _claims(note, keys):
                raise _Stop(
                    Code.UNVERIFIABLE,
                    f"the checkpoint of log {log.origin!r} is not signed by a pinned log key",
                    "get the key of this log from its operator",
                )
            checkpoint = Checkpoint.open(note, keys)
            if (checkpoint.origin, checkpoint.size, checkpoint.root) != (log.origin, log.size, log.root):
                _fail(f"the checkpoint of log {log.origin!r} is not the one that the statement names")
        return ", ".join(f"{log.origin} at size {log.size}, signed by its log key" for log in self.logs)

    def witnesses(self, policy: TlogPolicy) -> str:
        said: list[str] = []
        for log in self.logs:
            witnessed = policy.witnessed(self.files[checkpoint_path(log.name, log.size)])
            by = ", ".join(f"{name} at {_time(when)}" for name, when in witnessed.times.items())
            said.append(f"{log.origin} at size {log.size}: {by or 'by nobody'}")
            if not witnessed.enough:
                raise _Stop(
                    Code.INCOMPLETE,
                    f"unwitnessed: {said[-1]}; the policy wants {policy.quorum}",
                    "ask the operator for a bundle that the witnesses have cosigned",
                )
        return f"cosigned: {'; '.join(said)}"

    def times(self, roots: Sequence[Certificate]) -> str:
        said: list[str] = []
        for log in self.logs:
            reply = self.files.get(timestamp_path(log.name, log.size))
            if reply is None:
                raise _Stop(
                    Code.INCOMPLETE,
                    f"the checkpoint of log {log.origin!r} has no time stamp",
                    "ask the operator for a bundle with one",
                )
            try:
                stamped = verify_timestamp(reply, self.files[checkpoint_path(log.name, log.size)], roots)
            except SignatureError as error:
                raise _Stop(Code.UNVERIFIABLE, error.message, "pin the root of the authority") from None
            by = stamped.authority or "an authority under a pinned root"
            said.append(
                f"{log.origin} at size {log.size} was there at {stamped.time:%Y-%m-%d %H:%M:%SZ}, says {by}"
            )
        return "; ".join(said)

    def inclusion(self) -> str:
        lines = bytearray()
        for log in self.logs:
            note = self.files[checkpoint_path(log.name, log.size)]
            log.leaves = decode_bundle(self.files[entries_path(log.name)])
            if len(log.leaves) != len(log.indices):
                _fail(
                    f"log {log.origin!r}: {len(log.leaves)} entries are here, {len(log.indices)} were signed"
                )
            for index, leaf in zip(log.indices, log.leaves, strict=True):
                proof = TlogProof.parse(self.files[proof_path(log.name, index)])
                if proof.index != index or proof.checkpoint != note or proof.extra is not None:
                    _fail(f"the proof of entry {index} is for another entry or another checkpoint")
                try:
                    verify_inclusion(leaf_hash(leaf), index, log.size, proof.hashes, log.root)
                except LedgerError as error:
                    _fail(f"entry {index} is not in the log: {error.message}")
                lines += leaf + b"\n"
        if bytes(lines) != self.files[ENTRIES]:
            _fail(f"{ENTRIES} does not hold the entries that are proven")
        return f"{sum(len(log.leaves) for log in self.logs)} entries are in the log"

    def subject_root(self) -> str:
        leaves = [leaf for log in self.logs for leaf in log.leaves]
        if root_of_hashes(map(leaf_hash, leaves)) != self.subject:
            _fail("the entries do not give the root that was signed as the run's digest")
        return f"the entries are exactly those that were signed, root {self.subject.hex()[:16]}..."

    def schema(self) -> str:
        for log in self.logs:
            for index, leaf in zip(log.indices, log.leaves, strict=True):
                try:
                    entry = Entry.parse(leaf)
                except UnknownSchema as error:
                    raise _Stop(
                        Code.UNVERIFIABLE,
                        f"entry {index} is proven, and of a schema that this version can't read",
                        error.next_step or "",
                    ) from None
                if entry.run != self.run:
                    _fail(f"entry {index} belongs to another run")
                self.records.append(Record(index, entry))
        return f"{len(self.records)} entries are canonical and of this run"

    def completeness(self) -> str:
        self.view = RunView(self.run, self.records)
        state = self.view.completeness
        text = "; ".join([state.verdict.value, *(reason.text for reason in state.reasons)])
        if self.claimed != state.verdict.value:
            text += f" (the producer claimed {self.claimed or 'nothing'})"
        if not state.complete:
            raise _Stop(Code.INCOMPLETE, text, _ADVICE[state.verdict])
        return text


_ADVICE: Final = {
    Verdict.UNCLOSED: "ask the operator for a later bundle, made after the run had ended",
    Verdict.GAPS: "ask the operator what became of the missing records; the ledger does not hold them",
    Verdict.CONFLICTS: "read the entries named: a record was sent in two versions, and both are kept",
}


def verify_bundle(
    archive: bytes,
    trust: Trust | None = None,
    *,
    policy: TlogPolicy | None = None,
    tsa_roots: Sequence[Certificate] = (),
    first_use: bool = False,
) -> Verification:
    """Verify a bundle.

    Args:
        archive: The bytes of the file.
        trust: The pinned keys; without a log key and a bundle key nothing can be verified.
        policy: Names logs whose keys are pinned too, and the witnesses that must have cosigned.
        tsa_roots: Roots of time stamping authorities; the checkpoint must have a stamp of one.
        first_use: Take the keys from the bundle too. Shows that it is consistent, not who made it.

    Returns:
        The verdict and every step; it never raises for what is in the archive.
    """
    trust = Trust() if trust is None else trust
    if policy is not None:
        trust |= Trust(log=tuple(log.verifier for log in policy.logs))
    bundle = _Bundle(archive, trust, first_use)
    result = Verification(first_use=first_use)
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("container", bundle.container),
        ("keys", bundle.keys),
        ("statement", bundle.statement),
        ("contents", bundle.contents),
        ("checkpoint", bundle.checkpoints),
        *((("witnesses", partial(bundle.witnesses, policy)),) if policy is not None else ()),
        *((("time", partial(bundle.times, tsa_roots)),) if tsa_roots else ()),
        ("inclusion", bundle.inclusion),
        ("run digest", bundle.subject_root),
        ("schema", bundle.schema),
        ("completeness", bundle.completeness),
    )
    for name, step in steps:
        try:
            result.checks.append(Check(name, Code.COMPLETE, step()))
        except _Stop as stop:
            result.checks.append(Check(name, stop.code, stop.text, stop.next_step))
        except UntrustedKey as error:
            result.checks.append(Check(name, Code.UNVERIFIABLE, error.message, error.next_step or ""))
        except LedgerError as error:
            result.checks.append(Check(name, Code.FAILED, error.message, error.next_step or _DO_NOT_RELY))
        result.code = result.checks[-1].code or result.code
        if result.code not in {Code.COMPLETE, Code.INCOMPLETE}:
            break
    if bundle.view is not None:
        result.view = bundle.view
        result.findings = audit_run(bundle.view)
    return result


def _fail(text: str) -> NoReturn:
    raise _Stop(Code.FAILED, text, _DO_NOT_RELY)


def _not_a_bundle(detail: str) -> NoReturn:
    raise _Stop(
        Code.FAILED,
        f"this is not an audit bundle: {detail}",
        "name the .auditbundle.zip file as the operator sent it; 'runrecord bundle' writes it",
    )


def _hash(text: str) -> bytes:
    return (
        bytes.fromhex(text)
        if _HEX_DIGEST.fullmatch(text)
        else refuse("a hash is not 64 lower-case hex digits")
    )


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s after 1970"


def _claims(note: bytes, keys: list[NoteVerifier]) -> bool:
    """Return whether a note carries a signature line of one of the keys, right or wrong."""
    identities = {(key.name, key.key_hash) for key in keys}
    return any((line.name, line.key_hash) in identities for line in Note.parse(note).signatures)
