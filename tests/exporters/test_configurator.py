# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`opentelemetry-instrument python app.py` in a real process, with nothing but environment variables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runrecord.exporters import configurator
from runrecord.exporters.sdk import default_exporters

KEY = "AKIAQYLPMN5HHHFPZAM2"
MAIL = "ada.lovelace@example.org"

APP = f"""
import logging
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber, get_logger

with trace.get_tracer("app").start_as_current_span("agent_step act") as span:
    span.set_attribute("runrecord.step.kind", "act")
    span.set_attribute("note", "key {KEY} of {MAIL}")
    try:
        raise ValueError("cannot use {KEY}")
    except ValueError as error:
        span.record_exception(error)
    get_logger("app").emit(body="decided for {MAIL}", event_name="app.decided", severity_number=SeverityNumber.INFO)
    logging.warning("stdlib {MAIL}")
print("app done")
"""

OTHER = """
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

class OtherConfigurator(_OTelSDKConfigurator):
    pass
"""

SLOTTED = """
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.trace import get_tracer_provider

class Printer:
    def export(self, spans):
        print(*(span.to_json() for span in spans))

class Fixed:
    exporter = property(lambda self: Printer())  # it can't be replaced
    def on_start(self, span, parent_context=None): pass
    def _on_ending(self, span): pass
    def on_end(self, span): self.exporter.export([span])
    def shutdown(self): pass
    def force_flush(self, timeout_millis=30000): return True

class OtherConfigurator(_OTelSDKConfigurator):
    def _configure(self, **kwargs):
        super()._configure(**kwargs)
        get_tracer_provider().add_span_processor(Fixed())
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the app under opentelemetry-instrument with a clean environment and these variables."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "app.py").write_text(APP)

    def start(variables: Mapping[str, str], *, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "app.py"],
            cwd=tmp_path / "app",
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*",  # importing agent SDKs takes seconds
                **({"PYTHONPATH": str(path)} if path else {}),
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return start


@pytest.fixture
def other_distribution(tmp_path: Path) -> Path:
    """A directory that holds another distribution with a configurator, as `pip install` would have left it."""
    root = tmp_path / "other"
    info = root / "other_distro-1.0.dist-info"
    info.mkdir(parents=True)
    (root / "other_distro.py").write_text(OTHER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-distro\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_configurator]\nother = other_distro:OtherConfigurator\n"
    )
    return root


def assert_redacted(receiver, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout == "app done\n"
    (span,) = [span for span in receiver.spans if span.name == "agent_step act"]
    attributes = {pair.key: pair.value.string_value for pair in span.attributes}
    assert attributes["openinference.span.kind"] == "CHAIN"
    (event,) = span.events
    assert event.name == "exception"
    records = [
        r
        for request in receiver.logs
        for rl in request.resource_logs
        for sl in rl.scope_logs
        for r in sl.log_records
    ]
    assert [record.event_name for record in records] == ["app.decided"], "stdlib logging is not exported"
    assert KEY.encode() not in receiver.bytes
    assert MAIL.encode() not in receiver.bytes
    assert "UNREDACTED" not in done.stderr


def test_http_with_nothing_but_the_endpoint_and_the_protocol(run, http_receiver):
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": http_receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    assert_redacted(http_receiver, run(variables))


def test_grpc_with_nothing_but_the_endpoint(run, grpc_receiver):
    assert_redacted(grpc_receiver, run({"OTEL_EXPORTER_OTLP_ENDPOINT": grpc_receiver.endpoint}))


def test_exporters_named_in_the_environment_are_the_ones_used(run, http_receiver):
    done = run(
        {
            "OTEL_TRACES_EXPORTER": "console",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": http_receiver.endpoint,
        }
    )
    assert done.returncode == 0
    assert '"name": "agent_step act"' in done.stdout
    assert KEY not in done.stdout
    assert MAIL not in done.stdout
    assert http_receiver.headers == []


def test_the_policy_of_the_configuration_file(run, http_receiver, tmp_path):
    config = tmp_path / "runrecord.yaml"
    config.write_text(
        "receivers: {otlp: {}}\n"
        "processors:\n"
        "  redaction: {packs: [secrets], keys: [{match: '${env:DROPPED:-none}', action: drop}]}\n"
        "  compat: {openinference: false}\n"
    )
    done = run(
        {
            "RUNRECORD_CONFIG": str(config),
            "DROPPED": "runrecord.step.kind",
            "OTEL_EXPORTER_OTLP_ENDPOINT": http_receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
    )
    assert done.returncode == 0, done.stderr
    keys = {pair.key for span in http_receiver.spans for pair in span.attributes}
    assert "note" in keys
    assert "runrecord.step.kind" not in keys
    assert "openinference.span.kind" not in keys
    assert KEY.encode() not in http_receiver.bytes
    assert MAIL.encode() in http_receiver.bytes, "this policy has no rule for it"


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), ("processors: {redaction: {pack: [secrets]}}", "did you mean 'packs'")],
)
def test_without_a_usable_policy_nothing_leaves_and_the_app_runs(run, http_receiver, tmp_path, content, said):
    config = tmp_path / "runrecord.yaml"
    if content is not None:
        config.write_text(content)
    done = run(
        {
            "RUNRECORD_CONFIG": str(config),
            "OTEL_EXPORTER_OTLP_ENDPOINT": http_receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
    )
    assert (done.returncode, done.stdout) == (0, "app done\n")
    assert said in done.stderr
    assert http_receiver.headers == []


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_another_configurator_that_wins_is_guarded_and_named_in_one_line(
    request, run, other_distribution, protocol
):
    receiver = request.getfixturevalue("grpc_receiver" if protocol == "grpc" else "http_receiver")
    done = run(
        {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        },
        path=other_distribution,
    )
    assert_redacted(receiver, done)
    (line,) = [line for line in done.stderr.splitlines() if "Runrecord" in line]
    assert "OTLPSpanExporter (traces), OTLPLogExporter (logs)" in line
    assert "the configurator 'other' (other-distro), and redaction was put in front of them" in line
    assert line.endswith("set OTEL_PYTHON_CONFIGURATOR=runrecord")


def test_an_instrumentation_that_fails_does_not_take_redaction_with_it(
    run, http_receiver, other_distribution
):
    (other_distribution / "broken.py").write_text("raise RuntimeError('broken')\n")
    entry_points = other_distribution / "other_distro-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text(
        f"{entry_points.read_text()}[opentelemetry_instrumentor]\nbroken = broken:Broken\n"
    )
    done = run(
        {
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": http_receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        },
        path=other_distribution,
    )
    assert "Instrumenting of broken failed" in done.stderr
    assert_redacted(http_receiver, done)


def test_what_another_configurator_prints_is_redacted(run, other_distribution):
    done = run({"OTEL_TRACES_EXPORTER": "console"}, path=other_distribution)
    assert '"name": "agent_step act"' in done.stdout
    assert KEY not in done.stdout
    assert MAIL not in done.stdout


def test_without_a_usable_policy_another_configurator_sends_no_content(
    run, http_receiver, other_distribution, tmp_path
):
    done = run(
        {
            "RUNRECORD_CONFIG": str(tmp_path / "missing.yaml"),
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": http_receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        },
        path=other_distribution,
    )
    assert done.stdout == "app done\n"
    (span,) = http_receiver.spans
    assert span.name == "redaction_failed"
    assert KEY.encode() not in http_receiver.bytes
    assert MAIL.encode() not in http_receiver.bytes
    (line,) = [line for line in done.stderr.splitlines() if "send no content" in line]
    assert "No such file" in line


def test_what_cannot_be_guarded_is_shouted_about(run, http_receiver, other_distribution):
    (other_distribution / "other_distro.py").write_text(SLOTTED)
    done = run({"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}, path=other_distribution)
    assert KEY in done.stdout, "the warning is true"
    (line,) = [line for line in done.stderr.splitlines() if "UNREDACTED" in line]
    assert "Printer (traces)" in line
    assert line.endswith("set OTEL_PYTHON_CONFIGURATOR=runrecord")


def test_naming_the_configurator_settles_it(run, http_receiver, other_distribution):
    done = run(
        {
            "OTEL_PYTHON_CONFIGURATOR": "runrecord",
            "OTEL_EXPORTER_OTLP_ENDPOINT": http_receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        },
        path=other_distribution,
    )
    assert_redacted(http_receiver, done)


def test_without_what_redacts_nothing_is_configured_and_the_next_step_is_named(monkeypatch, caplog):
    monkeypatch.setattr(configurator, "_NEEDED", ("no_such_package.inside",))
    monkeypatch.setattr(configurator.RunrecordConfigurator, "ran", False)
    monkeypatch.setattr(configurator.RunrecordConfigurator, "problem", "")
    configurator.RunrecordConfigurator().configure(auto_instrumentation_version="1")
    assert 'pip install "runrecord[otlp]"' in caplog.text
    assert configurator.RunrecordConfigurator.problem == "no_such_package.inside is not installed"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ["otlp_proto_grpc"]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ["otlp_proto_http"]),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            ["otlp_proto_grpc"],
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, []),
        ({"OTEL_TRACES_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": ""}, []),
    ],
)
def test_otlp_is_the_default_only_where_nothing_else_is_said(monkeypatch, variables, expected):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_exporters("traces") == expected
