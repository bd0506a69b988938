# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint that an auditor kept: the log of a later bundle is the same one, or a fork that shows, or nobody can say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.bundle_format import PAYLOAD_TYPE, STATEMENT
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.consistency import ConsistencyProof, Tree
from runrecord.ledger.container import pack, unpack
from runrecord.ledger.errors import LedgerCorrupt, LedgerError, MalformedProof
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.verify import Code, verify_bundle

SIZES = (3, 11, 12, 20)


class History:
    """A log at several sizes, the bundle of its first run with a proof from each, and one of another history."""

    def __init__(self, directory, case, refund):
        self.case = case
        self.kept = []
        entries = refund("run-0001").entries + refund("run-0003").entries
        with Ledger(directory / "own", signer=case.log_key, checkpoint_interval=None) as ledger:
            done = 0
            for size in SIZES:
                ledger.append_entries(entries[done:size])
                self.kept.append(ledger.publish())
                done = size
            ledger.append_entries(entries[20:])
            self.plain = build_bundle(ledger, "run-0001", signer=case.bundle_key)
            self.archive = build_bundle(ledger, "run-0001", signer=case.bundle_key, known=self.kept)
        fork = refund("run-0009").entries[:2] + entries
        with Ledger(directory / "fork", signer=case.log_key, checkpoint_interval=None) as ledger:
            ledger.append_entries(fork[:11])
            self.forked = ledger.publish()
            ledger.append_entries(fork[11:22])
            self.forked_at_22 = ledger.publish()
            ledger.append_entries(fork[22:])
            self.fork = build_bundle(ledger, "run-0001", signer=case.bundle_key, known=[self.forked])

    def verify(self, archive, *known):
        return verify_bundle(archive, self.case.trust, known=[each.note for each in known])


@pytest.fixture(scope="module")
def history(tmp_path_factory, case, refund):
    return History(tmp_path_factory.mktemp("history"), case, refund)


def test_every_checkpoint_that_was_kept_is_shown_to_be_of_the_same_log(history):
    result = history.verify(history.archive, *history.kept)
    assert result.code is Code.COMPLETE, result.diagnostics()
    (check,) = [check for check in result.checks if check.name == "history"]
    for size in SIZES:
        assert f"example.com/test at size {size}" in check.text
    assert "checkpoints at 3, 11, 12, 20 entries" in unpack(history.archive)["report.html"].decode()
    assert verify_bundle(history.archive, history.case.trust).code is Code.COMPLETE


def test_without_a_proof_it_can_not_be_judged(history):
    result = history.verify(history.plain, history.kept[0])
    assert result.code is Code.INCOMPLETE
    assert "made with --known" in next(c.next_step for c in result.checks if c.name == "history")


def test_the_same_size_needs_no_proof(history):
    note = next(data for name, data in unpack(history.plain).items() if name.startswith("checkpoints/"))
    assert history.verify(history.plain, Checkpoint.parse(note)).code is Code.COMPLETE


@pytest.mark.parametrize("known", [True, False])
def test_a_fork_is_named(history, known):
    """The operator proves what it can: that its other history is consistent with itself."""
    kept, archive = (history.kept[1], history.fork) if known else (history.forked_at_22, history.plain)
    result = history.verify(archive, kept)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "history")
    assert "THE LOG FORKED" in result.diagnostics()


def test_a_newer_checkpoint_can_be_compared_too(history, tmp_path, refund):
    """The bundle was made under an older, cosigned checkpoint."""
    entries = refund("run-0001").entries
    with Ledger(tmp_path / "l", signer=history.case.log_key, checkpoint_interval=None) as ledger:
        ledger.append_entries(entries)
        older = ledger.publish()
        ledger.append_entries(refund("run-0002").entries)
        newer = ledger.publish()
        ledger.log.keep_witnessed(older)
        archive = build_bundle(ledger, "run-0001", signer=history.case.bundle_key, known=[newer])
    assert older.size < newer.size
    assert history.verify(archive, newer).code is Code.COMPLETE


def test_a_proof_that_is_wrong_or_for_other_trees_is_refused(history):
    case = history.case
    files = unpack(history.archive)
    name = "consistency/example.com-test-3.txt"
    good = ConsistencyProof.parse(files[name])
    foreign = ConsistencyProof.parse(files["consistency/example.com-test-11.txt"])
    for proof, words in (
        (replace(good, hashes=good.hashes[::-1]), "does not prove"),
        (replace(good, hashes=()), "does not prove"),
        (replace(good, old=Tree(3, bytes(32))), "wrong"),
        (foreign, "other trees"),
    ):
        archive = _resealed(history, {**files, name: proof.encode()})
        result = verify_bundle(archive, case.trust, known=[history.kept[0].note])
        assert (result.code, result.checks[-1].name) == (Code.FAILED, "history")
        assert words in result.diagnostics()
    for bad in (
        b"",
        b"x\n",
        good.encode()[:-1],
        good.encode() + b"x\n",
        b"\xff" + good.encode(),
        b"\n" * 300,
    ):
        result = verify_bundle(
            _resealed(history, {**files, name: bad}), case.trust, known=[history.kept[0].note]
        )
        assert (result.code, result.checks[-1].name) == (Code.FAILED, "history")


def _resealed(history, files):
    import json
    from base64 import b64decode

    from runrecord.ledger.bundle_format import digest
    from runrecord.ledger.dsse import seal
    from runrecord.semconv.canonical import canonical_json

    statement = json.loads(b64decode(json.loads(files[STATEMENT])["payload"]))
    rest = {name: data for name, data in files.items() if name != STATEMENT}
    statement["predicate"]["materials"] = {name: digest(data) for name, data in rest.items()}
    return pack({STATEMENT: seal(PAYLOAD_TYPE, canonical_json(statement), history.case.bundle_key), **rest})


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (b"", "not a checkpoint"),
        (b"hello\n", "not a checkpoint"),
        (
            Checkpoint("example.com/test", 3, bytes(32))
            .sign([NoteSigner("example.com/test", b"x" * 32)])
            .note,
            "proves nothing",
        ),
        (
            Checkpoint("example.com/other", 3, bytes(32))
            .sign([NoteSigner("example.com/other", b"x" * 32)])
            .note,
            "proves nothing",
        ),
    ],
)
def test_what_is_no_checkpoint_of_a_pinned_key_proves_nothing(history, kept, words):
    result = verify_bundle(history.archive, history.case.trust, known=[kept])
    assert (result.code, result.checks[-1].name) == (Code.UNVERIFIABLE, "history")
    assert words in result.diagnostics()


def test_a_ledger_of_another_history_makes_no_bundle(history, tmp_path, case, refund):
    with Ledger(tmp_path, signer=case.log_key, checkpoint_interval=None) as ledger:
        ledger.append_entries(refund("run-0001").entries)
        with pytest.raises(LedgerCorrupt, match="not of the history that this ledger holds"):
            build_bundle(ledger, "run-0001", signer=case.bundle_key, known=[history.forked])
        with pytest.raises(LedgerCorrupt, match="newer than this ledger"):
            build_bundle(ledger, "run-0001", signer=case.bundle_key, known=[history.kept[-1]])
        other = Checkpoint("example.com/other", 3, bytes(32))
        with pytest.raises(LedgerError, match="not of this log"):
            build_bundle(ledger, "run-0001", signer=case.bundle_key, known=[other])


def test_only_the_canonical_text_is_a_proof(history):
    good = unpack(history.archive)["consistency/example.com-test-11.txt"]
    assert ConsistencyProof.parse(good).encode() == good
    for bad in (
        good.replace(b"\n11 ", b"\n011 "),
        good.replace(b"/v1", b"/v2"),
        good.replace(b"=\n", b"\n", 1),
        good.replace(b"\n", b"\r\n"),
    ):
        with pytest.raises(MalformedProof):
            ConsistencyProof.parse(bad)
