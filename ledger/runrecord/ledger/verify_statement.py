# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The first steps of a verification: the archive, the keys, the signed statement, and the files that it names."""

from __future__ import annotations

import re
from typing import Final, NoReturn, cast

from runrecord.ledger.bundle_format import (
    DISCLOSURES,
    ENTRIES,
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
    statement_path,
    timestamp_path,
)
from runrecord.ledger.container import MalformedBundle, unpack
from runrecord.ledger.dsse import signers, unseal
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
from runrecord.ledger.trust import Trust
from runrecord.ledger.verification import Code
from runrecord.ledger.verify_state import Bundle, BundleLog, Stop, fail
from runrecord.semconv.canonical import canonical_json

NO_KEYS: Final = "unverifiable: no pinned keys"
_HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PLAIN: Final = frozenset({ENTRIES, POLICY, README, REPORT})
_MAX_KNOWN: Final = 1_000


def container(bundle: Bundle) -> str:
    """Unpack the archive."""
    try:
        bundle.files = unpack(bundle.archive)
    except MalformedBundle as error:
        if STATEMENT.encode() in bundle.archive:  # it once was one
            raise
        _not_a_bundle(error.message if bundle.archive else "the file is empty")
    if STATEMENT not in bundle.files:
        _not_a_bundle(f"the archive has no {STATEMENT}")
    return f"{len(bundle.files)} files, {len(bundle.archive)} bytes, canonical form"


def keys(bundle: Bundle) -> str:
    """See which keys to believe."""
    if bundle.first_use:
        try:
            bundle.trust |= Trust.parse(bundle.files.get(POLICY, b"").decode("utf-8"))
        except UnicodeDecodeError:
            fail(f"{POLICY} is not text")
        if not bundle.trust:
            raise Stop(
                Code.UNVERIFIABLE,
                "unverifiable: the bundle suggests no keys either",
                "ask the operator for the trust file",
            )
        return "taken from the bundle itself, as you asked: this shows that it is consistent, NOT who made it"
    trust = bundle.trust
    if not trust:
        if trust.log or trust.bundle:
            have, lack = ("log", "bundle") if trust.log else ("bundle", "log")
            raise Stop(
                Code.UNVERIFIABLE,
                f"unverifiable: a {have} key is pinned, and no {lack} key",
                f"add the operator's {lack} key: a line '{lack} VKEY' in the trust file, or --{lack}-key VKEY",
            )
        raise Stop(
            Code.UNVERIFIABLE,
            NO_KEYS,
            "give the operator's keys: --trust FILE, or --log-key and --bundle-key; not those in the bundle",
        )
    return f"{len(trust.log)} log and {len(trust.bundle)} bundle keys are pinned"


def statement(bundle: Bundle) -> str:
    """Read the statement that the bundle key signed."""
    payload = unseal(bundle.files[STATEMENT], PAYLOAD_TYPE, bundle.trust.bundle)
    bundle.bundle_key = signers(bundle.files[STATEMENT], PAYLOAD_TYPE)[0]
    try:
        said = read_object(payload)
        if canonical_json(said) != payload or said.get("_type") != STATEMENT_TYPE:
            refuse("it is not a canonical in-toto Statement v1")
        if said.get("predicateType") != PREDICATE_TYPE:
            raise Stop(
                Code.UNVERIFIABLE,
                "the statement is of a kind that this version can't read",
                "use a newer runrecord",
            )
        _read_statement(bundle, said)
    except (StrictJsonError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, StrictJsonError) else "it is not canonical JSON"
        fail(f"the statement is signed and not well-formed: {reason}")
    return f"signed by the bundle key, about run {bundle.run}"


def _read_statement(bundle: Bundle, said: dict[str, JSON]) -> None:
    predicate = mapping(said, "predicate")
    bundle.run = string(predicate, "run")
    bundle.materials = string_map(predicate, "materials")
    bundle.predicate = predicate
    string(mapping(predicate, "completeness"), "verdict")
    match array(said, "subject"):
        case [{"name": str(name), "digest": {"sha256": str(value)}}] if (
            name == f"run:{bundle.run}" and bundle.run
        ):
            bundle.subject = _hash(value)
        case _:
            refuse("its subject is not the run")
    bundle.logs = [_log(item) for item in array(predicate, "logs")]
    if not bundle.logs or len({log.name for log in bundle.logs}) != len(bundle.logs):
        refuse("it names no log, or one twice")
    if sum(len(log.indices) for log in bundle.logs) > MAX_RECORDS:
        refuse(f"it names more than {MAX_RECORDS} entries")


def _log(item: JSON) -> BundleLog:
    if not isinstance(item, dict):
        refuse("logs does not hold objects")
    log = cast("dict[str, JSON]", item)
    indices = _ascending(log, "indices")
    known = _ascending(log, "known")
    statements = _ascending(log, "statements")
    if len(known) > _MAX_KNOWN or len(statements) > _MAX_KNOWN:
        refuse("it names too many other checkpoints or statements")
    origin = string(log, "origin")
    size = decimal(log.get("size"), "size")
    return BundleLog(log_name(origin), origin, size, _hash(string(log, "root")), indices, known, statements)


def _ascending(log: dict[str, JSON], name: str) -> tuple[int, ...]:
    numbers = tuple(decimal(each, name) for each in array(log, name))
    if list(numbers) != sorted(set(numbers)):
        refuse(f"the {name} of a log do not ascend")
    return numbers


def contents(bundle: Bundle) -> str:
    """Compare the files with those that were signed."""
    expected, optional = set(_PLAIN), {DISCLOSURES}
    for log in bundle.logs:
        expected |= {entries_path(log.name), checkpoint_path(log.name, log.size)}
        expected |= {statement_path(log.name, index) for index in log.statements}
        expected |= {consistency_path(log.name, size) for size in log.known}
        if proofs_path(log.name) in bundle.materials:
            expected.add(proofs_path(log.name))
        else:
            expected |= {proof_path(log.name, index) for index in log.indices}
        optional.add(timestamp_path(log.name, log.size))
        optional |= set(bundle.changes_of_key(log))
    files, materials = bundle.files, bundle.materials
    for what, names in (
        ("file that the statement does not name", files.keys() - materials.keys() - {STATEMENT}),
        ("missing file", materials.keys() - files.keys()),
        ("missing file", expected - files.keys()),
        ("file that does not belong in a bundle", materials.keys() - expected - optional),
    ):
        if names:
            fail(f"{len(names)} {what}{'s' if len(names) > 1 else ''}, such as {min(names)}")
    for name, data in files.items():
        if name != STATEMENT and digest(data) != materials[name]:
            fail(f"{name} is not the file that was signed: its SHA-256 differs")
    return f"{len(materials)} files have the signed SHA-256; none is missing, none was added"


def _not_a_bundle(detail: str) -> NoReturn:
    raise Stop(
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
