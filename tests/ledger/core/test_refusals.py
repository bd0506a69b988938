# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A directory that is not the ledger it should be: the message names the file and the next step."""

from __future__ import annotations

import re
import shutil

import pytest

from runrecord.ledger import LedgerError, Log, NoteSigner
from runrecord.ledger.publisher import _LONGEST_DELAY


@pytest.fixture
def path(open_log, items, tmp_path):
    """A closed log with its own key."""
    log = Log.open(tmp_path / "ledger", origin="example.com/agents")
    log.append(items(0, 5))
    log.close()
    return tmp_path / "ledger"


def other_size(path):
    lines = (path / "checkpoint").read_text().split("\n")
    lines[1] = "900"
    (path / "checkpoint").write_text("\n".join(lines))


def foreign_key(path):
    signer = NoteSigner.generate("example.com/agents")
    (path / ".state" / "log.key").write_text(signer.private_text())
    (path / ".state" / "log.vkey").write_text(signer.vkey)


DAMAGES = {
    "another size": (other_size, "checkpoint is not signed by the key of this ledger"),
    "empty checkpoint": (lambda path: (path / "checkpoint").write_bytes(b""), "checkpoint is empty"),
    "no checkpoint at all": (lambda path: (path / "checkpoint").write_bytes(b"x\n"), "checkpoint is damaged"),
    "missing checkpoint": (lambda path: (path / "checkpoint").unlink(), "is missing, although it holds"),
    "foreign key": (foreign_key, "belongs to another ledger"),
}


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_file_and_the_next_step_are_named(path, damage, read_only):
    spoil, words = DAMAGES[damage]
    spoil(path)
    with pytest.raises(LedgerError, match=words) as caught:
        Log.open(path, read_only=read_only)
    assert str(path) in caught.value.message
    assert "from a copy" in caught.value.next_step


@pytest.mark.parametrize(("name", "read_only"), [("log.key", False), ("log.vkey", True)])
def test_a_key_file_that_holds_no_key_is_named(path, name, read_only):
    (path / ".state" / name).write_bytes(b"\xffs3cret")
    with pytest.raises(LedgerError, match=re.escape(str(path / ".state" / name))) as caught:
        Log.open(path, read_only=read_only)
    assert "s3cret" not in str(caught.value)


def test_a_ledger_is_not_made_among_the_files_of_something_else(tmp_path):
    foreign = tmp_path / "home"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("x")
    with pytest.raises(LedgerError, match=r"not a ledger, and not empty: it holds 'thesis\.txt'") as caught:
        Log.open(foreign)
    assert "empty or does not exist yet" in caught.value.next_step
    assert [each.name for each in foreign.iterdir()] == ["thesis.txt"]
    (foreign / "thesis.txt").unlink()
    (foreign / "lost+found").mkdir()  # of a fresh volume
    Log.open(foreign).close()
    shutil.rmtree(foreign / "tile", ignore_errors=True)
    (foreign / "notes.txt").write_text("beside a ledger")
    Log.open(foreign).close()


def test_the_longest_wait_for_a_disk_is_short():
    assert 1 <= _LONGEST_DELAY <= 10


def test_failures_of_one_kind_are_logged_once_and_the_recovery_too(open_log, items, caplog):
    """What is in the way moves from file to file, as on a full disk; the reason stays the same."""
    import time

    log = open_log(checkpoint_interval=0.001)
    scratch = log.path / ".state" / "tmp"
    scratch.rmdir()
    scratch.write_text("a file where the directory for half-written files should be")
    deadline = time.monotonic() + 60
    seen = set()
    for number in range(4):
        before = log.publish_failure
        log.append(items(number, number + 1))
        while log.publish_failure is before:
            assert time.monotonic() < deadline
        seen.add(str(log.publish_failure))
    assert len(seen) > 1
    assert len([r for r in caplog.records if "no new checkpoint" in r.message]) == 1
    scratch.unlink()
    scratch.mkdir()
    while log.checkpoint.size < 4:
        assert time.monotonic() < deadline
    while not [r for r in caplog.records if "has a new checkpoint again" in r.message]:
        assert time.monotonic() < deadline
