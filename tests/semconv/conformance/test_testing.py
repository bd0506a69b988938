# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""``assert_conforms`` on what the SDK holds and on OTLP, and as the fixture of the pytest plugin in a project of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.semconv import attributes as a
from runrecord.semconv.commitment import TenantKey
from runrecord.semconv.conformance import LogRecord, MetricRecord, Severity, SpanRecord, records_of
from runrecord.semconv.testing import assert_conforms

pytest_plugins = ["pytester"]


class Sdk:
    """The real SDK in memory, with a recorder."""

    def __init__(self) -> None:
        self._spans, self._logs, self._reader = (
            InMemorySpanExporter(),
            InMemoryLogRecordExporter(),
            InMemoryMetricReader(),
        )
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        loggers = LoggerProvider(shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.recorder = Recorder(
            tracer_provider=self.tracers,
            logger_provider=loggers,
            store=MemoryContextStore(),
            tenant_key=TenantKey(bytes(32)),
        )

    @property
    def spans(self) -> Any:
        return self._spans.get_finished_spans()

    @property
    def logs(self) -> Any:
        return self._logs.get_finished_logs()

    @property
    def metrics(self) -> Any:
        return self._reader.get_metrics_data()


@pytest.fixture
def sdk() -> Sdk:
    return Sdk()


def play(sdk: Sdk, **facts: Any) -> None:
    with sdk.recorder.run("helper") as run:
        run.decision("refunds", subject_name="pay", attributes=facts).deny()


def test_what_the_sdk_holds_and_what_it_sends_are_the_same(recorded: Any, sdk: Sdk) -> None:
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    play(sdk)
    held: list[Any] = list(records_of([sdk.spans, sdk.logs]))
    sent: list[Any] = list(records_of([encode_spans(sdk.spans), encode_logs(sdk.logs)]))
    by_name = lambda item: (type(item).__name__, item.name)  # noqa: E731
    assert [item.name for item in sorted(held, key=by_name)] == [
        item.name for item in sorted(sent, key=by_name)
    ]
    for mine, theirs in zip(sorted(held, key=by_name), sorted(sent, key=by_name), strict=True):
        for field in ("kind", "trace_id", "span_id", "start", "end", "status", "schema_url", "links"):
            assert getattr(mine, field, None) == getattr(theirs, field, None), field
        assert {k: getattr(v, "value", v) for k, v in mine.attributes.items()} == theirs.attributes
    assert_conforms(sdk.spans, sdk.logs)


def test_every_part_of_a_request_can_be_given(recorded: Any) -> None:
    resource = recorded.traces.resource_spans[0]
    spans = len(list(records_of(recorded.traces)))
    scopes = sum(
        len(list(records_of(scope))) for part in recorded.traces.resource_spans for scope in part.scope_spans
    )
    assert scopes == spans
    assert len(list(records_of(resource))) >= 1
    assert isinstance(next(records_of(resource.scope_spans[0].spans[0])), SpanRecord)
    logs = recorded.logs.resource_logs[0]
    assert isinstance(next(records_of(logs)), LogRecord)
    assert isinstance(next(records_of(logs.scope_logs[0])), LogRecord)
    assert isinstance(next(records_of(logs.scope_logs[0].log_records[0])), LogRecord)
    metrics = recorded.metrics.resource_metrics[0]
    assert isinstance(next(records_of(metrics.scope_metrics[0].metrics[0])), MetricRecord)


def test_metrics_of_the_sdk_keep_their_instruments(sdk: Sdk) -> None:
    meter = sdk.meters.get_meter("x")
    meter.create_counter("c").add(1)
    meter.create_up_down_counter("u").add(1)
    meter.create_histogram("h", unit="s").record(1, {"k": "v"})
    meter.create_gauge("g").set(1)
    found = {item.name: item for item in records_of(sdk.metrics) if isinstance(item, MetricRecord)}
    assert {name: item.instrument for name, item in found.items()} == {
        "c": "counter",
        "u": "updowncounter",
        "h": "histogram",
        "g": "gauge",
    }
    assert (found["h"].unit, list(found["h"].points)) == ("s", [{"k": "v"}])
    assert_conforms(metrics=[sdk.metrics])


@pytest.mark.parametrize("thing", ["text", 7, {"a": 1}, [None], object()])
def test_what_is_no_telemetry_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="is no span, log record or metric"):
        assert_conforms([thing])


def test_a_failure_names_the_record_the_rule_and_what_to_do(sdk: Sdk) -> None:
    play(sdk, **{"runrecord.mine": 1})
    with pytest.raises(AssertionError) as failure:
        assert_conforms(sdk.spans)
    text = str(failure.value)
    assert text.startswith("1 finding in 2 records\n\nviolation unknown-attribute: ")
    assert "span 'policy_decision refunds' (" in text
    assert "runrecord.mine is not in the registry" in text
    assert "next: Correct its name" in text


def test_a_long_failure_stays_readable(sdk: Sdk) -> None:
    with sdk.recorder.run("helper") as run:
        for number in range(80):
            run.decision(
                "refunds", attributes={"runrecord.mine": 1} if number else {a.POLICY_VERSION: 7}
            ).allow()
    with pytest.raises(AssertionError) as failure:
        assert_conforms(sdk.spans)
    lines = str(failure.value).splitlines()
    assert lines[0] == "80 findings in 81 records"
    assert any(line.startswith("violation wrong-type") for line in lines)
    assert "  ... and 30 more" in lines
    assert len(lines) < 65


def test_what_fails_can_be_chosen(sdk: Sdk) -> None:
    play(sdk, **{"runrecord.mine": 1})
    assert_conforms(sdk.spans, ignore=["unknown-attribute"])
    with pytest.raises(ValueError, match="no such rule: unknown-atribute"):
        assert_conforms(sdk.spans, ignore=["unknown-atribute"])
    sdk.tracers.get_tracer("x").start_span(
        "retrieval",
        attributes={"gen_ai.operation.name": "retrieval", "gen_ai.mood": "good"},
    ).end()
    last = [sdk.spans[-1]]
    assert_conforms(last)
    with pytest.raises(AssertionError, match="official-unknown-attribute"):
        assert_conforms(last, fail_on=Severity.INFORMATION)


PROJECT = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

def spans(**facts):
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    facts = {"gen_ai.operation.name": "retrieval", **facts}
    provider.get_tracer("mine").start_span("retrieval", attributes=facts).end()
    return exporter.get_finished_spans()

def test_good(assert_conforms):
    assert_conforms(spans())

def test_bad(assert_conforms):
    assert_conforms(spans(**{"runrecord.mine": 1}))

def test_mild(assert_conforms):
    assert_conforms(spans(**{"gen_ai.mood": "good"}))
"""


@pytest.mark.parametrize(
    ("settings", "passed"),
    [
        ("", 2),
        ("runrecord_ignore = unknown-attribute", 3),
        ("runrecord_fail_on = information", 1),
    ],
)
def test_a_project_with_the_plugin(pytester: pytest.Pytester, settings: str, passed: int) -> None:
    pytester.makeini(f"[pytest]\n{settings}\n")
    pytester.makepyfile(PROJECT)
    result = pytester.runpytest_subprocess("-q")
    result.assert_outcomes(passed=passed, failed=3 - passed)
    if not settings:
        result.stdout.fnmatch_lines(["*violation unknown-attribute: *", "*next: Correct its name*"])
        result.stdout.no_fnmatch_line("*def assert_conforms*")


def test_a_project_with_a_registry_of_its_own(pytester: pytest.Pytester) -> None:
    mine = Path(__file__).parents[3] / "examples" / "extending" / "registry"
    pytester.makeini(f"[pytest]\nrunrecord_registry = {mine}\n")
    pytester.makepyfile(
        PROJECT
        + """
from runrecord.semconv.conformance import SpanRecord

def test_triage(assert_conforms):
    assert_conforms([SpanRecord("triage_claim fire", "internal", {"acme.claim.class": "fire"}, "a1" * 16, "b1" * 8)])
"""
    )
    result = pytester.runpytest_subprocess("-q", "-k", "triage")
    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines(["*unknown-member*"])


def test_a_wrong_setting_is_a_usage_error(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nrunrecord_fail_on = everything\n")
    pytester.makepyfile(PROJECT)
    result = pytester.runpytest_subprocess("-q", "-k", "good")
    result.stdout.fnmatch_lines(["*runrecord_fail_on must be one of violation, improvement, information*"])
