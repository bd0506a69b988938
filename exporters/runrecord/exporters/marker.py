# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is left of a span or log record whose content could not be redacted: its ids, times and a marker.

Everything that can hold text written by a person, a model or a tool goes: names, attributes, events, links, status
messages, trace state, bodies, and the resource and scope around them. What stays is what a reader needs to see *that*
something happened, *when*, and inside which run: identifiers, times, counters and values of closed enumerations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from runrecord.semconv import attributes as attr

MARKED_NAME: Final = "redaction_failed"
"""The name of a span whose own name could not be checked."""

_IDENTIFIER: Final = re.compile(r"(?=[0-9-]*[a-f])[0-9a-f]{8,64}(?:-[0-9a-f]{4,12}){0,4}")
"""Hexadecimal ids and UUIDs, as the recorder makes them. Digits alone may be a card, and a prefix makes a key (`sk-`,
`key-`); a caller's own free-form id may be anything: they go.
"""

_EVENT_NAME: Final = re.compile(r"runrecord\.[a-z_.]{1,40}")


def _is_integer(value: AnyValue) -> bool:
    return value.WhichOneof("value") == "int_value"


def _is_identifier(value: AnyValue) -> bool:
    return (
        value.WhichOneof("value") == "string_value" and _IDENTIFIER.fullmatch(value.string_value) is not None
    )


def _member_of(enumeration: Iterable[Any]) -> Callable[[AnyValue], bool]:
    values = frozenset(str(member.value) for member in enumeration)
    return lambda value: value.WhichOneof("value") == "string_value" and value.string_value in values


KEPT: Final[dict[str, Callable[[AnyValue], bool]]] = {
    attr.RUN_ID: _is_identifier,
    attr.SOURCE_ID: _is_identifier,
    attr.DECISION_ID: _is_identifier,
    attr.APPROVAL_ID: _is_identifier,
    attr.RECORD_SEQ: _is_integer,
    attr.RUN_SEGMENT: _is_integer,
    attr.RUN_RECORDS: _is_integer,
    attr.STEP_INDEX: _is_integer,
    attr.STEP_ATTEMPT: _is_integer,
    attr.RUN_STATE: _member_of(attr.RunState),
    attr.RUN_OUTCOME: _member_of(attr.RunOutcome),
    attr.STEP_KIND: _member_of(attr.StepKind),
    attr.DECISION_OUTCOME: _member_of(attr.DecisionOutcome),
    attr.APPROVAL_STATUS: _member_of(attr.ApprovalStatus),
}
"""Attributes that survive, each with the shape its value must have to be kept."""


def _kept(attributes: Iterable[KeyValue]) -> list[KeyValue]:
    kept = [pair for pair in attributes if (check := KEPT.get(pair.key)) is not None and check(pair.value)]
    kept.append(KeyValue(key=attr.REDACTION_FAILED, value=AnyValue(bool_value=True)))
    return kept


def marked_span(span: Span) -> Span:
    """Return a copy of ``span`` without content, marked `runrecord.redaction.failed`.

    Args:
        span: An OTLP span; not modified.
    """
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        flags=span.flags,
        name=MARKED_NAME,
        kind=span.kind,
        start_time_unix_nano=span.start_time_unix_nano,
        end_time_unix_nano=span.end_time_unix_nano,
        attributes=_kept(span.attributes),
        dropped_attributes_count=span.dropped_attributes_count + len(span.attributes),
        dropped_events_count=span.dropped_events_count + len(span.events),
        dropped_links_count=span.dropped_links_count + len(span.links),
        status=Status(code=span.status.code) if span.HasField("status") else None,
    )


def marked_log_record(record: LogRecord) -> LogRecord:
    """Return a copy of ``record`` without content, marked `runrecord.redaction.failed`.

    Args:
        record: An OTLP log record; not modified.
    """
    return LogRecord(
        trace_id=record.trace_id,
        span_id=record.span_id,
        flags=record.flags,
        time_unix_nano=record.time_unix_nano,
        observed_time_unix_nano=record.observed_time_unix_nano,
        severity_number=record.severity_number,
        event_name=record.event_name if _EVENT_NAME.fullmatch(record.event_name) else "",
        attributes=_kept(record.attributes),
        dropped_attributes_count=record.dropped_attributes_count + len(record.attributes),
    )


def mark_traces(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """Return ``request`` with every span marked and resources and scopes emptied."""
    marked = ExportTraceServiceRequest()
    spans = marked.resource_spans.add().scope_spans.add().spans
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans.extend(marked_span(span) for span in scope_spans.spans)
    return marked


def mark_logs(request: ExportLogsServiceRequest) -> ExportLogsServiceRequest:
    """Return ``request`` with every log record marked and resources and scopes emptied."""
    marked = ExportLogsServiceRequest()
    records = marked.resource_logs.add().scope_logs.add().log_records
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            records.extend(marked_log_record(record) for record in scope_logs.log_records)
    return marked
