# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Pruning on the command line, what is shown of a pruned run, and the retention of a gateway's configuration."""

from __future__ import annotations

import io
import json

import pytest
import typer
from typer.testing import CliRunner

from runrecord.cli.export import _write
from runrecord.cli.fsck import fsck
from runrecord.cli.ledger import ledger
from runrecord.cli.show import show
from runrecord.collector.config import LedgerExporter
from runrecord.collector.consuming import _ledger
from runrecord.ledger import Ledger
from runrecord.ledger.entry import Entry, Kind

DAY = 86_400.0
NOVEMBER = 1_761_955_200.0  # 2025-11-01, so that the clock of the machine is behind all of it

app = typer.Typer()
for command in (show, fsck):
    app.command()(command)
app.add_typer(ledger, name="ledger")


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "400"})
    assert result.exit_code == code, result.output
    return result.output


def step(number, run_id):
    time = int(NOVEMBER * 1e9) + number
    return Entry(kind=Kind.STEP, run=run_id, name="step", span_id=f"{number:016x}", start=time, end=time)


@pytest.fixture(autouse=True)
def two_months(tmp_path, monkeypatch):
    """A ledger with 300 entries of November and 10 of December 2025."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    clock = [NOVEMBER]
    with Ledger(tmp_path / "ledger", origin="example.com/test", epochs="month", now=lambda: clock[0]) as made:
        made.append_entries([step(number, "first" if number < 200 else "second") for number in range(300)])
        clock[0] += 31 * DAY
        made.append_entries([step(number, "third") for number in range(300, 310)])


def test_what_would_go_is_said_before_it_goes():
    assert "nobody says for how long" in run("ledger", "prune", code=1)
    assert "not of the form KIND=DAYS" in run("ledger", "prune", "--keep", "soon", code=1)
    assert "Nothing went" in run("ledger", "prune", "--keep", "default=99999")
    assert "Nothing would go" in run("ledger", "prune", "--keep", "approval_decision=1", "--dry-run")
    would = "256 entries (bundles 0), up to epoch 2025-11"
    assert f"These would go: {would}" in run("ledger", "prune", "--keep", "default=30", "--dry-run")
    assert "is whole: 312 entries" in run("fsck")
    assert f"Pruned {would}. Entry 312 states it." in run("ledger", "prune", "--keep", "default=30")
    assert "256 entries were pruned, as the log states" in run("fsck")
    assert json.loads(run("fsck", "--json"))["pruned"] == 256


def test_of_a_pruned_run_it_is_said_that_it_was_pruned(tmp_path):
    run("ledger", "prune", "--keep", "default=30")
    said = run("show", "first", code=1)
    assert "there is no run 'first'" in said
    assert "entries below 256 were pruned, as their time of retention had ended" in said
    assert "256 were pruned" in run("show", "second")
    written = io.BytesIO()
    with Ledger(tmp_path / "ledger", read_only=True) as opened:
        assert _write(opened.log, 0, 313, written) == 313
    assert [json.loads(line)["index"] for line in written.getvalue().splitlines()] == list(range(256, 313))


def test_a_gateway_keeps_entries_as_its_configuration_says(tmp_path):
    exporter = LedgerExporter(directory=tmp_path / "ledger", retention_days=30)
    assert (exporter.epochs, exporter.retention_days) == ("month", {"default": 30})
    with _ledger(LedgerExporter(directory=tmp_path / "ledger", retention_days={"step": 10})) as opened:
        assert str(opened.retention) == "step=10"
    with pytest.raises(ValueError, match="'steps' is no kind of entry; there are default, approval_decision"):
        LedgerExporter(directory=tmp_path, retention_days={"steps": 10})
    with pytest.raises(ValueError, match="retention_days needs epochs"):
        LedgerExporter(directory=tmp_path, retention_days=3, epochs="none")
