# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""SafeLogExporter in front of exporters that take the SDK's log records."""

from __future__ import annotations

import io

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    ConsoleLogRecordExporter,
    InMemoryLogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from runrecord.exporters import SafeLogExporter
from runrecord.semconv import attributes as attr
from runrecord.semconv import signals

SECRET = "SECRET-abc123"
CONTEXT = set_span_in_context(NonRecordingSpan(SpanContext(1, 2, False, TraceFlags(1))), Context())


def full_record(planted: str = SECRET) -> ReadableLogRecord:
    record = LogRecord(
        timestamp=10,
        observed_timestamp=11,
        context=CONTEXT,
        severity_text=planted,
        severity_number=SeverityNumber.WARN2,
        body={"message": [planted, {"deep": planted}], "bytes": planted.encode()},
        attributes={"a": planted, attr.RECORD_SEQ: 4},
        event_name=planted,
    )
    scope = InstrumentationScope(planted, planted, planted, {"a": planted})
    return ReadableLogRecord(record, Resource({"service.name": planted}, planted), scope)


def everything_in(record: ReadableLogRecord) -> str:
    return repr(
        (vars(record), vars(record.log_record), dict(record.resource.attributes), record.resource.schema_url)
    )


@pytest.fixture
def memory() -> InMemoryLogRecordExporter:
    return InMemoryLogRecordExporter()


def test_a_secret_in_any_field_does_not_reach_the_inner_exporter(memory, slow_redactor):
    safe = SafeLogExporter(memory, slow_redactor, processors=())
    assert safe.export([full_record()]) is LogRecordExportResult.SUCCESS
    (record,) = memory.get_finished_logs()
    assert SECRET not in everything_in(record)
    log = record.log_record
    assert log.body == {"message": ("[HIDDEN]", {"deep": "[HIDDEN]"}), "bytes": b"[HIDDEN]"}
    assert (log.timestamp, log.observed_timestamp, log.severity_number) == (10, 11, SeverityNumber.WARN2)
    assert (log.trace_id, log.span_id, log.trace_flags) == (1, 2, TraceFlags(1))


def test_clean_records_are_passed_on_as_they_are(memory, slow_redactor):
    given = full_record("clean")
    SafeLogExporter(memory, slow_redactor, processors=()).export([given])
    assert memory.get_finished_logs()[0] is given


def test_an_exception_object_is_never_passed_on(slow_redactor):
    out = io.StringIO()
    seen: list[ReadableLogRecord] = []

    def show(record: ReadableLogRecord) -> str:
        seen.append(record)
        return record.to_json()

    provider = LoggerProvider(resource=Resource({}))
    provider.add_log_record_processor(
        SimpleLogRecordProcessor(
            SafeLogExporter(ConsoleLogRecordExporter(out, show), slow_redactor, processors=())
        )
    )
    provider.get_logger("t").emit(body="failed", exception=ValueError(SECRET))
    provider.get_logger("t").emit(body="failed", exception=ValueError("clean"))
    provider.shutdown()
    assert SECRET not in out.getvalue()
    assert "[HIDDEN]" in out.getvalue()
    assert [record.log_record.exception for record in seen] == [None, None]


def test_a_redactor_that_raises_leaves_only_a_marker(memory, raising_redactor):
    safe = SafeLogExporter(memory, raising_redactor(), processors=())
    safe.export([full_record()])
    (record,) = memory.get_finished_logs()
    assert SECRET not in everything_in(record)
    assert dict(record.log_record.attributes) == {attr.RECORD_SEQ: 4, attr.REDACTION_FAILED: True}
    assert record.log_record.body is None
    assert record.log_record.timestamp == 10
    assert safe.pipeline.failures == 1


def test_the_name_of_our_own_events_survives_a_failure(memory, raising_redactor):
    record = LogRecord(timestamp=1, body=SECRET, event_name=signals.EVENT_RUN_CLOSED)
    SafeLogExporter(memory, raising_redactor(), processors=()).export(
        [ReadableLogRecord(record, Resource({}))]
    )
    (exported,) = memory.get_finished_logs()
    assert exported.log_record.event_name == signals.EVENT_RUN_CLOSED


def test_a_body_that_cannot_be_encoded_costs_only_its_own_record(memory, slow_redactor):
    bad = ReadableLogRecord(LogRecord(timestamp=1, body=f"\ud800{SECRET}"), Resource({}))
    good = ReadableLogRecord(LogRecord(timestamp=2, body="good"), Resource({}))
    safe = SafeLogExporter(memory, slow_redactor, processors=())
    safe.export([bad, good])
    bodies = {record.log_record.timestamp: record.log_record.body for record in memory.get_finished_logs()}
    assert bodies == {1: None, 2: "good"}
    assert safe.pipeline.failures == 1
