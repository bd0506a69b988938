# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The OTLP exporters behind a safe exporter: redacted bytes on the wire, everything else as ever."""

from __future__ import annotations

import logging

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanContext

from runrecord.exporters import SafeLogExporter, SafeSpanExporter
from runrecord.exporters.payload import Payload, TransportError, sending
from runrecord.semconv import attributes as attr

SECRET = "SECRET-abc123"


def spans(text: str = SECRET, count: int = 3) -> list[ReadableSpan]:
    return [
        ReadableSpan(
            f"s {text}", SpanContext(1, index + 1, False), attributes={"a": text}, resource=Resource({})
        )
        for index in range(count)
    ]


def records(text: str = SECRET) -> list[ReadableLogRecord]:
    return [ReadableLogRecord(LogRecord(timestamp=1, body=text), Resource({}))]


@pytest.fixture(params=["http", "http-gzip", "http-deflate", "http-rebuilt", "grpc", "grpc-gzip"])
def transport(request, http_receiver, grpc_receiver, slow_redactor, monkeypatch):
    """A safe span exporter, a safe log exporter and the receiver that both send to."""
    kind = request.param
    parts = {"redactor": slow_redactor, "processors": ()}
    if kind.startswith("grpc"):
        if kind == "grpc-gzip":
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", grpc_receiver.endpoint)
        made = (
            SafeSpanExporter(GrpcSpanExporter(), **parts),
            SafeLogExporter(GrpcLogExporter(), **parts),
            grpc_receiver,
        )
    else:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http_receiver.endpoint)
        if kind == "http-rebuilt":
            made = (
                SafeSpanExporter(HttpSpanExporter(), **parts),
                SafeLogExporter(HttpLogExporter(), **parts),
                http_receiver,
            )
        else:
            compression = {
                "http": Compression.NoCompression,
                "http-gzip": Compression.Gzip,
                "http-deflate": Compression.Deflate,
            }[kind]
            made = (
                SafeSpanExporter.otlp_http(**parts, compression=compression),
                SafeLogExporter.otlp_http(**parts, compression=compression),
                http_receiver,
            )
    assert made[0].sends_bytes is (kind != "http-rebuilt")
    yield made
    made[0].shutdown()
    made[1].shutdown()


@pytest.mark.parametrize("text", [SECRET, "clean"])
def test_spans_arrive_redacted_and_complete(transport, text):
    exporter, _, receiver = transport
    assert exporter.export(spans(text)) is SpanExportResult.SUCCESS
    assert exporter.export(spans(text)) is SpanExportResult.SUCCESS
    hidden = text.replace(SECRET, "[HIDDEN]")
    assert [span.name for span in receiver.spans] == [f"s {hidden}"] * 6
    assert SECRET.encode() not in receiver.bytes


def test_log_records_arrive_redacted(transport):
    _, exporter, receiver = transport
    assert exporter.export(records()) is LogRecordExportResult.SUCCESS
    (record,) = receiver.logs[0].resource_logs[0].scope_logs[0].log_records
    assert record.body.string_value == "[HIDDEN]"


def test_a_retry_sends_the_redacted_request_again(transport, caplog):
    exporter, _, receiver = transport
    receiver.fail_next = 1
    with caplog.at_level(logging.ERROR):
        assert exporter.export(spans()) is SpanExportResult.SUCCESS
    assert len(receiver.headers) == 2
    assert [span.name for span in receiver.spans] == ["s [HIDDEN]"] * 3


def test_a_span_that_cannot_be_redacted_arrives_as_a_marker(transport, raising_redactor):
    exporter, _, receiver = transport
    exporter.pipeline._redactor = raising_redactor()
    exporter.export(spans())
    assert [span.name for span in receiver.spans] == ["redaction_failed"] * 3
    assert {pair.key for span in receiver.spans for pair in span.attributes} == {attr.REDACTION_FAILED}
    assert SECRET.encode() not in receiver.bytes


def test_a_batch_that_a_policy_drops_is_not_sent(transport):
    exporter, _, receiver = transport
    exporter.pipeline._processors = (lambda *_: b"",)
    assert exporter.export(spans()) is SpanExportResult.SUCCESS
    assert receiver.headers == []


def test_headers_of_the_environment_are_kept(http_receiver, slow_redactor, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", http_receiver.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=acme")
    exporter = SafeSpanExporter.otlp_http(redactor=slow_redactor, processors=())
    exporter.export(spans())
    (headers,) = http_receiver.headers
    assert headers["x-tenant"] == "acme"
    assert headers["content-type"] == "application/x-protobuf"
    exporter.shutdown()


def test_an_adopted_http_exporter_refuses_spans_that_come_past_the_redactor(
    http_receiver, slow_redactor, caplog
):
    exporter = SafeSpanExporter.otlp_http(
        redactor=slow_redactor, processors=(), endpoint=f"{http_receiver.endpoint}/v1/traces"
    )
    try:  # older releases of the exporter raise
        assert exporter.inner.export(spans()) is SpanExportResult.FAILURE
        assert "belongs to a redacting exporter" in caplog.text
    except TransportError:
        pass
    assert http_receiver.headers == []
    exporter.shutdown()


def test_an_adopted_grpc_exporter_still_takes_spans_from_others(grpc_receiver, slow_redactor):
    inner = GrpcSpanExporter(endpoint=grpc_receiver.endpoint)
    safe = SafeSpanExporter(inner, slow_redactor, processors=())
    inner.export(spans("clean"))
    assert len(grpc_receiver.spans) == 3
    safe.shutdown()


def test_a_later_exporter_without_the_seam_gets_rebuilt_spans(grpc_receiver, slow_redactor, caplog):
    class Later(GrpcSpanExporter):
        """As if a release no longer called `_translate_data` on what it was given."""

        def _export(self, data):
            batch = list(data)
            self._client.Export(GrpcSpanExporter._translate_data(self, batch))
            return SpanExportResult.SUCCESS

    Later.__module__ = GrpcSpanExporter.__module__
    safe = SafeSpanExporter(Later(endpoint=grpc_receiver.endpoint), slow_redactor, processors=())
    assert safe.export(spans()) is SpanExportResult.SUCCESS
    assert safe.export(spans()) is SpanExportResult.SUCCESS
    assert [span.name for span in grpc_receiver.spans] == ["s [HIDDEN]"] * 6
    assert caplog.text.count("no longer takes encoded requests") == 1
    safe.shutdown()


def test_a_credential_providers_session_is_not_replaced(http_receiver, slow_redactor, monkeypatch):
    inner = HttpSpanExporter(endpoint=f"{http_receiver.endpoint}/v1/traces")
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "corporate")
    safe = SafeSpanExporter.around(inner, slow_redactor, ())
    assert safe.inner is inner
    assert safe.export(spans()) is SpanExportResult.SUCCESS
    assert SECRET.encode() not in http_receiver.bytes
    safe.shutdown()


def test_a_payload_has_a_length_and_nothing_in_it():
    payload = Payload(3, b"body")
    assert (len(payload), list(payload), payload[:]) == (3, [], ())
    with pytest.raises(IndexError):
        payload[0]
    with sending(payload):
        assert not payload.taken
    assert payload.take_body() == b"body"
    assert payload.taken


def test_a_batch_processor_flushes_at_shutdown(grpc_receiver, slow_redactor):
    provider = TracerProvider(resource=Resource({}))
    exporter = SafeSpanExporter(
        GrpcSpanExporter(endpoint=grpc_receiver.endpoint), slow_redactor, processors=()
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))
    with provider.get_tracer("t").start_as_current_span(f"last {SECRET}"):
        pass
    provider.shutdown()
    assert [span.name for span in grpc_receiver.spans] == ["last [HIDDEN]"]
