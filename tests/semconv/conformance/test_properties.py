# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent: no crash, no value in a message; and a valid span with one change gives what the change deserves."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runrecord.semconv.conformance import RULES, LogRecord, MetricRecord, SpanRecord, check, records_of
from runrecord.semconv.registry import load_registry

REGISTRY = load_registry()
KEYS = sorted(REGISTRY.attributes)
SECRET = "Zq9-secret-Zq9"
TEXT = st.text(st.characters(codec=None, categories=["L", "Cc", "Cs"]))  # with lone surrogates
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), TEXT, st.binary(), st.just(SECRET)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=5,
)
ATTRIBUTES = st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text()), VALUES, max_size=12)
NAMES = st.one_of(
    st.text(),
    st.sampled_from([signal.name for signal in REGISTRY.signals.values()]),
    st.sampled_from(
        [
            "execute_tool x",
            "invoke_agent",
            "policy_decision",
            "agent_step act",
            "approval_decision x",
            "verify x",
        ]
    ),
)
IDS = st.one_of(st.just(""), st.text(alphabet=string.hexdigits, max_size=40), st.just("a1" * 8))
TIMES = st.one_of(st.none(), st.integers())
SPANS = st.builds(
    SpanRecord,
    name=NAMES,
    kind=st.sampled_from(["", "internal", "client", "producer", "consumer", "other"]),
    attributes=ATTRIBUTES,
    trace_id=IDS,
    span_id=IDS,
    start=TIMES,
    end=TIMES,
    status=st.sampled_from(["unset", "ok", "error"]),
    described=st.booleans(),
    links=st.lists(st.tuples(IDS, IDS), max_size=2),
    events=st.lists(st.tuples(st.text(), st.lists(st.text(), max_size=2)), max_size=2),
    schema_url=st.one_of(st.none(), st.text()),
    repeated=st.lists(st.tuples(st.text(), st.booleans()), max_size=2),
)
LOGS = st.builds(
    LogRecord, name=NAMES, attributes=ATTRIBUTES, trace_id=IDS, span_id=IDS, has_body=st.booleans()
)
METRICS = st.builds(
    MetricRecord,
    name=st.one_of(st.text(), st.sampled_from([*REGISTRY.metrics, *REGISTRY.official_metrics])),
    unit=st.text(),
    instrument=st.sampled_from(["", "counter", "updowncounter", "gauge", "histogram"]),
    points=st.lists(ATTRIBUTES, max_size=2),
)


@given(st.lists(st.one_of(SPANS, LOGS, METRICS), max_size=6), st.booleans(), st.booleans())
def test_anything_can_be_judged(records: list[Any], payload_free: bool, partial: bool) -> None:
    for finding in check(records, payload_free=payload_free, partial=partial):
        assert finding.rule in RULES
        assert str(finding).isprintable()
        assert SECRET not in finding.message


def valid_spans(samples: Any) -> list[SpanRecord]:
    return [
        record
        for record in records_of(samples.recorded.recorded().traces)
        if isinstance(record, SpanRecord) and "runrecord.source.id" in record.attributes
    ]


@given(data=st.data())
def test_a_required_attribute_that_is_taken_away_is_missed(samples: Any, data: Any) -> None:
    span = data.draw(st.sampled_from(valid_spans(samples)))
    required = [
        use.attribute.key
        for use in _uses(span)
        if use.level == "required" and use.attribute.key not in {"runrecord.step.kind", "runrecord.run.id"}
    ]
    key = data.draw(st.sampled_from(required))
    span.attributes = {name: value for name, value in span.attributes.items() if name != key}
    found = [
        (item.rule.removeprefix("official-"), item.attribute)
        for item in check([span])
        if item.attribute == key
    ]
    assert ("missing-required", key) in found


@given(data=st.data())
def test_a_value_of_another_type_is_found(samples: Any, data: Any) -> None:
    span = data.draw(st.sampled_from(valid_spans(samples)))
    typed = {use.attribute.key: use.attribute.type for use in _uses(span) if use.attribute.type != "any"}
    key = data.draw(st.sampled_from(sorted(set(typed) & set(span.attributes))))
    others: list[Any] = ["text", 7, 7.5, True, ["text"], b"bytes", {"a": 1}]
    types = ["string", "int", "double", "boolean", "string[]", "", ""]
    value = data.draw(
        st.sampled_from([item for item, kind in zip(others, types, strict=True) if kind != typed[key]])
    )
    span.attributes = {**span.attributes, key: value}
    assert any(
        item.attribute == key and item.rule.removeprefix("official-") == "wrong-type"
        for item in check([span])
    )


@given(data=st.data())
def test_an_attribute_in_our_namespace_that_nobody_defined_is_found(samples: Any, data: Any) -> None:
    span = data.draw(st.sampled_from(valid_spans(samples)))
    key = "runrecord." + data.draw(st.text(alphabet=string.ascii_lowercase + "._", min_size=1))
    if key in REGISTRY.attributes:
        return
    span.attributes = {**span.attributes, key: "x"}
    assert [
        item.rule for item in check([span]) if item.attribute == key[:117] + "..." or item.attribute == key
    ] == ["unknown-attribute"]


@given(data=st.data())
def test_an_attribute_of_the_application_is_its_own_business(samples: Any, data: Any) -> None:
    span = data.draw(st.sampled_from(valid_spans(samples)))
    before = [item.rule for item in check([span])]
    key = "app." + data.draw(st.text())
    span.attributes = {**span.attributes, key: data.draw(VALUES)}
    assert [item.rule for item in check([span])] == before


def _uses(span: SpanRecord) -> Any:
    operation = span.name.split(" ")[0]
    return next(
        signal.uses
        for signal in REGISTRY.signals.values()
        if signal.form == "span" and signal.name.split(" ")[0] == operation
    )
