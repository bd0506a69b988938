# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The forwarder's window: a slow request stalls nobody, waiting ones are joined, refused ones are taken apart."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import asyncio

import httpx2
import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

BACKEND = "otlp_http/backend"


class Choosy:
    """A back end for `sink.choose`: refuses by what a request holds, and says how large it may be."""

    def __init__(self, sink, monkeypatch, *, answer):
        self.held = set()
        self.attempts = []
        plain = type(sink).__call__

        async def call(this, scope, receive, send):
            message = await receive()
            body = message.get("body", b"")
            while message.get("more_body", False):
                message = await receive()
                body += message.get("body", b"")
            self.attempts.append(body)
            status = await answer(self, body)
            this.status = status

            async def again():
                return {"type": "http.request", "body": body}

            await plain(this, scope, again, send)

        monkeypatch.setattr(type(sink), "__call__", call)


def names(body):
    request = ExportTraceServiceRequest.FromString(body)
    return [
        span.name for part in request.resource_spans for scope in part.scope_spans for span in scope.spans
    ]


@pytest.fixture
def plain_settings(settings, sink):
    """Return a configuration that forwards without compression, so that a back end can look into requests."""
    config = settings(sink.url)
    config["exporters"][BACKEND]["compression"] = "none"
    return config


def test_one_slow_request_stalls_no_other_and_the_cursor_stays_before_it(
    run_gateway, sink, plain_settings, requests, poll, monkeypatch
):
    release = []

    async def answer(_, body):
        while "step 0" in names(body) and not release:  # noqa: ASYNC110 - set from another thread
            await asyncio.sleep(0.01)
        return 200

    Choosy(sink, monkeypatch, answer=answer)
    gateway = run_gateway(config=plain_settings)
    for number in range(40):
        gateway.post(requests.traces(start=number))
    poll(lambda: len(sink.spans()) == 39)
    assert gateway.part(f"{BACKEND} traces")["behind_records"] == 40
    release.append(True)
    poll(lambda: len(sink.spans()) == 40)
    poll(lambda: gateway.part(f"{BACKEND} traces")["behind_records"] == 0)


@pytest.mark.parametrize(
    ("batch", "most"), [(None, 1), ({"sizer": "items", "max_size": 6}, 6), ({"max_size": 1000}, 6)]
)
def test_requests_that_waited_are_joined_up_to_the_size_that_is_set(
    run_gateway, sink, plain_settings, requests, poll, batch, most
):
    queue = {"num_consumers": 1, "batch": batch}
    plain_settings["exporters"][BACKEND]["sending_queue"] = queue
    sink.hang.set()
    gateway = run_gateway(config=plain_settings)
    size = len(requests.traces(start=10).SerializeToString())
    assert 150 < size < 330
    for number in range(31):
        gateway.post(requests.traces(start=number))
    poll(lambda: sink.attempts == 1)
    sink.hang.clear()
    poll(lambda: len(sink.spans()) == 31)
    assert sorted(sink.span_ids()) == [f"{n + 1:016x}" for n in range(31)]
    largest = max(len(names(body)) for _, _, body in sink.requests)
    assert largest <= most
    assert (largest > 1) == (batch is not None)
    poll(lambda: gateway.metric("otelcol_exporter_sent_spans_total") == 31)


def test_one_bad_request_among_joined_ones_is_found_and_set_aside_alone(
    run_gateway, sink, plain_settings, requests, poll, monkeypatch, tmp_path
):
    async def answer(_, body):
        return 400 if "step 7" in names(body) else 200

    plain_settings["exporters"][BACKEND]["sending_queue"] = {"num_consumers": 1}
    sink.hang.set()
    gateway = run_gateway(config=plain_settings)
    gateway.post(requests.traces(start=100))
    poll(lambda: sink.attempts == 1)
    for number in range(16):
        gateway.post(requests.traces(start=number))
    Choosy(sink, monkeypatch, answer=answer)
    sink.hang.clear()
    poll(lambda: gateway.part(f"{BACKEND} traces")["behind_records"] == 0)
    assert sorted(sink.span_ids()) == [f"{n + 1:016x}" for n in [*range(7), *range(8, 16), 100]]
    [kept] = (tmp_path / "state" / "quarantine" / "otlp_http%2Fbackend").glob("*")
    assert kept.read_bytes() == requests.traces(start=7).SerializeToString()


def test_a_request_that_is_too_large_goes_in_pieces_and_only_a_record_that_is_too_large_is_set_aside(
    run_gateway, sink, plain_settings, requests, poll, monkeypatch, tmp_path
):
    limit = 2000

    async def answer(_, body):
        return 413 if len(body) > limit else 200

    Choosy(sink, monkeypatch, answer=answer)
    request = requests.traces(60)
    request.resource_spans[0].scope_spans[0].scope.name = "a scope"
    huge = request.resource_spans[0].scope_spans[0].spans[33]
    huge.attributes.add(key="large").value.string_value = "x" * limit
    gateway = run_gateway(config=plain_settings)
    assert gateway.post(request).status_code == 200
    poll(lambda: gateway.part(f"{BACKEND} traces")["behind_records"] == 0)
    assert sorted(sink.span_ids()) == [f"{n + 1:016x}" for n in range(60) if n != 33]
    for _, _, body in sink.requests:
        [part] = ExportTraceServiceRequest.FromString(body).resource_spans
        assert part.resource == request.resource_spans[0].resource
        assert part.scope_spans[0].scope.name == "a scope"
    [kept] = (tmp_path / "state" / "quarantine" / "otlp_http%2Fbackend").glob("*")
    assert names(kept.read_bytes()) == ["step 33"]
    assert gateway.metric("otelcol_exporter_sent_spans_total") == 59
    assert gateway.metric("otelcol_exporter_send_failed_spans_total") == 1


def test_zstd_out(run_gateway, sink, settings, requests, poll):
    config = settings(sink.url)
    config["exporters"][BACKEND]["compression"] = "zstd"
    gateway = run_gateway(config=config)
    gateway.post(requests.traces(3))
    poll(lambda: sink.requests)
    [(_, headers, body)] = sink.requests
    assert headers["content-encoding"] == "zstd"
    assert len(names(zstandard.decompress(body))) == 3


def test_a_signal_that_the_back_end_refuses_is_named_and_all_are_sent_when_it_is_put_right(
    run_gateway, sink, plain_settings, requests, poll, monkeypatch
):
    """Logs have no place there: they wait, and so do no traces until the window is full of them."""
    wrong = [True]
    plain = type(sink).__call__

    async def call(this, scope, receive, send):
        this.status = 404 if scope["path"] == "/v1/logs" and wrong else 200
        await plain(this, scope, receive, send)

    monkeypatch.setattr(type(sink), "__call__", call)
    gateway = run_gateway(config=plain_settings)
    gateway.post(requests.logs(), "/v1/logs")
    poll(lambda: sink.attempts >= 2)
    for number in range(20):
        gateway.post(requests.traces(start=number))
    poll(lambda: len(sink.spans()) == 20)
    assert httpx2.get(gateway.health).status_code == 503
    wrong.clear()
    poll(lambda: gateway.part(f"{BACKEND} traces")["behind_records"] == 0)
    poll(lambda: httpx2.get(gateway.health).status_code == 200)
