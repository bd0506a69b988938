# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Export requests of the three signals: parsed, counted, and freed of records that are invalid one by one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message
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

from runrecord.collector.receiver.status import Code, Refusal, too_deep
from runrecord.processors.signal import Signal

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
_TOO_DEEP = re.compile(r"(?i)depth|nest|recurs")  # what its implementations say; their errors have no codes


@dataclass(frozen=True)
class Service:
    """One export service of OTLP.

    Attributes:
        request: Class of its request.
        response: Class of its response.
        method: Full name of its gRPC method.
        path: Path of its HTTP endpoint.
        items: What its records are called in the collector's metrics.
        rejected: Field of the partial success that counts rejected records.
    """

    request: type[Message]
    response: type[Message]
    method: str
    path: str
    items: str
    rejected: str


SERVICES = {
    Signal.TRACES: Service(
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "/v1/traces",
        "spans",
        "rejected_spans",
    ),
    Signal.LOGS: Service(
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        "/v1/logs",
        "log_records",
        "rejected_log_records",
    ),
    Signal.METRICS: Service(
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        "/v1/metrics",
        "metric_points",
        "rejected_data_points",
    ),
}


@dataclass(frozen=True)
class Checked:
    """A request that can be read.

    Attributes:
        body: The request without its invalid records; the very same bytes if there are none.
        accepted: Spans, log records or data points that are left.
        rejected: How many were taken out.
        reason: Why, with counts; empty if none were.
    """

    body: bytes
    accepted: int
    rejected: int = 0
    reason: str = ""


def check(signal: Signal, body: bytes) -> Checked:
    """Parse a request and take out what is invalid one by one.

    Args:
        signal: What it should be a request of.
        body: Serialised protobuf.

    Returns:
        What is left of it. Unknown fields survive.

    Raises:
        Refusal: It is no such request.
    """
    request: Any = SERVICES[signal].request()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        if _TOO_DEEP.search(str(error)):
            raise too_deep() from None
        name = request.DESCRIPTOR.name
        raise Refusal(Code.INVALID_ARGUMENT, f"the body is not a valid {name} in protobuf") from None
    if signal is Signal.TRACES:
        return _check_traces(request, body)
    return Checked(body, count(signal, request))


def count_in(signal: Signal, body: bytes) -> int:
    """Count the records of a serialised request, which is valid."""
    return count(signal, SERVICES[signal].request.FromString(body))


def count(signal: Signal, request: Any) -> int:
    """Count the records of a request."""
    if signal is Signal.TRACES:
        return sum(len(scope.spans) for part in request.resource_spans for scope in part.scope_spans)
    if signal is Signal.LOGS:
        return sum(len(scope.log_records) for part in request.resource_logs for scope in part.scope_logs)
    return sum(
        _points(metric)
        for part in request.resource_metrics
        for scope in part.scope_metrics
        for metric in scope.metrics
    )


def _points(metric: Any) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def _check_traces(request: Any, body: bytes) -> Checked:
    accepted = 0
    reasons: Counter[str] = Counter()
    for part in request.resource_spans:
        for scope in part.scope_spans:
            bad = dict(_bad_spans(scope.spans))
            accepted += len(scope.spans) - len(bad)
            reasons.update(bad.values())
            for index in sorted(bad, reverse=True):
                del scope.spans[index]
    if not reasons:
        return Checked(body, accepted)
    why = ", ".join(f"{number} without {what}" for what, number in sorted(reasons.items()))
    rejected = reasons.total()
    spans = "1 span was" if rejected == 1 else f"{rejected} spans were"
    return Checked(request.SerializeToString(), accepted, rejected, f"{spans} rejected: {why}")


def _bad_spans(spans: Any) -> Iterator[tuple[int, str]]:
    for index, span in enumerate(spans):
        trace_id, span_id = span.trace_id, span.span_id
        if len(trace_id) != _TRACE_ID_BYTES or not any(trace_id):
            yield index, "a valid trace id (16 bytes, not all zero)"
        elif len(span_id) != _SPAN_ID_BYTES or not any(span_id):
            yield index, "a valid span id (8 bytes, not all zero)"


def response(signal: Signal, checked: Checked) -> Message:
    """Make the answer to an accepted request: empty, or with a partial success."""
    answer: Any = SERVICES[signal].response()
    if checked.rejected:
        setattr(answer.partial_success, SERVICES[signal].rejected, checked.rejected)
        answer.partial_success.error_message = checked.reason
    return answer  # type: ignore[no-any-return]


def response_json(signal: Signal, checked: Checked) -> dict[str, Any]:
    """Make the same in OTLP/JSON: lowerCamelCase, 64-bit numbers as text."""
    if not checked.rejected:
        return {}
    first, *rest = SERVICES[signal].rejected.split("_")
    name = first + "".join(word.capitalize() for word in rest)
    return {"partialSuccess": {name: str(checked.rejected), "errorMessage": checked.reason}}
