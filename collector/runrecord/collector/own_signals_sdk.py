# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway's own logs and spans, through the OpenTelemetry SDK: for those who install it beside the gateway."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Tracer

from runrecord.collector.own_signals import event_of, severity
from runrecord.collector.telemetry_config import LogsTelemetry, OtlpOut, TracesTelemetry

_SCOPE: Final = "runrecord.collector"


class LogHandler(logging.Handler):
    """Hands the records of `logging` to OpenTelemetry loggers of the same names."""

    def __init__(self, get_logger: Callable[[str], Any]) -> None:
        """Remember where loggers come from.

        Args:
            get_logger: Of a provider.
        """
        super().__init__()
        self._get_logger = get_logger

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over one record."""
        number, text = severity(record.levelno)
        event = event_of(record)
        self._get_logger(record.name).emit(
            timestamp=int(record.created * 1e9),
            severity_number=number,
            severity_text=text,
            body=record.getMessage(),
            event_name=event.name if event else None,
            attributes=event.attributes if event else None,
        )


def log_handler(settings: LogsTelemetry, resource: Mapping[str, str], stack: ExitStack) -> logging.Handler:
    """Return a handler that exports; what is queued leaves when the stack is closed."""
    provider = LoggerProvider(Resource(dict(resource)), shutdown_on_exit=False)
    stack.callback(provider.shutdown)
    for processor in settings.processors:
        exporter = _exporter(processor.batch.exporter.otlp, "logs")
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return LogHandler(provider.get_logger)


def tracer(settings: TracesTelemetry, resource: Mapping[str, str], stack: ExitStack) -> Tracer:
    """Return a tracer whose spans are exported; what is queued leaves when the stack is closed."""
    sampler = ParentBasedTraceIdRatio(settings.ratio)
    provider = TracerProvider(sampler, Resource(dict(resource)), shutdown_on_exit=False)
    stack.callback(provider.shutdown)
    for processor in settings.processors:
        exporter = _exporter(processor.batch.exporter.otlp, "traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider.get_tracer(_SCOPE, version("runrecord"))


def _exporter(out: OtlpOut, signal: str) -> Any:
    headers = {name.lower(): value.get_secret_value() for name, value in out.headers.items()}
    grpc, http = (GrpcLogs, HttpLogs) if signal == "logs" else (GrpcSpans, HttpSpans)
    if out.protocol == "grpc":
        return grpc(endpoint=out.endpoint, insecure=out.endpoint.startswith("http://"), headers=headers)
    path = f"/v1/{signal}"
    return http(
        endpoint=out.endpoint if out.endpoint.endswith(path) else out.endpoint + path, headers=headers
    )
