# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord verify`: exit codes, pinned keys, and what it prints."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from runrecord.cli.verify import verify
from runrecord.ledger import Ledger, Trust, build_bundle
from runrecord.ledger.container import pack

app = typer.Typer()
app.command()(verify)


@pytest.fixture
def trust(tmp_path, monkeypatch, builders) -> Trust:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    broken = builders.RunBuilder("broken")
    broken.begin()
    broken.decision("c1", "deny")
    broken.tool("c1")
    with Ledger("ledger", origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("whole").entries)
        ledger.append_entries(broken.entries)
        Path("whole.zip").write_bytes(build_bundle(ledger, "whole"))
        Path("broken.zip").write_bytes(build_bundle(ledger, "broken"))
    trust = Trust.of_ledger("ledger")
    Path("trust.txt").write_text("# from the operator\n\n" + trust.text())
    return trust


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def test_0_complete(trust):
    output = run("whole.zip", "--trust", "trust.txt")
    assert "VERIFIED: the record is authentic and complete." in output
    assert "An emitter that never emitted is invisible" in output
    keys = [("--log-key", trust.log[0].vkey), ("--bundle-key", trust.bundle[0].vkey)]
    run("whole.zip", *[word for pair in keys for word in pair])
    run("whole.zip", "--ledger", "ledger")


@pytest.mark.usefixtures("trust")
def test_1_failed():
    data = bytearray(Path("whole.zip").read_bytes())
    data[len(data) // 2] ^= 0xFF
    Path("changed.zip").write_bytes(data)
    output = run("changed.zip", "--trust", "trust.txt", code=1)
    assert "FAILED: do not rely on this bundle." in output
    assert "next:" in output
    Path("text.zip").write_text("hello")
    run("text.zip", "--trust", "trust.txt", code=1)


@pytest.mark.usefixtures("trust")
def test_2_incomplete_with_the_rules_it_broke():
    output = run("broken.zip", "--trust", "trust.txt", code=2)
    assert "UNCLOSED" in output
    assert "INCOMPLETE" in output
    assert "no-effect-after-refusal" in output


def test_3_unverifiable(trust):
    assert "unverifiable: no pinned keys" in run("whole.zip", code=3)
    assert "no bundle key" in run("whole.zip", "--log-key", trust.log[0].vkey, code=3)
    wrong = trust.log[0].vkey
    assert "not a trusted bundle key" in run("whole.zip", "--log-key", wrong, "--bundle-key", wrong, code=3)


@pytest.mark.usefixtures("trust")
def test_first_use_is_loud():
    output = run("whole.zip", "--trust-on-first-use")
    assert "WARNING: the keys were taken from the bundle itself" in output
    assert "CONSISTENT" in output
    assert "VERIFIED" not in output


@pytest.mark.usefixtures("trust")
def test_4_usage():
    assert "can't be read" in run("missing.zip", "--trust", "trust.txt", code=4)
    assert "can't be read" in run("whole.zip", "--trust", "missing.txt", code=4)
    assert "not a verifier key" in run("whole.zip", "--log-key", "x", code=4)
    assert "no public keys" in run("whole.zip", "--ledger", "missing", code=4)
    Path("odd.txt").write_text("witness x y\n")
    assert "line 1 of the trust file" in run("whole.zip", "--trust", "odd.txt", code=4)


@pytest.mark.usefixtures("trust")
def test_json():
    data = json.loads(run("whole.zip", "--trust", "trust.txt", "--json"))
    assert (data["code"], data["result"], data["trust"], data["run"], data["verdict"]) == (
        0,
        "complete",
        "pinned",
        "whole",
        "COMPLETE",
    )
    assert [check["result"] for check in data["checks"]] == ["complete"] * 10
    data = json.loads(run("whole.zip", "--json", code=3))
    assert (data["result"], data["run"]) == ("unverifiable", None)
    data = json.loads(run("broken.zip", "--trust", "trust.txt", "--json", code=2))
    assert [finding["rule"] for finding in data["findings"] if finding["severity"] == "violation"] == [
        "no-effect-after-refusal",
        "ended-is-closed",
    ]


@pytest.mark.parametrize(("have", "lack"), [("log", "bundle"), ("bundle", "log")])
def test_the_key_that_lacks_is_named(trust, have, lack):
    Path("half.txt").write_text(f"{have} {getattr(trust, have)[0].vkey}\n")
    output = run("whole.zip", "--trust", "half.txt", code=3)
    assert f"a {have} key is pinned, and no {lack} key" in output
    assert f"--{lack}-key VKEY" in output
    assert "no pinned keys" not in output


@pytest.mark.usefixtures("trust")
def test_what_is_no_bundle_is_called_so_first():
    with zipfile.ZipFile("foreign.zip", "w") as archive:
        archive.writestr("report.txt", "x")
    Path("other.zip").write_bytes(pack({"report.txt": b"x"}))
    Path("empty.zip").write_bytes(b"")
    Path("text.zip").write_text("hello")
    for name, detail in (
        ("empty.zip", "the file is empty"),
        ("text.zip", "the file is not a ZIP archive"),
        ("foreign.zip", "the header of file 0"),
        ("other.zip", "the archive has no statement.dsse.json"),
    ):
        output = run(name, "--trust", "trust.txt", code=1)
        assert f"this is not an audit bundle: {detail}" in output
        assert "name the .auditbundle.zip file" in output
    Path("cut.zip").write_bytes(Path("whole.zip").read_bytes()[:-1])
    assert "not an audit bundle" not in run("cut.zip", "--trust", "trust.txt", code=1)


@pytest.mark.usefixtures("trust")
def test_one_rule_is_one_rule():
    assert "2 rules violated" in run("broken.zip", "--trust", "trust.txt", code=2)
    assert "0 rules violated" in run("whole.zip", "--trust", "trust.txt")


@pytest.mark.usefixtures("trust")
def test_the_reasons_of_a_verdict_name_the_entries_that_they_rest_on():
    data = json.loads(run("broken.zip", "--trust", "trust.txt", "--json", code=2))
    assert {reason["verdict"] for reason in data["reasons"]} == {data["verdict"]}
    assert all(reason["entries"] for reason in data["reasons"])
    entry = data["reasons"][0]["entries"][0]
    assert f"#{entry}" in run("broken.zip", "--trust", "trust.txt", code=2)


def test_a_kept_checkpoint_is_compared(trust):
    """The same log, nothing that shows it, another key's checkpoint, and no checkpoint."""
    del trust
    newest = Path("ledger/checkpoint").read_bytes()
    Path("kept").write_bytes(newest)
    assert "history" in run("whole.zip", "--trust", "trust.txt", "--known", "kept")
    with Ledger("ledger") as ledger:
        first = ledger.run("whole").records[0].entry
        ledger.append_entries([replace(first, run="more", span_id="ab" * 8)])
    Path("later").write_bytes(Path("ledger/checkpoint").read_bytes())
    output = run("whole.zip", "--trust", "trust.txt", "--known", "kept", "--known", "later", code=2)
    assert "made with --known FILE" in output
    Path("none").write_text("x")
    assert "not a checkpoint" in run("whole.zip", "--trust", "trust.txt", "--known", "none", code=3)
    run("whole.zip", "--trust", "trust.txt", "--known", "absent", code=4)


def test_the_reader_makes_a_report_of_his_own(trust):
    del trust
    run("whole.zip", "--trust", "trust.txt", "--report", "own.html")
    page = Path("own.html").read_text()
    for words in ("Audit report of run whole", "not by its producer", "3 sources", "entries are in the log"):
        assert words in page
    run("broken.zip", "--trust", "trust.txt", "--report", "broken.html", code=2)
    assert "Record UNCLOSED" in Path("broken.html").read_text()
    Path("cut.zip").write_bytes(Path("whole.zip").read_bytes()[:-1])
    assert "No report" in run("cut.zip", "--trust", "trust.txt", "--report", "none.html", code=1)
    assert not Path("none.html").exists()
