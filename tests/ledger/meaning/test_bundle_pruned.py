# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A run of which a part was pruned: the bundle proves that the log states it, and the verdict stays what the rest is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from good_bundle import Good

from runrecord.ledger.administration import carry_out
from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.container import unpack
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.tlog_proof import TlogProof
from runrecord.ledger.verify import Code, verified_report, verify_bundle

NOVEMBER = 1_794_000_000
DAY = 86_400


def steps(start, end):
    nano = NOVEMBER * 10**9
    return [
        Entry(
            kind=Kind.STEP,
            run="long",
            source="aaaa000000000001",
            seq=number,
            name="step",
            trace_id="ab" * 16,
            span_id=f"{number + 1:016x}",
            start=nano + number,
            end=nano + number,
        )
        for number in range(start, end)
    ]


@pytest.fixture(scope="module")
def pruned(tmp_path_factory, case):
    """The bundle of a run whose first 512 entries went, and of the same run before."""
    now = [float(NOVEMBER)]
    options = {"signer": case.log_key, "checkpoint_interval": None, "now": lambda: now[0], "epochs": "month"}
    with Ledger(tmp_path_factory.mktemp("pruned"), **options) as ledger:
        ledger.append_entries(steps(0, 600))
        now[0] += 40 * DAY
        ledger.append_entries(steps(600, 610))
        whole = build_bundle(ledger, "long", signer=case.bundle_key)
        now[0] += 20 * DAY
        done = carry_out(ledger, "prune", {"retention": "default=10", "time": str(int(now[0] * 1e9))})
        assert done["bundles"] == "0-1", done
        archive = build_bundle(ledger, "long", signer=case.bundle_key)
    return whole, Good(unpack(archive), archive, case.log_key, case.bundle_key)


def test_the_statement_is_proven_and_shown(pruned, case):
    whole, bundle = pruned
    assert not [name for name in unpack(whole) if name.startswith("statements/")]
    result = verify_bundle(bundle.archive, case.trust)
    assert result.code is Code.INCOMPLETE, result.diagnostics()
    assert [check.name for check in result.checks if check.code] == ["completeness"]
    (stated,) = result.statements
    assert (stated.entry.kind, stated.entry.detail["minimum"]) == (Kind.PRUNED, "512")
    words = "PRUNED: entries below 512 whose time of retention had ended"
    assert words in bundle.files["report.html"].decode()
    assert words in verified_report(result)
    assert len(result.view.records) == 610 - 512
    assert verify_bundle(whole, case.trust).code is Code.INCOMPLETE  # made before, it has no close either
    assert len(verify_bundle(whole, case.trust).view.records) == 610


def test_a_statement_that_the_log_does_not_hold_is_refused(pruned, case):
    _, bundle = pruned
    name = bundle.name("statements/")
    proof = TlogProof.parse(bundle.files[name])
    leaf = proof.extra or b""
    step = next(n for n in bundle.files if n.startswith("proofs/"))
    other = TlogProof.parse(bundle.files[step])
    first = bundle.files["entries.jsonl"].split(b"\n")[0]
    for changed, words in (
        (replace(proof, extra=leaf.replace(b"512", b"600")), "not in the log"),
        (replace(proof, extra=None), "not in the log"),
        (replace(proof, index=proof.index - 1), "another entry"),
        (replace(proof, checkpoint=b"x"), "another checkpoint"),
        (replace(other, extra=first), "another entry"),
    ):
        result = verify_bundle(bundle.signed({**bundle.files, name: changed.encode()}), case.trust)
        assert (result.code, result.checks[-1].name) == (Code.FAILED, "inclusion")
        assert words in result.diagnostics()
    without = {n: d for n, d in bundle.files.items() if n != name}
    assert verify_bundle(bundle.signed(without), case.trust).checks[-1].name == "contents"


def test_an_entry_of_a_run_is_no_statement_of_the_log(pruned, case):
    _, bundle = pruned
    old, step = bundle.name("statements/"), bundle.name("proofs/")
    index = step.rpartition("/")[2].removesuffix(".tlog-proof")
    place = bundle.statement()["predicate"]["logs"][0]["indices"].index(index)
    leaf = bundle.files["entries.jsonl"].split(b"\n")[place]
    files = {n: d for n, d in bundle.files.items() if n != old}
    files[f"{old.rpartition('/')[0]}/{index}.tlog-proof"] = replace(
        TlogProof.parse(bundle.files[step]), extra=leaf
    ).encode()
    archive = bundle.signed(files, lambda s: s["predicate"]["logs"][0].update(statements=[index]))
    result = verify_bundle(archive, case.trust)
    assert "is no statement of the log about itself" in result.diagnostics()
