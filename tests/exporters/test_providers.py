# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Finding the exporters behind a provider, and what is said about them."""

from __future__ import annotations

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider

from runrecord.exporters import SafeLogExporter, SafeSpanExporter, post_instrument, settings
from runrecord.exporters.providers import ExporterSite, State, guard, sites


@pytest.fixture
def protection(slow_redactor, monkeypatch):
    made = settings.Protection(slow_redactor, (), "test")
    monkeypatch.setattr(settings, "load_protection", lambda: made)
    return made


@pytest.fixture
def tracer_provider():
    provider = TracerProvider(resource=Resource({}))
    yield provider
    provider.shutdown()


@pytest.fixture
def logger_provider():
    provider = LoggerProvider(resource=Resource({}))
    yield provider
    provider.shutdown()


@pytest.mark.parametrize("processor", [BatchSpanProcessor, SimpleSpanProcessor])
def test_span_exporters_are_found(tracer_provider, protection, processor):
    tracer_provider.add_span_processor(processor(InMemorySpanExporter()))
    tracer_provider.add_span_processor(processor(SafeSpanExporter(InMemorySpanExporter())))
    found = sites(tracer_provider, "traces")
    assert [site.state for site in found] == [State.UNSAFE, State.SAFE]
    assert {site.exporter.rpartition(".")[2] for site in found} == {"InMemorySpanExporter"}


@pytest.mark.parametrize("processor", [BatchLogRecordProcessor, SimpleLogRecordProcessor])
def test_log_record_exporters_are_found(logger_provider, protection, processor):
    logger_provider.add_log_record_processor(processor(InMemoryLogRecordExporter()))
    logger_provider.add_log_record_processor(processor(SafeLogExporter(InMemoryLogRecordExporter())))
    assert [site.state for site in sites(logger_provider, "logs")] == [State.UNSAFE, State.SAFE]


def test_exporters_behind_nested_processors_are_found(tracer_provider):
    nested = SynchronousMultiSpanProcessor()
    nested.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    tracer_provider.add_span_processor(nested)
    assert [site.state for site in sites(tracer_provider, "traces")] == [State.UNSAFE]


def test_what_cannot_be_seen_into_is_unknown(tracer_provider):
    class Opaque(SpanProcessor):
        """Exports in a way of its own."""

    tracer_provider.add_span_processor(Opaque())
    (site,) = sites(tracer_provider, "traces")
    assert (site.state, site.exporter) == (State.UNKNOWN, "")
    (other,) = sites(object(), "traces")
    assert other.state is State.UNKNOWN


@pytest.mark.parametrize("provider", [ProxyTracerProvider(), NoOpTracerProvider(), TracerProvider()])
def test_where_nothing_is_exported_nothing_is_found(provider):
    assert sites(provider, "traces") == []


def test_exporters_of_a_provider_are_guarded_in_place(tracer_provider, logger_provider, protection):
    memory, batched, logs = InMemorySpanExporter(), InMemorySpanExporter(), InMemoryLogRecordExporter()
    tracer_provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer_provider.add_span_processor(BatchSpanProcessor(batched))
    logger_provider.add_log_record_processor(BatchLogRecordProcessor(logs))
    assert {site.state for site in guard(tracer_provider, "traces")} == {State.SAFE}
    assert {site.state for site in guard(tracer_provider, "traces")} == {State.SAFE}, (
        "a second time changes nothing"
    )
    assert {site.state for site in guard(logger_provider, "logs")} == {State.SAFE}
    with tracer_provider.get_tracer("t").start_as_current_span("SECRET-1"):
        logger_provider.get_logger("t").emit(body="SECRET-2")
    tracer_provider.force_flush()
    logger_provider.force_flush()
    assert [span.name for exporter in (memory, batched) for span in exporter.get_finished_spans()] == [
        "[HIDDEN]"
    ] * 2
    assert [record.log_record.body for record in logs.get_finished_logs()] == ["[HIDDEN]"]


def site(state: State) -> ExporterSite:
    return ExporterSite("traces", "a.Processor", "b.c.Exporter", state)


def test_what_was_guarded_and_what_could_not_be_are_told_apart():
    assert post_instrument.describe(post_instrument.Result(), ours=False) == []
    result = post_instrument.Result([site(State.UNSAFE)], [site(State.UNSAFE)])
    guarded, shouted = post_instrument.describe(result, ours=True)
    assert guarded.startswith(
        "Runrecord: Exporter (traces): added beside Runrecord's configurator, and redaction"
    )
    assert "UNREDACTED through Exporter (traces)" in shouted
    assert "wrap them" in guarded
    assert "wrap them" in shouted
    missing = post_instrument.Result([], [site(State.UNSAFE)], "pydantic is not installed")
    (line,) = post_instrument.describe(missing, ours=False)
    assert line.endswith('pydantic is not installed. Fix: pip install "runrecord[otlp]"')


def test_the_check_never_raises(monkeypatch):
    monkeypatch.setattr(post_instrument, "global_sites", lambda: 1 / 0)
    post_instrument.check_exporters()
