# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles with the time stamp of an outside authority: OpenSSL's, over HTTP."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tsa_server
import typer
from typer.testing import CliRunner

from runrecord.cli.bundle import bundle
from runrecord.cli.verify import verify
from runrecord.ledger import Ledger
from runrecord.ledger.errors import LedgerError, SignatureError
from runrecord.ledger.timestamp import load_roots, request_timestamp, verify_timestamp

pytestmark = pytest.mark.debian
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
    with (
        tsa_server.serving(tmp_path / "tsa") as (url, root),
        tsa_server.serving(tmp_path / "tsa2") as (_, other),
    ):
        yield SimpleNamespace(url=url, root=root, other=other, bundle=tmp_path / "run.zip")


def test_a_stamped_bundle_verifies_offline(at):
    run("bundle", "run-0001", "-o", at.bundle, "--tsa", at.url, "--trust-out", "trust")
    said = run("verify", at.bundle, "--trust", "trust", "--tsa-roots", at.root)
    assert "was there at 20" in said
    assert "says CN=Test authority" in said
    run("verify", at.bundle, "--trust", "trust")
    refused = run("verify", at.bundle, "--trust", "trust", "--tsa-roots", at.other, code=3)
    assert "not one of a trusted authority" in refused


def test_a_bundle_without_a_stamp_is_said_to_have_none(at):
    run("bundle", "run-0001", "-o", at.bundle, "--trust-out", "trust")
    said = run("verify", at.bundle, "--trust", "trust", "--tsa-roots", at.root, code=2)
    assert "has no time stamp" in said
    assert "entries are in the log" in said


def test_a_stamp_is_over_one_message_and_no_byte_of_it_can_change(at):
    roots = load_roots(at.root.read_bytes())
    reply = request_timestamp(at.url, b"message")
    assert verify_timestamp(reply, b"message", roots).authority == "CN=Test authority"
    with pytest.raises(SignatureError, match="Mismatch"):
        verify_timestamp(reply, b"another", roots)
    accepted = []
    for index in range(0, len(reply), 7):
        broken = reply[:index] + bytes([reply[index] ^ 1]) + reply[index + 1 :]
        try:
            stamped = verify_timestamp(broken, b"message", roots)
        except SignatureError:
            continue
        accepted.append(stamped)
    # What is not signed in a reply, such as the text of its status, may change; what it says may not.
    assert all(stamped == verify_timestamp(reply, b"message", roots) for stamped in accepted)


def test_who_does_not_stamp_is_said(at, tmp_path):
    with pytest.raises(LedgerError, match="not of HTTP"):
        request_timestamp("file:///etc/passwd", b"message")
    said = CliRunner().invoke(app, ["bundle", "run-0001", "--tsa", "http://127.0.0.1:9/"])
    assert said.exit_code != 0
    (tmp_path / "empty.pem").write_text("")
    assert "holds no certificates" in run("verify", "x.zip", "--tsa-roots", tmp_path / "empty.pem", code=4)
