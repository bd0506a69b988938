# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Requests taken apart and put together: nothing is lost, nothing is added, and what nobody knows survives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.collector.envelope import by_resource, halve, merge

UNKNOWN = b"\xfa\x3e\x03abc"  # field 1007, three bytes


def same(value):
    return value


def traces(shape, tenant=None):
    """Make a request: one list of numbers of spans per resource, one number per scope."""
    request, number = ExportTraceServiceRequest(), 0
    for index, scopes in enumerate(shape):
        part = request.resource_spans.add(schema_url=f"resource {index}")
        part.resource.attributes.add(key="n").value.int_value = index
        if tenant is not None:
            part.resource.attributes.add(key="tenant").value.string_value = tenant(index)
        for which, spans in enumerate(scopes):
            scope = part.scope_spans.add(schema_url=f"scope {which}")
            for _ in range(spans):
                scope.spans.add(name=f"span {number}")
                number += 1
    return request


def flat(request):
    """List every span with all that is around it."""
    return [
        (part.resource.SerializeToString(), part.schema_url, scope.schema_url, span.name)
        for part in request.resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    ]


shapes = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=3)


@given(shapes)
def test_halves_have_every_span_once_with_its_resource_and_scope(shape):
    request = traces(shape)
    halves = halve(request.SerializeToString())
    if len(flat(request)) == 1:
        assert halves is None
        return
    first, second = (flat(ExportTraceServiceRequest.FromString(half)) for half in halves)
    assert first
    assert second
    assert first + second == flat(request)


@given(shapes)
def test_halving_ends_with_one_span_each(shape):
    todo, single = [traces(shape).SerializeToString()], []
    while todo:
        body = todo.pop()
        halves = halve(body)
        if halves:
            todo += halves
        else:
            single.append(body)
    assert all(len(flat(ExportTraceServiceRequest.FromString(body))) == 1 for body in single)
    assert len(single) == sum(map(sum, shape))


def test_halves_are_of_about_the_same_size():
    body = traces([[64]]).SerializeToString()
    first, second = halve(body)
    assert abs(len(first) - len(second)) < 100


@pytest.mark.parametrize("kind", [ExportLogsServiceRequest, ExportMetricsServiceRequest])
def test_logs_and_metrics_nest_the_same_way(kind):
    request = kind()
    if kind is ExportLogsServiceRequest:
        records = request.resource_logs.add().scope_logs.add().log_records
        for number in range(3):
            records.add(event_name=str(number))
    else:
        records = request.resource_metrics.add().scope_metrics.add().metrics
        for number in range(3):
            records.add(name=str(number))
    first, second = halve(request.SerializeToString())
    whole = kind.FromString(merge([first, second]))
    parts = whole.resource_logs if kind is ExportLogsServiceRequest else whole.resource_metrics
    found = [
        record
        for part in parts
        for scope in (part.scope_logs if kind is ExportLogsServiceRequest else part.scope_metrics)
        for record in (scope.log_records if kind is ExportLogsServiceRequest else scope.metrics)
    ]
    assert found == list(records)


@given(shapes, shapes)
def test_merged_requests_are_one_behind_the_other(one, other):
    first, second = traces(one), traces(other)
    merged = ExportTraceServiceRequest.FromString(
        merge([first.SerializeToString(), second.SerializeToString()])
    )
    assert flat(merged) == flat(first) + flat(second)


def test_what_this_version_does_not_know_is_in_every_piece():
    part = traces([[2]]).resource_spans[0].SerializeToString() + UNKNOWN
    body = b"\x0a" + bytes([len(part)]) + part + UNKNOWN
    for half in halve(body):
        assert half.count(UNKNOWN) == 2


@given(shapes, st.lists(st.sampled_from("ab"), min_size=3, max_size=3))
def test_every_resource_goes_to_its_tenant_only(shape, tenants):
    request = traces(shape, tenant=lambda index: tenants[index])
    found = by_resource(request.SerializeToString(), "tenant", same)
    assert len({value for value, _ in found}) == len(found)
    for value, body in found:
        pieces = ExportTraceServiceRequest.FromString(body)
        assert {part.resource.attributes[1].value.string_value for part in pieces.resource_spans} == {value}
    assert sorted(item for _, body in found for item in flat(ExportTraceServiceRequest.FromString(body))) == (
        sorted(flat(request))
    )


def test_a_request_of_one_tenant_is_the_same_bytes():
    body = traces([[1], [2]], tenant=lambda _: "a").SerializeToString() + UNKNOWN
    [(value, unchanged)] = by_resource(body, "tenant", same)
    assert value == "a"
    assert unchanged is body


def test_two_values_of_one_key_are_no_tenant():
    """Also when a second resource message carries the other: protobuf makes one of both."""
    request = traces([[1]], tenant=lambda _: "a")
    request.resource_spans[0].resource.attributes.add(key="tenant").value.string_value = "b"
    assert [value for value, _ in by_resource(request.SerializeToString(), "tenant", same)] == [None]
    first, second = traces([[1]], tenant=lambda _: "a"), traces([[1]], tenant=lambda _: "b")
    part = first.resource_spans[0].SerializeToString()
    other = second.resource_spans[0].resource.SerializeToString()
    part += b"\x0a" + bytes([len(other)]) + other
    assert [value for value, _ in by_resource(b"\x0a" + bytes([len(part)]) + part, "tenant", same)] == [None]


def test_a_value_that_is_no_text_is_no_tenant():
    request = traces([[1]])
    assert [value for value, _ in by_resource(request.SerializeToString(), "n", same)] == [None]
