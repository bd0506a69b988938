# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A rule holds where its conditions do: tool, agent, tenant, environment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runrecord.processors import Signal
from runrecord.processors.redaction import RedactionPolicy, Redactor

KEY = bytes(range(32))
RESOURCE = {"deployment.environment.name": "production", "runrecord.tenant.id": "tenant-7"}
SPAN = {"gen_ai.tool.name": "create_refund", "gen_ai.agent.name": "billing", "secret.note": "x"}


def request(
    otlp: SimpleNamespace, resource: dict[str, str], span: dict[str, str], *, late: bool = False
) -> bytes:
    """A span in a resource, which may come behind it on the wire."""
    made = otlp.REQUESTS[Signal.TRACES]()
    spans = made.resource_spans.add()
    record = spans.scope_spans.add().spans.add(name="call")
    for key, value in span.items():
        record.attributes.add(key=key).value.string_value = value
    record.events.add(name="e").attributes.add(key="secret.note").value.string_value = "x"
    for key, value in resource.items():
        spans.resource.attributes.add(key=key).value.string_value = value
    if not late:
        return bytes(made.SerializeToString())
    behind = otlp.REQUESTS[Signal.TRACES]()
    behind.resource_spans.add().resource.CopyFrom(spans.resource)
    spans.ClearField("resource")
    first, second = (part.resource_spans[0].SerializeToString() for part in (made, behind))
    size = len(first) + len(second)
    head = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return b"\x0a" + head + first + second


def notes(otlp: SimpleNamespace, body: bytes) -> list[str]:
    span = otlp.span_of(body)
    found = [attribute for each in (span, *span.events) for attribute in each.attributes]
    return [attribute.value.string_value for attribute in found if attribute.key == "secret.note"]


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"tool": "create_refund"}, True),
        ({"tool": "create_*"}, True),
        ({"tool": ["search", "create_refund"]}, True),
        ({"tool": "Create_refund"}, False),
        ({"tool": "search"}, False),
        ({"agent": "billing"}, True),
        ({"agent": "sales"}, False),
        ({"tenant": "tenant-7"}, True),
        ({"tenant": "tenant-8"}, False),
        ({"environment": "production"}, True),
        ({"environment": ["dev*", "test"]}, False),
        ({"tool": "create_refund", "agent": "billing", "tenant": "*", "environment": "prod*"}, True),
        ({"tool": "create_refund", "environment": "test"}, False),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_rule_holds_where_its_conditions_do(
    otlp: SimpleNamespace, conditions: dict[str, Any], *, holds: bool, late: bool
) -> None:
    body = request(otlp, RESOURCE, SPAN, late=late)
    for data in (
        {"keys": [{"match": "secret.note", "action": "token", **conditions}]},
        {"content": {"secret.note": {"action": "token", **conditions}}},
    ):
        redacted = Redactor(RedactionPolicy.parse(data)).redact(Signal.TRACES, body).body
        assert notes(otlp, redacted) == ["[REDACTED]" if holds else "x"] * 2


def test_a_fact_that_is_not_known_fits_nothing(otlp: SimpleNamespace) -> None:
    body = request(otlp, {}, {"secret.note": "x"})
    for fact in ("tool", "agent", "tenant", "environment"):
        policy = RedactionPolicy.parse({"keys": [{"match": "secret.note", "action": "token", fact: "*"}]})
        assert Redactor(policy).redact(Signal.TRACES, body).body is body


def test_the_first_action_that_holds_counts(otlp: SimpleNamespace) -> None:
    data = {
        "content": {"secret.note": [{"action": "keep", "environment": "development"}, {"action": "drop"}]}
    }
    redactor = Redactor(RedactionPolicy.parse(data))
    for environment, expected in (("development", ["x", "x"]), ("production", [])):
        body = request(otlp, {"deployment.environment.name": environment}, SPAN)
        assert notes(otlp, redactor.redact(Signal.TRACES, body).body) == expected
    assert notes(otlp, redactor.redact(Signal.TRACES, request(otlp, {}, SPAN)).body) == []


def test_a_record_says_more_than_its_resource_and_the_transport_more_than_both(otlp: SimpleNamespace) -> None:
    policy = RedactionPolicy.parse(
        {"keys": [{"match": "secret.note", "action": "token", "tenant": "tenant-8"}]}
    )
    redactor = Redactor(policy)
    body = request(otlp, RESOURCE, {**SPAN, "runrecord.tenant.id": "tenant-8"})
    assert notes(otlp, redactor.redact(Signal.TRACES, body).body) == ["[REDACTED]"] * 2
    assert redactor.redact(Signal.TRACES, body, tenant="tenant-7").body is body
    other = request(otlp, RESOURCE, SPAN)
    assert redactor.redact(Signal.TRACES, other).body is other
    assert notes(otlp, redactor.redact(Signal.TRACES, other, tenant="tenant-8").body) == ["[REDACTED]"] * 2


def test_a_data_point_and_a_resource_have_facts_too(otlp: SimpleNamespace) -> None:
    made = otlp.REQUESTS[Signal.METRICS]()
    metrics = made.resource_metrics.add()
    for key, value in (*RESOURCE.items(), ("secret.note", "r")):
        metrics.resource.attributes.add(key=key).value.string_value = value
    points = metrics.scope_metrics.add().metrics.add(name="m").histogram.data_points
    for tool in ("create_refund", "search"):
        point = points.add()
        point.attributes.add(key="gen_ai.tool.name").value.string_value = tool
        point.exemplars.add().filtered_attributes.add(key="secret.note").value.string_value = tool
    data = {
        "keys": [
            {"match": "secret.note", "action": "token", "tool": "create_refund"},
            {"match": "secret.*", "action": "token", "environment": "production", "tenant": "tenant-7", "agent": "*"},
            {"match": "secret.*", "action": "mask", "environment": "production", "tool": "search"},
        ]
    }  # fmt: skip
    redaction = Redactor(RedactionPolicy.parse(data)).redact(Signal.METRICS, made.SerializeToString())
    resource = otlp.parsed(Signal.METRICS, redaction.body).resource_metrics[0]
    assert resource.resource.attributes[-1].value.string_value == "r"
    exemplars = [p.exemplars[0] for p in resource.scope_metrics[0].metrics[0].histogram.data_points]
    assert [e.filtered_attributes[0].value.string_value for e in exemplars] == ["[REDACTED]", "******"]


POLICY = RedactionPolicy.parse(
    {
        "rules": {"email": "pseudonym", "us-ssn": "hash"},
        "keys": [
            {"match": "*.password", "action": "pseudonym", "inside_json": True, "tenant": "a*"},
            {"match": "session", "action": "hash", "environment": ["production", "staging"]},
            {"match": "token", "action": "drop_span", "agent": "billing", "tool": "refund"},
        ],
        "content": {"gen_ai.input.messages": [{"action": "keep", "environment": "test"}, {"action": "drop"}]},
        "limits": {"attribute_bytes": 300},
    }
)
FACTS = {
    "deployment.environment.name": ["production", "test"],
    "runrecord.tenant.id": ["a1", "b1"],
    "gen_ai.agent.name": ["billing", "sales"],
    "gen_ai.tool.name": ["refund", "search"],
}


def _places(message: Any) -> list[Any]:
    """All attribute lists that say something about their place."""
    found = []
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE or field.message_type.name in {"KeyValue", "AnyValue"}:
            continue
        for each in value if field.is_repeated else [value]:
            if any(name == "attributes" for name in each.DESCRIPTOR.fields_by_name):
                found.append(each.attributes)
            found += _places(each)
    return found


@pytest.fixture(scope="module")
def both(otlp: SimpleNamespace) -> tuple[Any, Redactor]:
    return otlp.Reference(POLICY, KEY), Redactor(POLICY, KEY)


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_engine_equals_the_reference(
    otlp: SimpleNamespace, both: tuple[Any, Redactor], signal: Signal, data: st.DataObject
) -> None:
    made = otlp.parsed(signal, data.draw(otlp.requests(signal)))
    for attributes in _places(made):
        for name in data.draw(st.lists(st.sampled_from(sorted(FACTS)), max_size=3)):
            attributes.add(key=name).value.string_value = data.draw(st.sampled_from(FACTS[name]))
    body = made.SerializeToString()
    reference, redactor = both
    expected, counts = reference.redact(signal, body)
    redaction = redactor.redact(signal, body)
    assert otlp.parsed(signal, redaction.body) == expected
    assert redaction.counts == counts
