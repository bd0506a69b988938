# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The key of a ledger is changed on the command line, and in the configuration of a gateway; fsck with the old key and the new one."""

from __future__ import annotations

import re

import pytest
import typer
from typer.testing import CliRunner

from runrecord.cli.fsck import fsck
from runrecord.cli.ledger import ledger
from runrecord.collector.config import LedgerExporter
from runrecord.collector.consuming import _ledger
from runrecord.ledger import Ledger, NoteSigner
from runrecord.ledger.errors import SignatureError
from runrecord.ledger.note import Note

app = typer.Typer()
app.command()(fsck)
app.add_typer(ledger, name="ledger")
VKEY = re.compile(r"log (example\.com/test\+\S+)")


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "400"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def vkey(tmp_path, monkeypatch, builders):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    with Ledger(tmp_path / "ledger", origin="example.com/test") as made:
        made.append_entries(builders.approved_refund("run-0001").entries)
        return made.log.vkey


def test_the_key_is_changed_and_both_are_accepted(vkey):
    said = run("ledger", "rotate-key", "--overlap", "12h")
    (new,) = VKEY.findall(said)
    assert new != vkey
    assert "signs too until" in said
    for key in (vkey, new):
        assert "is whole" in run("fsck", "--log-key", key)
    second = VKEY.findall(run("ledger", "rotate-key", "--overlap", "0s"))[0]
    with Ledger("ledger", checkpoint_interval=None) as ledger:
        ledger.append_entries([])
        assert ledger.log.vkey == second
    for key in (vkey, new, second):
        assert "is whole" in run("fsck", "--log-key", key)


def test_a_time_that_is_none_is_refused(vkey):
    run("ledger", "rotate-key", "--overlap", "soon", code=2)


def test_a_gateway_with_key_files_changes_to_a_new_one(vkey, tmp_path):
    old_file, new_file = tmp_path / "old.key", tmp_path / "new.key"
    (tmp_path / "ledger" / ".state" / "log.key").rename(old_file)
    said = run("ledger", "rotate-key", "--new-key-file", new_file)
    assert "previous_key_files" in said
    assert new_file.stat().st_mode & 0o777 == 0o600
    assert NoteSigner.parse(new_file.read_text()).vkey == VKEY.findall(said)[0]
    assert "there already" in run("ledger", "rotate-key", "--new-key-file", new_file, code=1)
    settings = {"directory": tmp_path / "ledger", "key_file": new_file}
    with pytest.raises(SignatureError) as refused:
        _ledger(LedgerExporter(**settings))
    assert "previous_key_files" in refused.value.next_step
    for _ in range(2):
        with _ledger(LedgerExporter(**settings, previous_key_files=[old_file])) as ledger:
            assert ledger.log.vkey == VKEY.findall(said)[0]
            assert len(Note.parse(ledger.log.checkpoint.note).signatures) == 2
    with pytest.raises(ValueError, match="go with the key_file"):
        LedgerExporter(directory=tmp_path, previous_key_files=[old_file])
