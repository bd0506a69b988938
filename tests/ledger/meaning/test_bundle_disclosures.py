# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Single commitments opened for a reader: exactly those that were asked for, each the one that was committed to."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace

import pytest

from runrecord.ledger.bundle import build_bundle
from runrecord.ledger.bundle_format import DISCLOSURES, PAYLOAD_TYPE, STATEMENT, digest
from runrecord.ledger.container import pack, unpack
from runrecord.ledger.disclosures import Disclosure, decode_disclosures, disclose, encode_disclosures
from runrecord.ledger.dsse import seal
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.strict_json import StrictJsonError
from runrecord.ledger.verify import Code, verify_bundle
from runrecord.semconv.canonical import canonical_json
from runrecord.semconv.commitment import TenantKey

RUN_KEY = TenantKey(b"k" * 32).run_key("run-0001")
ARGUMENTS, RESULT = "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"
VALUES = {"amount": 5, "note": "<b>caf\u00e9</b>", "items": [1.5, None, True, 2**70]}


def label(entry, name):
    return f"attribute/{entry.span_id}/{name}"


def salt_of(entry, name):
    return label(entry, name), RUN_KEY.salt(label(entry, name))


@pytest.fixture(scope="module")
def told(tmp_path_factory, case, refund):
    """A ledger in which every tool call commits to its arguments and result; the arguments of all, by place."""
    run = refund("run-0001")
    for place, entry in enumerate(run.entries):
        if entry.kind == "tool_result":
            commitments = {
                name: RUN_KEY.commit(label(entry, name), value)
                for name, value in ((ARGUMENTS, VALUES), (RESULT, "secret result"))
            }
            run.entries[place] = replace(entry, commitments=commitments)
    directory = tmp_path_factory.mktemp("told")
    with Ledger(directory, signer=case.log_key, checkpoint_interval=None) as ledger:
        ledger.append_entries(run.entries)
        yield ledger
    assert len({(r.index, r.entry.kind) for r in run.view().records}) == len(run.entries)


def values_of(view):
    return {
        (record.index, name): VALUES if name == ARGUMENTS else "secret result"
        for record in view.records
        for name in record.entry.commitments
    }


def bundle(ledger, case, *wanted, values=values_of):
    return build_bundle(
        ledger,
        "run-0001",
        signer=case.bundle_key,
        disclose=lambda view: disclose(view.records, wanted, values(view), salt_of),
    )


def test_what_was_asked_for_is_opened_and_marked_and_nothing_else(told, case):
    archive = bundle(told, case, ARGUMENTS)
    result = verify_bundle(archive, case.trust)
    assert result.code is Code.COMPLETE, result.diagnostics()
    assert [d.name for d in result.disclosed] == [ARGUMENTS] * 2
    assert all(d.value == VALUES for d in result.disclosed)
    assert "2 disclosed values are those that the entries commit to" in [c.text for c in result.checks]
    files = unpack(archive)
    assert files["report.html"].count(b"DISCLOSED") > 2
    assert b"&lt;b&gt;" in files["report.html"]
    assert not [name for name, data in files.items() if b"secret result" in data]
    salt = RUN_KEY.salt(label(told.run("run-0001").calls[0].entry, RESULT)).hex().encode()
    assert not [name for name, data in files.items() if salt in data]


def test_one_entry_can_be_named(told, case):
    first = told.run("run-0001").calls[0].record.index
    result = verify_bundle(bundle(told, case, f"{first}:{RESULT}"), case.trust)
    assert [(d.index, d.name, d.value) for d in result.disclosed] == [(first, RESULT, "secret result")]
    assert "1 disclosed value is the one that" in " ".join(check.text for check in result.checks)


def test_without_disclosures_there_is_no_file_and_no_step(told, case):
    archive = build_bundle(told, "run-0001", signer=case.bundle_key)
    assert DISCLOSURES not in unpack(archive)
    assert "disclosures" not in [check.name for check in verify_bundle(archive, case.trust).checks]


@pytest.mark.parametrize(
    ("wanted", "values", "words"),
    [
        ("gen_ai.input.messages", values_of, "no entry of the run commits to"),
        ("99:" + ARGUMENTS, values_of, "no entry of the run commits to"),
        (ARGUMENTS, lambda _: {}, "is not known"),
        (ARGUMENTS, lambda view: dict.fromkeys(values_of(view), "something else"), "is not the one that"),
    ],
)
def test_what_can_not_be_opened_is_refused_by_the_maker(told, case, wanted, values, words):
    with pytest.raises(LedgerError, match=words) as error:
        bundle(told, case, wanted, values=values)
    assert "something else" not in error.value.diagnostics()


def resealed(archive, case, disclosures):
    files = {**unpack(archive), DISCLOSURES: disclosures}
    statement = json.loads(b64decode(json.loads(files.pop(STATEMENT))["payload"]))
    statement["predicate"]["materials"] = {name: digest(data) for name, data in files.items()}
    return pack({STATEMENT: seal(PAYLOAD_TYPE, canonical_json(statement), case.bundle_key), **files})


def test_an_insider_can_not_open_a_commitment_to_another_value(told, case):
    archive = bundle(told, case, ARGUMENTS)
    good = decode_disclosures(unpack(archive)[DISCLOSURES])
    one, two = good
    for forged, words in (
        ([replace(one, value={**VALUES, "amount": 6})], "not the one that entry"),
        ([replace(one, salt=bytes(32))], "not the one that entry"),
        ([replace(one, name=RESULT)], "not the one that entry"),
        ([replace(one, index=two.index, salt=one.salt)], "not the one that entry"),
        ([replace(one, index=10_000)], "which is not here"),
        ([replace(one, name="")], "not the one that entry"),
    ):
        result = verify_bundle(resealed(archive, case, encode_disclosures(forged)), case.trust)
        assert (result.code, result.checks[-1].name) == (Code.FAILED, "disclosures")
        assert words in result.diagnostics()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"disclosures":[]}',
        b'{"disclosures":{}}',
        b'{"disclosures":[1]}',
        b'{"disclosures":[{}]}',
        b'{"disclosures": []}',
        b'{"disclosures":[],"more":1}',
        b'{"disclosures":[{"index":"1","label":"l","name":"n","salt":"zz","value":1}]}',
        b'{"disclosures":[{"index":1,"label":"l","name":"n","salt":"%b","value":1}]}' % (b"00" * 32),
        b'{"disclosures":[{"index":"01","label":"l","name":"n","salt":"%b","value":1}]}' % (b"00" * 32),
        b'{"disclosures":[%b]}' % b",".join([b'{"index":"1","label":"l","name":"n","salt":"%b","value":1}' % (b"00" * 32)] * 2),
        b'{"disclosures":[{"index":"1","label":"l","name":"n","salt":"%b","value":%b}]}' % (b"00" * 32, b"[" * 100 + b"]" * 100),
        b'{"disclosures":[{"index":"1","label":"l","name":"n","salt":"%b","value":%b}]}' % (b"00" * 32, b"[" * 100_000 + b"]" * 100_000),
        b'{"disclosures":[{"index":"1","label":"l","name":"n","salt":"%b","value":1e999}]}' % (b"00" * 32),
        b'{"disclosures":[{"index":"1","label":"l","name":"n","salt":"%b","value":NaN}]}' % (b"00" * 32),
        b'{"disclosures":[{"index":"1","label":"l","name":"n","salt":"%b","value":%b}]}' % (b"00" * 32, b"9" * 5000),
        b'{"disclosures":[{"index":"1","label":"l","name":"n","salt":"%b","value":"\\ud800"}]}' % (b"00" * 32),
    ],
)  # fmt: skip
def test_a_file_of_another_form_never_crashes_and_never_passes(told, case, data):
    archive = build_bundle(told, "run-0001", signer=case.bundle_key)
    result = verify_bundle(resealed(archive, case, data), case.trust)
    assert (result.code, result.checks[-1].name) == (Code.FAILED, "disclosures")


def test_the_file_has_one_form():
    two = [Disclosure(2, "b", "l", bytes(32), 1), Disclosure(2, "a", "l", bytes(32), [])]
    data = encode_disclosures(two)
    assert [d.name for d in decode_disclosures(data)] == ["a", "b"]
    with pytest.raises(StrictJsonError):
        decode_disclosures(data.replace(b'"a"', b'"c"'))
