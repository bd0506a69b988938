# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Turn a redacted OTLP request back into the SDK's objects, for exporters that take nothing else.

The wire does not carry everything that the SDK's objects do. Trace flags and the remote flag are taken over from the
originals, found by their ids. A parent's trace state is not on the wire, so it was not redacted: it is kept only where
it was the span's own (the usual case), in its redacted form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope as EncodedScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as EncodedLogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as EncodedResource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as EncodedSpan
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

_KINDS: Final = {
    EncodedSpan.SPAN_KIND_SERVER: SpanKind.SERVER,
    EncodedSpan.SPAN_KIND_CLIENT: SpanKind.CLIENT,
    EncodedSpan.SPAN_KIND_PRODUCER: SpanKind.PRODUCER,
    EncodedSpan.SPAN_KIND_CONSUMER: SpanKind.CONSUMER,
}


def spans_of(body: bytes, originals: Iterable[ReadableSpan]) -> list[ReadableSpan]:
    """Return the spans of a request as the SDK's exporters take them.

    Args:
        body: A serialised `ExportTraceServiceRequest`.
        originals: The spans it was made from, for what the wire does not carry.
    """
    known: dict[tuple[bytes, bytes], ReadableSpan] = {}
    for original in originals:
        context = original.get_span_context()
        if context is not None:
            known[context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")] = original
    spans: list[ReadableSpan] = []
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _resource(resource_spans.resource, resource_spans.schema_url)
        for scope_spans in resource_spans.scope_spans:
            scope = _scope(scope_spans.scope, scope_spans.schema_url)
            spans.extend(
                _span(span, known.get((span.trace_id, span.span_id)), resource, scope)
                for span in scope_spans.spans
            )
    return spans


def log_records_of(body: bytes) -> list[ReadableLogRecord]:
    """Return the log records of a request as the SDK's exporters take them.

    Args:
        body: A serialised `ExportLogsServiceRequest`.
    """
    records: list[ReadableLogRecord] = []
    for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs:
        resource = _resource(resource_logs.resource, resource_logs.schema_url)
        for scope_logs in resource_logs.scope_logs:
            scope = _scope(scope_logs.scope, scope_logs.schema_url)
            records.extend(
                ReadableLogRecord(_log_record(record), resource, scope) for record in scope_logs.log_records
            )
    return records


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return tuple(_value(item) for item in value.array_value.values)
        case "kvlist_value":
            return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
        case field:
            return getattr(value, field)


def _attributes(pairs: Iterable[KeyValue], dropped: int = 0) -> BoundedAttributes:
    attributes = BoundedAttributes(attributes={pair.key: _value(pair.value) for pair in pairs})
    attributes.dropped += dropped
    return attributes


def _plain(pairs: Iterable[KeyValue]) -> Mapping[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _resource(resource: EncodedResource, schema_url: str) -> Resource:
    return Resource(_plain(resource.attributes), schema_url)


def _scope(scope: EncodedScope, schema_url: str) -> InstrumentationScope:
    return InstrumentationScope(scope.name, scope.version or None, schema_url, _plain(scope.attributes))


def _trace_state(text: str) -> TraceState:
    # What redaction leaves may break the grammar of trace state; such members are dropped by the parser.
    return TraceState.from_header([text]) if text else TraceState()


def _bounded(items: Sequence[Any], dropped: int) -> BoundedList[Any]:
    bounded: BoundedList[Any] = BoundedList(None)
    bounded.extend(items)
    bounded.dropped = dropped
    return bounded


def _context(
    trace_id: bytes, span_id: bytes, original: SpanContext | None, trace_state: TraceState | None = None
) -> SpanContext:
    return SpanContext(
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big"),
        is_remote=original.is_remote if original else False,
        trace_flags=original.trace_flags if original else TraceFlags(TraceFlags.SAMPLED),
        trace_state=trace_state,
    )


def _span(
    span: EncodedSpan, original: ReadableSpan | None, resource: Resource, scope: InstrumentationScope
) -> ReadableSpan:
    context = original.get_span_context() if original else None
    original_parent = original.parent if original else None
    trace_state = _trace_state(span.trace_state)
    parent = None
    if span.parent_span_id:
        own = original_parent and context and original_parent.trace_state == context.trace_state
        parent = _context(span.trace_id, span.parent_span_id, original_parent, trace_state if own else None)
    code = StatusCode(span.status.code)
    contexts = {link.context.span_id: link.context for link in original.links} if original else {}
    links = [
        Link(
            _context(
                link.trace_id,
                link.span_id,
                contexts.get(int.from_bytes(link.span_id, "big")),
                _trace_state(link.trace_state),
            ),
            _attributes(link.attributes, link.dropped_attributes_count),
        )
        for link in span.links
    ]
    events = [
        Event(event.name, _attributes(event.attributes, event.dropped_attributes_count), event.time_unix_nano)
        for event in span.events
    ]
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id, context, trace_state),
        parent=parent,
        resource=resource,
        attributes=_attributes(span.attributes, span.dropped_attributes_count),
        events=_bounded(events, span.dropped_events_count),
        links=_bounded(links, span.dropped_links_count),
        kind=_KINDS.get(span.kind, SpanKind.INTERNAL),
        status=Status(code, (span.status.message or None) if code is StatusCode.ERROR else None),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
        instrumentation_scope=scope,
    )


def _log_record(record: EncodedLogRecord) -> LogRecord:
    made = LogRecord(
        timestamp=record.time_unix_nano or None,
        observed_timestamp=record.observed_time_unix_nano,
        severity_text=record.severity_text or None,
        severity_number=SeverityNumber(record.severity_number) if record.severity_number else None,
        body=_value(record.body) if record.HasField("body") else None,
        attributes=cast("Any", _attributes(record.attributes, record.dropped_attributes_count)),
        event_name=record.event_name or None,
    )
    # The constructor fills these from the exporting thread's context.
    made.context = Context()
    made.trace_id = int.from_bytes(record.trace_id, "big")
    made.span_id = int.from_bytes(record.span_id, "big")
    made.trace_flags = TraceFlags(record.flags)
    return made
