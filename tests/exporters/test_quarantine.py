# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""In the app: a span that cannot be redacted is set aside sealed, and a marker is exported in its place."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from runrecord.exporters import SafeSpanExporter, settings
from runrecord.exporters.marker import MARKED_NAME
from runrecord.processors import Signal
from runrecord.processors.redaction import RedactionPolicy, RedactionQuarantine
from runrecord.semconv.commitment import load_tenant_key

MANY = "ada@example.org " * 5
CONFIG = (
    "processors: {{redaction: {{on_error: quarantine, limits: {{request_confirms: 3}}, quarantine: {{{}}}}}}}"
)


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy that refuses a span with many findings; returns the quarantine's directory."""
    directory = tmp_path / "set-aside"
    path = tmp_path / "runrecord.yaml"
    path.write_text(CONFIG.format(f"directory: '{directory}'"))
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv(settings.RUNRECORD_CONFIG, str(path))
    monkeypatch.setattr(settings, "_loaded", {})
    return directory


def export(*names: str) -> list[str]:
    memory = InMemorySpanExporter()
    spans = [
        ReadableSpan(name, SpanContext(1, n, False), resource=Resource({})) for n, name in enumerate(names, 2)
    ]
    SafeSpanExporter(memory).export(spans)
    return [span.name for span in memory.get_finished_spans()]


def test_a_span_is_set_aside_and_its_neighbours_are_not(configured: Path) -> None:
    assert export("chat", MANY, "mail eve@example.org") == ["chat", MARKED_NAME, "mail [EMAIL]"]
    policy = RedactionPolicy.parse({"on_error": "quarantine"})
    quarantine = RedactionQuarantine.make(policy, load_tenant_key().pseudonym_key(), configured)
    assert quarantine is not None
    (entry,) = quarantine.entries()
    kept = ExportTraceServiceRequest.FromString(quarantine.read(entry))
    assert entry.signal is Signal.TRACES
    assert [span.name for span in kept.resource_spans[0].scope_spans[0].spans] == [MANY]
    assert b"ada@example.org" not in entry.path.read_bytes()


def test_a_full_quarantine_costs_the_content_only(configured: Path, caplog: pytest.LogCaptureFixture) -> None:
    configured.write_text("no directory")
    with caplog.at_level(logging.ERROR):
        assert export("chat", MANY) == ["chat", MARKED_NAME]
    assert "could not be set aside either: the quarantine cannot be written" in caplog.text
    assert "ada@example.org" not in caplog.text


def test_without_a_directory_nothing_is_exported(tmp_path: Path, configured: Path) -> None:
    (tmp_path / "runrecord.yaml").write_text(CONFIG.format(""))
    with pytest.raises(settings.SettingsError, match="on_error is quarantine; name a directory"):
        settings.load_protection()
