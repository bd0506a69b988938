# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord quarantine`: what is set aside is listed, and opened with the tenant key only."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from runrecord.cli.main import app
from runrecord.processors import Signal
from runrecord.processors.redaction import RedactionPolicy, RedactionQuarantine
from runrecord.semconv.commitment import load_tenant_key

BODY = b"\x0a\x00 any \xff bytes"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RedactionQuarantine:
    monkeypatch.setenv("RUNRECORD_KEY", "11" * 32)
    policy = RedactionPolicy.parse({"on_error": "quarantine"})
    made = RedactionQuarantine.make(policy, load_tenant_key().pseudonym_key(), tmp_path / "aside")
    assert made is not None
    made.keep(Signal.TRACES, BODY)
    return made


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["quarantine", *map(str, arguments)])


def test_it_lists_and_opens(place: RedactionQuarantine) -> None:
    (entry,) = place.entries()
    listed = run(place.directory)
    assert listed.exit_code == 0
    assert entry.path.name in listed.stdout
    assert "traces" in listed.stdout
    opened = run(place.directory, "--open", entry.path.name)
    assert (opened.exit_code, opened.stdout_bytes) == (0, BODY)


def test_another_key_opens_nothing(place: RedactionQuarantine, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = place.entries()
    monkeypatch.setenv("RUNRECORD_KEY", "22" * 32)
    result = run(place.directory, "--open", entry.path.name)
    assert result.exit_code == 1
    assert "sealed under another tenant key" in result.output


def test_what_is_not_there_is_said(place: RedactionQuarantine, tmp_path: Path) -> None:
    assert run(place.directory, "--open", "../aside/x").exit_code == 1
    assert run(tmp_path / "nothing").exit_code == 4
    (entry,) = place.entries()
    entry.path.unlink()
    assert "nothing is set aside" in run(place.directory).stdout
