# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: policy, exporters, tokens and certificates change under load without a failed request; what is wrong changes nothing."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import copy
import json
import os
import signal

import httpx2
import pytest

from runrecord.collector import parse_config
from runrecord.collector.reload import needs_restart

PROTOBUF = {"content-type": "application/x-protobuf"}
BACKEND = "otlp_http/backend"


@pytest.fixture
def second_sink(sink):
    """Start another back end."""
    started = type(sink)().start()
    yield started
    started.stop()


@pytest.fixture
def reload(poll, parts):
    """Write a configuration, tell the gateway, and return its part of the health when it has an opinion."""

    def reload_(gateway, config):
        before = parts(gateway)["configuration"]
        text = config if isinstance(config, str) else json.dumps(config)
        gateway.config_file.write_text(text)
        os.kill(gateway.process.pid, signal.SIGHUP)

        def changed():
            assert httpx2.get(gateway.metrics, timeout=60).status_code == 200  # at any moment of it
            return (part := parts(gateway)["configuration"]) != before and part

        return poll(changed)

    return reload_


@pytest.mark.e2e
@pytest.mark.parametrize("workers", [1, 2])
def test_policy_and_exporters_change_under_load_without_a_failed_request(
    workers, gateway_process, settings, sink, second_sink, load, poll, requests, reload, parts
):
    config = settings(sink.url, service={"workers": workers})
    gateway = gateway_process(config).start()
    clients = load(gateway, 2, patient=False)
    clients.more(20)

    changed = copy.deepcopy(config)
    changed["processors"] = {"redaction": {"packs": [], "keys": [{"match": "note", "action": "mask"}]}}
    changed["exporters"]["otlp_http/second"] = {"endpoint": second_sink.url}
    for pipeline in changed["service"]["pipelines"].values():
        pipeline["exporters"] = ["otlp_http/second", "ledger"]
    assert reload(gateway, changed) == {"status": "ok", "reloads": 1}
    clients.more(20)
    answer = httpx2.post(
        gateway.http + "/v1/traces",
        content=requests.traces(start=77_000_000, text="plain words").SerializeToString(),
        headers=PROTOBUF,
    )
    assert answer.status_code == 200

    acknowledged = clients.stop()
    assert clients.failures == []
    poll(lambda: acknowledged <= {*sink.span_ids(), *second_sink.span_ids()})
    assert sink.span_ids()
    poll(lambda: f"{77_000_001:016x}" in second_sink.span_ids())
    [span] = [span for span in second_sink.spans() if span.span_id == (77_000_001).to_bytes(8, "big")]
    [note] = [a.value.string_value for a in span.attributes if a.key == "note"]
    assert set(note) == {"*"}
    assert f"{BACKEND} traces" not in parts(gateway)
    lines = httpx2.get(gateway.metrics).text.splitlines()
    shown = {line.partition(" ")[0] for line in lines}
    assert 'otelcol_exporter_queue_size{exporter="otlp_http/second"}' in shown
    assert 'otelcol_exporter_queue_capacity{exporter="otlp_http/second"}' in shown
    waiting = ("otelcol_exporter_queue", "runrecord_intake_lag_records")
    assert not [line for line in shown if line.startswith(waiting) and BACKEND in line]
    assert gateway.stop() == 0
    assert "Traceback" not in gateway.err.read_text()


@pytest.mark.e2e
def test_a_file_that_is_wrong_or_asks_for_what_cannot_change_is_refused_and_the_old_one_goes_on(
    tmp_path, gateway_process, settings, sink, poll, requests, reload
):
    config = settings(sink.url)
    gateway = gateway_process(config).start()

    part = reload(gateway, "exporters: {otlp_htp/backend: {endpoint: 'http://localhost:1'}}")
    assert part["status"] == "degraded"
    assert part["message"].startswith("the configuration was read again and is not used: ")
    assert "runrecord.yaml:1:" in part["message"]
    assert httpx2.get(gateway.health).status_code == 503

    moved = copy.deepcopy(config)
    moved["service"]["state_dir"] = str(tmp_path / "elsewhere")
    moved["exporters"]["ledger"]["directory"] = str(tmp_path / "elsewhere")
    part = reload(gateway, moved)
    assert (
        "to change exporters.ledger.directory, service.state_dir the gateway must be started again"
        in part["message"]
    )
    assert not (tmp_path / "elsewhere").exists()

    answer = httpx2.post(
        gateway.http + "/v1/traces", content=requests.traces().SerializeToString(), headers=PROTOBUF
    )
    assert answer.status_code == 200
    poll(lambda: len(sink.span_ids()) == 1)
    assert reload(gateway, config) == {"status": "ok", "reloads": 1}
    assert httpx2.get(gateway.health).status_code == 200
    assert gateway.stop() == 0
    log = gateway.err.read_text()
    assert log.count("is not used, the one before is") == 2
    assert "otlp_htp/backend" in log


@pytest.mark.e2e
def test_a_token_is_exchanged(gateway_process, settings, requests, reload):
    def with_token(token):
        auth = {"auth": {"authenticator": "bearertokenauth"}}
        return settings(
            extensions={"bearertokenauth": {"token": token}},
            service={"extensions": ["bearertokenauth"]},
            receivers={"otlp": {"protocols": {"http": auth, "grpc": auth}}},
        )

    gateway = gateway_process(with_token("first-token")).start()

    def post(token):
        headers = {**PROTOBUF, "authorization": f"Bearer {token}"}
        content = requests.traces().SerializeToString()
        return httpx2.post(gateway.http + "/v1/traces", content=content, headers=headers).status_code

    assert (post("first-token"), post("second-token")) == (200, 401)
    assert reload(gateway, with_token("second-token"))["status"] == "ok"
    assert (post("first-token"), post("second-token")) == (401, 200)
    assert gateway.stop() == 0
    shown = gateway.err.read_text() + gateway.out.read_text()
    assert "-token" not in shown


def test_what_cannot_change_is_named_by_its_key():
    def config(text=""):
        return parse_config("exporters: {ledger: {}, otlp_http: {endpoint: 'http://localhost:1'}}\n" + text)

    pipelines = "service: {pipelines: {traces: {exporters: [otlp_http, ledger]}}"
    old = config(pipelines + "}")
    assert needs_restart(old, config(pipelines + ", drain_timeout: 1s}")) == []
    assert needs_restart(old, config(pipelines + ", workers: 2, intake: {max_age: 1h}}")) == [
        "service.intake.max_age",
        "service.workers",
    ]
    assert needs_restart(old, config("service: {pipelines: {traces: {exporters: [otlp_http]}}}")) == [
        "exporters.ledger"
    ]
    port = "receivers: {otlp: {protocols: {http: {}, grpc: {endpoint: '127.0.0.1:1'}}}}\n"
    assert needs_restart(old, config(port + pipelines + "}")) == ["receivers.otlp.protocols.grpc.endpoint"]
