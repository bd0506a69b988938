# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example of a team's own conventions is up to date, and its program says what its registry says."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runrecord.semconv.errors import RegistryError
from runrecord.semconv.generate import bring_up_to_date, generated_files
from runrecord.semconv.json_schema import json_schema
from runrecord.semconv.registry import Metric, Registry, Signal, load_registry, read_registry
from runrecord.semconv.testing import assert_conforms

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "extending"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return read_registry(EXAMPLE / "registry")


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path))
    yield importlib.import_module("claims")
    for name in [name for name in sys.modules if name.split(".")[0] in ("claims", "acme_conventions")]:
        del sys.modules[name]


class Said:
    """What the program said, in memory."""

    def __init__(self, claims: ModuleType) -> None:
        spans, logs, self.metrics = (
            InMemorySpanExporter(),
            InMemoryLogRecordExporter(),
            InMemoryMetricReader(),
        )
        traces, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
        traces.add_span_processor(SimpleSpanProcessor(spans))
        loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
        meters = MeterProvider([self.metrics], shutdown_on_exit=False)
        agent = claims.Claims(traces, loggers, meters)
        kinds = claims.attributes.AcmeClaimClass
        self.settled = [
            agent.settle(claims.Claim("c-1", kinds.GLASS, 240.0)),
            agent.settle(claims.Claim("c-2", kinds.THEFT, 4100.0)),
        ]
        self.spans = spans.get_finished_spans()
        self.records = logs.get_finished_logs()
        self.logs = [record.log_record for record in self.records]
        points = self.metrics.get_metrics_data()
        assert points is not None
        (self.histogram,) = points.resource_metrics[0].scope_metrics[0].metrics
        for provider in (traces, loggers, meters):
            provider.shutdown()

    def named(self, operation: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.split(" ")[0] == operation]


def problems(registry: Registry, item: Signal | Metric, attributes: Any) -> list[str]:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in attributes.items()}
    found = Draft202012Validator(json_schema(registry, item)).iter_errors(plain)
    return [error.message for error in found]


def test_what_is_generated_is_what_is_committed(registry: Registry) -> None:
    assert bring_up_to_date(EXAMPLE / "acme_conventions", generated_files(registry), check=True) == []


def test_the_licence_of_the_manifest_is_that_of_what_is_generated(registry: Registry) -> None:
    lines = (EXAMPLE / "registry" / "manifest.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    for path, text in generated_files(registry).items():
        if path.suffix in (".py", ".yaml"):
            assert text.startswith("".join(lines[:2]) + "# Generated from the registry")


def test_the_program_says_what_its_registry_says(registry: Registry, claims: ModuleType) -> None:
    said = Said(claims)
    assert said.settled == ["paid", "rejected"]
    assert_conforms(said.spans, said.records, registry=registry)
    triages, decisions = said.named("triage_claim"), said.named("policy_decision")
    assert [span.name for span in triages] == ["triage_claim glass", "triage_claim theft"]
    for span in triages:
        assert span.instrumentation_scope is not None
        assert span.instrumentation_scope.schema_url == registry.schema_url
        assert problems(registry, registry.signals["acme.claim_triage"], span.attributes) == []
    assert len(decisions) == 2
    for span in decisions:
        assert problems(registry, registry.signals["acme.coverage_decision"], span.attributes) == []
    events = [record for record in said.logs if record.event_name == "acme.claim.settled"]
    assert len(events) == 2
    for event in events:
        assert problems(registry, registry.signals["acme.claim.settled"], event.attributes) == []
    metric = registry.metrics["acme.claim.triage.duration"]
    assert (said.histogram.name, said.histogram.unit) == (metric.name, metric.unit)
    for point in said.histogram.data.data_points:
        assert problems(registry, metric, point.attributes) == []


def test_a_program_that_says_something_else_is_found(registry: Registry, claims: ModuleType) -> None:
    (span, _) = Said(claims).named("triage_claim")
    signal = registry.signals["acme.claim_triage"]
    said = dict(span.attributes or {})
    assert problems(registry, signal, {**said, "acme.claim.class": "flood"})
    assert problems(registry, signal, {**said, "acme.claim.klass": "glass"})
    assert problems(registry, signal, {**said, "runrecord.decision.id": "d"})
    assert problems(
        registry, signal, {key: value for key, value in said.items() if key != "acme.claim.fast_track"}
    )
    assert problems(registry, signal, {**said, "http.route": "/"}) == []


def test_our_own_signals_are_unchanged_in_the_registry_of_a_team(registry: Registry) -> None:
    ours = load_registry()
    assert {key: registry.signals[key] for key in ours.signals} == dict(ours.signals)
    assert {key: registry.metrics[key] for key in ours.metrics} == dict(ours.metrics)


def test_a_refinement_of_ours_adds_to_it(registry: Registry) -> None:
    base, refined = registry.signals["runrecord.policy_decision"], registry.signals["acme.coverage_decision"]
    added = {use.attribute.key for use in refined.uses if not use.inherited}
    assert added == {"acme.claim.class", "acme.claim.id"}
    assert {use.attribute.key for use in refined.uses} - added == {use.attribute.key for use in base.uses}
    assert (refined.name, refined.kind, refined.ref) == (base.name, base.kind, base.id)


def test_the_mistake_in_the_readme_is_what_is_said(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "registry", tmp_path / "registry")
    file = tmp_path / "registry" / "claims.yaml"
    text = file.read_text(encoding="utf-8")
    start = text.rindex("- ref: acme.claim.class")
    file.write_text(
        text[:start] + text[start:].replace("acme.claim.class", "acme.claim.kind"), encoding="utf-8"
    )
    manifest = file.with_name("manifest.yaml")
    manifest.write_text(
        manifest.read_text(encoding="utf-8").replace("registry_path", "# registry_path"), encoding="utf-8"
    )
    with pytest.raises(RegistryError) as caught:
        read_registry(tmp_path / "registry")
    assert f"\n{caught.value}\n" in (EXAMPLE / "README.md").read_text(encoding="utf-8")
