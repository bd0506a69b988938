# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A bundle that was made after the log's key was changed: who has pinned the old key learns the new one from it, or from nothing."""

from __future__ import annotations

import pytest

from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.bundle_format import PAYLOAD_TYPE, STATEMENT, digest
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.container import pack, unpack
from runrecord.ledger.dsse import seal, unseal
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.strict_json import read_object
from runrecord.ledger.tlog_proof import TlogProof
from runrecord.ledger.trust import Trust
from runrecord.ledger.verify import Code, verify_bundle
from runrecord.semconv.canonical import canonical_json

ORIGIN = "example.com/test"
OLD, NEW, NEWEST = (NoteSigner(ORIGIN, bytes([n]) * 32) for n in (1, 2, 3))
BUNDLE_KEY = NoteSigner(f"{ORIGIN}/bundle", b"B" * 32)


@pytest.fixture
def files(tmp_path, refund):
    """The files of a bundle that only the third key signed, and its archive."""
    clock = [1_800_000_000.0]
    for keys in ([OLD], [NEW, OLD], [NEWEST, NEW]):
        with Ledger(
            tmp_path,
            signer=keys[0],
            previous=keys[1:],
            overlap=60,
            checkpoint_interval=None,
            now=lambda: clock[0],
        ) as ledger:
            if keys == [OLD]:
                ledger.append_entries(refund("run-0001").entries)
            clock[0] += 3600
            if keys[0] is NEWEST:
                ledger.append_entries(refund("run-0002").entries)
                archive = build_bundle(ledger, "run-0001", signer=BUNDLE_KEY)
    return unpack(archive)


def sealed(files):
    """The archive of these files, under a statement that an insider signed over them."""
    statement = read_object(unseal(files[STATEMENT], PAYLOAD_TYPE, [BUNDLE_KEY.verifier]))
    rest = {name: data for name, data in files.items() if name != STATEMENT}
    statement["predicate"]["materials"] = {name: digest(data) for name, data in rest.items()}
    return pack({STATEMENT: seal(PAYLOAD_TYPE, canonical_json(statement), BUNDLE_KEY), **rest})


def verified(files, key):
    return verify_bundle(sealed(files), Trust((key.verifier,), (BUNDLE_KEY.verifier,)))


def changes(files):
    return sorted(
        (name for name in files if name.startswith("keys/")), key=lambda name: int(name.split("/")[2][:-11])
    )


@pytest.mark.parametrize(("key", "changed"), [(OLD, 2), (NEW, 1), (NEWEST, 0)])
def test_a_bundle_is_verified_with_any_key_that_the_log_has_had(files, key, changed):
    result = verified(files, key)
    assert result.code is Code.COMPLETE, result.diagnostics()
    said = next(check.text for check in result.checks if check.name == "checkpoint")
    entries = [name.split("/")[2][:-11] for name in changes(files)][2 - changed :]
    assert ("the pinned key vouches" in said) == bool(changed)
    assert not changed or f"(entry {', '.join(entries)})" in said


def test_without_the_change_the_old_key_says_nothing(files):
    for name in changes(files):
        rest = {each: data for each, data in files.items() if each != name}
        result = verified(rest, OLD)
        assert result.code is Code.UNVERIFIABLE
        assert "not signed by a pinned log key" in result.diagnostics()
        assert verified(rest, NEWEST).code is Code.COMPLETE


def test_a_stranger_learns_nothing(files):
    assert verified(files, NoteSigner(ORIGIN, bytes(32))).code is Code.UNVERIFIABLE


@pytest.mark.parametrize("signers", [[OLD], [NEW], [NEWEST], [NEW, NEWEST]])
def test_a_change_that_not_both_keys_signed_is_refused(files, signers):
    name = changes(files)[0]
    proof = TlogProof.parse(files[name])
    note = Checkpoint.parse(proof.checkpoint).sign(signers).note
    result = verified({**files, name: TlogProof(proof.index, proof.hashes, note, proof.extra).encode()}, OLD)
    assert result.code is Code.FAILED
    assert "a change of the key of log 'example.com/test' does not hold" in result.diagnostics()


def test_another_key_in_the_place_of_the_new_one_is_refused(files):
    name = changes(files)[0]
    proof = TlogProof.parse(files[name])
    leaf = proof.extra.replace(NEW.vkey.encode(), NEWEST.vkey.encode())
    note = Checkpoint.parse(proof.checkpoint).sign([OLD, NEWEST]).note
    result = verified({**files, name: TlogProof(proof.index, proof.hashes, note, leaf).encode()}, OLD)
    assert result.code is Code.FAILED


@pytest.mark.parametrize("data", [b"", b"c2sp.org/tlog-proof@v1\nindex 0\n\n", bytes(300)])
def test_a_change_that_can_not_be_read_is_refused(files, data):
    assert verified({**files, changes(files)[0]: data}, NEWEST).code is Code.FAILED


def test_other_files_among_the_changes_do_not_belong_there(files):
    for name in ("keys/example.com-test/x.tlog-proof", "keys/example.com-test/01.tlog-proof", "keys/more"):
        result = verified({**files, name: files[changes(files)[0]]}, NEWEST)
        assert result.code is Code.FAILED
        assert "does not belong in a bundle" in result.diagnostics()
