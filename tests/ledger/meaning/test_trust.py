# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat
import threading

import pytest

from runrecord.ledger.errors import LedgerError, LedgerReadOnly, MalformedNote
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.trust import Trust, bundle_signer

LOG, BUNDLE = NoteSigner("l", b"l" * 32), NoteSigner("b", b"b" * 32)


def test_a_trust_file_reads_back():
    trust = Trust((LOG.verifier,), (BUNDLE.verifier,))
    again = Trust.parse("# comment\n\n" + trust.text())
    assert [key.vkey for key in again.log] == [LOG.vkey]
    assert [key.vkey for key in again.bundle] == [BUNDLE.vkey]
    assert again
    assert not Trust((LOG.verifier,))
    assert not Trust((), (BUNDLE.verifier,))
    assert Trust((LOG.verifier,)) | Trust((), (BUNDLE.verifier,))


@pytest.mark.parametrize("text", ["key x", "log", "log x", "bundle a b", f"log {LOG.vkey} more"])
def test_a_line_of_another_form_is_refused(text):
    with pytest.raises(MalformedNote):
        Trust.parse(text)


def test_a_witness_key_is_neither():
    import base64
    from hashlib import sha256

    public = b"\x04" + base64.b64decode(LOG.vkey.split("+", 2)[2])[1:]
    name_hash = sha256(b"w\n" + public).digest()[:4].hex()
    with pytest.raises(MalformedNote, match="witness key"):
        Trust.of((f"w+{name_hash}+{base64.b64encode(public).decode()}",))


def test_a_bundle_key_is_made_once_even_if_many_ask(tmp_path):
    (tmp_path / ".state").mkdir()
    found = []
    start = threading.Barrier(8)

    def ask():
        start.wait()
        found.append(bundle_signer(tmp_path, "example.com/log").vkey)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert stat.S_IMODE((tmp_path / ".state" / "bundle.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / ".state").iterdir()) == ["bundle.key", "bundle.vkey"]


def test_no_message_holds_the_key(tmp_path):
    (tmp_path / ".state").mkdir()
    key = tmp_path / ".state" / "bundle.key"
    key.write_text(BUNDLE.private_text()[:-4] + "AAAA")
    with pytest.raises(LedgerError) as error:
        bundle_signer(tmp_path, "x")
    assert key.read_text()[-30:-5] not in error.value.diagnostics()


def test_where_no_key_can_be_made_the_next_step_is_named(tmp_path):
    with pytest.raises(LedgerReadOnly, match="--key FILE"):
        bundle_signer(tmp_path / "missing", "x")
    with pytest.raises(LedgerError, match="no public keys"):
        Trust.of_ledger(tmp_path)
