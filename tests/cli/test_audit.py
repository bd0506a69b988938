# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord audit` over a ledger on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from runrecord.cli.audit import audit
from runrecord.ledger import Ledger

app = typer.Typer()
app.command()(audit)


@pytest.fixture
def directory(tmp_path, monkeypatch, builders) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    bad = builders.RunBuilder("bad-1")
    bad.begin()
    bad.decision("c1", "deny")
    bad.tool("c1")
    bad.seq(bad.source)
    bad.close()
    with Ledger(tmp_path / "ledger", origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("good-1").entries)
        ledger.append_entries(bad.entries)
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.usefixtures("directory")
def test_a_good_run_has_no_findings():
    output = run("good")
    assert "1 run audited: 0 violations, 0 notices" in output
    assert "An emitter that never emitted is invisible" in output


@pytest.mark.usefixtures("directory")
def test_a_bad_run_fails_with_the_entries_that_prove_it():
    output = run("bad-1", code=1)
    assert "no-effect-after-refusal" in output
    assert "#11 #12" in output
    assert "bad-1: the record is GAPS" in output


@pytest.mark.usefixtures("directory")
def test_all_runs_or_those_since_a_time_are_audited():
    data = json.loads(run("--all", "--json", code=1))
    assert {item["run"]: [f["rule"] for f in item["findings"]] for item in data} == {
        "good-1": [],
        "bad-1": ["no-effect-after-refusal"],
    }
    assert json.loads(run("--since", "2026-01-01", "--json", code=1)) == data
    assert json.loads(run("--since", "2200-01-01T00:00:00Z", "--json")) == []
    assert json.loads(run("--since", "999999d", "--json", code=1)) == data


@pytest.mark.usefixtures("directory")
def test_wrong_usage_is_4():
    for arguments in ((), ("good", "--all"), ("--all", "--since", "1d"), ("--since", "yesterday")):
        run(*arguments, code=4)
    assert "no run 'none'" in run("none", code=1)


@pytest.mark.parametrize("arguments", [("--all",), ("--since", "2026-01-01"), ("bad",), ("--all", "--json")])
def test_an_altered_entry_is_no_ground_for_a_verdict(directory, arguments):
    (entries,) = (each for each in (directory / "tile" / "entries").rglob("*") if each.is_file())
    data = entries.read_bytes()
    assert b'"deny"' in data
    entries.write_bytes(data.replace(b'"deny"', b'"okay"'))
    output = run(*arguments, code=1)
    assert f"error: {entries} is damaged or was changed" in output
    assert "is not the one that the log signed" in output
    assert "audited" not in output


@pytest.mark.usefixtures("directory")
def test_one_violation_is_one_violation():
    assert "1 run audited: 1 violation, 0 notices" in run("bad-1", code=1)
