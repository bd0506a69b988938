# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The commands: they tell where they listen, and an error names the place and the next step."""

from __future__ import annotations

import socket

import httpx2
import pytest
import typer
import yaml
from typer.testing import CliRunner

from runrecord.cli.gateway import effective_config, gateway
from runrecord.cli.print_config import print_config
from runrecord.cli.validate import validate
from runrecord.collector import parse_config


@pytest.fixture
def run():
    def run_(command, *arguments):
        app = typer.Typer()
        app.command()(command)
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})

    return run_


def test_validate_prints_every_problem_with_its_place(run, tmp_path):
    file = tmp_path / "runrecord.yaml"
    file.write_text("recievers: {}\nservice:\n  pipelines:\n    traces: {exporterz: [ledger]}\n")
    result = run(validate, file)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{file}:1:1: recievers: unknown key; valid here: exporters, extensions, processors, receivers, service (did you mean 'receivers'?)",
        f"{file}:4:5: service.pipelines.traces.exporters: is required",
        (
            f"{file}:4:14: service.pipelines.traces.exporterz: unknown key; valid here: exporters, processors, receivers, routing"
            " (did you mean 'exporters'?)"
        ),
        "3 problems",
    ]


def test_validate_shows_the_way_of_each_signal(run, tmp_path):
    file = tmp_path / "runrecord.yaml"
    file.write_text(
        "exporters: {ledger: {}, 'otlp_http/[a]': {endpoint: http://x}}\nservice: {pipelines: {traces: {exporters: [ledger, 'otlp_http/[a]']}}}\n"
    )
    result = run(validate, file)
    assert result.exit_code == 0
    assert result.stdout == f"{file}: valid\n  traces   otlp -> redaction -> ledger, otlp_http/[a]\n"


def test_validate_shows_the_way_of_each_tenant(run, tmp_path):
    file = tmp_path / "runrecord.yaml"
    file.write_text("""
exporters: {ledger: {}, otlp_http/a: {endpoint: http://x}}
service:
  pipelines:
    traces: {exporters: [ledger], routing: {resource_attribute: tenant.id, table: {acme: [otlp_http/a]}}}
    logs: {exporters: [], routing: {header: x-tenant, table: {acme: [ledger]}, default: [otlp_http/a]}}
""")
    assert run(validate, file).stdout.splitlines()[1:] == [
        "  traces   otlp -> redaction -> ledger; by resource attribute tenant.id (acme: otlp_http/a, others: refused)",
        "  logs     otlp -> redaction -> by header x-tenant (acme: ledger, others: otlp_http/a)",
    ]


def test_validate_and_the_gateway_refuse_the_same_in_the_same_words(run, tmp_path):
    file = tmp_path / "runrecord.yaml"
    file.write_text("processors:\n  redaction: {rules: {emial: mask}, keys: [{match: a, action: hash}]}\n")
    said = f"{file}:2:23: processors.redaction.rules.emial: no rule 'emial' (did you mean 'email'?)"
    checked = run(validate, file)
    assert (checked.exit_code, checked.stderr.splitlines()[0]) == (1, said)
    started = run(gateway, "--config", file)
    assert (started.exit_code, started.stderr.splitlines()[0]) == (4, f"error: {said}")
    assert "next: correct the file" in started.stderr


def test_print_config_fills_in_and_hides(run, tmp_path):
    file = tmp_path / "runrecord.yaml"
    file.write_text(
        "exporters: {ledger: {}, otlp_http: {endpoint: http://x, headers: {authorization: s3cret}}}\n"
    )
    result = run(print_config, file)
    assert result.exit_code == 0
    assert "s3cret" not in result.stdout
    shown = yaml.safe_load(result.stdout)
    assert shown["exporters"]["otlp_http"]["timeout"] == 10.0
    assert shown["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == "127.0.0.1:4317"
    assert parse_config(result.stdout).exporters["otlp_http"].endpoint == "http://x"


def test_print_config_of_the_default_is_a_file_to_begin_with(run):
    result = run(print_config)
    config = parse_config(result.stdout)
    assert config == effective_config(None)
    assert config.processors.redaction.packs == ("secrets", "pii")


def test_options_add_a_back_end_and_a_ledger(tmp_path):
    config = effective_config(None, forward="http://localhost:4328", ledger=tmp_path)
    assert config.forwarders["otlp_http/forward"].endpoint == "http://localhost:4328"
    assert config.ledgers["ledger"].directory == tmp_path
    file = tmp_path / "c.yaml"
    file.write_text(
        "exporters: {otlp_http: {endpoint: http://x}}\nservice: {pipelines: {logs: {exporters: [otlp_http]}}}\n"
    )
    config = effective_config(file, ledger=tmp_path)
    assert config.service.pipelines[next(iter(config.service.pipelines))].exporters == ("otlp_http", "ledger")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--config", "/nowhere.yaml"], 4, "/nowhere.yaml: can't be read"),
        (["--forward", "back:1"], 4, "--forward back:1: must be a URL"),
        (["--log-level", "loud"], 4, "--log-level loud"),
        (["--config", "/no[w]here.yaml"], 4, "error: /no[w]here.yaml: can't be read"),
    ],
)
def test_a_wrong_command_line_is_4(run, arguments, code, message):
    result = run(gateway, *arguments)
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr


@pytest.mark.e2e
def test_an_occupied_port_is_told_and_the_exit_code_is_1(gateway_process, settings):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = gateway_process(
            settings(receivers={"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}})
        ).spawn()
        assert process.process.wait(60) == 1
    text = process.err.read_text()
    assert f"port {port} on 127.0.0.1 is taken; it is wanted for OTLP over HTTP" in text
    assert "next: stop the process that has it" in text
    assert "Traceback" not in text


@pytest.mark.e2e
def test_the_command_tells_where_it_listens(gateway_process, settings, tmp_path):
    process = gateway_process(settings()).start()
    said = process.said()
    assert str(tmp_path / "ledger") in said
    assert str(tmp_path / "state" / "intake") in said
    assert "traces               redaction -> ledger" in said
    assert httpx2.get(process.health).json()["status"] == "ok"
    assert process.stop() == 0
