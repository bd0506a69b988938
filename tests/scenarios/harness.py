# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Play a scenario on the real OpenTelemetry SDK, through OTLP and the real redactor, with fixed ids and a fixed clock.

A scenario is a module of this directory that is listed in `SITUATIONS`. Each of its public functions is what one process
does: it takes a recorder, and what the process before returned. Its docstring is the text of its page under
docs/situations.
"""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator

from runrecord.instrumentation import FileContextStore, Recorder
from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import TenantKey
from runrecord.semconv.conformance._tables import Tables
from runrecord.semconv.registry import Signal as Convention
from runrecord.semconv.registry import load_registry

HERE = Path(__file__).resolve().parent
CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
BETWEEN_PROCESSES = 7_800.0
"""Seconds from one process of a scenario to the next: two hours and ten minutes."""

GROUPS = {
    "The agent acts": (
        "reads_and_answers",
        "changes_something",
        "dry_run",
        "model_calls",
        "retrieval",
        "existing_spans",
    ),
    "Somebody decides": (
        "policy_denies",
        "guardrail_on_model",
        "budget_exceeded",
        "person_approves",
        "person_edits",
        "nobody_answers",
        "standing_approval",
        "answered_elsewhere",
    ),
    "Something goes wrong": (
        "tool_fails",
        "checked_and_undone",
        "handed_to_a_person",
        "things_break",
        "outlives_its_run",
        "personal_data",
    ),
    "Several take part": ("several_agents", "another_service", "nightly_batch"),
}
"""Every scenario, in the order of the pages."""

SITUATIONS = tuple(name for names in GROUPS.values() for name in names)

_MASKING = RedactionPolicy.parse({"on_error": "mask_all", "limits": {"request_confirms": 1}})


@dataclass(frozen=True)
class Process:
    """What one process of a scenario emitted, as it left: redacted OTLP.

    Attributes:
        name: The function's, as words.
        spans: In the order in which they were started.
        logs: In the order in which they were emitted.
        measured: The metrics, with what this process measured until its end.
        places: For each of the logs, how many spans the scenario had started before it.
    """

    name: str
    spans: tuple[Span, ...]
    logs: tuple[LogRecord, ...]
    measured: ExportMetricsServiceRequest
    places: tuple[int, ...]


@dataclass(frozen=True)
class Played:
    """A scenario and what became of it."""

    name: str
    module: ModuleType
    processes: tuple[Process, ...]
    traces: bytes
    log_records: bytes

    @property
    def spans(self) -> list[Span]:
        """The spans of all processes."""
        return [span for process in self.processes for span in process.spans]

    @property
    def logs(self) -> list[LogRecord]:
        """The log records of all processes."""
        return [record for process in self.processes for record in process.logs]

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of all processes."""
        return [
            metric
            for process in self.processes
            for resource in process.measured.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def masked(self) -> tuple[list[Span], list[LogRecord]]:
        """The same telemetry as a redactor leaves it that has no time to look at it."""
        redactor = Redactor(_MASKING)
        return (
            _spans(redactor.redact(Signal.TRACES, self.traces).body),
            _logs(redactor.redact(Signal.LOGS, self.log_records).body),
        )


class _Clock:
    """One time for the spans, which the SDK takes, and for what the recorder says."""

    def __init__(self) -> None:
        self._nanoseconds = 1_800_000_000_000_000_000

    def tick(self) -> int:
        self._nanoseconds += 1_000
        return self._nanoseconds

    def seconds(self) -> float:
        return self._nanoseconds / 1e9

    def pause(self) -> None:
        self._nanoseconds += int(BETWEEN_PROCESSES * 1e9)


class _CountingIds(IdGenerator):
    def __init__(self) -> None:
        self.traces = self.spans = 0

    def generate_trace_id(self) -> int:
        self.traces += 1
        return self.traces

    def generate_span_id(self) -> int:
        self.spans += 1
        return self.spans


class _Places(LogRecordProcessor):
    """Notes how many spans had been started when a log record was emitted."""

    def __init__(self, ids: _CountingIds) -> None:
        self._ids = ids
        self.places: list[int] = []

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        self.places.append(self._ids.spans)

    def shutdown(self) -> None:
        """Nothing to do."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def load(name: str) -> ModuleType:
    """Import a scenario; none of them is on the path."""
    qualified = f"scenarios.{name}"
    if qualified in sys.modules:
        return sys.modules[qualified]
    spec = importlib.util.spec_from_file_location(qualified, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[qualified] = module
    return module


def functions(module: ModuleType) -> list[Callable[..., Any]]:
    """The processes of a scenario: its public functions, in the order of the file."""
    found = [
        value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]
    return sorted(found, key=lambda function: function.__code__.co_firstlineno)


@cache
def play(name: str) -> Played:
    """Run every process of a scenario, one after the other, with a context store on disk between them."""
    module = load(name)
    ids, names = _CountingIds(), itertools.count(1)
    spans, logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
    processes: list[Process] = []
    traces = log_records = b""
    clock = _Clock()
    handed_over: Any = None
    with (
        tempfile.TemporaryDirectory(prefix="runrecord-") as directory,
        _environment(module),
        patch("opentelemetry.sdk.trace.time_ns", clock.tick),
    ):
        for number, function in enumerate(functions(module), 1):
            tracers = TracerProvider(id_generator=ids, shutdown_on_exit=False)
            tracers.add_span_processor(SimpleSpanProcessor(spans))
            loggers = LoggerProvider(shutdown_on_exit=False)
            loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
            places = _Places(ids)
            loggers.add_log_record_processor(places)
            reader = InMemoryMetricReader()
            meters = MeterProvider([reader], shutdown_on_exit=False)
            recorder = Recorder(
                tracer_provider=tracers,
                logger_provider=loggers,
                meter_provider=meters,
                store=FileContextStore(Path(directory)),
                tenant_key=TenantKey(bytes(32)),
                clock=clock.seconds,
                new_id=lambda: f"id-{next(names)}",
                new_source=lambda number=number: f"{number:016x}",  # type: ignore[misc]
            )
            handed_over = function(recorder) if handed_over is None else function(recorder, handed_over)
            sent = encode_spans(spans.get_finished_spans()).SerializeToString()
            data = reader.get_metrics_data()
            sent_logs = encode_logs(logs.get_finished_logs()).SerializeToString()
            traces, log_records = traces + sent, log_records + sent_logs
            spans.clear()
            logs.clear()
            redactor = Redactor(RedactionPolicy())
            processes.append(
                Process(
                    function.__name__.replace("_", " "),
                    tuple(_spans(redactor.redact(Signal.TRACES, sent).body)),
                    tuple(_logs(redactor.redact(Signal.LOGS, sent_logs).body)),
                    ExportMetricsServiceRequest() if data is None else encode_metrics(data),
                    tuple(places.places),
                )
            )
            clock.pause()
    return Played(name, module, tuple(processes), traces, log_records)


@contextmanager
def _environment(module: ModuleType) -> Iterator[None]:
    """Capture content where the scenario says so, and nowhere else."""
    before = os.environ.pop(CAPTURE_VARIABLE, None)
    if getattr(module, "CAPTURE_MESSAGE_CONTENT", None):
        os.environ[CAPTURE_VARIABLE] = module.CAPTURE_MESSAGE_CONTENT
    try:
        yield
    finally:
        os.environ.pop(CAPTURE_VARIABLE, None)
        if before is not None:
            os.environ[CAPTURE_VARIABLE] = before


def facts_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """The attributes of a span or a log record as plain values."""
    return {pair.key: _plain(pair.value) for pair in pairs}


def convention_of(item: Span | LogRecord) -> Convention | None:
    """Which signal of the registry a span or a log record is; None for one that is none of ours."""
    if isinstance(item, LogRecord):
        found = [
            one for one in load_registry().own_signals if one.form == "event" and one.name == item.event_name
        ]
        return found[0] if found else None
    table = _tables().governed(item.name, facts_of(item.attributes))
    return None if table is None else table.signal


@cache
def _tables() -> Tables:
    return Tables(load_registry())


def _plain(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return facts_of(value.kvlist_value.values)
    return getattr(value, which) if which else None


def _spans(body: bytes) -> list[Span]:
    found = [
        span
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    return sorted(found, key=lambda span: span.span_id)  # ids are counted


def _logs(body: bytes) -> list[LogRecord]:
    return [
        record
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
