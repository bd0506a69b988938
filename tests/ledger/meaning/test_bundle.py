# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle holds, who may have made it, and what an insider with the bundle key can not do."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from base64 import b64decode
from dataclasses import replace

import pytest

from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.bundle_format import PAYLOAD_TYPE, STATEMENT
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.container import pack, unpack
from runrecord.ledger.dsse import seal
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.inclusion import decode_proofs, encode_proofs
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.tiles import frame_entry
from runrecord.ledger.tlog import leaf_hash, root_of_hashes
from runrecord.ledger.tlog_proof import TlogProof
from runrecord.ledger.trust import Trust
from runrecord.ledger.verify import Code, verify_bundle
from runrecord.semconv.canonical import canonical_json


def test_a_bundle_verifies(case):
    result = verify_bundle(case.archive, case.trust)
    assert result.code is Code.COMPLETE, result.diagnostics()
    assert [check.name for check in result.checks] == [
        "container",
        "keys",
        "statement",
        "contents",
        "checkpoint",
        "inclusion",
        "run digest",
        "schema",
        "claims",
        "completeness",
    ]
    assert result.view.run == "run-0001"
    assert result.findings == []


def test_the_same_run_gives_the_same_bytes(case):
    assert case.archive == case.again


def test_any_zip_tool_reads_it(case):
    with zipfile.ZipFile(io.BytesIO(case.archive)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == case.files
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_proofs_are_standard_ones(case):
    (log,) = case.statement()["predicate"]["logs"]
    leaves = case.files["entries.jsonl"].splitlines()
    for index, leaf in zip(log["indices"], leaves, strict=True):
        proof = TlogProof.parse(case.files[f"proofs/example.com-test/{index}.tlog-proof"])
        assert proof.verify(leaf_hash(leaf), case.trust.log).size == int(log["size"])


def test_without_pinned_keys_nothing_is_verified(case):
    result = verify_bundle(case.archive)
    assert result.code is Code.UNVERIFIABLE
    assert "no pinned keys" in result.diagnostics()
    assert verify_bundle(case.archive, Trust(case.trust.log, ())).code is Code.UNVERIFIABLE


def test_trust_on_first_use_says_what_it_is(case):
    result = verify_bundle(case.archive, first_use=True)
    assert result.code is Code.COMPLETE
    assert result.first_use
    assert "NOT who made it" in result.checks[1].text


def test_a_foreign_bundle_key_is_refused(case):
    foreign = case.resealed(case.files, NoteSigner("example.com/test/bundle", b"x" * 32))
    result = verify_bundle(foreign, case.trust)
    assert result.code is Code.UNVERIFIABLE
    assert "not a trusted bundle key" in result.diagnostics()


def test_a_foreign_key_under_the_name_of_the_trusted_one_is_refused(case):
    foreign = json.loads(
        unpack(case.resealed(case.files, NoteSigner("example.com/test/bundle", b"x" * 32)))[STATEMENT]
    )
    foreign["signatures"][0]["keyid"] = json.loads(case.files[STATEMENT])["signatures"][0]["keyid"]
    result = verify_bundle(pack({**case.files, STATEMENT: canonical_json(foreign)}), case.trust)
    assert result.code is Code.FAILED


def test_a_foreign_log_key_is_refused(case):
    trust = Trust((NoteSigner("example.com/test", b"x" * 32).verifier,), case.trust.bundle)
    assert verify_bundle(case.archive, trust).code is Code.UNVERIFIABLE
    other_origin = Trust((NoteSigner("example.com/other", b"x" * 32).verifier,), case.trust.bundle)
    assert verify_bundle(case.archive, other_origin).code is Code.UNVERIFIABLE


@pytest.mark.parametrize(
    "name", ["entries.jsonl", "README.txt", "report.html", "policy.txt", "entries/example.com-test.bin"]
)
def test_a_flipped_byte_is_found_in_any_file(case, name):
    data = bytearray(case.files[name])
    data[len(data) // 2] ^= 1
    result = verify_bundle(pack({**case.files, name: bytes(data)}), case.trust)
    assert result.code is Code.FAILED
    assert name in result.diagnostics()


def test_a_removed_and_an_extra_file_are_found(case):
    removed = {n: d for n, d in case.files.items() if not n.endswith("15.tlog-proof")}
    assert len(removed) == len(case.files) - 1
    result = verify_bundle(pack(removed), case.trust)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "contents")
    result = verify_bundle(pack({**case.files, "extra.txt": b"x"}), case.trust)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "contents")
    insider = case.resealed({**case.files, "extra.txt": b"x"})
    assert "does not belong" in verify_bundle(insider, case.trust).diagnostics()


def leaves_of(case):
    return case.files["entries.jsonl"].splitlines()


def with_leaves(case, leaves, indices=None):
    """An insider's bundle over other leaves, with everything resigned that the bundle key can sign."""
    files = dict(case.files)
    files["entries.jsonl"] = b"".join(leaf + b"\n" for leaf in leaves)
    files["entries/example.com-test.bin"] = b"".join(map(frame_entry, leaves))
    if indices is not None:
        kept = {f"proofs/example.com-test/{i}.tlog-proof" for i in indices}
        files = {n: d for n, d in files.items() if not n.startswith("proofs/") or n in kept}

    def change(statement):
        statement["subject"][0]["digest"]["sha256"] = root_of_hashes(map(leaf_hash, leaves)).hex()
        if indices is not None:
            statement["predicate"]["logs"][0]["indices"] = list(indices)

    return case.resealed(files, change=change)


def test_a_swapped_approval_is_found_even_if_the_insider_signs_it(case):
    leaves = leaves_of(case)
    (place,) = [i for i, leaf in enumerate(leaves) if b'"kind":"approval_decision"' in leaf]
    forged = leaves[place].replace(b'"u-17"', b'"u-99"')
    assert forged != leaves[place]
    result = verify_bundle(with_leaves(case, [*leaves[:place], forged, *leaves[place + 1 :]]), case.trust)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "inclusion")


def test_entries_in_another_order_are_found(case):
    leaves = leaves_of(case)
    result = verify_bundle(with_leaves(case, [leaves[1], leaves[0], *leaves[2:]]), case.trust)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "inclusion")


def test_an_entry_that_the_insider_left_out_shows_as_a_gap(case):
    leaves = leaves_of(case)
    indices = case.statement()["predicate"]["logs"][0]["indices"]
    (place,) = [
        i for i, leaf in enumerate(leaves) if b'"kind":"policy_decision"' in leaf and b'"allow"' in leaf
    ]
    cut = with_leaves(case, leaves[:place] + leaves[place + 1 :], indices[:place] + indices[place + 1 :])
    result = verify_bundle(cut, case.trust)
    assert (result.code, result.checks[-1].name) == (Code.INCOMPLETE, "completeness")
    assert "GAPS" in result.diagnostics()
    assert "claimed COMPLETE" in result.diagnostics()


def test_a_truncated_run_shows_as_unclosed(case):
    leaves = leaves_of(case)
    indices = case.statement()["predicate"]["logs"][0]["indices"]
    (place,) = [i for i, leaf in enumerate(leaves) if b'"kind":"source_close"' in leaf]
    result = verify_bundle(with_leaves(case, leaves[: place + 1], indices[: place + 1]), case.trust)
    assert result.code is Code.INCOMPLETE
    assert "UNCLOSED" in result.diagnostics()


def test_a_truncated_tree_is_found(case):
    """A checkpoint of a smaller tree, even one that the log key signed, does not hold the later entries."""
    small = Checkpoint("example.com/test", 4, root_of_hashes(map(leaf_hash, leaves_of(case)[:4]))).sign(
        [case.log_key]
    )
    files = {}
    for name, data in case.files.items():
        if name.startswith("checkpoints/"):
            files["checkpoints/example.com-test-4.note"] = small.note
        elif name.startswith("proofs/"):
            files[name] = replace(TlogProof.parse(data), checkpoint=small.note).encode()
        else:
            files[name] = data

    def change(statement):
        statement["predicate"]["logs"][0].update(size="4", root=small.root.hex())

    result = verify_bundle(case.resealed(files, change=change), case.trust)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "inclusion")


def test_a_checkpoint_that_the_insider_made_is_refused(case):
    made_up = Checkpoint("example.com/test", 26, b"\0" * 32).sign([case.bundle_key])
    (name,) = [n for n in case.files if n.startswith("checkpoints/")]
    result = verify_bundle(case.resealed({**case.files, name: made_up.note}), case.trust)
    assert (result.code, result.checks[-1].name) == (Code.UNVERIFIABLE, "checkpoint")


def test_entries_of_another_run_are_refused(case):
    other = unpack(case.other)

    def change(statement):
        statement["subject"][0]["name"] = "run:run-0001"
        statement["predicate"]["run"] = "run-0001"

    mixed = json.loads(b64decode(json.loads(other[STATEMENT])["payload"]))
    change(mixed)
    forged = pack({**other, STATEMENT: seal(PAYLOAD_TYPE, canonical_json(mixed), case.bundle_key)})
    result = verify_bundle(forged, case.trust)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "schema")


def test_a_statement_of_a_later_kind_is_unverifiable(case):
    def change(statement):
        statement["predicateType"] += "2"

    assert verify_bundle(case.resealed(case.files, change=change), case.trust).code is Code.UNVERIFIABLE


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(subject=[]),
        lambda s: s.update(subject="x"),
        lambda s: s["subject"][0].update(name="run:other"),
        lambda s: s["subject"][0]["digest"].update(sha256="zz"),
        lambda s: s.update(predicate=[]),
        lambda s: s["predicate"].update(logs=[]),
        lambda s: s["predicate"].update(logs=[1]),
        lambda s: s["predicate"].update(logs=s["predicate"]["logs"] * 2),
        lambda s: s["predicate"].update(materials={"a": 1}),
        lambda s: s["predicate"].update(completeness=None),
        lambda s: s["predicate"]["logs"][0].update(indices=["2", "1"]),
        lambda s: s["predicate"]["logs"][0].update(indices=[1]),
        lambda s: s["predicate"]["logs"][0].update(indices={}),
        lambda s: s["predicate"]["logs"][0].update(size=-1),
        lambda s: s["predicate"]["logs"][0].update(size="9" * 20),
        lambda s: s["predicate"]["logs"][0].update(origin="../../etc"),
        lambda s: s["predicate"]["logs"][0].update(root=""),
        lambda s: s["predicate"]["logs"][0].update(indices=[]),
    ],
)
def test_a_signed_statement_of_another_form_never_crashes(case, change):
    assert verify_bundle(case.resealed(case.files, change=change), case.trust).code is Code.FAILED


def test_a_bundle_without_a_statement_is_refused(case):
    rest = {name: data for name, data in case.files.items() if name != STATEMENT}
    assert "has no statement" in verify_bundle(pack(rest), case.trust).diagnostics()


@pytest.mark.parametrize(("policy", "code"), [(b"", 3), (b"# nothing", 3), (b"\xff", 1), (b"log x", 1)])
def test_a_bundle_that_suggests_no_keys_can_not_be_trusted_on_first_use(case, policy, code):
    result = verify_bundle(pack({**case.files, "policy.txt": policy}), first_use=True)
    assert (result.code, result.checks[-1].name) == (code, "keys")


def test_a_statement_that_is_signed_and_not_canonical_is_refused(case):
    loose = json.dumps(case.statement()).encode()
    for payload in (loose, b"{", b"[]", canonical_json({**case.statement(), "_type": "other"})):
        sealed = seal(PAYLOAD_TYPE, payload, case.bundle_key)
        assert verify_bundle(pack({**case.files, STATEMENT: sealed}), case.trust).code is Code.FAILED


def test_a_checkpoint_other_than_the_one_named_is_refused(case):
    """Signed by the log, of the same size, and of another tree: the log forked."""
    (name,) = [n for n in case.files if n.startswith("checkpoints/")]
    size = int(name.rpartition("-")[2].removesuffix(".note"))
    forked = Checkpoint("example.com/test", size, b"\1" * 32).sign([case.log_key])
    result = verify_bundle(case.resealed({**case.files, name: forked.note}), case.trust)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "checkpoint")
    assert "not the one that the statement names" in result.diagnostics()


def test_entries_that_do_not_fit_their_proofs_are_refused(case):
    leaves, entries = leaves_of(case), "entries/example.com-test.bin"
    framed = case.files[entries]
    proofs = sorted(n for n in case.files if n.startswith("proofs/"))
    swapped = {**case.files, proofs[0]: case.files[proofs[1]]}
    foreign = dict(case.files)
    foreign[proofs[0]] = replace(TlogProof.parse(foreign[proofs[0]]), extra=b"x").encode()
    for files, words in (
        ({**case.files, entries: framed[:-1]}, "cut off"),
        ({**case.files, entries: framed + b"\0"}, "cut off"),
        (
            {**case.files, entries: framed + frame_entry(b"x")},
            f"{len(leaves) + 1} entries are here, {len(leaves)} were signed",
        ),
        (swapped, "for another entry or another checkpoint"),
        (foreign, "for another entry or another checkpoint"),
        ({**case.files, proofs[0]: b"x"}, "tlog-proof"),
        ({**case.files, "entries.jsonl": b"{}\n"}, "entries.jsonl does not hold"),
    ):
        result = verify_bundle(case.resealed(files), case.trust)
        assert (result.code, result.checks[-1].name) == (Code.FAILED, "inclusion")
        assert words in result.diagnostics()


def test_a_run_digest_that_is_not_that_of_the_entries_is_refused(case):
    def change(statement):
        statement["subject"][0]["digest"]["sha256"] = "00" * 32

    result = verify_bundle(case.resealed(case.files, change=change), case.trust)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "run digest")


@pytest.mark.parametrize(
    ("leaf", "code"),
    [
        (b'{"run":"r","schema":"runrecord.ledger.entry/v2"}', Code.UNVERIFIABLE),
        (b'{"schema": "x" }', Code.UNVERIFIABLE),
        (b"not json", Code.FAILED),
    ],
)
def test_a_proven_entry_that_can_not_be_read_is_unverifiable_or_refused(case, tmp_path, leaf, code):
    """The proof holds whatever the leaf is; only what it says can't be judged."""
    with Ledger(tmp_path, signer=case.log_key, checkpoint_interval=None) as ledger:
        ledger.log.append([(b"key", leaf)])
        checkpoint = ledger.publish()
    files = {
        "entries/example.com-test.bin": frame_entry(leaf),
        "entries.jsonl": leaf + b"\n",
        "checkpoints/example.com-test-1.note": checkpoint.note,
        "proofs/example.com-test/0.tlog-proof": TlogProof(0, (), checkpoint.note).encode(),
        **{name: case.files[name] for name in ("policy.txt", "README.txt", "report.html")},
    }

    def change(statement):
        statement["subject"][0]["digest"]["sha256"] = leaf_hash(leaf).hex()
        statement["predicate"]["logs"][0].update(size="1", root=checkpoint.root.hex(), indices=["0"])

    result = verify_bundle(case.resealed(files, change=change), case.trust)
    assert (result.code, result.checks[-1].name) == (code, "schema")


def test_a_run_too_large_for_a_bundle_is_refused_with_the_next_step(tmp_path, refund, monkeypatch):
    monkeypatch.setattr("runrecord.ledger.bundle.MAX_RECORDS", 10)
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(refund().entries)
        with pytest.raises(LedgerError, match=r"has 11 records, more than the 10 .*runrecord ledger copy"):
            build_bundle(ledger, "run")


def test_what_the_producer_claims_is_compared_with_the_entries(case):
    lie = {**case.files, "report.html": case.files["report.html"].replace(b"COMPLETE", b"PERFECT")}
    result = verify_bundle(case.resealed(lie), case.trust)
    assert (result.code, result.diagnostics()) == (2, "claims: report.html is not what the entries say")
    claimed = case.resealed(case.files, change=lambda s: s["predicate"]["summary"].update(effects="0"))
    result = verify_bundle(claimed, case.trust)
    assert "what the statement says of summary is not what the entries say" in result.diagnostics()

    def older(statement):
        statement["predicate"]["producer"]["version"] = "0.0.1"
        statement["predicate"]["findings"] = {"violation": "3"}

    result = verify_bundle(case.resealed(case.files, change=older), case.trust)
    assert result.code is Code.COMPLETE
    assert "findings is worded otherwise by this version" in " ".join(check.text for check in result.checks)


def test_the_proofs_of_a_run_of_many_records_stand_in_one_file(tmp_path, case, refund, monkeypatch):
    with Ledger(tmp_path, signer=case.log_key, checkpoint_interval=None) as ledger:
        for number in (2, 1, 3):
            ledger.append_entries(refund(f"run-000{number}").entries)
        each = unpack(build_bundle(ledger, "run-0001", signer=case.bundle_key))
        monkeypatch.setattr("runrecord.ledger.bundle.MAX_PROOF_FILES", 10)
        archive = build_bundle(ledger, "run-0001", signer=case.bundle_key)
    files = unpack(archive)
    result = verify_bundle(archive, case.trust)
    assert result.code is Code.COMPLETE, result.diagnostics()
    single = [TlogProof.parse(d).hashes for n, d in each.items() if n.startswith("proofs/")]
    packed = files["proofs/example.com-test.bin"]
    assert list(decode_proofs(packed)) == single
    assert not [name for name in files if name.endswith(".tlog-proof")]
    for broken, words in (
        (encode_proofs(single[:-1]), "has no proof"),
        (encode_proofs([*single, single[-1]]), "more proofs than entries"),
        (encode_proofs([*single[1:], single[0]]), "does not lead to the root"),
        (packed[:-1], "cut off"),
        (b"", "has no proof"),
    ):
        changed = case.resealed({**files, "proofs/example.com-test.bin": broken}, change=_only(files))
        result = verify_bundle(changed, case.trust)
        assert (result.code, result.checks[-1].name) == (Code.FAILED, "inclusion")
        assert words in result.diagnostics()


def _only(files):
    """Make the statement of a case that of other files."""
    other = json.loads(b64decode(json.loads(files[STATEMENT])["payload"]))

    def change(statement):
        materials = statement["predicate"]["materials"]
        statement.update(other)
        statement["predicate"]["materials"] = materials

    return change


def test_a_bundle_without_the_private_key_file_makes_one(tmp_path, refund):
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(refund().entries)
        archive = build_bundle(ledger, "run")
    key = tmp_path / ".state" / "bundle.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    trust = Trust.of_ledger(tmp_path)
    assert Trust.parse(trust.text()).text() == trust.text()
    assert key.read_text() not in archive.decode("latin-1")
    assert verify_bundle(archive, trust).code is Code.COMPLETE
    with Ledger(tmp_path, read_only=True) as ledger:
        assert build_bundle(ledger, "run") == archive
