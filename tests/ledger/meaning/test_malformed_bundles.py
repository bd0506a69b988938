# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Malformed bundles of every kind: each ends in a named failure, none crashes the reader, none passes."""

from __future__ import annotations

import contextlib
import tracemalloc
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from good_bundle import Good
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed_archives import archive, member
from malformed_bundles import malformed

from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.bundle_format import STATEMENT
from runrecord.ledger.container import pack, unpack
from runrecord.ledger.disclosures import disclose
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.strict_json import StrictJsonError, read_object
from runrecord.ledger.verify import Code, verify_bundle
from runrecord.semconv.canonical import canonical_form
from runrecord.semconv.commitment import TenantKey

KEY = TenantKey(b"k" * 32).run_key("run-0001")
REFUSED = (Code.FAILED, Code.UNVERIFIABLE)


def salt_of(entry, name):
    under = f"attribute/{entry.span_id}/{name}"
    return under, KEY.salt(under)


@pytest.fixture(scope="module")
def good(tmp_path_factory, case, refund):
    """A small bundle with everything that one can hold, and the checkpoint that its reader kept."""
    entries = refund("run-0001").entries[:3]
    entries[1] = replace(
        entries[1], commitments={"said": KEY.commit(salt_of(entries[1], "said")[0], "hello")}
    )
    with Ledger(tmp_path_factory.mktemp("good"), signer=case.log_key, checkpoint_interval=None) as ledger:
        ledger.append_entries(refund("run-0002").entries[:2])
        known = ledger.publish()
        ledger.append_entries(entries)
        archive = build_bundle(
            ledger,
            "run-0001",
            signer=case.bundle_key,
            known=[known],
            timestamp=lambda _: b"a stamp",
            disclose=lambda view: disclose(view.records, ["said"], {(3, "said"): "hello"}, salt_of),
        )
    return Good(unpack(archive), archive, case.log_key, case.bundle_key), known


@pytest.fixture(scope="module")
def roots():
    """A root under which nobody stamped anything."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return [builder.sign(key, hashes.SHA256())]


def all_of(good):
    found = list(malformed(good))
    assert len({each.name for each in found}) == len(found)
    return found


def test_the_good_one_is_good(good, case):
    bundle, known = good
    result = verify_bundle(bundle.archive, case.trust, known=[known.note])
    assert result.code is Code.INCOMPLETE, result.diagnostics()  # its run has no end
    assert [c.name for c in result.checks if c.code] == ["completeness"]


def test_every_malformed_bundle_ends_in_a_named_failure(good, case, roots):
    bundle, known = good
    found = all_of(bundle)
    assert len(found) > 350
    wrong = []
    for each in found:
        stamped = roots if each.steps == ("time",) else ()
        result = verify_bundle(each.archive, case.trust, known=[known.note], tsa_roots=stamped)
        last = result.checks[-1]
        if result.code not in REFUSED or last.code not in REFUSED or last.name not in each.steps:
            wrong.append((each.name, each.steps, last))
        assert last.text
        assert last.next_step
        assert result.diagnostics() == f"{last.name}: {last.text}"
        assert len(last.text) < 1_000
    assert wrong == []


def test_a_reader_who_trusts_on_first_use_is_not_crashed_either(good, roots):
    bundle, known = good
    for each in all_of(bundle):
        result = verify_bundle(each.archive, known=[known.note], tsa_roots=roots, first_use=True)
        assert result.code in REFUSED, each.name


def test_a_bomb_takes_no_memory(case):
    """What a header announces is added up before anything is unpacked."""
    zeros = member(b"x0", bytes(30_000_000))
    many = archive([zeros[:30] + b"%02d" % number + zeros[32:] for number in range(20)])
    tracemalloc.start()
    try:
        assert "more than the limits" in verify_bundle(many, case.trust).diagnostics()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_every_truncation_is_refused(good, case):
    """Cut at every byte, and at every byte with the rest of the end put behind it."""
    bundle, _ = good
    whole = bundle.archive
    for place in range(len(whole)):
        assert verify_bundle(whole[:place], case.trust).code in REFUSED
    for place in range(0, len(whole) - 22, 7):
        assert verify_bundle(whole[:place] + whole[-22:], case.trust).code in REFUSED


def test_every_truncation_of_every_member_is_refused_even_if_it_is_signed(good, case):
    bundle, known = good
    unread = {"README.txt", "report.html", "policy.txt", bundle.name("timestamps/"), STATEMENT}
    for name, data in bundle.files.items():
        for place in range(0, len(data), max(1, len(data) // 120)):
            if name not in unread:
                cut = bundle.signed({**bundle.files, name: data[:place]})
                assert verify_bundle(cut, case.trust, known=[known.note]).code in REFUSED, (name, place)


@settings(max_examples=150)
@given(data=st.data())
def test_whatever_an_insider_signs_never_crashes(good, case, data):
    """Bytes of a member replaced, removed and put in, everything signed again."""
    bundle, known = good
    name = data.draw(st.sampled_from(sorted(bundle.files)))
    changed = bytearray(bundle.files[name])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(changed)))
        stop = data.draw(st.integers(start, min(len(changed), start + 20)))
        changed[start:stop] = data.draw(
            st.binary(max_size=20) | st.sampled_from([b"\n", b"\0", b"9" * 20, b"\xff"])
        )
    files = {**bundle.files, name: bytes(changed)}
    archive = pack(files) if name == STATEMENT else bundle.signed(files)
    result = verify_bundle(archive, case.trust, known=[known.note])
    if bytes(changed) != bundle.files[name] and name not in {
        "README.txt",
        "report.html",
        "policy.txt",
        bundle.name("timestamps/"),
    }:
        assert result.code in REFUSED
    assert result.checks[-1].name


@settings(max_examples=150)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
), st.data())  # fmt: skip
def test_any_json_in_a_signed_statement_never_crashes(good, case, value, data):
    bundle, _ = good
    statement = bundle.statement()
    place: object = statement
    path = []
    while isinstance(place, (dict, list)) and place and (not path or data.draw(st.booleans())):
        key = data.draw(
            st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1)
        )
        path.append((place, key))
        place = place[key]
    holder, key = path[-1]
    before, holder[key] = holder[key], value
    try:
        payload = canonical_form(statement)
        result = verify_bundle(bundle.payload(payload), case.trust)
        assert result.code in (*REFUSED, Code.INCOMPLETE)
    finally:
        holder[key] = before


@given(st.binary(max_size=60))
def test_any_bytes_are_read_strictly_or_refused(data):
    with contextlib.suppress(StrictJsonError):
        assert isinstance(read_object(data), dict)
