# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP/JSON is read by the rules of OTLP, not those of protobuf's own JSON."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.collector.receiver.otlp_json import json_to_protobuf
from runrecord.collector.receiver.status import Refusal
from runrecord.processors.signal import Signal


def span_of(**fields):
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}
    request = ExportTraceServiceRequest.FromString(json_to_protobuf(Signal.TRACES, json.dumps(body).encode()))
    return request.resource_spans[0].scope_spans[0].spans[0]


def value_of(value):
    [item] = span_of(attributes=[{"key": "k", "value": value}]).attributes
    return item.value


def test_ids_are_hex_in_either_case():
    span = span_of(
        traceId="5B8EFFF798038103d269b633813fc60c", spanId="eee19b7ec3c1b174", parentSpanId="EEE19B7EC3C1B173"
    )
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (span.span_id.hex(), span.parent_span_id.hex()) == ("eee19b7ec3c1b174", "eee19b7ec3c1b173")


@pytest.mark.parametrize("number", [1700000000000000001, "1700000000000000001", 1.5e18])
def test_64_bit_integers_are_text_or_numbers(number):
    assert span_of(startTimeUnixNano=number).start_time_unix_nano == int(number)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"stringValue": "s"}, "s"),
        ({"boolValue": True}, True),
        ({"intValue": "-9223372036854775808"}, -(1 << 63)),
        ({"intValue": 7}, 7),
        ({"doubleValue": 1}, 1.0),
        ({"doubleValue": "-Infinity"}, float("-inf")),
        ({"bytesValue": "aGk="}, b"hi"),
        ({"bytesValue": "-_-_"}, b"\xfb\xff\xbf"),
    ],
)
def test_values_keep_their_types(given_, expected):
    value = value_of(given_)
    assert getattr(value, value.WhichOneof("value")) == expected


def test_nested_values():
    value = value_of(
        {
            "kvlistValue": {
                "values": [{"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}]}}}]
            }
        }
    )
    [item] = value.kvlist_value.values
    assert item.value.array_value.values[0].int_value == 1
    assert item.value.array_value.values[1].WhichOneof("value") is None


def test_what_is_unknown_is_ignored_and_null_is_absent():
    span = span_of(name="x", future={"a": 1}, start_time_unix_nano="1", status=None, kind=None)
    assert (span.name, span.start_time_unix_nano) == ("x", 0)
    assert value_of({"futureValue": 1}).WhichOneof("value") is None


def test_an_empty_object_is_present():
    assert span_of(status={}).HasField("status")


def test_lone_surrogates_become_replacement_characters():
    assert span_of(name="a\ud800b").name == "a\ufffdb"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"traceId": "xyz"}, "traceId must be hex"),
        ({"traceId": "abc"}, "traceId must be hex"),
        ({"traceId": 5}, "traceId must be a string"),
        ({"name": 5}, "name must be a string"),
        ({"kind": "SPAN_KIND_SERVER"}, "kind must be an integer in its range"),
        ({"kind": 1 << 31}, "kind must be an integer in its range"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano must be an integer in its range"),
        ({"startTimeUnixNano": "9" * 5000}, "startTimeUnixNano must be an integer in its range"),
        ({"startTimeUnixNano": True}, "startTimeUnixNano must be an integer in its range"),
        ({"startTimeUnixNano": "1e3"}, "startTimeUnixNano must be an integer in its range"),
        ({"attributes": {}}, "attributes must be an array"),
        ({"attributes": [1]}, "attributes[0] must be an object"),
        (
            {"attributes": [{"value": {"boolValue": "true"}}]},
            "attributes[0].value.boolValue must be true or false",
        ),
        ({"attributes": [{"value": {"bytesValue": "*"}}]}, "attributes[0].value.bytesValue must be base64"),
        (
            {"attributes": [{"value": {"doubleValue": "x"}}]},
            "attributes[0].value.doubleValue must be a number",
        ),
        ({"status": []}, "status must be an object"),
    ],
)
def test_a_wrong_value_is_refused_and_the_place_is_named(fields, message):
    with pytest.raises(Refusal) as caught:
        span_of(**fields)
    assert caught.value.message == "$.resourceSpans[0].scopeSpans[0].spans[0]." + message


def test_deep_nesting_is_refused_before_protobuf_would_choke_on_it():
    value = {"stringValue": "x"}
    for _ in range(200):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(Refusal, match=r"nested too deeply \(limit 100\)"):
        value_of(value)


def test_the_examples_of_the_specification():
    """Shapes of examples/*.json in the OTLP repository: metrics with all kinds of points, logs with an event name."""
    metrics = {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [
            {"name": "c", "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [{"asDouble": 5, "timeUnixNano": "1544712660300000000"}]}},
            {"name": "h", "histogram": {"dataPoints": [{"count": "2", "sum": 2, "bucketCounts": ["1", "1"], "explicitBounds": [1]}]}},
            {"name": "e", "exponentialHistogram": {"dataPoints": [{"scale": -1, "positive": {"offset": 1, "bucketCounts": ["0", 2]}}]}},
        ]}]}]
    }  # fmt: skip
    found = ExportMetricsServiceRequest.FromString(
        json_to_protobuf(Signal.METRICS, json.dumps(metrics).encode())
    )
    sums, histogram, exponential = found.resource_metrics[0].scope_metrics[0].metrics
    assert sums.sum.data_points[0].as_double == 5
    assert list(histogram.histogram.data_points[0].bucket_counts) == [1, 1]
    assert exponential.exponential_histogram.data_points[0].positive.offset == 1
    logs = {
        "resourceLogs": [
            {
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "severityNumber": 10,
                                "eventName": "e",
                                "traceId": "5b" * 16,
                                "body": {"stringValue": "b"},
                            }
                        ]
                    }
                ]
            }
        ]
    }
    [record] = (
        ExportLogsServiceRequest.FromString(json_to_protobuf(Signal.LOGS, json.dumps(logs).encode()))
        .resource_logs[0]
        .scope_logs[0]
        .log_records
    )
    assert (record.severity_number, record.event_name, record.trace_id) == (10, "e", bytes([0x5B]) * 16)


values = st.recursive(
    st.one_of(
        st.builds(lambda v: {"stringValue": v}, st.text(max_size=20)),
        st.builds(lambda v: {"boolValue": v}, st.booleans()),
        st.builds(lambda v: {"intValue": str(v)}, st.integers(-(1 << 63), (1 << 63) - 1)),
        st.builds(lambda v: {"doubleValue": v}, st.floats(allow_nan=False, allow_infinity=False)),
        st.builds(lambda v: {"bytesValue": base64.b64encode(v).decode()}, st.binary(max_size=20)),
    ),
    lambda inner: st.builds(lambda v: {"arrayValue": {"values": v}}, st.lists(inner, max_size=3)),
    max_leaves=8,
)


def as_json(value):
    """The other direction, written independently."""
    match value.WhichOneof("value"):
        case "string_value":
            return {"stringValue": value.string_value}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "double_value":
            return {"doubleValue": value.double_value}
        case "bytes_value":
            return {"bytesValue": base64.b64encode(value.bytes_value).decode()}
        case "array_value":
            return {"arrayValue": {"values": [as_json(item) for item in value.array_value.values]}}


@settings(max_examples=200, deadline=None)
@given(values)
def test_any_value_survives(value):
    assert as_json(value_of(value)) == value


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "resourceSpans",
                        "scopeSpans",
                        "spans",
                        "traceId",
                        "attributes",
                        "key",
                        "value",
                        "kind",
                        "status",
                    ]
                ),
                x,
            )
        ),
    )
)
def test_any_json_is_read_or_refused_and_nothing_else(value):
    try:
        body = json_to_protobuf(Signal.TRACES, json.dumps(value).encode())
    except Refusal:
        return
    ExportTraceServiceRequest.FromString(body)
