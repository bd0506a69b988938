# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Requests: of each signal, in both encodings, valid and not."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
RESPONSES: dict[str, Any] = {
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}
REJECTED = {"traces": "rejected_spans", "logs": "rejected_log_records", "metrics": "rejected_data_points"}
SIGNALS = tuple(METHODS)
ENCODINGS = ("protobuf", "json")
BY_SIGNAL = [{"signal": signal} for signal in SIGNALS]
BY_ENCODING = [{"encoding": encoding} for encoding in ENCODINGS]
BY_BOTH = [{"signal": signal, "encoding": encoding} for signal in SIGNALS for encoding in ENCODINGS]

BAD = {"protobuf": b"\xff\xff\xff\xff", "json": b'{"resourceSpans": ['}
NANOSECONDS = 1_700_000_000_000_000_000
# A field that no version of OTLP has: number 6000, of the length-delimited wire type.
UNKNOWN_FIELD = b"\x82\xf7\x02\x03new"


def span(**changes: Any) -> dict[str, Any]:
    """Return a span in OTLP/JSON."""
    found = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "conformance",
        "kind": 2,
        "startTimeUnixNano": str(NANOSECONDS),
        "endTimeUnixNano": str(NANOSECONDS + 1),
    }
    return {**found, **changes}


def traces_json(*spans: dict[str, Any]) -> dict[str, Any]:
    """Wrap spans into a request."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "conformance"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans or (span(),))}]}]}


def logs_json() -> dict[str, Any]:
    """Return a request with a log record."""
    record = {"timeUnixNano": str(NANOSECONDS), "severityNumber": 9, "body": {"stringValue": "conformance"}}
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


def metrics_json() -> dict[str, Any]:
    """Return a request with one metric of each kind."""
    point = {"timeUnixNano": str(NANOSECONDS), "asInt": "7"}
    counted = {"timeUnixNano": str(NANOSECONDS), "count": "2", "sum": 3.5}
    metrics = [
        {"name": "gauge", "gauge": {"dataPoints": [point]}},
        {"name": "sum", "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True}},
        {
            "name": "histogram",
            "histogram": {
                "dataPoints": [{**counted, "bucketCounts": ["1", "1"], "explicitBounds": [2.0]}],
                "aggregationTemporality": 2,
            },
        },
        {
            "name": "exponential",
            "exponentialHistogram": {
                "dataPoints": [
                    {**counted, "scale": 1, "zeroCount": "0", "positive": {"bucketCounts": ["2"]}}
                ],
                "aggregationTemporality": 2,
            },
        },
        {
            "name": "summary",
            "summary": {"dataPoints": [{**counted, "quantileValues": [{"quantile": 0.5, "value": 1.5}]}]},
        },
    ]
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}


def message(signal: str) -> Any:
    """Return a valid request with one record."""
    request = REQUESTS[signal]()
    if signal == "traces":
        add_span(request)
    elif signal == "logs":
        record = request.resource_logs.add().scope_logs.add().log_records.add()
        record.time_unix_nano = NANOSECONDS
        record.body.string_value = "conformance"
    else:
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="gauge")
        metric.gauge.data_points.add(time_unix_nano=NANOSECONDS, as_int=7)
    return request


def add_span(request: Any, *, is_valid: bool = True) -> None:
    """Add a span, or one without a trace id, which trace.proto calls invalid."""
    if not request.resource_spans:
        request.resource_spans.add().scope_spans.add()
    added = request.resource_spans[0].scope_spans[0].spans.add(name="conformance")
    added.span_id = bytes(range(1, 9))
    added.start_time_unix_nano, added.end_time_unix_nano = NANOSECONDS, NANOSECONDS + 1
    if is_valid:
        added.trace_id = bytes(range(1, 17))


def valid(signal: str, encoding: str = "protobuf") -> bytes:
    """Return a valid request as bytes."""
    if encoding == "protobuf":
        return bytes(message(signal).SerializeToString())
    return json.dumps({"traces": traces_json, "logs": logs_json, "metrics": metrics_json}[signal]()).encode()


def empty(encoding: str = "protobuf") -> bytes:
    """Return a request without anything in it."""
    return b"" if encoding == "protobuf" else b"{}"


def envelope(signal: str, encoding: str = "protobuf") -> bytes:
    """Return a request with a resource in it, and no record."""
    if encoding == "json":
        word = {"traces": "Spans", "logs": "Logs", "metrics": "Metrics"}[signal]
        return json.dumps({f"resource{word}": [{"resource": {}, f"scope{word}": []}]}).encode()
    request = REQUESTS[signal]()
    field = {"traces": "resource_spans", "logs": "resource_logs", "metrics": "resource_metrics"}[signal]
    getattr(request, field).add().resource.attributes.add(key="a").value.string_value = "b"
    return bytes(request.SerializeToString())


def of_size(size: int, encoding: str = "protobuf") -> bytes:
    """Return a valid request with one span that has nearly or exactly as many bytes."""
    if encoding == "json":
        short = json.dumps(traces_json(span(name=""))).encode()
        return json.dumps(traces_json(span(name="x" * (size - len(short))))).encode()
    request = message("traces")
    target = request.resource_spans[0].scope_spans[0].spans[0]
    target.name = "x" * (size - request.ByteSize() - 32)
    return bytes(request.SerializeToString())


def half_valid() -> tuple[bytes, dict[str, Any]]:
    """Return a request with a valid and an invalid span, in protobuf and as a mapping."""
    request = message("traces")
    add_span(request, is_valid=False)
    return request.SerializeToString(), traces_json(span(), span(traceId=""))
