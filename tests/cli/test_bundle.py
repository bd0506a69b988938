# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord bundle` over a ledger on disk, also beside a writer."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from runrecord.cli.bundle import bundle
from runrecord.ledger import Code, Ledger, NoteSigner, Trust, verify_bundle
from runrecord.ledger.container import unpack
from runrecord.ledger.opening import label
from runrecord.ledger.run_keys import RunKeys
from runrecord.ledger.vault import Content, state_vault, vault_of
from runrecord.semconv.commitment import load_tenant_key

ARGUMENTS = "gen_ai.tool.call.arguments"

app = typer.Typer()
app.command()(bundle)


@pytest.fixture
def directory(tmp_path, monkeypatch, builders) -> Path:
    with Ledger(tmp_path / "ledger", origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("run-0001").entries)
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ledger"


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def test_the_file_is_named_after_the_run_and_the_keys_are_printed(directory):
    output = run("run")
    archive = Path("run-0001.auditbundle.zip").read_bytes()
    keys = [line.strip() for line in output.splitlines() if line.strip().startswith(("log ", "bundle "))]
    assert verify_bundle(archive, Trust.parse("\n".join(keys))).code is Code.COMPLETE
    assert stat.S_IMODE((directory / ".state" / "bundle.key").stat().st_mode) == 0o600
    assert not list(Path().glob(".run-0001*"))


def test_the_keys_can_be_written_for_the_verifier(directory, tmp_path):
    output = run("run-0001", "-o", "a.zip", "--trust-out", "trust.txt", "--ledger", str(directory))
    assert "runrecord verify a.zip --trust trust.txt" in output
    trust = Trust.parse((tmp_path / "trust.txt").read_text())
    assert verify_bundle((tmp_path / "a.zip").read_bytes(), trust).code is Code.COMPLETE


def test_a_bundle_is_made_beside_the_writer(directory):
    with Ledger(directory):
        run("run-0001", "-o", "a.zip")
    assert verify_bundle(Path("a.zip").read_bytes(), Trust.of_ledger(directory)).code is Code.COMPLETE


def test_another_bundle_key_can_be_given(directory):
    signer = NoteSigner.generate("example.com/audit-team")
    Path("team.key").write_text(signer.private_text())
    run("run-0001", "-o", "a.zip", "--key", "team.key")
    trust = Trust(Trust.of_ledger(directory).log, (signer.verifier,))
    assert verify_bundle(Path("a.zip").read_bytes(), trust).code is Code.COMPLETE
    Path("team.key").write_text("not a key")
    output = run("run-0001", "-o", "b.zip", "--key", "team.key", code=1)
    assert "not an Ed25519 note key" in output
    assert "no bundle key" in run("run-0001", "-o", "b.zip", "--key", "missing.key", code=1)
    Path("binary.key").write_bytes(b"\xff\xfe")
    assert "can't be read" in run("run-0001", "-o", "b.zip", "--key", "binary.key", code=1)
    assert not Path("b.zip").exists()


@pytest.mark.usefixtures("directory")
def test_what_can_not_be_done_is_said():
    assert "no run 'none'" in run("none", code=1)
    assert "can't be written" in run("run-0001", "-o", "no/such/dir/a.zip", code=1)
    Path("a-directory.zip").mkdir()
    assert "can't be written" in run("run-0001", "-o", "a-directory.zip", code=1)
    assert not list(Path().glob(".a-directory*"))


def test_an_altered_entry_is_not_signed(directory):
    (entries,) = (directory / "tile" / "entries").rglob("11")
    entries.write_bytes(entries.read_bytes().replace(b'"success"', b'"failure"'))
    output = run("run-0001", "-o", "a.zip", code=1)
    assert f"{entries} is damaged or was changed: entry 10 is not the one that the log signed" in output
    assert "check them with 'runrecord verify'" in output
    assert not Path("a.zip").exists()


def test_a_checkpoint_that_the_auditor_kept_is_proven_to_be_of_the_same_log(directory, builders):
    Path("kept.checkpoint").write_bytes((directory / "checkpoint").read_bytes())
    with Ledger(directory) as ledger:
        ledger.append_entries(builders.approved_refund("run-0002").entries)
    run("run-0001", "-o", "a.zip", "--known", "kept.checkpoint")
    kept = [Path("kept.checkpoint").read_bytes()]
    result = verify_bundle(Path("a.zip").read_bytes(), Trust.of_ledger(directory), known=kept)
    assert result.code is Code.COMPLETE
    Path("none").write_text("x")
    assert "none is no checkpoint" in run("run-0001", "--known", "none", code=4)
    assert "can't be read" in run("run-0001", "--known", "absent", code=4)


@pytest.fixture
def committed(tmp_path, monkeypatch, builders) -> int:
    """A run whose refund commits to its arguments under the key that the ledger keeps; the index of that entry."""
    monkeypatch.setenv("RUNRECORD_KEY", "ab" * 32)
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.chdir(tmp_path)
    entries = builders.approved_refund("run-0001").entries
    (place,) = [n for n, e in enumerate(entries) if e.text("gen_ai.tool.name") == "create_refund"]
    with Ledger(tmp_path / "ledger", origin="example.com/test") as ledger:
        key = RunKeys(ledger.run_secrets, load_tenant_key(create=False)).key("", "run-0001")
        assert key is not None
        commitment = key.commit(label(entries[place], ARGUMENTS), '{"amount":5}')
        entries[place] = replace(entries[place], commitments={ARGUMENTS: commitment})
        ledger.append_entries(entries)
    return place


def test_a_value_is_disclosed_only_if_it_is_asked_for_and_right(committed):
    def values(value: object) -> None:
        Path("values.json").write_text(json.dumps({str(committed): {ARGUMENTS: value, "more": 1}}))

    values('{"amount":5}')
    run("run-0001", "-o", "a.zip", "--disclose", ARGUMENTS, "--values", "values.json")
    trust = Trust.of_ledger("ledger")
    result = verify_bundle(Path("a.zip").read_bytes(), trust)
    assert result.code is Code.COMPLETE
    assert [(d.index, d.name, d.value) for d in result.disclosed] == [(committed, ARGUMENTS, '{"amount":5}')]
    run("run-0001", "-o", "b.zip")
    assert b"amount" not in b"".join(unpack(Path("b.zip").read_bytes()).values())
    values('{"amount":6}')
    output = run("run-0001", "--disclose", ARGUMENTS, "--values", "values.json", code=1)
    assert "is not the one that entry" in output
    assert '"amount"' not in output
    assert "is not known" in run("run-0001", "--disclose", ARGUMENTS, code=1)
    assert "no entry of the run commits to" in run("run-0001", "--disclose", "nothing", code=1)
    for text in ("[]", "{", '{"x": {}}', '{"1": 2}'):
        Path("values.json").write_text(text)
        assert "holds no values" in run(
            "run-0001", "--disclose", ARGUMENTS, "--values", "values.json", code=4
        )
    assert "can't be read" in run("run-0001", "--disclose", ARGUMENTS, "--values", "absent", code=4)


def test_what_is_disclosed_is_taken_from_the_vault(committed, tmp_path):
    with Ledger("ledger") as ledger:
        state_vault(ledger, str(tmp_path / "vault"))
        tenant_key = load_tenant_key(create=False)
        key = RunKeys(ledger.run_secrets, tenant_key).key("", "run-0001")
        vault = vault_of(ledger, tenant_key)
        assert vault is not None
        assert key is not None
        entry = next(r.entry for r in ledger.run("run-0001").records if r.index == committed)
        vault.keep([Content(entry, key, {ARGUMENTS: '{"amount":5}'})])
    run("run-0001", "-o", "a.zip", "--disclose", f"{committed}:{ARGUMENTS}")
    result = verify_bundle(Path("a.zip").read_bytes(), Trust.of_ledger("ledger"))
    assert [(d.index, d.value) for d in result.disclosed] == [(committed, '{"amount":5}')]


@pytest.mark.usefixtures("committed")
def test_without_the_tenant_key_nothing_is_disclosed(monkeypatch):
    monkeypatch.delenv("RUNRECORD_KEY")
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(Path("elsewhere").absolute()))
    assert "no tenant key" in run("run-0001", "--disclose", ARGUMENTS, code=4)
