# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Every byte of a bundle that is changed, cut or spliced."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.bundle_format import STATEMENT
from runrecord.ledger.container import pack, unpack
from runrecord.ledger.errors import LedgerCorrupt
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.trust import Trust
from runrecord.ledger.verify import Code, verify_bundle
from runrecord.semconv.canonical import canonical_json


@pytest.fixture(scope="module")
def small(tmp_path_factory, build):
    """A bundle of one record, so that every byte of it can be changed in turn."""
    run = build()
    run.begin()
    run.close()
    log_key, bundle_key = NoteSigner("l", b"l" * 32), NoteSigner("b", b"b" * 32)
    with Ledger(tmp_path_factory.mktemp("small"), signer=log_key, checkpoint_interval=None) as ledger:
        ledger.append_entries(run.entries)
        archive = build_bundle(ledger, run.run, signer=bundle_key)
    return archive, Trust((log_key.verifier,), (bundle_key.verifier,))


def test_every_changed_byte_is_refused_or_changes_no_content(small):
    archive, trust = small
    files = unpack(archive)
    assert verify_bundle(archive, trust).code is Code.COMPLETE
    unnoticed = 0
    for offset in range(len(archive)):
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(archive)
            changed[offset] ^= change
            result = verify_bundle(bytes(changed), trust)
            if result.code is Code.COMPLETE:
                unnoticed += 1
                assert unpack(bytes(changed)) == files  # the padding bits of a compressed stream
            else:
                assert result.code in (Code.FAILED, Code.UNVERIFIABLE)
    assert unnoticed < 3 * len(files)


@given(data=st.data())
def test_every_changed_byte_inside_a_file_is_refused(small, data):
    archive, trust = small
    files = unpack(archive)
    name = data.draw(st.sampled_from(sorted(files)))
    place = data.draw(st.integers(0, len(files[name]) - 1))
    value = data.draw(st.integers(1, 255))
    changed = bytearray(files[name])
    changed[place] ^= value
    assert verify_bundle(pack({**files, name: bytes(changed)}), trust).code in (
        Code.FAILED,
        Code.UNVERIFIABLE,
    )


@given(data=st.data())
def test_cut_and_spliced_bundles_never_crash(small, data):
    archive, trust = small
    start = data.draw(st.integers(0, len(archive)))
    end = data.draw(st.integers(start, len(archive)))
    spliced = archive[:start] + data.draw(st.binary(max_size=40)) + archive[end:]
    if spliced != archive:
        assert verify_bundle(spliced, trust).code in (Code.FAILED, Code.UNVERIFIABLE)


def test_an_envelope_in_another_encoding_is_refused(small):
    archive, trust = small
    files = unpack(archive)
    loose = json.dumps(json.loads(files[STATEMENT]), indent=1).encode()
    assert verify_bundle(pack({**files, STATEMENT: loose}), trust).code is Code.FAILED
    envelope = json.loads(files[STATEMENT])
    for broken in (
        {},
        {**envelope, "signatures": []},
        {**envelope, "signatures": [1]},
        {**envelope, "payload": "*"},
    ):
        assert verify_bundle(pack({**files, STATEMENT: canonical_json(broken)}), trust).code is Code.FAILED
    payload = canonical_json({**json.loads(b64decode(envelope["payload"])), "more": 1})
    more = {**envelope, "payload": b64encode(payload).decode()}
    assert verify_bundle(pack({**files, STATEMENT: canonical_json(more)}), trust).code is Code.FAILED


@pytest.mark.parametrize("read_only", [True, False])
def test_leaves_that_are_not_under_the_checkpoint_are_not_signed(tmp_path, refund, read_only):
    """The writer does not compare what it reads; what it signs is compared all the same."""
    with Ledger(tmp_path, origin="example.com/test") as ledger:
        ledger.append_entries(refund("run-0001").entries + refund("run-0002").entries)
        ledger.append_entries([entry for n in range(30) for entry in refund(f"more-{n:04d}").entries])
    bundle = tmp_path / "tile" / "entries" / "000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"success"', b'"failure"'))
    with (
        Ledger(tmp_path, read_only=read_only) as ledger,
        pytest.raises(LedgerCorrupt, match=r"entry 10 .*not the one that the log signed"),
    ):
        build_bundle(ledger, "run-0001")
    assert not (tmp_path / ".state" / "bundle.key").exists()
