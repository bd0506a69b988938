# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Kafka as the intake log, with a real broker: what is acknowledged is delivered, whoever dies."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import os
import signal
import threading

import httpx2
import pytest

from runrecord.collector.errors import StartError

pytestmark = pytest.mark.java
BACKEND = "otlp_http/backend"


def ids(*numbers):
    return [f"{number + 1:016x}" for number in numbers]


def test_a_request_goes_through_the_topic_to_back_end_and_ledger(
    run_gateway, kafka_settings, sink, requests, poll, sealed, tmp_path
):
    gateway = run_gateway(config=kafka_settings(sink.url))
    for number in range(50):
        assert gateway.post(requests.traces(2, start=2 * number)).status_code == 200
    assert gateway.post(requests.logs(), "/v1/logs").status_code == 200
    assert gateway.post(requests.metrics(), "/v1/metrics").status_code == 200
    poll(lambda: sorted(sink.span_ids()) == ids(*range(100)))
    poll(lambda: sorted(sealed(tmp_path / "machine-0" / "ledger")) == ids(*range(100)))
    poll(lambda: {path for path, _, _ in sink.requests} == {"/v1/traces", "/v1/logs", "/v1/metrics"})
    poll(lambda: gateway.part(f"{BACKEND} traces")["behind_records"] == 0)
    assert gateway.part("intake")["status"] == "ok"
    assert not (tmp_path / "machine-0" / "state" / "intake").exists()


def test_a_gateway_that_stops_goes_on_where_it_was(
    run_gateway, kafka_settings, sink, requests, poll, sealed, tmp_path
):
    config = kafka_settings(sink.url)
    config["service"]["drain_timeout"] = "50ms"
    gateway = run_gateway(config=config)
    gateway.post(requests.traces(start=0))
    poll(lambda: sink.span_ids() == ids(0))
    poll(lambda: gateway.part(f"{BACKEND} traces")["behind_records"] == 0)
    sink.status = 503
    for number in range(1, 10):
        gateway.post(requests.traces(start=number))
    poll(lambda: sink.attempts > 1)
    gateway.stop()
    sink.status = 200
    run_gateway(config=config)
    poll(lambda: len(sink.spans()) >= 10)
    assert sorted(sink.span_ids()) == ids(*range(10))
    poll(lambda: sorted(sealed(tmp_path / "machine-0" / "ledger")) == ids(*range(10)))


def test_a_broker_that_is_killed_under_load_loses_nothing_acknowledged(
    run_gateway, kafka_settings, broker, sink, requests, poll
):
    gateway = run_gateway(config=kafka_settings(sink.url, timeout="1s"))
    acknowledged, refused, over = [], [], threading.Event()

    def send(first):
        number = first
        while not over.is_set():
            answer = gateway.post(requests.traces(start=number))
            if answer.status_code == 200:
                acknowledged.append(number)
            else:
                refused.append((answer.status_code, answer.headers.get("retry-after")))
            number += 2

    threads = [threading.Thread(target=send, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        poll(lambda: len(acknowledged) > 50)
        broker.kill()
        poll(lambda: len(refused) >= 2)
        assert httpx2.get(gateway.health).status_code == 503
        assert "Kafka did not take a request" in gateway.part("intake")["message"]
        broker.start()
        before = len(acknowledged)
        poll(lambda: len(acknowledged) > before + 50)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(refused) <= {(503, "5")}
    poll(lambda: set(sink.span_ids()) >= set(ids(*acknowledged)))
    poll(lambda: gateway.part("intake")["status"] == "ok")


def test_two_gateways_share_a_topic_and_one_takes_over_from_the_other(
    run_gateway, kafka_settings, sink, requests, poll
):
    first, second = (run_gateway(config=kafka_settings(sink.url, machine=number)) for number in range(2))
    for number in range(40):
        gateway = (first, second)[number % 2]
        assert gateway.post(requests.traces(start=number)).status_code == 200
    poll(lambda: set(sink.span_ids()) == set(ids(*range(40))))
    first.stop()
    for number in range(40, 60):
        assert second.post(requests.traces(start=number)).status_code == 200
    poll(lambda: set(sink.span_ids()) == set(ids(*range(60))))


def test_several_processes_share_a_topic_and_any_of_them_may_be_killed(
    gateway_process, kafka_settings, sink, requests, poll, sealed, tmp_path
):
    config = kafka_settings(sink.url)
    config["service"]["workers"] = 2
    gateway = gateway_process(config).start()
    assert f"topic {config['service']['intake']['kafka']['topic']} of" in gateway.said()

    def post(numbers):
        for number in numbers:
            content = requests.traces(start=number).SerializeToString()
            headers = {"content-type": "application/x-protobuf"}
            answer = httpx2.post(gateway.http + "/v1/traces", content=content, headers=headers, timeout=60)
            assert answer.status_code == 200

    post(range(20))
    parts = httpx2.get(gateway.health, timeout=60).json()["parts"]
    os.kill(parts["consumers"]["pid"], signal.SIGKILL)
    post(range(20, 40))
    poll(lambda: set(sink.span_ids()) == set(ids(*range(40))))
    poll(lambda: sorted(sealed(tmp_path / "machine-0" / "ledger")) == ids(*range(40)))
    assert gateway.stop() == 0
    assert "Traceback" not in gateway.err.read_text()


def test_a_large_request_is_cut_into_messages_and_only_a_record_that_is_too_large_is_refused(
    run_gateway, kafka_settings, sink, requests, poll
):
    config = kafka_settings(sink.url, producer={"max_message_bytes": 50_000, "compression": "none"})
    gateway = run_gateway(config=config)
    assert gateway.post(requests.traces(60, text="x" * 5000)).status_code == 200
    poll(lambda: sorted(sink.span_ids()) == ids(*range(60)))
    poll(lambda: gateway.metric("otelcol_exporter_sent_spans_total") == 60)
    refused = gateway.post(requests.traces(start=100, text="x" * 60_000))
    assert refused.status_code == 413
    assert b"max_message_bytes" in refused.content or b"larger than a message" in refused.content


def test_what_the_topic_itself_refuses_is_cut_as_well(
    run_gateway, kafka_settings, broker, sink, requests, poll
):
    small = broker.make_topic("small-messages", 1, **{"max.message.bytes": "30000"})
    gateway = run_gateway(config=kafka_settings(sink.url, topic=small, producer={"compression": "none"}))
    assert gateway.post(requests.traces(20, text="x" * 5000)).status_code == 200
    poll(lambda: sorted(sink.span_ids()) == ids(*range(20)))


def test_tls_with_a_client_certificate_and_a_password(
    run_gateway, kafka_settings, broker, sink, requests, poll, caplog
):
    cert_file, key_file = broker.authority.issue("gateway")
    tls = {"ca_file": str(broker.authority.ca_file), "cert_file": str(cert_file), "key_file": str(key_file)}

    def config(password, **changes):
        sasl = {"mechanism": "PLAIN", "username": "gateway", "password": password}
        return kafka_settings(
            sink.url, brokers=[broker.tls_address], tls={**tls, **changes}, auth={"sasl": sasl}
        )

    gateway = run_gateway(config=config(broker.password))
    gateway.post(requests.traces())
    poll(lambda: sink.span_ids() == ids(0))
    with pytest.raises(StartError, match=r"can be reached \(_AUTHENTICATION\)") as wrong:
        run_gateway(config=config("wrong-s3cret"))
    assert "s3cret" not in str(wrong.value)
    assert "s3cret" not in caplog.text
    other = type(broker.authority)(broker.home, "other")
    with pytest.raises(StartError, match=r"can be reached \(_SSL\)"):
        run_gateway(config=config(broker.password, ca_file=str(other.ca_file)))


def test_a_topic_that_is_not_there_is_said_at_the_start(run_gateway, kafka_settings):
    with pytest.raises(StartError, match=r"the topic nothing of .* can't be used \(UNKNOWN_TOPIC_OR_PART\)"):
        run_gateway(config=kafka_settings(topic="nothing"))
