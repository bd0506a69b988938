# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Who may use a ledger's directory: one writer, whoever has the permissions, and nobody by accident."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from runrecord.ledger import (
    LedgerError,
    LedgerLocked,
    LedgerReadOnly,
    NoteSigner,
    SignatureError,
    copy_log,
)

NOBODY = 65534


def test_a_second_writer_is_told_who_holds_the_ledger(open_log):
    log = open_log()
    with pytest.raises(LedgerLocked, match=f"by process {os.getpid()}") as caught:
        open_log()
    assert "reads beside it" in caught.value.diagnostics()
    log.close()
    assert open_log().size == 0


def test_a_lock_dies_with_its_holder(tmp_path, open_log):
    script = "import os, sys; from runrecord.ledger import Log\nLog.open(sys.argv[1], origin='example.com/agents')\nos._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "log")], check=True, timeout=60)
    assert open_log(signer=None).origin == "example.com/agents"


def test_a_directory_without_permission_is_read_only(open_log, items, in_child):
    """As root, permissions bind nobody: the check runs in a child that gives root up."""
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        log = open_log(parent / "log")
        log.append(items(0, 3))
        log.close()
        (log.path / ".state" / "lock").chmod(0o444)
        locked = [parent, *(each for each in parent.rglob("*") if each.is_dir())]
        for each in locked:
            each.chmod(0o555)

        def work():
            if os.geteuid() == 0:
                os.seteuid(NOBODY)
            with pytest.raises(LedgerReadOnly, match="Permission denied") as caught:
                open_log(log.path)
            assert "give this user write access" in caught.value.diagnostics()
            with pytest.raises(LedgerReadOnly):
                open_log(parent / "new")
            assert open_log(log.path, read_only=True).size == 3

        try:
            assert in_child(work) == 0
        finally:
            for each in locked:
                each.chmod(0o755)


def test_a_path_through_a_file_is_named(tmp_path, open_log):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="Not a directory"):
        open_log(tmp_path / "file" / "log")


def test_errors_and_reprs_hold_no_content(open_log, items):
    log = open_log()
    secret = b"the card number"
    log.append([(secret, secret)])

    def fail(*_):
        raise LedgerError("from the factory")

    shown = [repr(log), repr(log.checkpoint)]
    with pytest.raises(LedgerError) as caught:
        log.append([(secret, secret * 10_000)])
    shown.append(caught.value.diagnostics())
    with pytest.raises(LedgerError) as caught:
        log.append([(secret, b"another")], on_conflict=fail)
    shown.append(caught.value.diagnostics())
    assert not [each for each in shown if "card" in each]
    assert secret not in (log.path / ".state" / "keys.sqlite").read_bytes()


def test_a_pinned_key_is_the_only_one_that_a_reader_trusts(tmp_path, open_log, items):
    log = open_log()
    log.append(items(0, 3))
    log.close()
    other = NoteSigner.generate(log.origin).verifier
    with pytest.raises(SignatureError, match="is not signed by the key"):
        open_log(log.path, read_only=True, signer=None, verifiers=[other])
    with pytest.raises(SignatureError):
        copy_log(log.path, tmp_path / "copy", verifiers=[other])
    assert open_log(log.path, read_only=True, signer=None, verifiers=log.verifiers).size == 3
