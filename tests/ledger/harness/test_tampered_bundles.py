# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Somebody edits a bundle: an outsider without keys, or an insider with the key of bundles and without that of the log."""

from __future__ import annotations

import json

import pytest
from good_bundle import Good
from tampering import changed_bytes, changed_lengths, edited, edited_leaves, exchanged_files, moved_leaves

from runrecord.ledger import NoteSigner
from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.bundle_format import POLICY, README, REPORT, STATEMENT
from runrecord.ledger.container import pack, unpack
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.tiles import encode_bundle
from runrecord.ledger.trust import Trust
from runrecord.ledger.verify import Code, verify_bundle
from runrecord.semconv.canonical import canonical_json

LOG_KEY = NoteSigner("l", b"l" * 32)
BUNDLE_KEY = NoteSigner("b", b"b" * 32)
STRANGER = NoteSigner("b", b"s" * 32)
TRUST = Trust((LOG_KEY.verifier,), (BUNDLE_KEY.verifier,))
REFUSED = (Code.FAILED, Code.UNVERIFIABLE)
INSIDERS_OWN = {README, REPORT, POLICY, STATEMENT}
"""What only the key of bundles vouches for; the statement is enumerated by its members."""
OWN_WORD = tuple(
    f"/predicate/{name}" for name in ("completeness", "findings", "limits", "producer", "summary", "window")
)
"""What the producer says in the statement; ``verify`` works it out of the entries itself, and names what differs."""


class Bundles:
    """The bundle of a small run in a log with another one."""

    def __init__(self, path, builders, key):
        with Ledger(path, signer=key, checkpoint_interval=None) as ledger:
            for run in ("run-0002", "run-0001"):
                made = builders.RunBuilder(run)
                made.begin()
                made.step(0)
                made.close()
                ledger.append_entries(made.entries)
            archive = build_bundle(ledger, "run-0001", signer=BUNDLE_KEY)
            self.other = unpack(build_bundle(ledger, "run-0002", signer=BUNDLE_KEY))
        self.good = Good(unpack(archive), archive, key, BUNDLE_KEY)
        self.files = self.good.files
        self.leaves = [line for line in self.files["entries.jsonl"].split(b"\n") if line]

    def of(self, leaves):
        """Return the files with other entries."""
        name = self.good.name("entries/")
        return {
            **self.files,
            name: encode_bundle(leaves),
            "entries.jsonl": b"".join(leaf + b"\n" for leaf in leaves),
        }


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, builders):
    return Bundles(tmp_path_factory.mktemp("bundles"), builders, LOG_KEY)


def verdict(archive):
    return verify_bundle(archive, TRUST).code


def require_refused(tampered, make):
    """Return how many there were."""
    count = 0
    for how, files in tampered:
        count += 1
        assert verdict(make(files)) in REFUSED, how
    return count


def vouched_by_the_log(files):
    return {name: data for name, data in files.items() if name not in INSIDERS_OWN}


def test_the_original_passes(bundles):
    assert verdict(bundles.good.archive) is Code.COMPLETE
    assert verdict(pack(bundles.files)) is Code.COMPLETE
    assert verdict(bundles.good.signed(bundles.files)) is Code.COMPLETE


def test_an_outsider_changes_bytes(bundles, rounds):
    bits, step = (range(8), 1) if rounds.full else ((0,), 11)
    assert require_refused(changed_bytes(bundles.files, bits, step), pack) > 1_000


def test_an_outsider_changes_lengths(bundles, rounds):
    assert require_refused(changed_lengths(bundles.files, 3 if rounds.full else 101), pack) > 300


def test_an_outsider_exchanges_files(bundles):
    others = {"itself": bundles.files, "the other run": bundles.other}
    assert require_refused(exchanged_files(bundles.files, others), pack) > 100


def test_an_insider_changes_bytes(bundles, rounds):
    """All digests are made to fit and the statement is signed again: what the log signed must still be what is there."""

    def insider(files):
        return bundles.good.signed({**bundles.files, **files})

    of_log = vouched_by_the_log(bundles.files)
    assert (
        require_refused(
            changed_bytes(of_log, range(8) if rounds.full else (0,), 1 if rounds.full else 3), insider
        )
        > 900
    )
    assert require_refused(changed_lengths(of_log, 1 if rounds.full else 23), insider) > 300


def test_an_insider_exchanges_files(bundles):
    others = {"the other run": vouched_by_the_log(bundles.other)}
    kept = {name: data for name, data in bundles.files.items() if name in INSIDERS_OWN}
    of_log = vouched_by_the_log(bundles.files)
    assert (
        require_refused(exchanged_files(of_log, others), lambda files: bundles.good.signed({**kept, **files}))
        > 20
    )


def test_an_insider_changes_entries(bundles):
    """Each JSON member of each entry, and each place of an entry, in all files that hold it."""
    count = 0
    for edits in (edited_leaves(bundles.leaves), moved_leaves(bundles.leaves)):
        for how, leaves in edits:
            count += 1
            assert verdict(bundles.good.signed(bundles.of(leaves))) in REFUSED, how
    assert count > 200


def said(verification):
    """Return all of it but the size of the archive, and what is said of the producer's claims."""
    return [
        (check.name, check.code, check.text.partition(" (the producer claimed")[0])
        for check in verification.checks
        if check.name not in {"container", "claims"}
    ]


def test_the_members_of_the_statement(bundles):
    """What the statement says beyond the log is the insider's own word: the verifier says what it finds itself, and that it differs."""
    true = verify_bundle(bundles.good.archive, TRUST)
    count = 0
    for how, statement in edited(bundles.good.statement()):
        count += 1
        found = verify_bundle(bundles.good.payload(canonical_json(statement)), TRUST)
        if found.code in REFUSED:
            continue
        assert how.startswith(OWN_WORD) or how.endswith("has a member more"), how
        named = any("what the statement says of" in check.text for check in found.checks)
        assert named == (how.startswith(OWN_WORD) and not how.startswith("/predicate/producer")), how
        assert said(found) == said(true), how
        assert (found.findings, found.disclosed) == (true.findings, true.disclosed), how
        assert [record.entry for record in found.view.records] == [
            record.entry for record in true.view.records
        ], how
    assert count > 200


def test_the_members_of_the_envelope(bundles):
    for how, envelope in edited(json.loads(bundles.files[STATEMENT])):
        archive = pack({**bundles.files, STATEMENT: canonical_json(envelope)})
        assert verdict(archive) in REFUSED, how


# --- the harness can fail ------------------------------------------------------------------------------------------------


def test_who_has_both_keys_is_not_detected(tmp_path, builders):
    """Another history, signed by the keys that the reader pinned."""

    class Edited(builders.RunBuilder):
        def add(self, kind, name, /, **attributes):
            return super().add(kind, f"{name}, edited", **attributes)

    class Forgers:
        RunBuilder = Edited

    forged = Bundles(tmp_path, Forgers, LOG_KEY)
    assert b"edited" in forged.files["entries.jsonl"]
    assert verdict(forged.good.archive) is Code.COMPLETE


def test_a_reader_who_pins_no_key_of_the_log_is_not_protected_from_insiders(tmp_path, builders):
    forged = Bundles(tmp_path, builders, NoteSigner("l", b"x" * 32))
    assert verdict(forged.good.archive) in REFUSED
    believing = verify_bundle(forged.good.archive, Trust((), (BUNDLE_KEY.verifier,)), first_use=True)
    assert believing.code is Code.COMPLETE
