# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The way through a gateway: accepted, redacted, sealed, forwarded, and told about."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from runrecord.collector import AddressError, ConfigError, Gateway, GatewayConfig, StartError
from runrecord.processors.errors import RedactionError
from runrecord.processors.redaction import Redactor

PROTOBUF = {"content-type": "application/x-protobuf"}


def test_a_request_is_redacted_sealed_and_forwarded(run_gateway, sink, requests, poll, sealed):
    gateway = run_gateway(sink.url, processors={"redaction": {"packs": ["pii"]}})
    answer = gateway.post(requests.traces(3, text="mail to ada@example.org"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-protobuf")
    assert not ExportTraceServiceResponse.FromString(answer.content).HasField("partial_success")
    poll(lambda: len(sink.spans()) == 3)
    assert b"ada@example.org" not in b"".join(body for _, _, body in sink.requests)
    poll(lambda: sealed() == [f"{n:016x}" for n in (1, 2, 3)])


def test_the_same_request_twice_is_one_entry_each(run_gateway, requests, poll, sealed):
    gateway = run_gateway()
    for _ in range(3):
        assert gateway.post(requests.traces(2)).status_code == 200
    poll(
        lambda: gateway.metric("runrecord_ledger_appended_total") == 7
    )  # one is what the resource says of itself
    poll(lambda: len(sealed()) == 2)
    assert gateway.metric('runrecord_ledger_appended_total{ledger="ledger",status="duplicate"}') == 4


def test_compat_is_added_for_the_back_end_and_not_for_the_ledger(
    run_gateway, sink, settings, requests, poll, sealed
):
    config = settings(sink.url, processors={"compat": {"openinference": True}})
    config["service"]["pipelines"]["traces"]["processors"] = ["redaction", "compat"]
    gateway = run_gateway(config=config)
    gateway.post(requests.traces())
    poll(sink.spans)
    assert "openinference.span.kind" in {item.key for item in sink.spans()[0].attributes}
    poll(sealed)


def test_metrics_and_health_tell_what_happens(run_gateway, sink, requests, poll):
    gateway = run_gateway(sink.url, processors={"redaction": {"packs": ["pii"]}})
    bad = requests.traces(3, text="ada@example.org")
    bad.resource_spans[0].scope_spans[0].spans[0].span_id = b""
    gateway.post(bad)
    gateway.post(requests.logs(), "/v1/logs")
    gateway.post(requests.metrics(), "/v1/metrics")
    httpx2.post(gateway.http + "/v1/traces", content=b"\xff", headers=PROTOBUF)
    poll(lambda: len(sink.requests) == 3)
    poll(
        lambda: gateway.metric("runrecord_ledger_entries") == 3
    )  # two spans, and what their resource says of itself
    poll(lambda: gateway.metric("otelcol_exporter_sent_metric_points_total") == 2)
    assert gateway.metric('otelcol_receiver_accepted_spans_total{receiver="otlp",transport="http"}') == 2
    assert gateway.metric("otelcol_receiver_failed_spans_total") == 1
    assert gateway.metric("otelcol_receiver_refused_requests_total") == 1
    assert gateway.metric("otelcol_exporter_sent_spans_total") == 2
    assert gateway.metric("runrecord_redaction_matches_total") == 2
    poll(lambda: gateway.metric("runrecord_intake_lag_records") == 0)
    assert gateway.metric("runrecord_intake_bytes") > 0
    health = httpx2.get(gateway.health)
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert set(health.json()["parts"]) == {
        "ledger",
        "ledger checkpoints",
        "otlp_http/backend traces",
        "otlp_http/backend logs",
        "otlp_http/backend metrics",
        "intake",
    }
    assert health.json()["parts"]["ledger"]["entries"] == 3
    assert httpx2.get(gateway.metrics.replace("/metrics", "/")).status_code == 404


def test_what_cannot_be_redacted_is_refused_for_good_and_goes_nowhere(
    run_gateway, sink, requests, poll, caplog, monkeypatch
):
    """The engine fails on purpose on one text: a way to reach this that depends on no rule."""
    whole = Redactor.redact

    def redact(self, signal, body):
        if b"unlucky" in body:
            raise RedactionError("the budget of a request is used up")
        if b"crash" in body:
            raise RuntimeError(body.decode(errors="replace"))
        return whole(self, signal, body)

    monkeypatch.setattr(Redactor, "redact", redact)
    gateway = run_gateway(sink.url)
    for text in ("unlucky", "crash s3cret"):
        answer = gateway.post(requests.traces(text=text))
        assert answer.status_code == 500
        assert b"can't be redacted" in answer.content
    gateway.post(requests.traces(start=7))
    poll(lambda: sink.span_ids() == [f"{8:016x}"])
    assert gateway.metric("runrecord_redaction_errors_total") == 2
    assert "s3cret" not in caplog.text


# -- starting --------------------------------------------------------------------------------------------------------


def test_an_occupied_port_names_itself_and_leaves_nothing_open(run_gateway, settings):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for protocol, what in (("http", "OTLP over HTTP"), ("grpc", "OTLP over gRPC")):
            config = settings()
            config["receivers"]["otlp"]["protocols"][protocol]["endpoint"] = f"127.0.0.1:{port}"
            with pytest.raises(AddressError, match=f"{port}.*{what}") as caught:
                run_gateway(config=config)
            assert "another port" in caught.value.next_step
    run_gateway()


def test_an_address_of_another_machine_is_refused(run_gateway, settings):
    config = settings()
    config["receivers"]["otlp"]["protocols"]["http"] = {"endpoint": "192.0.2.1:4318", "insecure": True}
    with pytest.raises(AddressError, match=r"192\.0\.2\.1:4318"):
        run_gateway(config=config)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
def test_a_host_that_is_not_known_says_what_to_do(run_gateway, settings, protocol, host):
    config = settings()
    config["receivers"]["otlp"]["protocols"][protocol] = {"endpoint": f"{host}:4318", "insecure": True}
    with pytest.raises(AddressError, match=f"can't listen on {host}:4318 for OTLP over ") as caught:
        run_gateway(config=config)
    assert "127.0.0.1" in caught.value.next_step


def test_a_second_gateway_on_the_same_state_is_refused(run_gateway, settings):
    run_gateway()
    with pytest.raises(StartError, match=f"in use by another process.*{os.getpid()}"):
        run_gateway()


def test_names_that_do_not_fit_are_refused_in_code_too(settings):
    config = settings()
    config["service"]["pipelines"]["traces"]["exporters"] = ["nowhere"]
    with pytest.raises(ConfigError, match="nowhere"):
        Gateway(GatewayConfig.model_validate(config))


def test_a_read_only_ledger_directory_refuses_to_start(run_gateway):
    """/proc takes no directories, not even from root."""
    with pytest.raises(StartError, match=r"ledger: .*/proc/ledger") as caught:
        run_gateway(exporters={"ledger": {"directory": "/proc/ledger"}})
    assert caught.value.next_step


def test_a_read_only_state_directory_refuses_to_start(run_gateway):
    with pytest.raises(StartError, match=r"the intake log can't use /proc/state/intake") as caught:
        run_gateway(service={"state_dir": "/proc/state"})
    assert "service.state_dir" in caught.value.next_step


def test_a_ledger_directory_that_is_a_file_refuses_to_start(tmp_path, run_gateway):
    (tmp_path / "ledger").write_text("")
    with pytest.raises(StartError, match="ledger: ") as caught:
        run_gateway()
    assert caught.value.next_step


def test_a_ledger_whose_last_checkpoint_does_not_match_refuses_to_start(
    tmp_path, run_gateway, requests, poll, sealed
):
    """The tree of an older copy under the checkpoint of a newer one: somebody rolled it back."""
    gateway = run_gateway()
    gateway.post(requests.traces(3))
    poll(lambda: len(sealed()) == 3)
    gateway.stop()
    shutil.copytree(tmp_path / "ledger", tmp_path / "older")
    gateway = run_gateway()
    gateway.post(requests.traces(3, start=3))
    poll(lambda: len(sealed()) == 6)
    gateway.stop()
    shutil.copy(tmp_path / "ledger" / "checkpoint", tmp_path / "older" / "checkpoint")
    shutil.rmtree(tmp_path / "ledger")
    (tmp_path / "older").rename(tmp_path / "ledger")
    with pytest.raises(StartError, match="ledger: ") as caught:
        run_gateway()
    assert caught.value.next_step


def test_a_tenant_key_that_is_none_refuses_to_start(run_gateway, monkeypatch):
    monkeypatch.setenv("RUNRECORD_KEY", "short")
    with pytest.raises(StartError, match="tenant key"):
        run_gateway()


def test_a_ledger_that_fails_delays_nobody_and_gets_everything_later(
    run_gateway, sink, requests, poll, sealed, monkeypatch
):
    """The disk of the ledger is full for a while: append raises what the ledger raises then."""
    from runrecord.ledger.errors import LedgerFull
    from runrecord.ledger.ledger import Ledger

    whole, full = Ledger.append_entries, [True]

    def append(self, entries):
        if full:
            raise LedgerFull("no space left in the ledger", "make room")
        return whole(self, entries)

    monkeypatch.setattr(Ledger, "append_entries", append)
    gateway = run_gateway(sink.url)
    for number in range(5):
        assert gateway.post(requests.traces(start=number)).status_code == 200
    poll(lambda: len(sink.spans()) == 5)
    health = poll(lambda: (h := httpx2.get(gateway.health)).status_code == 503 and h.json())
    assert "no space left in the ledger" in health["parts"]["ledger"]["message"]
    full.clear()
    poll(lambda: len(sealed()) == 5)


def test_checkpoints_that_can_not_be_written_are_told(run_gateway, tmp_path, requests, poll):
    """A directory stands where the checkpoint belongs."""
    gateway = run_gateway()
    checkpoint = tmp_path / "ledger" / "checkpoint"
    checkpoint.unlink()
    (checkpoint / "in the way").mkdir(parents=True)
    gateway.post(requests.traces(3))
    part = poll(lambda: (p := gateway.part("ledger checkpoints"))["status"] == "degraded" and p)
    assert "no new checkpoint; entries are durable without it: " in part["message"]
    assert str(tmp_path / "ledger") in part["message"]
    assert gateway.part("ledger")["status"] == "ok"
    assert gateway.metric("runrecord_ledger_publish_failed") == 1
    assert gateway.metric("runrecord_ledger_unpublished_entries") == 4
    (checkpoint / "in the way").rmdir()
    checkpoint.rmdir()
    poll(lambda: gateway.part("ledger checkpoints")["status"] == "ok")
    poll(lambda: gateway.metric("runrecord_ledger_unpublished_entries") == 0)
    assert gateway.metric("runrecord_ledger_publish_failed") == 0


def test_a_ledger_that_stopped_is_opened_again(run_gateway, requests, poll, sealed):
    gateway = run_gateway()
    gateway.post(requests.traces())
    poll(lambda: len(sealed()) == 1)
    gateway.gateway.consumers["ledger"].ledger.close()  # as after a failed sync
    gateway.post(requests.traces(start=1))
    poll(lambda: len(sealed()) == 2)


def test_a_request_that_is_no_message_for_the_ledger_is_kept_aside(
    tmp_path, run_gateway, requests, poll, sealed, stated, monkeypatch
):
    from runrecord.collector import consuming as module
    from runrecord.processors.errors import ProjectionError

    whole = module.project_counted

    def project(signal, body, **options):
        if b"odd" in body:
            raise ProjectionError("no entries")
        return whole(signal, body, **options)

    monkeypatch.setattr(module, "project_counted", project)
    gateway = run_gateway()
    gateway.post(requests.traces(text="odd"))
    gateway.post(requests.traces(start=1))
    poll(lambda: len(sealed()) == 1)
    [kept] = (tmp_path / "state" / "quarantine" / "ledger").iterdir()
    assert kept.read_bytes() == requests.traces(text="odd").SerializeToString()
    (gap,) = stated("gap")
    assert gap.detail == {
        "reason": "no entries can be made of it",
        "request": hashlib.sha256(kept.read_bytes()).hexdigest(),
        "requests": "1",
    }


def test_a_request_with_an_entry_that_is_too_large_is_kept_aside(
    tmp_path, run_gateway, requests, poll, sealed, stated, monkeypatch
):
    """The projection keeps entries small; the ledger has the last word all the same."""
    from runrecord.ledger.errors import EntryTooLarge
    from runrecord.ledger.ledger import Ledger

    whole = Ledger.append_entries

    def append(self, entries):
        if any(entry.span_id == f"{2:016x}" for entry in entries):
            raise EntryTooLarge("too large")
        return whole(self, entries)

    monkeypatch.setattr(Ledger, "append_entries", append)
    gateway = run_gateway()
    gateway.post(requests.traces(3))
    poll(lambda: sealed() == [f"{n:016x}" for n in (1, 3)])
    [kept] = (tmp_path / "state" / "quarantine" / "ledger").iterdir()
    assert kept.read_bytes() == requests.traces(3).SerializeToString()
    assert gateway.part("ledger")["status"] == "ok"
    poll(lambda: [(gap.run != "", gap.detail["records"]) for gap in stated("gap")] == [(True, "1")])


def test_stopping_delivers_what_was_accepted_and_publishes_it(run_gateway, sink, requests, sealed):
    gateway = run_gateway(sink.url)
    for number in range(20):
        assert gateway.post(requests.traces(start=number)).status_code == 200
    gateway.stop()
    assert len(sink.spans()) == 20
    assert len(sealed()) == 20


def test_the_configuration_as_json_is_yaml(settings, tmp_path):
    from runrecord.collector import load_config

    (tmp_path / "c.yaml").write_text(json.dumps(settings()))
    assert load_config(tmp_path / "c.yaml").service.state_dir == tmp_path / "state"
