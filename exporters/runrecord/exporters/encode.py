# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Encode the SDK's spans and log records as OTLP, and know what the encoder left out.

What is not in the bytes is not redacted, so the caller must know: the standard encoder drops attributes that it can't
encode (a lone surrogate in a string is enough), fails as a whole on a name that it can't encode, and leaves out the
trace state of links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from runrecord.exporters.marker import marked_log_record, marked_span

Request = TypeVar("Request", ExportTraceServiceRequest, ExportLogsServiceRequest)


@dataclass(frozen=True)
class Encoded(Generic[Request]):
    """A batch as one OTLP request.

    Attributes:
        request: The message.
        errors: One per record that could not be encoded; its place is taken by a marked record without content.
    """

    request: Request
    errors: Sequence[Exception] = ()


def encode_traces(spans: Sequence[ReadableSpan]) -> Encoded[ExportTraceServiceRequest]:
    """Encode a batch of spans; one that can't be encoded does not take the others with it."""
    try:
        return Encoded(encode_spans(spans))
    except Exception:  # noqa: BLE001 - protobuf raises several kinds, by implementation
        request = ExportTraceServiceRequest()
        errors: list[Exception] = []
        for span in spans:
            try:
                request.MergeFrom(encode_spans([span]))
            except Exception as error:  # noqa: BLE001
                errors.append(error)
                request.resource_spans.add().scope_spans.add().spans.append(_bare_span(span))
        return Encoded(request, errors)


def encode_log_records(records: Sequence[ReadableLogRecord]) -> Encoded[ExportLogsServiceRequest]:
    """Encode a batch of log records; one that can't be encoded does not take the others with it."""
    try:
        return Encoded(encode_logs(records))
    except Exception:  # noqa: BLE001
        request = ExportLogsServiceRequest()
        errors: list[Exception] = []
        for record in records:
            try:
                request.MergeFrom(encode_logs([record]))
            except Exception as error:  # noqa: BLE001
                errors.append(error)
                request.resource_logs.add().scope_logs.add().log_records.append(_bare_log_record(record))
        return Encoded(request, errors)


def _bare_span(span: ReadableSpan) -> Span:
    context = span.get_span_context()
    bare = Span(
        start_time_unix_nano=span.start_time or 0,
        end_time_unix_nano=span.end_time or 0,
        status=Status(code=cast("Any", span.status.status_code.value)),
    )
    if context is not None:
        bare.trace_id = context.trace_id.to_bytes(16, "big")
        bare.span_id = context.span_id.to_bytes(8, "big")
    if span.parent is not None:
        bare.parent_span_id = span.parent.span_id.to_bytes(8, "big")
    return marked_span(bare)


def _bare_log_record(record: ReadableLogRecord) -> LogRecord:
    source = record.log_record
    return marked_log_record(
        LogRecord(
            time_unix_nano=source.timestamp or 0,
            observed_time_unix_nano=source.observed_timestamp or 0,
            trace_id=(source.trace_id or 0).to_bytes(16, "big") if source.trace_id else b"",
            span_id=(source.span_id or 0).to_bytes(8, "big") if source.span_id else b"",
        )
    )


def add_link_trace_state(request: ExportTraceServiceRequest, spans: Sequence[ReadableSpan]) -> None:
    """Put the trace state of links into ``request``, where the encoder leaves it out.

    Args:
        request: What `encode_spans` made of ``spans``; changed in place.
        spans: The spans.
    """
    linked = {
        context.span_id.to_bytes(8, "big"): span.links
        for span in spans
        if any(link.context.trace_state for link in span.links) and (context := span.get_span_context())
    }
    if not linked:
        return
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for encoded in scope_spans.spans:
                for target, link in zip(encoded.links, linked.get(encoded.span_id, ()), strict=False):
                    target.trace_state = ",".join(
                        f"{key}={value}" for key, value in link.context.trace_state.items()
                    )


def spans_are_all_there(request: ExportTraceServiceRequest, spans: Sequence[ReadableSpan]) -> bool:
    """Tell whether everything that an exporter could read from ``spans`` is in ``request``.

    Args:
        request: What was encoded from ``spans``.
        spans: The spans.
    """
    for span in spans:
        context = span.get_span_context()
        if (
            span.parent
            and span.parent.trace_state
            and (not context or span.parent.trace_state != context.trace_state)
        ):
            return False
    read = sum(
        len(span.attributes or ())
        + sum(1 + len(event.attributes or ()) for event in span.events)
        + sum(1 + len(link.attributes or ()) for link in span.links)
        for span in spans
    )
    encoded = sum(
        len(span.attributes)
        + sum(1 + len(event.attributes) for event in span.events)
        + sum(1 + len(link.attributes) for link in span.links)
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    )
    around = sum(
        len(resource_spans.resource.attributes)
        + sum(len(s.scope.attributes) for s in resource_spans.scope_spans)
        for resource_spans in request.resource_spans
    )
    return read == encoded and around == _around(spans)


def log_records_are_all_there(
    request: ExportLogsServiceRequest, records: Sequence[ReadableLogRecord]
) -> bool:
    """Tell whether everything that an exporter could read from ``records`` is in ``request``.

    Args:
        request: What was encoded from ``records``.
        records: The log records.
    """
    if any(getattr(record.log_record, "exception", None) is not None for record in records):
        return False
    read = sum(len(record.log_record.attributes or ()) for record in records)
    encoded = sum(
        len(record.attributes)
        for resource_logs in request.resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    )
    around = sum(
        len(resource_logs.resource.attributes)
        + sum(len(s.scope.attributes) for s in resource_logs.scope_logs)
        for resource_logs in request.resource_logs
    )
    return read == encoded and around == _around(records)


def _around(items: Sequence[ReadableSpan] | Sequence[ReadableLogRecord]) -> int:
    """Count the attributes of resources and scopes, grouped as the encoder groups them."""
    pairs: dict[tuple[int, int], Any] = {}
    for item in items:
        pairs[id(item.resource), id(item.instrumentation_scope)] = (item.resource, item.instrumentation_scope)
    distinct = set(pairs.values())
    resources = {resource for resource, _ in distinct}
    return sum(len(resource.attributes) for resource in resources) + sum(
        len(scope.attributes or ()) for _, scope in distinct if scope is not None
    )
