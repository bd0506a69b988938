# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord diff` over a ledger on disk."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from runrecord.cli.diff import diff
from runrecord.ledger import Ledger

app = typer.Typer()
app.command()(diff)


def run(*arguments, code):
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch, builders):
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    with Ledger(tmp_path / "ledger", origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("run-0001").entries)
        ledger.append_entries(builders.approved_refund("run-0002").entries)
        other = builders.RunBuilder("other", source="cccc000000000001")
        other.begin()
        other.tool("call_1", "delete_order", effect="delete", step=0)
        other.close(outcome="failure")
        ledger.append_entries(other.entries)


def test_runs_that_did_the_same():
    assert "Nothing changed that the ledger holds in clear." in run(
        "run-0001", "run-0002", "--exit-code", code=0
    )
    assert json.loads(run("run-0001", "run-0002", "--json", code=0))["same"] is True


def test_runs_that_did_something_else():
    said = run("run-0001", "other", "--exit-code", code=2)
    assert "success" in said
    assert "+ tool delete_order" in said
    data = json.loads(run("run-0001", "other", "--json", code=0))
    assert {"section": "run", "name": "outcome", "before": "success", "after": "failure"} in data["changes"]


def test_a_run_that_is_not_there():
    assert "nobody" in run("run-0001", "nobody", code=1)
