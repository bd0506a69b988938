# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever emitters wrote, nothing that reads a run crashes: the log proves records, it does not make them sensible."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from runrecord.cli.tree import render_run, render_step
from runrecord.ledger import audit_run, render_report
from runrecord.ledger.allowlist import CLEAR
from runrecord.ledger.bundle_format import PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT, STATEMENT_TYPE
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.container import pack
from runrecord.ledger.dsse import seal
from runrecord.ledger.entry import Entry, Kind, Link
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.records import Record
from runrecord.ledger.runs import RunView
from runrecord.ledger.trust import Trust
from runrecord.ledger.values import wrap
from runrecord.ledger.verify import Code, verify_bundle
from runrecord.semconv.canonical import canonical_json

WORDS = [
    "",
    "c1",
    "c2",
    "approved",
    "denied",
    "modified",
    "expired",
    "pending",
    "allow",
    "deny",
    "require_approval",
    "pay",
]
WORDS += [
    "read",
    "tool_call",
    "monitor",
    "session",
    "agent",
    "completed",
    "steps",
    "cost",
    "hmac-sha256:" + "ab" * 32,
]
WORDS += [
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-01-01T00:00:00.5Z",
    "[bold]",
    "\x1b[1m",
]
numbers = st.sampled_from([0, 1, 2, 3, -1, 2**62, 2**63 - 1, -(2**63)])
values = (
    st.sampled_from(WORDS)
    | numbers.map(wrap)
    | st.booleans().map(wrap)
    | st.floats(allow_nan=False, allow_infinity=False).map(wrap)
    | st.sampled_from([{"doubleValue": "NaN"}, {"arrayValue": {"values": ["x", None]}}, {}])
)
kinds = st.sampled_from([v for k, v in vars(Kind).items() if k.isupper()] + ["later"])
times = st.sampled_from([0, 1, 10**18, 2 * 10**18, 2**64 - 1])
spans = st.sampled_from(["", "01" * 8, "02" * 8])
entries = st.builds(
    Entry,
    kind=kinds,
    run=st.just("r"),
    source=st.sampled_from(["", "a", "b"]),
    seq=st.none() | st.integers(0, 4) | st.just(2**64 - 1),
    trace_id=st.sampled_from(["", "ab" * 16]),
    span_id=spans,
    parent_span_id=spans,
    name=st.sampled_from(WORDS),
    start=times,
    end=times,
    status=st.sampled_from(["unset", "ok", "error"]),
    links=st.lists(st.just(Link("ab" * 16, "01" * 8)), max_size=1).map(tuple),
    attributes=st.dictionaries(st.sampled_from(sorted(CLEAR)), values, max_size=12),
    detail=st.dictionaries(
        st.sampled_from(["of", "kind", "reason", "after", "last", "records", "quiet_seconds"]),
        st.sampled_from([*WORDS, "7", "9" * 20]),
        max_size=3,
    ),
)


def view_of(found):
    return RunView("r", [Record(index, Entry.parse(entry.leaf())) for index, entry in enumerate(found)])


# Each example draws up to eight entries and renders them: few enough that a loaded machine does it within the time limit of a test.
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(entries, max_size=8))
def test_no_records_crash_a_reader(found):
    view = view_of(found)
    shown = {
        record.index
        for segment in view.segments
        for step in segment.steps
        for record in (*step.spans, *step.records)
    }
    about_the_run = {record.index for record in (*view.closes, *view.opens, *view.statements)}
    assert shown | about_the_run == set(range(len(found)))  # no record disappears
    assert view.completeness.verdict
    for finding in audit_run(view):
        assert set(finding.indices) <= set(range(len(found)))


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(entries, max_size=8))
def test_no_records_crash_what_shows_them(found):
    view = view_of(found)
    console = Console(width=100, record=True, quiet=True)
    console.print(render_run(view))
    for step in view.steps:
        if step.index is not None:
            console.print(render_step(view, step))
    assert "\x1b[1m" not in console.export_text(styles=False)
    render_report(view, audit_run(view), Checkpoint("x", 8, bytes(32)))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([*WORDS, "0", "1", "00" * 32, "run:r", "r"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "run",
                    "name",
                    "digest",
                    "sha256",
                    "logs",
                    "origin",
                    "size",
                    "root",
                    "indices",
                    "materials",
                    "verdict",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KEY = NoteSigner("b", b"b" * 32)
TRUST = Trust((NoteSigner("l", b"l" * 32).verifier,), (KEY.verifier,))


@given(json_values, json_values, json_values)
def test_no_signed_statement_crashes_the_verifier(subject, logs, rest):
    predicate = {"run": "r", "logs": logs, "materials": {}, "completeness": {}}
    predicate.update(rest if isinstance(rest, dict) else {})
    statement = {
        "_type": STATEMENT_TYPE,
        "predicateType": PREDICATE_TYPE,
        "subject": subject,
        "predicate": predicate,
    }
    archive = pack({STATEMENT: seal(PAYLOAD_TYPE, canonical_json(statement), KEY)})
    assert verify_bundle(archive, TRUST).code is Code.FAILED


@given(
    st.binary(max_size=60),
    st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures"]), json_values),
)
def test_no_envelope_crashes_the_verifier(payload, members):
    sealed = seal(PAYLOAD_TYPE, payload, KEY)
    for data in (sealed, payload, canonical_json({"payload": b64encode(payload).decode(), **members})):
        assert verify_bundle(pack({STATEMENT: data}), TRUST).code in (Code.FAILED, Code.UNVERIFIABLE)
