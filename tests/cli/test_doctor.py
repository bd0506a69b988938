# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord doctor` in environments that are fine, unsafe, or broken; the probe is a real process each time."""

from __future__ import annotations

import json
import os
import secrets
import socket
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from runrecord.cli.doctor import doctor
from runrecord.ledger.ledger import Ledger

OTHER = """
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

class OtherConfigurator(_OTelSDKConfigurator):
    pass
"""

FIXED = """
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from opentelemetry.trace import get_tracer_provider

class Fixed(SpanProcessor):
    exporter = property(lambda self: ConsoleSpanExporter())  # it can't be replaced

class OtherConfigurator(_OTelSDKConfigurator):
    def _configure(self, **kwargs):
        super()._configure(**kwargs)
        get_tracer_provider().add_span_processor(Fixed())
"""

app = typer.Typer()
app.command()(doctor)


@pytest.fixture
def environment(monkeypatch, tmp_path) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith(("OTEL_", "RUNRECORD_", "XDG_", "PYTHONPATH")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*")  # importing agent SDKs takes seconds
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def other_distribution(tmp_path) -> Path:
    root = tmp_path / "other"
    info = root / "other_distro-1.0.dist-info"
    info.mkdir(parents=True)
    (root / "other_distro.py").write_text(OTHER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-distro\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_configurator]\nother = other_distro:OtherConfigurator\n"
        "[opentelemetry_instrumentor]\nabsent = no_such_package:Instrumentor\n"
    )
    return root


def diagnose(*, code: int = 0) -> dict[str, list[dict[str, Any]]]:
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == code, result.output
    found: dict[str, list[dict[str, Any]]] = {}
    answer = json.loads(result.stdout)
    assert answer["safe"] is (code == 0)
    for check in answer["checks"]:
        found.setdefault(check["check"], []).append(check)
    return found


def test_an_environment_that_is_fine(environment):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:hunter2@127.0.0.1:{port}")
        found = diagnose()
    (configurator,) = found["configurator"]
    assert configurator["state"] == "ok"
    assert configurator["found"].startswith("runrecord (the first found of: runrecord (runrecord)")
    assert [check["state"] for check in found["exporter"]] == ["ok", "ok"]
    assert [check["found"].partition(":")[0] for check in found["exporter"]] == ["traces", "logs"]
    assert all(check["found"].endswith("redacted") for check in found["exporter"])
    (endpoint,) = found["endpoint"]
    assert endpoint["state"] == "ok"
    assert endpoint["found"] == f"127.0.0.1:{port} accepts connections"
    (redaction,) = found["redaction"]
    assert "engine " in redaction["found"]
    assert "policy default" in redaction["found"]
    assert found["content"][0]["state"] == "ok"
    assert found["tenant key"][0]["state"] == "info"
    assert found["state"][0]["found"].endswith("not made yet")


def test_another_configurator_that_wins_is_guarded(environment, other_distribution):
    environment.delenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")
    environment.setenv("PYTHONPATH", str(other_distribution))
    environment.setenv("OTEL_TRACES_EXPORTER", "console")
    found = diagnose()
    (configurator,) = found["configurator"]
    assert configurator["state"] == "warning"
    assert configurator["found"].startswith(
        "other (the first found of: other (other-distro), runrecord (runrecord)"
    )
    assert configurator["found"].endswith("Runrecord put redaction in front of its exporters")
    assert configurator["next_step"] == "set OTEL_PYTHON_CONFIGURATOR=runrecord"
    (exporter,) = found["exporter"]
    assert exporter["state"] == "ok"
    assert "ConsoleSpanExporter" in exporter["found"]
    assert exporter["found"].endswith("redacted, by a guard put in front of it afterwards")
    absent = [check for check in found["integration"] if check["found"].startswith("absent:")]
    assert absent[0]["found"] == "absent: not installed (no module named no_such_package)"


def test_naming_the_configurator_settles_it(environment, other_distribution):
    environment.setenv("PYTHONPATH", str(other_distribution))
    environment.setenv("OTEL_TRACES_EXPORTER", "console")
    environment.setenv("OTEL_LOGS_EXPORTER", "none")
    environment.setenv("OTEL_PYTHON_CONFIGURATOR", "runrecord")
    found = diagnose()
    assert found["configurator"][0]["found"] == "runrecord (OTEL_PYTHON_CONFIGURATOR=runrecord)"
    assert found["exporter"][0]["state"] == "ok"


def test_a_name_that_selects_nothing(environment):
    environment.setenv("OTEL_PYTHON_CONFIGURATOR", "runrecrod")
    found = diagnose()
    (configurator,) = found["configurator"]
    assert configurator["state"] == "warning"
    assert configurator["found"].startswith("none: no configurator is called 'runrecrod'")
    assert configurator["next_step"] == "set OTEL_PYTHON_CONFIGURATOR=runrecord"
    (exporter,) = found["exporter"]
    assert exporter["found"] == "none: no configurator ran; nothing is exported"
    assert exporter["next_step"] == ""


def test_a_disabled_sdk_records_nothing(environment):
    environment.setenv("OTEL_SDK_DISABLED", "True")
    found = diagnose()
    (sdk,) = found["sdk"]
    assert sdk["found"] == "OTEL_SDK_DISABLED=True: nothing is recorded"
    assert sdk["state"] == "warning"
    assert "exporter" not in found
    assert "endpoint" not in found


def test_another_configurator_without_a_usable_policy_sends_no_content(
    environment, other_distribution, tmp_path
):
    environment.setenv("PYTHONPATH", str(other_distribution))
    environment.setenv("OTEL_TRACES_EXPORTER", "console")
    environment.setenv("RUNRECORD_CONFIG", str(tmp_path / "missing.yaml"))
    (exporter,) = diagnose()["exporter"]
    assert exporter["state"] == "warning"
    assert exporter["found"].endswith("sends no content: there is no policy")


def test_an_exporter_that_cannot_be_guarded_is_unsafe(environment, other_distribution):
    (other_distribution / "other_distro.py").write_text(FIXED)
    environment.setenv("PYTHONPATH", str(other_distribution))
    environment.setenv("OTEL_TRACES_EXPORTER", "none")
    (exporter,) = diagnose(code=1)["exporter"]
    assert exporter["state"] == "unsafe"
    assert "NOT redacted" in exporter["found"]
    assert exporter["next_step"] == "set OTEL_PYTHON_CONFIGURATOR=runrecord"


def test_a_policy_that_cannot_be_used_is_told_and_nothing_is_exported(environment, tmp_path):
    environment.setenv("RUNRECORD_CONFIG", str(tmp_path / "missing.yaml"))
    found = diagnose()
    assert "No such file" in found["configurator"][0]["found"]
    assert "exports nothing" in found["configurator"][0]["found"]
    assert "exporter" not in found
    assert found["redaction"][0]["state"] == "warning"
    assert found["redaction"][0]["next_step"] == "correct this; no content is exported until it is"


def test_integrations_that_are_switched_off_say_by_what(environment):
    environment.setenv("OTEL_TRACES_EXPORTER", "none")
    environment.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "runrecord_langgraph, other")
    found = diagnose()
    lines = [check["found"] for check in found["integration"]]
    assert "runrecord_langgraph: disabled (OTEL_PYTHON_DISABLED_INSTRUMENTATIONS)" in lines


def test_metrics_are_said_to_be_unredacted(environment):
    environment.setenv("OTEL_METRICS_EXPORTER", "console")
    environment.setenv("OTEL_TRACES_EXPORTER", "none")
    environment.setenv("OTEL_LOGS_EXPORTER", "none")
    found = diagnose()
    assert [check["found"] for check in found["exporter"] if check["state"] == "warning"] == [
        "metrics: console; metrics are not redacted in the process"
    ]


def test_an_endpoint_that_nobody_listens_on(environment):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    (endpoint,) = diagnose()["endpoint"]
    assert endpoint["state"] == "warning"
    assert f"127.0.0.1:{port} can't be reached" in endpoint["found"]


def test_a_key_that_others_can_read_is_unsafe(environment, tmp_path):
    environment.setenv("OTEL_TRACES_EXPORTER", "none")
    environment.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "state").mkdir(mode=0o700)
    key = tmp_path / "state" / "tenant.key"
    text = secrets.token_hex(32)
    key.write_text(text)
    key.chmod(0o644)
    (check,) = diagnose(code=1)["tenant key"]
    assert check["next_step"] == f"chmod 600 {key}"
    key.chmod(0o600)
    (check,) = diagnose()["tenant key"]
    assert check["state"] == "ok"
    assert "mode 0600" in check["found"]
    assert text not in json.dumps(check)


def test_a_key_in_the_environment(environment):
    environment.setenv("OTEL_TRACES_EXPORTER", "none")
    environment.setenv("RUNRECORD_KEY", secrets.token_hex(32))
    (check,) = diagnose()["tenant key"]
    assert check["found"].startswith("RUNRECORD_KEY, fingerprint ")
    environment.setenv("RUNRECORD_KEY", "short")
    assert diagnose(code=1)["tenant key"][0]["state"] == "unsafe"


def test_the_run_keys_of_the_ledger_are_found(environment, tmp_path):
    environment.setenv("OTEL_TRACES_EXPORTER", "none")
    environment.setenv("RUNRECORD_LEDGER", str(tmp_path / "ledger"))
    assert "run keys" not in diagnose()
    with Ledger(tmp_path / "ledger") as ledger:
        (check,) = diagnose()["run keys"]
        assert check["state"] == "info"
        ledger.run_secrets.puncture([("", "run-1")])
    path = tmp_path / "ledger" / ".state" / "run.keys"
    (check,) = diagnose()["run keys"]
    assert check["found"] == f"{path}, id {ledger.run_secrets.identity[:8]}, 1 runs erased"
    path.chmod(0o644)
    (check,) = diagnose(code=1)["run keys"]
    assert (check["state"], check["next_step"]) == ("unsafe", f"run: chmod 600 {path}")


def test_a_state_directory_that_others_can_write_to_is_unsafe(environment, tmp_path):
    environment.setenv("OTEL_TRACES_EXPORTER", "none")
    environment.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    (check,) = diagnose(code=1)["state"]
    assert check["next_step"] == f"chmod 700 {tmp_path / 'state'}"


def test_captured_content_is_mentioned(environment):
    environment.setenv("OTEL_TRACES_EXPORTER", "none")
    environment.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    assert diagnose()["content"][0]["found"].startswith("captured")


@pytest.fixture
def propagating(environment) -> pytest.MonkeyPatch:
    """Only this one of the instrumentations is switched on."""
    names = {point.name for point in entry_points(group="opentelemetry_instrumentor")}
    others = sorted(names - {"runrecord_propagation"})
    environment.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", ",".join(others))
    return environment


def test_what_leaves_to_which_hosts_by_default(propagating):
    hosts, processes = diagnose()["propagation"]
    assert (hosts["state"], processes["state"]) == ("ok", "info")
    assert "is sent to no host" in hosts["found"]
    assert "child processes are told" in processes["found"]


def test_what_leaves_to_which_hosts(propagating):
    propagating.setenv("RUNRECORD_PROPAGATION_HOSTS", "*.internal.example, 10.0.0.0/8,*")
    propagating.setenv("RUNRECORD_PROPAGATION_ACCEPT", "true")
    propagating.setenv("RUNRECORD_PROPAGATION_PROCESSES", "false")
    wrong, hosts, accepted = diagnose()["propagation"]
    assert wrong["state"] == "warning"
    assert "RUNRECORD_PROPAGATION_HOSTS: '*' is no host name" in wrong["found"]
    assert hosts["found"].endswith("are sent to *.internal.example, 10.0.0.0/8")
    assert "is believed" in accepted["found"]


def test_an_allow_list_that_nothing_heeds(environment):
    environment.setenv("RUNRECORD_PROPAGATION_HOSTS", "tools.internal")
    (check,) = diagnose()["propagation"]
    assert check["state"] == "warning"
    assert "runrecord_propagation" in check["next_step"]
    environment.setenv("OTEL_PROPAGATORS", "tracecontext,runrecord")
    (check,) = diagnose()["propagation"]
    assert check["state"] == "info"


def test_an_allow_list_without_a_propagator_of_baggage(propagating):
    propagating.setenv("RUNRECORD_PROPAGATION_HOSTS", "tools.internal")
    propagating.setenv("OTEL_PROPAGATORS", "tracecontext")
    check = diagnose()["propagation"][0]
    assert check["state"] == "warning"
    assert check["next_step"] == "add baggage to OTEL_PROPAGATORS"


def test_the_table_for_people(environment, other_distribution):
    (other_distribution / "other_distro.py").write_text(FIXED)
    environment.setenv("PYTHONPATH", str(other_distribution))
    environment.setenv("OTEL_TRACES_EXPORTER", "console")
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert "OTEL_PYTHON_CONFIGURATOR=runrecord" in result.output
    assert "unsafe" in result.output
