# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from importlib import util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.ledger.allowlist import CLEAR
from runrecord.ledger.entry import (
    MAX_LEAF,
    MAX_LINKS,
    SCHEMA,
    Entry,
    Kind,
    Link,
    MalformedEntry,
    Origin,
    UnknownSchema,
    conflict_leaf,
)
from runrecord.ledger.errors import EntryTooLarge, LedgerError
from runrecord.ledger.ledger import key_of
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.values import encode_members, unwrap, wrap
from runrecord.semconv import attributes as names
from runrecord.semconv.canonical import canonical_json

text = st.text(max_size=20)
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
hex_id = {n: st.text("0123456789abcdef", min_size=n, max_size=n) for n in (16, 32)}
u64 = st.integers(0, 2**64 - 1)
commitment = st.text("0123456789abcdef", min_size=64, max_size=64).map("hmac-sha256:{}".format)
scalar = (
    plain
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
value = scalar.map(wrap) | st.lists(plain, max_size=3).map(lambda v: {"arrayValue": {"values": v}})
links = st.lists(st.builds(Link, hex_id[32], hex_id[16]), max_size=3).map(tuple)
entries = st.builds(
    Entry,
    kind=st.sampled_from([v for k, v in vars(Kind).items() if k.isupper()])
    | st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True),
    run=plain,
    phase=plain.filter(bool),
    tenant=plain,
    source=plain,
    seq=st.none() | u64,
    trace_id=st.just("") | hex_id[32],
    span_id=st.just("") | hex_id[16],
    parent_span_id=st.just("") | hex_id[16],
    name=plain,
    start=u64,
    end=u64,
    status=st.sampled_from(["unset", "ok", "error"]),
    links=links,
    attributes=st.dictionaries(plain, value, max_size=4),
    commitments=st.dictionaries(plain, commitment, max_size=4),
    origin=st.builds(Origin, plain, plain, plain, plain, plain, plain),
    detail=st.dictionaries(plain, plain, max_size=3),
    truncated=st.dictionaries(plain, u64, max_size=2),
)


@given(entries)
def test_an_entry_reads_back_as_it_was(entry):
    leaf = entry.leaf()
    assert Entry.parse(leaf) == entry
    assert Entry.parse(leaf).leaf() == leaf
    assert Entry.parse(leaf).key() == entry.key()
    if entry.kind != Kind.CONFLICT:
        assert key_of(leaf) == entry.key()


@given(entries)
def test_a_leaf_is_canonical_json(entry):
    """The fast encoder and the reference encoder agree."""
    members = entry.to_json()
    assert entry.leaf() == encode_members(members) == canonical_json(members)


@pytest.fixture(scope="module")
def without_orjson():
    """The module of the encoder, as it is where there is no orjson."""
    spec = util.find_spec("runrecord.ledger.values")
    module = util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "orjson", None)
        spec.loader.exec_module(module)
    return module


@given(entry=entries)
def test_the_encoder_of_the_standard_library_writes_the_same(without_orjson, entry):
    assert without_orjson.encode_members(entry.to_json()) == entry.leaf()


@given(entries, st.data())
def test_a_changed_leaf_is_refused_or_another_entry(entry, data):
    leaf = bytearray(entry.leaf())
    place = data.draw(st.integers(0, len(leaf) - 1))
    leaf[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(LedgerError):
        other = Entry.parse(bytes(leaf))
        assert other != entry
        assert other.leaf() == bytes(leaf)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data):
    with pytest.raises(LedgerError):
        Entry.parse(data)


@given(entries)
def test_another_layout_of_the_same_json_is_refused(entry):
    loose = json.dumps(json.loads(entry.leaf()), indent=1).encode()
    with pytest.raises(MalformedEntry):
        Entry.parse(loose)


def test_lone_surrogates_become_the_replacement_character():
    entry = Entry(kind="step", name="a\ud800b", attributes={"x": "\udfff"})
    assert Entry.parse(entry.leaf()) == replace(entry, name="a\ufffdb", attributes={"x": "\ufffd"})


def leaf_with(**members):
    return canonical_json({**json.loads(Entry(kind="step", run="r").leaf()), **members})


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"kind": "Step"}, "kind"),
        ({"kind": 1}, "kind"),
        ({"phase": ""}, "phase"),
        ({"status": "fine"}, "status"),
        ({"start": 1}, "start"),
        ({"start": "01"}, "start"),
        ({"start": "-1"}, "start"),
        ({"end": "1" * 21}, "end"),
        ({"seq": "x"}, "seq"),
        ({"trace_id": "AB" * 16}, "id"),
        ({"span_id": "ab"}, "id"),
        ({"parent_span_id": "zz" * 8}, "id"),
        ({"links": {}}, "links"),
        ({"links": [{"trace_id": "ab" * 16}]}, "link"),
        ({"links": [{"trace_id": "ab" * 16, "span_id": "ab" * 8, "more": 1}]}, "link"),
        ({"links": [{"trace_id": "x", "span_id": "y"}]}, "link"),
        ({"attributes": {"a": 1}}, "attribute"),
        ({"attributes": []}, "attributes"),
        ({"commitments": {"a": "sha256:00"}}, "commitment"),
        ({"commitments": {"a": 1}}, "commitments"),
        ({"origin": {"host": "x"}}, "origin"),
        ({"detail": {"a": []}}, "detail"),
        ({"truncated": {"links": "many"}}, "links"),
        ({"content": "x"}, "member"),
        ({"run": ""}, "canonical"),
        ({"links": []}, "canonical"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused(members, reason):
    with pytest.raises(MalformedEntry, match=reason):
        Entry.parse(leaf_with(**members))


def test_broken_json_is_refused_and_never_quoted():
    for data in (
        b"",
        b"[]",
        b"{",
        b'"secret"',
        b"\xff",
        b'{"a":1,"a":1}',
        b"[" * 60_000,
        b'{"a":NaN}',
        b"x" * (MAX_LEAF + 1),
    ):
        with pytest.raises(MalformedEntry) as error:
            Entry.parse(data)
        assert "secret" not in str(error.value)


def test_an_entry_of_a_later_schema_is_not_called_malformed():
    with pytest.raises(UnknownSchema):
        Entry.parse(leaf_with(schema="runrecord.ledger.entry/v2"))


# --- keys ------------------------------------------------------------------------------------------------------------


def test_the_key_is_tenant_trace_span_kind_and_phase():
    entry = Entry(kind="step", run="r", tenant="t", trace_id="ab" * 16, span_id="cd" * 8, name="x")
    assert entry.key() == replace(entry, name="y", run="other", seq=9).key()
    changed = [
        replace(entry, tenant="u"),
        replace(entry, trace_id="ac" * 16),
        replace(entry, span_id="ce" * 8),
        replace(entry, kind="tool_result"),
        replace(entry, phase="start"),
    ]
    assert len({e.key() for e in [entry, *changed]}) == 6
    # A boundary between two parts can't move.
    assert replace(entry, kind="ab", phase="c").key() != replace(entry, kind="a", phase="bc").key()


def test_a_statement_of_the_ledger_is_keyed_by_its_content():
    gap = Entry(kind=Kind.GAP, run="r", detail={"reason": "queue full", "from": "3", "to": "9"})
    assert gap.key() == replace(gap).key()
    assert gap.key() != replace(gap, detail={"reason": "queue full", "from": "3", "to": "10"}).key()


def test_a_conflict_keeps_the_second_version_in_full():
    entry = Entry(
        kind="step", run="r", trace_id="ab" * 16, span_id="cd" * 8, name="second", attributes={"a": "b"}
    )
    conflict = Entry.parse(conflict_leaf(entry.key(), 7, entry.leaf()))
    assert conflict.detail == {"of": "7", "kind": "step", "leaf_hash": leaf_hash(entry.leaf()).hex()}
    assert replace(conflict, kind="step", detail={}) == entry


def test_a_conflict_that_says_too_little_has_no_key():
    with pytest.raises(LedgerError):
        key_of(Entry(kind=Kind.CONFLICT, detail={"of": "1"}).leaf())


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_an_entry_that_is_too_long_is_cut_by_rule():
    many = tuple(Link("ab" * 16, f"{i:016x}") for i in range(2000))
    commitments = {f"attribute.{i:04d}": "hmac-sha256:" + "00" * 32 for i in range(2000)}
    entry = Entry(kind="step", run="r", links=many, commitments=commitments)
    with pytest.raises(EntryTooLarge):
        entry.leaf()
    cut = entry.fitted()
    assert cut == entry.fitted() == cut.fitted()
    assert len(cut.leaf()) <= MAX_LEAF
    assert len(cut.links) == MAX_LINKS
    assert cut.truncated["links"] == 2000 - MAX_LINKS
    assert cut.truncated["commitments"] == 2000 - len(cut.commitments)
    assert list(cut.commitments) == sorted(commitments)[: len(cut.commitments)]
    assert Entry.parse(cut.leaf()) == cut


def test_an_entry_that_fits_is_not_touched():
    entry = Entry(kind="step", links=tuple(Link("ab" * 16, f"{i:016x}") for i in range(100)))
    assert entry.fitted() is entry


# --- values ------------------------------------------------------------------------------------------------------------


@given(scalar)
def test_a_scalar_unwraps_to_itself(given_value):
    assert unwrap(wrap(given_value)) == given_value


@pytest.mark.parametrize(
    "odd",
    [
        None,
        1,
        [],
        {},
        {"intValue": 1},
        {"intValue": "x"},
        {"boolValue": "true"},
        {"doubleValue": "NaN"},
        {"a": 1, "b": 2},
    ],
)
def test_what_is_no_scalar_unwraps_to_none(odd):
    assert unwrap(odd) is None


def test_accessors_return_their_type_or_nothing():
    entry = Entry(kind="step", attributes={"s": "x", "i": wrap(3), "b": wrap(True), "d": wrap(0.5)})
    assert (entry.text("s"), entry.text("i"), entry.text("none")) == ("x", "", "")
    assert (entry.integer("i"), entry.integer("b"), entry.integer("d")) == (3, None, None)
    assert (entry.number("i"), entry.number("d"), entry.number("b"), entry.number("s")) == (
        3,
        0.5,
        None,
        None,
    )
    assert (entry.flag("b"), entry.flag("i")) == (True, None)
    assert entry.get("i") == 3


def test_the_allow_list_names_registered_attributes_and_no_content():
    registered = {v for k, v in vars(names).items() if k.isupper() and isinstance(v, str)}
    assert {name for name in CLEAR if name.startswith("runrecord.")} <= registered
    content = {
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
    }
    content |= {"gen_ai.system_instructions", "gen_ai.conversation.id"}
    assert not CLEAR & content
    assert SCHEMA == "runrecord.ledger.entry/v1"
