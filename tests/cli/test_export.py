# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord export` over a ledger that grows: each entry once, in order, as it was hashed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from runrecord.ledger import Ledger, leaf_hash

COMMAND = [sys.executable, "-c", "from runrecord.cli.main import main; main()", "export"]


@pytest.fixture
def ledger(tmp_path, monkeypatch, builders):
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    with Ledger(tmp_path / "ledger", origin="example.com/test", checkpoint_interval=None) as opened:
        opened.append_entries(builders.approved_refund("run-0001").entries)
        opened.publish()
        yield opened


def export(*arguments, code=0):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)
    assert done.returncode == code, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()] if code == 0 else done.stderr.decode()


def test_each_entry_as_it_was_hashed(ledger):
    lines = export()
    assert [line["index"] for line in lines] == list(range(ledger.log.size))
    for line in lines:
        leaf = ledger.log.leaf(line["index"])
        assert line == {
            "log": "example.com/test",
            "index": line["index"],
            "hash": leaf_hash(leaf).hex(),
            "entry": json.loads(leaf),
        }
    assert [line["index"] for line in export("--from", "5")] == list(range(5, len(lines)))
    assert "99 is asked for" in export("--from", "99", code=4)


def test_a_cursor_goes_on_where_it_was(ledger, tmp_path, builders):
    cursor = str(tmp_path / "cursor")
    first = export("--cursor", cursor)
    assert export("--cursor", cursor) == []
    ledger.append_entries(builders.approved_refund("run-0002").entries)
    ledger.publish()
    second = export("--cursor", cursor)
    assert [line["index"] for line in first + second] == list(range(ledger.log.size))
    assert {line["entry"]["run"] for line in second} == {"run-0002"}
    (tmp_path / "cursor").write_text("x")
    assert "is no cursor" in export("--cursor", cursor, code=4)
    assert "exclude each other" in export("--cursor", cursor, "--from", "1", code=4)


def test_what_is_added_is_followed(ledger, builders):
    with subprocess.Popen([*COMMAND, "--follow"], stdout=subprocess.PIPE) as process:
        had = [json.loads(process.stdout.readline()) for _ in range(ledger.log.size)]
        ledger.append_entries(builders.approved_refund("run-0002").entries)
        ledger.publish()
        more = [json.loads(process.stdout.readline()) for _ in range(ledger.log.size - len(had))]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert [line["index"] for line in had + more] == list(range(ledger.log.size))
