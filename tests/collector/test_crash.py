# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at any moment: everything that was acknowledged is in the ledger and at the back end afterwards, and no secret anywhere."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import random
import threading

import httpx2
import pytest

PROTOBUF = {"content-type": "application/x-protobuf"}

pytestmark = pytest.mark.e2e


class Client(threading.Thread):
    """Exports one span after the other and notes which were acknowledged; goes on while the gateway is away."""

    def __init__(self, lane, requests):
        super().__init__(daemon=True)
        self.lane, self.requests = lane, requests
        self.acknowledged, self.url, self.done = [], None, threading.Event()

    def run(self):
        number = self.lane * 1_000_000
        with httpx2.Client(headers=PROTOBUF, timeout=30) as client:
            while not self.done.is_set():
                if (url := self.url) is None:
                    self.done.wait(0.005)
                    continue
                body = self.requests.traces(start=number, text=f"x{number}").SerializeToString()
                try:
                    answer = client.post(url + "/v1/traces", content=body)
                except httpx2.HTTPError:
                    continue  # sent again: the same span, as an SDK would
                if answer.status_code == 200:
                    self.acknowledged.append(f"{number + 1:016x}")
                    number += 1


def test_sigkill_while_clients_export_loses_nothing(gateway_process, settings, sink, requests, poll, sealed):
    chance = random.Random(7)
    gateway = gateway_process(settings(sink.url))
    clients = [Client(lane, requests) for lane in range(3)]
    for client in clients:
        client.start()
    for _ in range(4):
        gateway.start()
        before = sum(len(client.acknowledged) for client in clients)
        wanted = before + chance.randrange(20, 150)
        for client in clients:
            client.url = gateway.http
        poll(lambda wanted=wanted: sum(len(client.acknowledged) for client in clients) >= wanted)
        gateway.kill()
        for client in clients:
            client.url = None
    for client in clients:
        client.done.set()
        client.join(60)
    gateway.start()
    acknowledged = {span for client in clients for span in client.acknowledged}
    assert len(acknowledged) > 80
    poll(lambda: acknowledged <= set(sink.span_ids()))
    poll(lambda: acknowledged <= set(sealed()))
    entries = sealed()
    assert len(entries) == len(set(entries)), "a span that was sent again is one entry"
    assert gateway.stop() == 0


def test_sigkill_while_the_back_end_is_away_loses_nothing(
    gateway_process, settings, sink, requests, poll, sealed
):
    sink.stop()
    gateway = gateway_process(settings(sink.url)).start()
    for number in range(50):
        answer = httpx2.post(
            gateway.http + "/v1/traces",
            content=requests.traces(start=number).SerializeToString(),
            headers=PROTOBUF,
        )
        assert answer.status_code == 200
    gateway.kill()
    sink.start()
    gateway.start()
    expected = [f"{n + 1:016x}" for n in range(50)]
    poll(lambda: sorted(set(sink.span_ids())) == expected)
    poll(lambda: sorted(sealed()) == expected)
    assert gateway.stop() == 0
    log = gateway.err.read_text()
    assert "ConnectError" in log
    assert "Traceback" not in log


SECRETS = {
    "email": "ada.lovelace@example.org",
    "card": "4111 1111 1111 1111",
    "key": "AKIA" + "QYLPMN5HFIQR7XYA",
    "token": "ghp_" + "x7Kq2mVb9Zt4LrWc8YpNs3Jd6FhGa1QeT5Uo"[:36],
}


def test_planted_secrets_are_in_no_byte_of_anything(
    tmp_path, gateway_process, settings, sink, requests, poll, sealed
):
    """In attributes, JSON in attributes, names, events, status, log bodies; over both transports; killed and started again."""
    import grpc
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    text = " and ".join(f"{name} {value}" for name, value in SECRETS.items())
    config = settings(
        sink.url, processors={"redaction": {"packs": ["secrets", "pii"]}, "compat": {"openinference": True}}
    )
    config["service"]["pipelines"]["traces"]["processors"] = ["redaction", "compat"]
    gateway = gateway_process(config).start()
    request = requests.traces(2, text=text)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.name = f"call {text}"
    span.status.code, span.status.message = 2, text
    span.events.add(name=text).attributes.add(key="exception.message").value.string_value = text
    span.attributes.add(key="gen_ai.input.messages").value.string_value = (
        '[{"content": "\\n' + text.replace("@", "\\u0040") + '\\n"}]'
    )
    nested = span.attributes.add(key="nested").value.kvlist_value.values.add(key="inner").value.array_value
    nested.values.add().bytes_value = text.encode()
    request.resource_spans[0].resource.attributes.add(key="owner").value.string_value = text
    headers = {**PROTOBUF, "authorization": f"Bearer {SECRETS['token']}"}
    assert (
        httpx2.post(
            gateway.http + "/v1/traces", content=request.SerializeToString(), headers=headers
        ).status_code
        == 200
    )
    assert (
        httpx2.post(
            gateway.http + "/v1/logs", content=requests.logs(text).SerializeToString(), headers=headers
        ).status_code
        == 200
    )
    broken = request.SerializeToString()[:-3]
    assert httpx2.post(gateway.http + "/v1/traces", content=broken, headers=headers).status_code == 400
    assert (
        httpx2.post(
            gateway.http + "/v1/traces",
            content=f'{{"resourceSpans": "{text}"}}',
            headers={"content-type": "application/json"},
        ).status_code
        == 400
    )
    with grpc.insecure_channel(gateway.grpc) as channel:
        TraceServiceStub(channel).Export(
            requests.traces(2, start=2, text=text),
            metadata=(("authorization", f"Bearer {SECRETS['token']}"),),
        )
    gateway.kill()
    gateway.start()
    poll(lambda: len(set(sink.span_ids())) == 4)
    poll(lambda: len(sealed()) == 4)
    poll(lambda: any(path == "/v1/logs" for path, _, _ in sink.requests))
    shown = httpx2.get(gateway.metrics).text + httpx2.get(gateway.health).text
    gateway.stop()
    everything = {f"forwarded {n}": body for n, (_, _, body) in enumerate(sink.requests)}
    everything["metrics and health"] = shown.encode()
    for directory in (tmp_path / "state", tmp_path / "ledger", gateway.out.parent):
        files = [path for path in directory.rglob("*") if path.is_file()]
        assert files
        everything |= {str(path): path.read_bytes() for path in files}
    assert any(b"[EMAIL" in body for body in everything.values()), "it was redacted, not lost"
    for place, data in everything.items():
        for name, secret in SECRETS.items():
            for form in {secret, secret.replace("@", "\\u0040"), secret.replace(" ", "")}:
                assert form.encode() not in data, f"{name} in {place}"


def test_two_gateways_cannot_share_a_state_and_the_second_says_so(gateway_process, settings):
    config = settings()
    gateway_process(config).start()
    second = gateway_process(config).spawn()
    assert second.process.wait(60) == 1
    assert "in use by another process" in second.err.read_text()


def test_sigterm_stops_cleanly_and_the_same_state_starts_again(
    gateway_process, settings, sink, requests, sealed
):
    gateway = gateway_process(settings(sink.url)).start()
    for number in range(30):
        httpx2.post(
            gateway.http + "/v1/traces",
            content=requests.traces(start=number).SerializeToString(),
            headers=PROTOBUF,
        )
    assert gateway.stop() == 0
    assert "Stopped." in gateway.out.read_text()
    assert gateway.err.read_text() == ""
    assert len(sink.spans()) == len(sealed()) == 30
    gateway.start()
    assert gateway.stop() == 0
