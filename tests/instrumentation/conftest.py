# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real OpenTelemetry SDK in memory, with fixed ids and a fixed clock."""

import itertools
import json
from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from refund_story import Receiver

from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.semconv.commitment import TenantKey
from runrecord.semconv.root import records_root
from runrecord.semconv.testing import assert_conforms


class CountingIds(IdGenerator):
    """Trace ids 1, 2, ... and span ids 1, 2, ..."""

    def __init__(self) -> None:
        self._trace, self._span = itertools.count(1), itertools.count(1)

    def generate_trace_id(self) -> int:
        return next(self._trace)

    def generate_span_id(self) -> int:
        return next(self._span)


class Telemetry:
    """What was exported, in forms that tests can compare."""

    def __init__(self) -> None:
        self.span_exporter = InMemorySpanExporter()
        self.log_exporter = InMemoryLogRecordExporter()
        self.tracer_provider = TracerProvider(id_generator=CountingIds(), shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.span_exporter))
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.log_exporter))
        self.store = MemoryContextStore()
        self.now = 1_800_000_000.0
        self._sources = itertools.count(1)  # recorders stand for processes, and no two have the same source

    def recorder(self, **kwargs: Any) -> Recorder:
        runs = itertools.count(1)
        return Recorder(
            **{
                "tracer_provider": self.tracer_provider,
                "logger_provider": self.logger_provider,
                "store": self.store,
                "tenant_key": TenantKey(bytes(32)),
                "clock": lambda: self.now,
                "new_id": lambda: f"id-{next(runs)}",
                "new_source": lambda: f"{next(self._sources):016x}",
                **kwargs,
            }
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.span_exporter.get_finished_spans())

    def named(self, start: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith(start)]

    def one(self, start: str) -> ReadableSpan:
        found = self.named(start)
        assert len(found) == 1, (start, [span.name for span in self.spans])
        return found[0]

    def tree(self) -> list[str]:
        """Names in the order in which the spans were started, indented by depth."""
        by_id = {span.context.span_id: span for span in self.spans}

        def depth(span: ReadableSpan) -> int:
            parent = by_id.get(span.parent.span_id) if span.parent else None
            return 0 if parent is None else 1 + depth(parent)

        return [
            "  " * depth(span) + span.name for span in sorted(self.spans, key=lambda s: s.context.span_id)
        ]

    def dump(self, span: ReadableSpan) -> dict[str, Any]:
        """A whole span without its times."""
        data: dict[str, Any] = {
            "name": span.name,
            "kind": span.kind.name,
            "status": span.status.status_code.name,
            "trace": span.context.trace_id,
            "span": span.context.span_id,
            "parent": span.parent.span_id if span.parent else None,
            "attributes": {
                name: value
                for name, value in sorted((span.attributes or {}).items())
                if name != "runrecord.run.root"  # of the ids of all records: check_counters looks at it
            },
        }
        if span.links:
            data["links"] = [link.context.span_id for link in span.links]
        if span.events:
            data["events"] = [event.name for event in span.events]
        return data

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        return [
            (item.log_record.event_name or "", dict(item.log_record.attributes or {}))
            for item in self.log_exporter.get_finished_logs()
        ]

    def exported_text(self) -> str:
        """Everything that leaves, as one text."""
        logs = [item.log_record for item in self.log_exporter.get_finished_logs()]
        return "\n".join(
            [
                *(span.to_json() for span in self.spans),
                *(
                    json.dumps([log.event_name, dict(log.attributes or {}), log.body], default=str)
                    for log in logs
                ),
            ]
        )

    def check_counters(self) -> None:
        """Every number of every (source, run) is there once, and the run spans say how many."""
        numbers: dict[tuple[Any, Any], list[Any]] = {}
        said: dict[tuple[Any, Any], int] = {}
        for span in self.spans:
            attributes = span.attributes or {}
            if "runrecord.record.seq" not in attributes:
                continue
            key = (attributes["runrecord.source.id"], attributes["runrecord.run.id"])
            numbers.setdefault(key, []).append(attributes["runrecord.record.seq"])
            if "runrecord.run.records" in attributes:
                self._check_root(attributes)
                said[key] = said.get(key, 0) + int(str(attributes["runrecord.run.records"]))
        for key, seen in numbers.items():
            assert sorted(seen) == list(range(len(seen))), key
            assert said.get(key) == len(seen), key

    def _check_root(self, close: Any) -> None:
        """What closes a segment states the root over the ids of its records."""
        if "runrecord.run.root" not in close:
            return
        first, count = close["runrecord.record.seq"], close["runrecord.run.records"]
        ids = {
            span.attributes["runrecord.record.seq"]: (span.context.trace_id, span.context.span_id)
            for span in self.spans
            if span.attributes is not None
            and "runrecord.record.seq" in span.attributes
            and span.attributes["runrecord.source.id"] == close["runrecord.source.id"]
            and span.attributes["runrecord.run.id"] == close["runrecord.run.id"]
        }
        assert records_root([ids[n] for n in range(first, first + count)]) == close["runrecord.run.root"]


@pytest.fixture
def telemetry(request: pytest.FixtureRequest) -> Generator[Telemetry, None, None]:
    """What the test emits must keep the conventions; ``@pytest.mark.breaks("rule", ...)`` names what it breaks on purpose."""
    telemetry = Telemetry()
    yield telemetry
    marker = request.node.get_closest_marker("breaks")
    assert_conforms(
        telemetry.spans, telemetry.log_exporter.get_finished_logs(), ignore=marker.args if marker else ()
    )


@pytest.fixture
def recorder(telemetry: Telemetry) -> Recorder:
    return telemetry.recorder()


@pytest.fixture(autouse=True)
def _nothing_leaks(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    """No span is current before or after a test, and nothing is written outside of its directory."""
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("RUNRECORD_KEY", "00" * 32)
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)
    assert trace.get_current_span() is trace.INVALID_SPAN
    yield
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert not otel_context.get_current()


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    """An OTLP receiver for programs in processes of their own."""
    with Receiver().serving() as receiver:
        yield receiver
