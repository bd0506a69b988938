# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord receipt` over a ledger on disk."""

from __future__ import annotations

import json

import typer
from typer.testing import CliRunner

from runrecord.cli.receipt import receipt
from runrecord.ledger import Ledger
from runrecord.ledger.note import NoteVerifier
from runrecord.ledger.receipt import verify_receipt

app = typer.Typer()
app.command()(receipt)


def test_an_entry_and_its_receipt(tmp_path, monkeypatch, builders):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    with Ledger(tmp_path / "ledger", origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("run-0001").entries)
    done = CliRunner().invoke(app, ["3", "--leaf", "leaf.json"])
    assert done.exit_code == 0, done.output
    [vkey] = [line.strip() for line in done.output.splitlines() if "+" in line]
    leaf = (tmp_path / "leaf.json").read_bytes()
    said = verify_receipt((tmp_path / "3.receipt.cose").read_bytes(), leaf, NoteVerifier(vkey))
    assert (said.issuer, said.subject, said.index) == ("example.com/test", "run:run-0001", 3)
    assert json.loads(leaf)["run"] == "run-0001"


def test_an_entry_that_is_not_there(tmp_path, monkeypatch, builders):
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    with Ledger(tmp_path / "ledger", origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("run-0001").entries)
    done = CliRunner().invoke(app, ["3000"])
    assert done.exit_code == 1
    assert "3000" in done.output
