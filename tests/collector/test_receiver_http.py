# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP: what is accepted, and how each bad input is refused."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import gzip
import json
import socket

import google.protobuf
import httpx2
import pytest
import zstandard
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PROTOBUF = tuple(map(int, google.protobuf.__version__.split(".")[:2]))

PB, JSON = "application/x-protobuf", "application/json"


@pytest.fixture
def gateway(run_gateway, sink):
    return run_gateway(
        sink.url, receivers={"otlp": {"protocols": {"http": {"max_request_body_size": 2 << 20}}}}
    )


def post(gateway, body, path="/v1/traces", **headers):
    sent = {"content-type": PB} | {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.post(gateway.http + path, content=body, headers=sent, timeout=60)


def refused(answer, status, code):
    """Check a refusal in either encoding, and return its message."""
    assert answer.status_code == status
    if answer.headers["content-type"] == PB:
        found = Status.FromString(answer.content)
        assert found.code == code
        return found.message
    assert answer.headers["content-type"] == JSON
    assert answer.json()["code"] == code
    return answer.json()["message"]


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("zstd", zstandard.compress),
        ("identity", bytes),
        ("", bytes),
        ("gzip", lambda body: gzip.compress(body[:10], mtime=0) + gzip.compress(body[10:])),
        (
            "zstd",
            lambda body: (
                (c := zstandard.ZstdCompressor(write_content_size=False).compressobj()).compress(body)
                + c.flush()
            ),
        ),
    ],
)
def test_compressed_bodies_are_read(gateway, sink, requests, poll, encoding, compress):
    body = requests.traces(2).SerializeToString()
    headers = {"content_encoding": encoding} if encoding else {}
    assert post(gateway, compress(body), **headers).status_code == 200
    poll(lambda: len(sink.spans()) == 2)
    assert sink.requests[0][2] == body


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
def test_all_signals_go_through(gateway, sink, requests, poll, path):
    body = getattr(requests, path.rsplit("/", 1)[1])().SerializeToString()
    assert post(gateway, body, path).status_code == 200
    poll(lambda: [(p, b) for p, _, b in sink.requests] == [(path, body)])


def test_an_empty_request_succeeds_and_goes_nowhere(gateway, sink, requests, poll):
    empty = ExportTraceServiceRequest()
    empty.resource_spans.add().scope_spans.add()
    for body in (b"", empty.SerializeToString()):
        assert post(gateway, body).status_code == 200
    assert post(gateway, b"{}", content_type=JSON).json() == {}
    post(gateway, requests.traces().SerializeToString())
    poll(lambda: sink.requests)
    assert len(sink.requests) == 1


def test_unknown_fields_and_unknown_attribute_types_survive(gateway, sink, requests, poll):
    request = requests.traces()
    body = request.SerializeToString()
    any_value = bytes([0x8A, 0x02, 3]) + b"new"  # AnyValue field 33: a type of the future
    key_value = b"\x0a\x01k" + b"\x12" + bytes([len(any_value)]) + any_value
    span = requests.traces(start=1).resource_spans[0].scope_spans[0].spans[0]
    raw_span = span.SerializeToString() + b"\x4a" + bytes([len(key_value)]) + key_value + b"\xf2\x3f\x04next"
    scope = b"\x12" + _varint(len(raw_span)) + raw_span
    part = b"\x12" + _varint(len(scope)) + scope
    body += b"\x0a" + _varint(len(part)) + part
    assert post(gateway, body).status_code == 200
    poll(lambda: sink.requests)
    assert sink.requests[0][2] == body


def _varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def test_spans_without_ids_are_rejected_and_the_rest_is_kept(gateway, sink, requests, poll, sealed):
    request = requests.traces(6)
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[0].trace_id = b""
    spans[1].trace_id = bytes(16)
    spans[2].span_id = b"short"
    spans[3].span_id = bytes(8)
    answer = ExportTraceServiceResponse.FromString(post(gateway, request.SerializeToString()).content)
    assert answer.partial_success.rejected_spans == 4
    assert answer.partial_success.error_message == (
        "4 spans were rejected: 2 without a valid span id (8 bytes, not all zero), "
        "2 without a valid trace id (16 bytes, not all zero)"
    )
    poll(lambda: sink.span_ids() == [f"{n:016x}" for n in (5, 6)])
    poll(lambda: sealed() == [f"{n:016x}" for n in (5, 6)])


def test_a_request_of_which_nothing_is_valid_is_a_partial_success_too(shared_gateway, requests):
    request = requests.traces(1)
    request.resource_spans[0].scope_spans[0].spans[0].trace_id = b"x"
    answer = post(shared_gateway, json.dumps(_otlp_json(request)).encode(), content_type=JSON)
    assert answer.status_code == 200
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert "1 span was rejected" in answer.json()["partialSuccess"]["errorMessage"]


def _otlp_json(request):
    found = MessageToDict(request)
    for part in found["resourceSpans"]:
        for scope in part["scopeSpans"]:
            for span, original in zip(
                scope["spans"], request.resource_spans[0].scope_spans[0].spans, strict=True
            ):
                span["traceId"], span["spanId"] = original.trace_id.hex(), original.span_id.hex().upper()
    return found


def test_json_becomes_the_same_protobuf_and_is_answered_in_json(gateway, sink, requests, poll):
    request = requests.traces(3, text="naïve")
    answer = post(
        gateway, json.dumps(_otlp_json(request)).encode(), content_type="application/json; charset=utf-8"
    )
    assert (answer.status_code, answer.headers["content-type"], answer.json()) == (200, JSON, {})
    poll(lambda: sink.requests)
    assert ExportTraceServiceRequest.FromString(sink.requests[0][2]) == request


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x05abc", b"hello", b"\x0a\x04\x12\x02\x12\x50"])
def test_invalid_protobuf_is_400(shared_gateway, body):
    message = refused(post(shared_gateway, body), 400, 3)
    assert message == "the body is not a valid ExportTraceServiceRequest in protobuf"


def test_invalid_text_in_protobuf_is_400(shared_gateway, requests):
    body = requests.traces(text="MARK").SerializeToString().replace(b"MARK", b"\xff\xfe\xfd\xfc")
    refused(post(shared_gateway, body), 400, 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not valid JSON (line 1, column 1)"),
        (b"\xff", "the body is not valid JSON (byte 0 is not UTF-8)"),
        (b"[]", "$ must be an object"),
        (b"{", "the body is not valid JSON (line 1, column 2)"),
        (b'{"resourceSpans": NaN}', "the body is not valid JSON"),
        (b'{"resourceSpans": {}}', "$.resourceSpans must be an array"),
        (b"[" * 100_000, "the request is nested too deeply (limit 100)"),
    ],
)
def test_invalid_json_is_400_in_json(shared_gateway, body, message):
    answer = post(shared_gateway, body, content_type=JSON)
    assert answer.headers["content-type"] == JSON
    assert refused(answer, 400, 3) == message


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no compression at all",
        gzip.compress(b"x" * 999, mtime=0)[:-9],
        zstandard.compress(b"x" * 999)[:-4],
    ],
)
def test_a_body_that_is_not_what_its_encoding_says_is_400(shared_gateway, encoding, body):
    refused(post(shared_gateway, body, content_encoding=encoding), 400, 3)


def test_an_unknown_encoding_is_415_and_names_the_known(shared_gateway, requests):
    answer = post(shared_gateway, requests.traces().SerializeToString(), content_encoding="br")
    assert refused(answer, 415, 3) == "Content-Encoding must be one of gzip, zstd, deflate, or absent"
    assert answer.headers["accept-encoding"] == "gzip, zstd, deflate"


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded"])
def test_an_unknown_content_type_is_415(shared_gateway, content_type):
    assert PB in refused(post(shared_gateway, b"", content_type=content_type), 415, 3)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods_are_405(shared_gateway, method):
    answer = httpx2.request(method, shared_gateway.http + "/v1/traces")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_other_paths_are_404(shared_gateway):
    assert "/v1/metrics" in refused(post(shared_gateway, b"", "/v1/trace"), 404, 12)


def test_a_signal_without_a_pipeline_is_404(run_gateway, settings):
    config = settings()
    del config["service"]["pipelines"]["metrics"]
    gateway = run_gateway(config=config)
    assert "service.pipelines.metrics" in refused(post(gateway, b"", "/v1/metrics"), 404, 12)


def test_a_body_over_the_limit_is_413_and_not_retryable(shared_gateway):
    answer = post(shared_gateway, bytes(3 << 20))
    refused(answer, 413, 8)
    assert "retry-after" not in answer.headers
    assert not Status.FromString(answer.content).details


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_413_whatever_it_would_become(shared_gateway, encoding):
    bomb = gzip.compress(bytes(1 << 28), 9) if encoding == "gzip" else zstandard.compress(bytes(1 << 30))
    assert len(bomb) < 1 << 19
    refused(post(shared_gateway, bomb, content_encoding=encoding), 413, 8)


def test_a_body_of_200_mb_is_refused_before_it_is_sent(shared_gateway):
    """Only the head and the first bytes are sent: the answer is there already."""
    host, port = shared_gateway.gateway.bound.http
    with socket.create_connection((host, port), timeout=60) as connection:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PB}\r\nContent-Length: {200 << 20}\r\n\r\n"
        connection.sendall(head.encode() + bytes(1000))
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_without_a_length_stops_at_the_limit(shared_gateway):
    def endless():
        for _ in range(300):
            yield bytes(1 << 16)

    refused(
        httpx2.post(shared_gateway.http + "/v1/traces", content=endless(), headers={"content-type": PB}),
        413,
        8,
    )


def test_a_200_mb_body_sent_to_its_end_is_413_and_the_connection_stays_good(shared_gateway, requests):
    with httpx2.Client(base_url=shared_gateway.http, headers={"content-type": PB}, timeout=60) as client:
        refused(client.post("/v1/traces", content=bytes(200 << 20)), 413, 8)
        assert client.post("/v1/traces", content=requests.traces().SerializeToString()).status_code == 200


def test_a_client_that_goes_away_in_its_body_disturbs_nobody(shared_gateway, requests):
    host, port = shared_gateway.gateway.bound.http
    with socket.create_connection((host, port)) as connection:
        connection.sendall(
            f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PB}\r\nContent-Length: 900\r\n\r\nabc".encode()
        )
    assert post(shared_gateway, requests.traces().SerializeToString()).status_code == 200


@pytest.mark.parametrize(
    "data",
    [b"\0" * 100, b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01"],
)
def test_what_is_not_http_is_answered_with_400_or_closed(shared_gateway, requests, data):
    host, port = shared_gateway.gateway.bound.http
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096).split(b"\r\n")[0] in {b"", b"HTTP/1.1 400 Bad Request"}
    assert post(shared_gateway, requests.traces().SerializeToString()).status_code == 200


def test_a_full_intake_log_is_503_with_retry_after_in_both_encodings(run_gateway, sink, requests):
    sink.status = 503
    gateway = run_gateway(sink.url, service={"intake": {"max_size_mib": 1}})
    body = requests.traces(text="x" * 200_000).SerializeToString()
    answers = [post(gateway, body) for _ in range(8)]
    assert answers[0].status_code == 200
    message = refused(answers[-1], 503, 14)
    assert "the intake log is full" in message
    assert int(answers[-1].headers["retry-after"]) >= 1
    [detail] = Status.FromString(answers[-1].content).details
    info = RetryInfo()
    assert detail.Unpack(info)
    assert info.retry_delay.seconds >= 1
    as_json = post(
        gateway, json.dumps(_otlp_json(requests.traces(text="x" * 200_000))).encode(), content_type=JSON
    )
    refused(as_json, 503, 14)
    assert as_json.json()["details"] == [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"}
    ]


def test_too_many_bytes_under_way_are_503(run_gateway, requests):
    small = {"grpc": {"max_recv_msg_size_mib": 1}, "http": {"max_request_body_size": 1 << 20}}
    gateway = run_gateway(receivers={"otlp": {"max_in_flight_mib": 2, "protocols": small}})
    host, port = gateway.gateway.bound.http
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PB}\r\nContent-Length: {1 << 20}\r\n\r\nabc".encode()
    with socket.create_connection((host, port)) as slow, socket.create_connection((host, port)) as slow_too:
        slow.sendall(head)
        slow_too.sendall(head)
        body = requests.traces().SerializeToString()
        answer = None
        while answer is None or answer.status_code == 200:  # until the head of the slow one has been read
            answer = post(gateway, body)
        assert refused(answer, 503, 14) == "too many requests are under way"
    while answer.status_code == 503:
        answer = post(gateway, body)
    assert answer.status_code == 200


def deep(levels):
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"\1" * 16, span_id=b"\1" * 8)
    value = span.attributes.add(key="deep").value
    for _ in range(levels):
        value = value.array_value.values.add()
    value.string_value = "s3cret"
    return request.SerializeToString()


def test_what_is_nested_too_deeply_is_told_so_in_both_encodings(shared_gateway):
    assert post(shared_gateway, deep(47)).status_code == 200
    said = "the request is nested too deeply (limit 100)"
    unsaid = "the body is not a valid ExportTraceServiceRequest in protobuf"  # protobuf before 7.35 gives no reason
    assert refused(post(shared_gateway, deep(48)), 400, 3) == (said if PROTOBUF >= (7, 35) else unsaid)
    body = b'{"resourceSpans": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert refused(post(shared_gateway, body, content_type=JSON), 400, 3) == said
