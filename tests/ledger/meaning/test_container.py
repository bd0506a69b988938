# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The archive of a bundle: nothing that could harm its reader, and nothing beside the files."""

from __future__ import annotations

import contextlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.container import MAX_CONTENT, MalformedBundle, pack, unpack
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.verify import Code, verify_bundle


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,6}(/[a-z]{1,6})?", fullmatch=True), st.binary(max_size=300), max_size=6
    )
)
def test_what_is_packed_is_unpacked(files):
    assert unpack(pack(files)) == files
    with zipfile.ZipFile(io.BytesIO(pack(files))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files


@given(st.binary(max_size=400))
def test_no_bytes_crash_the_reader(data):
    with contextlib.suppress(MalformedBundle):
        unpack(data)


def zipped(files, **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()


def test_an_archive_of_another_tool_is_refused():
    with pytest.raises(MalformedBundle, match="canonical"):
        unpack(zipped([("a", b"x")]))


@pytest.mark.parametrize("name", ["../a", "/a", "a/../b", "a\\b", "a//b", "C:x", "a\0b", "", ".hidden", "a/"])
def test_a_name_that_leaves_the_bundle_is_refused(name):
    packed = pack({"x" * max(len(name), 1): b"data"})
    with pytest.raises(MalformedBundle):
        unpack(packed.replace(b"x" * max(len(name), 1), name.encode() or b"\0"))


def test_two_files_of_one_name_are_refused():
    packed = pack({"aa": b"1", "ab": b"2"}).replace(b"ab", b"aa")
    with pytest.raises(MalformedBundle, match="twice"):
        unpack(packed)
    with pytest.raises(MalformedBundle, match="twice"):
        unpack(pack({"aa": b"1", "ab": b"2"}).replace(b"ab", b"AA"))


def test_encrypted_and_linked_files_are_refused():
    packed = bytearray(pack({"a": b"1"}))
    packed[6] |= 1
    with pytest.raises(MalformedBundle, match="encrypted"):
        unpack(bytes(packed))
    link = bytearray(pack({"a": b"1"}))
    central = link.index(b"PK\x01\x02")
    link[central + 38 : central + 42] = (0o120777 << 16).to_bytes(4, "little")
    with pytest.raises(MalformedBundle, match="directory"):
        unpack(bytes(link))


def test_a_zip_bomb_is_refused_before_it_unpacks():
    packed = bytearray(pack({"a": b"\0" * 1_000_000}))
    packed[22:26] = (MAX_CONTENT + 1).to_bytes(4, "little")
    with pytest.raises(MalformedBundle, match="limits"):
        unpack(bytes(packed))
    whole = pack({"a": b"\0" * 1_000_000})
    for told in (1000, 1_000_001):
        lying = whole.replace((1_000_000).to_bytes(4, "little"), told.to_bytes(4, "little"))
        with pytest.raises(MalformedBundle, match="does not unpack"):
            unpack(lying)


def test_limits_hold_on_both_sides(monkeypatch):
    packed = pack({"a": b"1", "b": b"2"})
    with pytest.raises(LedgerError, match="portable"):
        pack({"../a": b""})
    monkeypatch.setattr("runrecord.ledger.container.MAX_MEMBERS", 1)
    with pytest.raises(LedgerError, match="too large"):
        pack({"a": b"", "b": b""})
    with pytest.raises(MalformedBundle, match="limits"):
        unpack(packed)
    monkeypatch.setattr("runrecord.ledger.container.MAX_ARCHIVE", 10)
    with pytest.raises(MalformedBundle, match="more than 10"):
        unpack(packed)
    with pytest.raises(MalformedBundle, match="ends inside"):
        unpack(packed[:9])


@pytest.mark.parametrize("where", ["before", "behind", "cut"])
def test_data_beside_the_files_is_refused(case, where):
    archive = {"before": b"x" + case.archive, "behind": case.archive + b"x", "cut": case.archive[:-1]}[where]
    assert verify_bundle(archive, case.trust).code is Code.FAILED
