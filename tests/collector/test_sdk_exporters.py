# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The exporters of the OpenTelemetry SDK as clients: they accept our answers, and retry what we tell them to."""

from __future__ import annotations

import threading

import httpx2
import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SPANS = {
    "http": lambda g: HttpSpanExporter(endpoint=f"{g.http}/v1/traces", compression=Compression.NoCompression),
    "http gzip": lambda g: HttpSpanExporter(endpoint=f"{g.http}/v1/traces", compression=Compression.Gzip),
    "http deflate": lambda g: HttpSpanExporter(
        endpoint=f"{g.http}/v1/traces", compression=Compression.Deflate
    ),
    "grpc": lambda g: GrpcSpanExporter(endpoint=g.grpc, insecure=True),
}


@pytest.mark.parametrize("kind", SPANS)
def test_spans_of_the_sdk_arrive(run_gateway, sink, poll, kind):
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(SPANS[kind](run_gateway(sink.url))))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("parent", attributes={"list": ["a", "b"], "n": 1.5}) as parent:
        for number in range(600):
            with tracer.start_as_current_span(f"child {number}"):
                pass
    provider.shutdown()
    poll(lambda: len(sink.spans()) == 601)
    assert f"{parent.get_span_context().span_id:016x}" in sink.span_ids()


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_logs_and_metrics_of_the_sdk_arrive(run_gateway, sink, poll, kind):
    gateway = run_gateway(sink.url)
    http = kind == "http"
    logs = LoggerProvider(shutdown_on_exit=False)
    exporter = (
        HttpLogExporter(endpoint=f"{gateway.http}/v1/logs")
        if http
        else GrpcLogExporter(endpoint=gateway.grpc, insecure=True)
    )
    logs.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logs.get_logger("test").emit(LogRecord(body="hello", severity_number=SeverityNumber.INFO, event_name="e"))
    logs.shutdown()
    reader = PeriodicExportingMetricReader(
        HttpMetricExporter(endpoint=f"{gateway.http}/v1/metrics")
        if http
        else GrpcMetricExporter(endpoint=gateway.grpc, insecure=True)
    )
    metrics = MeterProvider([reader], shutdown_on_exit=False)
    metrics.get_meter("test").create_counter("tokens").add(3)
    metrics.shutdown()
    poll(lambda: {path for path, _, _ in sink.requests} == {"/v1/logs", "/v1/metrics"})
    found = {path: body for path, _, body in sink.requests}
    [record] = (
        ExportLogsServiceRequest.FromString(found["/v1/logs"]).resource_logs[0].scope_logs[0].log_records
    )
    assert (record.body.string_value, record.event_name) == ("hello", "e")
    [metric] = (
        ExportMetricsServiceRequest.FromString(found["/v1/metrics"])
        .resource_metrics[0]
        .scope_metrics[0]
        .metrics
    )
    assert (metric.name, metric.sum.data_points[0].as_int) == ("tokens", 3)


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_the_sdk_sends_again_what_a_full_gateway_refused(run_gateway, sink, poll, kind):
    """The intake log is full, the back end comes back, and the exporter that was told to retry delivers its span."""
    sink.status = 503
    gateway = run_gateway(sink.url, service={"intake": {"max_size_mib": 1}})
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = SPANS[kind](gateway)
    provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=60_000))
    tracer = provider.get_tracer("test")
    made = 0
    while not _refusals(gateway):
        assert made < 5
        made += 1
        tracer.start_span("filler", attributes={"x": "y" * 250_000}).end()
        flush = threading.Thread(target=provider.force_flush)
        flush.start()
        poll(lambda flush=flush: not flush.is_alive() or _refusals(gateway))
    sink.status = 200
    poll(lambda: len({span.span_id for span in sink.spans()}) == made)
    flush.join(60)
    provider.shutdown()


def _refusals(gateway):
    return "otelcol_receiver_refused_requests_total{" in httpx2.get(gateway.metrics).text
