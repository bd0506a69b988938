# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles that witnesses have cosigned: made and verified on the command line, with a real witness, and without."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner
from witness_server import Serving

from runrecord.cli.bundle import bundle
from runrecord.cli.verify import verify
from runrecord.ledger import Ledger

app = typer.Typer()
app.command()(bundle)
app.command()(verify)


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "400"})
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def at(tmp_path, monkeypatch, builders):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    with Ledger(tmp_path / "ledger", origin="example.com/test") as ledger:
        ledger.append_entries(builders.approved_refund("run-0001").entries)
        vkey = ledger.log.vkey
    witness = Serving(tmp_path / "witness", "--log", vkey)

    def policy(*, log=vkey, key=witness.vkey, url=witness.url, name="policy"):
        path = tmp_path / name
        path.write_text(f"log {log}\nwitness w1 {key} {url}\nquorum w1\n")
        return path

    yield SimpleNamespace(witness=witness, policy=policy, vkey=vkey, bundle=tmp_path / "run.zip")
    witness.kill()


def test_a_cosigned_bundle_verifies_offline(at):
    made = run("bundle", "run-0001", "-o", at.bundle, "--policy", at.policy(), "--trust-out", "trust")
    assert "warning" not in made
    at.witness.stop()
    said = run("verify", at.bundle, "--trust", "trust", "--policy", at.policy())
    assert "cosigned: example.com/test at size" in said
    assert "w1 at 20" in said
    # The policy names the log, so that its key need not be pinned twice; the bundle key has to be.
    key = next(
        line for line in (at.bundle.parent / "trust").read_text().splitlines() if line.startswith("bundle ")
    )
    run("verify", at.bundle, "--bundle-key", key.split()[1], "--policy", at.policy())
    run("verify", at.bundle, "--trust", "trust")


def test_without_the_witness_it_is_unwitnessed_and_all_else_is_still_checked(at):
    at.witness.stop()
    made = run("bundle", "run-0001", "-o", at.bundle, "--policy", at.policy(), "--trust-out", "trust")
    assert "witness w1 can't be reached" in made
    assert "not enough witnesses have cosigned for quorum w1" in made
    said = run("verify", at.bundle, "--trust", "trust", "--policy", at.policy(), code=2)
    assert "unwitnessed: example.com/test at size" in said
    assert "by nobody; the policy wants w1" in said
    assert "entries are in the log" in said
    broken = bytearray(at.bundle.read_bytes())
    broken[len(broken) // 2] ^= 1
    at.bundle.write_bytes(broken)
    run("verify", at.bundle, "--trust", "trust", "--policy", at.policy(), code=1)


def test_a_witness_of_the_same_name_with_another_key_is_nobody(at, tmp_path):
    other = Serving(tmp_path / "other", "--log", at.vkey)
    try:
        wrong = at.policy(key=other.vkey, name="wrong")
        made = run("bundle", "run-0001", "-o", at.bundle, "--policy", wrong, "--trust-out", "trust")
        assert "no cosignature of its key" in made
        run("bundle", "run-0001", "-o", at.bundle, "--policy", at.policy())
        run("verify", at.bundle, "--trust", "trust", "--policy", wrong, code=2)
        run("verify", at.bundle, "--trust", "trust", "--policy", at.policy())
    finally:
        other.kill()


def test_a_policy_that_can_not_be_used_is_said(at, tmp_path):
    (tmp_path / "bad").write_text("quorum w1\n")
    for command in (("bundle", "run-0001", "-o", at.bundle), ("verify", at.bundle)):
        assert "line 1 of the policy" in run(*command, "--policy", tmp_path / "bad", code=4)
        assert "can't be read" in run(*command, "--policy", tmp_path / "none", code=4)
