# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway of several processes: whichever of them is killed, nothing that was acknowledged is lost, and the rest goes on."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import os
import signal
import socket
import time

import httpx2
import pytest

PROTOBUF = {"content-type": "application/x-protobuf"}

pytestmark = pytest.mark.e2e


def counted(gateway, name):
    lines = httpx2.get(gateway.metrics, timeout=60).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def test_killed_processes_come_back_and_what_was_acknowledged_is_delivered(
    gateway_process, settings, sink, load, poll, sealed, parts, pids
):
    gateway = gateway_process(settings(sink.url, service={"workers": 2})).start()
    assert set(pids(gateway)) == {"receiver-1", "receiver-2", "consumers"}
    clients = load(gateway)
    clients.more(100)
    accepted = counted(gateway, "otelcol_receiver_accepted_spans_total")
    assert accepted >= 100
    assert counted(gateway, "runrecord_accept_seconds_count") >= accepted
    assert counted(gateway, 'otelcol_exporter_queue_capacity{exporter="otlp_http/backend"}') == 4 << 30
    assert counted(gateway, 'otelcol_exporter_queue_size{exporter="otlp_http/backend"}') < 1 << 30
    for victim in ("receiver-1", "consumers", "receiver-2"):
        os.kill(pids(gateway)[victim], signal.SIGKILL)
        part = poll(lambda victim=victim: (p := parts(gateway)[victim])["status"] == "degraded" and p)
        assert part["message"] == "died (SIGKILL); it is started again"
        clients.more(20)
        poll(lambda victim=victim: (p := parts(gateway)[victim])["restarts"] == 1 and p["status"] == "ok")
        clients.more(20)
    acknowledged = clients.stop()
    poll(lambda: acknowledged <= set(sink.span_ids()))
    poll(lambda: acknowledged <= set(sealed()))
    entries = sealed()
    assert len(entries) == len(set(entries)), "a span that was sent again is one entry"
    # What a process counted in the second before it was killed may be gone, what it counted before is not.
    assert counted(gateway, "otelcol_receiver_accepted_spans_total") >= accepted + 60
    assert counted(gateway, 'runrecord_process_restarts_total{process="receiver-1"}') == 1
    assert gateway.stop() == 0
    log = gateway.err.read_text()
    assert log.count("died (SIGKILL); it is started again") == 3
    assert "Traceback" not in log


def test_while_one_receiver_is_away_the_other_one_goes_on(gateway_process, settings, load, poll, parts, pids):
    gateway = gateway_process(settings(service={"workers": 2})).start()
    clients = load(gateway)
    clients.more(10)
    deadline = time.monotonic() + 60
    while True:
        os.kill(pids(gateway)["receiver-1"], signal.SIGKILL)
        poll(lambda: parts(gateway)["receiver-1"]["status"] == "degraded")
        before = len(clients.acknowledged)
        poll(lambda before=before: len(clients.acknowledged) > before)
        if parts(gateway)["receiver-1"]["status"] == "degraded":
            break
        assert time.monotonic() < deadline
    assert httpx2.get(gateway.health, timeout=60).status_code == 503
    clients.stop()
    assert gateway.stop() == 0


def test_when_the_supervisor_is_killed_the_others_end_and_the_next_start_has_everything(
    gateway_process, settings, sink, load, poll, sealed, pids, lives
):
    sink.status = 503
    gateway = gateway_process(settings(sink.url, service={"workers": 2})).start()
    clients = load(gateway)
    clients.more(50)
    children = pids(gateway)
    gateway.kill()
    acknowledged = clients.stop()
    poll(lambda: not any(lives(pid) for pid in children.values()))
    sink.status = 200
    gateway.start()
    poll(lambda: acknowledged <= set(sink.span_ids()))
    poll(lambda: acknowledged <= set(sealed()))
    assert gateway.stop() == 0


def test_with_fewer_receivers_the_logs_of_the_others_are_delivered_and_removed(
    tmp_path, gateway_process, settings, sink, load, poll, sealed, parts
):
    sink.status = 503
    config = settings(sink.url, service={"workers": 3, "drain_timeout": "0s"})
    gateway = gateway_process(config).start()
    clients = load(gateway)
    poll(
        lambda: all(
            parts(gateway).get(f"receiver-{n} intake", {}).get("stored_bytes", 0) > 1000 for n in (1, 2, 3)
        )
    )
    acknowledged = clients.stop()
    assert gateway.stop() == 0
    logs = [tmp_path / "state" / name for name in ("intake", "intake-2", "intake-3")]
    assert all(list(log.glob("*.segment")) for log in logs)
    sink.status = 200
    for workers in (2, 1):
        gateway = gateway_process(config | {"service": config["service"] | {"workers": workers}}).start()
        poll(lambda: acknowledged <= set(sink.span_ids()))
        poll(lambda workers=workers: not logs[workers].exists())
        assert gateway.stop() == 0
    assert logs[0].exists()
    assert acknowledged <= set(sealed())


def test_sigterm_to_all_of_them_at_once_drains_in_order(
    gateway_process, settings, sink, load, poll, sealed, pids, lives
):
    """As a service manager does it: every process of the group is told."""
    gateway = gateway_process(settings(sink.url, service={"workers": 2})).start()
    clients = load(gateway)
    clients.more(50)
    children = pids(gateway)
    for pid in children.values():
        os.kill(pid, signal.SIGTERM)
    assert gateway.stop() == 0
    acknowledged = clients.stop()
    assert not any(lives(pid) for pid in children.values())
    assert acknowledged <= set(sink.span_ids())
    assert acknowledged <= set(sealed())
    assert gateway.err.read_text() == ""


def test_what_keeps_a_child_from_starting_is_said_and_nothing_stays_behind(
    tmp_path, gateway_process, settings, poll, requests
):
    config = settings(service={"workers": 2})
    first = gateway_process(config).start()
    second = gateway_process(config).spawn()
    assert second.process.wait(60) == 1
    assert "in use by another process" in second.err.read_text()
    assert httpx2.get(first.health, timeout=60).status_code == 200
    port = first.http.rpartition(":")[2]
    http = {"receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}}}
    third = gateway_process(
        settings(service={"workers": 2, "state_dir": str(tmp_path / "other")}, **http)
    ).spawn()
    assert third.process.wait(60) == 1
    assert f"port {port} on 127.0.0.1 is taken" in third.err.read_text()
    assert first.stop() == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0
