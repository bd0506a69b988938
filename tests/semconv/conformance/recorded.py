# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Valid telemetry of every signal, as OTLP, made by the real recorder and SDK with fixed ids: what each sample starts from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import patch

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanKind, Tracer

from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.semconv.commitment import TenantKey

REFUND = {"invoice": "inv-7", "amount": 120}
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "model-1",
    "gen_ai.usage.input_tokens": 12,
}


class CountingIds(IdGenerator):
    def __init__(self) -> None:
        self._trace, self._span = itertools.count(0xA1), itertools.count(0xB1)

    def generate_trace_id(self) -> int:
        return next(self._trace) << 64 | 7

    def generate_span_id(self) -> int:
        return next(self._span) << 32 | 7


@dataclass
class Recorded:
    """One export request of each signal."""

    traces: ExportTraceServiceRequest
    logs: ExportLogsServiceRequest
    metrics: ExportMetricsServiceRequest

    @property
    def requests(self) -> tuple[Any, ...]:
        return self.traces, self.logs, self.metrics

    @property
    def spans(self) -> Iterator[Span]:
        return (
            span
            for resource in self.traces.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        )

    def span(self, start: str, number: int = 0) -> Span:
        return [span for span in self.spans if span.name.startswith(start)][number]

    def log(self, event: str) -> LogRecord:
        return next(
            record
            for resource in self.logs.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
            if record.event_name == event
        )

    def metric(self, name: str) -> Metric:
        return next(
            metric
            for resource in self.metrics.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        )

    def remove(self, gone: Span) -> None:
        for resource in self.traces.resource_spans:
            for scope in resource.scope_spans:
                for index in range(len(scope.spans) - 1, -1, -1):
                    if scope.spans[index].span_id == gone.span_id:
                        del scope.spans[index]


def value_of(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, (list, tuple)):
        return AnyValue(array_value=ArrayValue(values=[value_of(item) for item in value]))
    return AnyValue(string_value=value)


def drop(item: Any, *keys: str) -> None:
    kept = [pair for pair in item.attributes if pair.key not in keys]
    assert len(kept) < len(item.attributes), f"{keys} were not there"
    del item.attributes[:]
    item.attributes.extend(kept)


def put(item: Any, key: str, value: Any) -> None:
    """Set an attribute, or set it anew."""
    kept = [pair for pair in item.attributes if pair.key != key]
    del item.attributes[:]
    item.attributes.extend([*kept, KeyValue(key=key, value=value_of(value))])


def get(item: Any, key: str) -> Any:
    (value,) = [pair.value for pair in item.attributes if pair.key == key]
    return getattr(value, value.WhichOneof("value"))


def recorded() -> Recorded:
    """A fresh copy, to be changed."""
    traces, logs, metrics = _serialised()
    return Recorded(
        ExportTraceServiceRequest.FromString(traces),
        ExportLogsServiceRequest.FromString(logs),
        ExportMetricsServiceRequest.FromString(metrics),
    )


@cache
def _serialised() -> tuple[bytes, bytes, bytes]:
    spans, logs, reader = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
    tracers = TracerProvider(id_generator=CountingIds(), shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    clock = itertools.count(1_800_000_000_000_000_000, 1_000_000)
    sources = itertools.count(1)

    def recorder(store: MemoryContextStore) -> Recorder:
        return Recorder(
            tracer_provider=tracers,
            logger_provider=loggers,
            store=store,
            tenant_key=TenantKey(bytes(32)),
            clock=lambda: next(clock) / 1e9,
            new_id=lambda: f"made-{next(sources)}",
            new_source=lambda: f"{next(sources):016x}",
        )

    store = MemoryContextStore()
    with patch("opentelemetry.sdk.trace.time_ns", lambda: next(clock)):
        _approved(recorder(store), recorder(store), tracers.get_tracer("some.instrumentation"))
        _denied(recorder(store))
    meter = meters.get_meter("some.instrumentation")
    meter.create_histogram("gen_ai.execute_tool.duration", unit="s").record(
        0.4, {"gen_ai.tool.name": "create_refund"}
    )
    data = reader.get_metrics_data()
    assert data is not None
    return (
        encode_spans(spans.get_finished_spans()).SerializeToString(),
        encode_logs(logs.get_finished_logs()).SerializeToString(),
        encode_metrics(data).SerializeToString(),
    )


def _approved(first: Recorder, second: Recorder, other: Tracer) -> None:
    """A refund over the limit: a person approves it, another process pays it, checks it and takes it back."""
    with first.run("refund-agent", conversation_id="thread-7", autonomy="execute_with_approval") as run:
        with run.step("act", name="settle"):
            with other.start_as_current_span("chat model-1", kind=SpanKind.CLIENT, attributes=CHAT):
                pass
            run.decision("lookups", subject="call-0", subject_name="lookup").allow(action="none")
            with run.tool("lookup", call_id="call-0", arguments={"invoice": "inv-7"}, read_only=True) as call:
                call.result({"amount": 120})
            run.decision(
                "refunds", version="14", subject="call-1", subject_name="create_refund", arguments=REFUND
            ).require_approval(rule="over_50_usd", reason="amount_over_limit")
            approval = run.request_approval(
                "call-1",
                tool="create_refund",
                arguments=REFUND,
                deadline="2027-01-15T08:00:00Z",
                channel="web",
            )
        run.suspend(stop_reason="approval")
    with second.resume(approval.key) as run:
        answer = run.approval
        assert answer is not None
        answer.approved(actor="human", actor_ref="u-17", reason="fits_order")
        with (
            run.step("act"),
            run.tool(
                "create_refund",
                call_id="call-1",
                arguments=REFUND,
                effect="pay",
                target="billing",
                reversible=True,
                approval_id=answer.approval_id,
            ) as paid,
        ):
            paid.result({"refund": "r-1"})
        run.verification("refund_matches_order", kind="reconciliation", subject="call-1").failed()
        run.compensation("create_refund", subject_id="call-1", of=paid).outcome("succeeded")
        run.escalate("refund_did_not_match", target_type="support_team", target_ref="queue-3")


def _denied(recorder: Recorder) -> None:
    """A workflow whose only call a policy denies."""
    with (
        recorder.run(workflow="refunds", principal_ref="u-20", principal_type="user") as run,
        run.step("plan"),
    ):
        run.decision("refunds", subject="call-9", subject_name="create_refund").deny(rule="chargeback")
