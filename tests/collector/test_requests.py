# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Checking a request: any bytes are read or refused, and what is kept is kept to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.collector.receiver.requests import check, response, response_json
from runrecord.collector.receiver.status import Code, Refusal, too_large, unavailable
from runrecord.processors.signal import Signal

IDS = st.sampled_from([b"", b"x", bytes(8), bytes(16), b"\1" * 8, b"\1" * 16, b"\1" * 17])


@given(st.sampled_from(list(Signal)), st.binary(max_size=200))
def test_any_bytes_are_checked_or_refused(signal, body):
    try:
        checked = check(signal, body)
    except Refusal as error:
        refusal = error
    else:
        assert checked.rejected or checked.body is body
        return
    assert (refusal.code, refusal.retry_after) == (Code.INVALID_ARGUMENT, None)


@given(st.lists(st.lists(st.tuples(IDS, IDS), max_size=4), max_size=3))
def test_exactly_the_spans_without_ids_are_taken_out(groups):
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add(schema_url="kept")
    for group in groups:
        scope = part.scope_spans.add(schema_url="kept too")
        for trace_id, span_id in group:
            scope.spans.add(trace_id=trace_id, span_id=span_id)
    body = request.SerializeToString()
    good = [ids for group in groups for ids in group if ids == (b"\1" * 16, b"\1" * 8)]
    total = sum(map(len, groups))
    checked = check(Signal.TRACES, body)
    assert (checked.accepted, checked.rejected) == (len(good), total - len(good))
    assert (checked.body is body) == (len(good) == total)
    left = ExportTraceServiceRequest.FromString(checked.body).resource_spans[0]
    assert [(s.trace_id, s.span_id) for scope in left.scope_spans for s in scope.spans] == good
    assert [left.schema_url, *(scope.schema_url for scope in left.scope_spans)] == ["kept"] + [
        "kept too"
    ] * len(groups)
    assert (
        response(Signal.TRACES, checked).HasField("partial_success")
        == bool(checked.rejected)
        == bool(response_json(Signal.TRACES, checked))
    )


def test_unknown_fields_survive_beside_a_rejected_span():
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.spans.add()
    scope.spans.add(trace_id=b"\1" * 16, span_id=b"\1" * 8).MergeFromString(b"\xf2\x3f\x04next")
    checked = check(Signal.TRACES, request.SerializeToString())
    assert checked.rejected == 1
    assert b"\xf2\x3f\x04next" in checked.body


@pytest.mark.parametrize(
    ("refusal", "status", "header", "details"),
    [
        (unavailable("later", 0.2), 503, "1", 1),
        (unavailable("later", 2.5), 503, "3", 1),
        (too_large(5), 413, None, 0),
    ],
)
def test_a_refusal_is_retryable_only_where_it_says_so(refusal, status, header, details):
    assert (refusal.http_status, refusal.retry_after_header, len(refusal.status().details)) == (
        status,
        header,
        details,
    )
    assert len(refusal.status_json().get("details", [])) == details
