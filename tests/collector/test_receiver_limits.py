# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the receiver does not do for anybody: wait for ever, read headers without end, or take requests until memory runs out."""

import http.client
import json
import queue
import socket
import threading

import grpc
import pytest

from runrecord.collector import http_protocol
from runrecord.collector.config import MemoryLimiter
from runrecord.collector.config_file import parse_config
from runrecord.collector.receiver import grpc as grpc_receiver
from runrecord.collector.receiver.memory import MemoryWatch, memory_in_use, memory_there_is

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
MIB = 1 << 20
PART = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n"


def exchange(gateway, *parts):
    """Send bytes, and return everything that comes until the gateway closes the connection."""
    with socket.create_connection(gateway.gateway.bound.http, timeout=30) as client:
        answer = b""
        try:
            for part in parts:
                client.sendall(part)
            while data := client.recv(65536):
                answer += data
        except ConnectionError:
            pass
        return answer


def status_of(answer):
    """Return the HTTP status of an answer whose body must be a Status in JSON."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert b"connection: close" in head
    assert set(json.loads(body)) == {"code", "message"}
    return int(head.split()[1])


@pytest.mark.parametrize(
    "headers",
    [
        b"X: " + b"x" * (http_protocol.HEADER_BYTES + 1) + b"\r\n\r\n",
        b"X: y\r\n" * http_protocol.HEADER_BYTES + b"\r\n",
        b"x" * (1 << 20),
    ],
    ids=["one", "many", "unfinished"],
)
def test_headers_have_a_limit(shared_gateway, headers):
    answer = exchange(shared_gateway, PART, headers)
    assert (
        not answer or status_of(answer) == 431
    )  # not read to their end, so that the answer may be lost with them


def test_a_header_that_is_a_little_too_large_is_told_so(shared_gateway):
    size = http_protocol.HEADER_BYTES + 1
    assert status_of(exchange(shared_gateway, PART + b"X: " + b"x" * size + b"\r\n\r\n")) == 431


def test_headers_below_the_limit_are_read(shared_gateway):
    headers = b"X: " + b"x" * (http_protocol.HEADER_BYTES - 1000) + b"\r\nConnection: close\r\n\r\n"
    assert exchange(shared_gateway, b"GET /v1/traces HTTP/1.1\r\n" + headers).startswith(b"HTTP/1.1 405")


def test_what_is_not_http_is_answered_with_a_status(shared_gateway):
    assert status_of(exchange(shared_gateway, b"\x16\x03\x01 hello\r\n\r\n")) == 400


@pytest.mark.parametrize("said", [b"", b"POST", PART], ids=["nothing", "a method", "a header"])
def test_a_client_that_stops_before_the_end_of_its_headers_is_left(run_gateway, monkeypatch, said):
    monkeypatch.setattr(http_protocol.LimitedHttpProtocol, "header_seconds", 0.1)
    assert exchange(run_gateway(), said) == b""


def test_a_client_that_goes_on_after_its_answer_is_left(run_gateway, monkeypatch):
    monkeypatch.setattr(http_protocol.LimitedHttpProtocol, "discard_seconds", 0.1)
    head = b"POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    assert exchange(run_gateway(), head, b"a").startswith(b"HTTP/1.1 404")


def test_a_connection_goes_on_after_a_long_pause_between_requests(run_gateway, monkeypatch):
    monkeypatch.setattr(http_protocol.LimitedHttpProtocol, "header_seconds", 0.1)
    client = http.client.HTTPConnection(*run_gateway().gateway.bound.http, timeout=30)
    for _ in range(2):
        client.request("GET", "/v1/traces")
        assert client.getresponse().read()
        client.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)  # longer than a request may take, and it is still there
        client.sock.settimeout(30)
    client.close()


def test_a_grpc_call_without_a_message_is_ended(run_gateway, monkeypatch):
    monkeypatch.setattr(grpc_receiver, "_MESSAGE_SECONDS", 0.1)
    monkeypatch.setattr(grpc_receiver, "_LOOK_SECONDS", 0.1)
    gateway = run_gateway()
    with grpc.insecure_channel(gateway.grpc) as channel:
        export = channel.stream_stream(TRACES)
        released = threading.Event()
        never = (b"" for _ in iter(lambda: released.wait(30), True))
        call = export(never, timeout=30)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        released.set()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as caught:
            next(export(iter(()), timeout=30))
        assert caught.value.details() == "the call has no message"


# -- memory --------------------------------------------------------------------------------------------------------


LIMITED = {
    "extensions": {"memory_limiter": {"check_interval": 0.0001, "limit_mib": 100, "spike_limit_mib": 20}},
    "service": {"extensions": ["memory_limiter"]},
}


@pytest.fixture
def used(monkeypatch):
    """What is measured as memory in use, in bytes."""
    found = [0]
    measure = {**MemoryWatch.__init__.__kwdefaults__, "in_use": lambda: found[0]}
    monkeypatch.setattr(MemoryWatch.__init__, "__kwdefaults__", measure)
    return found


def test_a_request_is_refused_above_the_soft_limit_but_never_the_only_one(run_gateway, requests, used):
    gateway = run_gateway(**LIMITED)
    head = PART + b"Content-Type: application/x-protobuf\r\nContent-Length: 10\r\n\r\nabc"
    with socket.create_connection(gateway.gateway.bound.http) as slow:
        slow.sendall(head)
        used[0] = 81 * MIB
        answer = gateway.post(requests.traces())
        while answer.status_code == 200:  # until the head of the slow one has been read
            answer = gateway.post(requests.traces())
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        with grpc.insecure_channel(gateway.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(TRACES)(b"", timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert caught.value.details() == "memory is above its soft limit"
        used[0] = 79 * MIB
        assert gateway.post(requests.traces()).status_code == 200
        used[0] = 200 * MIB
    answer = gateway.post(requests.traces())
    while answer.status_code == 503:  # until the slow one is gone
        answer = gateway.post(requests.traces())
    assert answer.status_code == 200


def test_of_messages_that_are_being_read_all_but_one_are_refused_when_memory_is_short(
    run_gateway, used, monkeypatch
):
    monkeypatch.setattr(grpc_receiver, "_LOOK_SECONDS", 0.05)
    gateway = run_gateway(**LIMITED)
    released = threading.Event()
    with grpc.insecure_channel(gateway.grpc) as channel:
        export = channel.stream_unary(TRACES)
        calls = [export.future(b"" for _ in iter(lambda: released.wait(30), True)) for _ in range(3)]
        ended = queue.SimpleQueue()
        for call in calls:
            call.add_done_callback(ended.put)
        used[0] = 81 * MIB
        for _ in range(2):
            assert ended.get(timeout=30).code() is grpc.StatusCode.UNAVAILABLE
        assert sorted(call.done() for call in calls) == [False, True, True]
        released.set()
        assert ended.get(timeout=30).code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("section", "processes", "soft", "hard"),
    [
        ({}, 1, 600, 800),
        ({}, 4, 150, 200),
        ({"limit_percentage": 50, "spike_limit_percentage": 10}, 1, 400, 500),
        ({"limit_mib": 100}, 4, 80, 100),
        ({"limit_mib": 100, "spike_limit_mib": 0}, 1, 100, 100),
    ],
)
def test_the_limits_are_those_of_the_collector(section, processes, soft, hard):
    watch = MemoryWatch(MemoryLimiter(**section), processes=processes, there_is=lambda: 1000 * MIB)
    assert (watch.soft_bytes, watch.hard_bytes) == (soft * MIB, hard * MIB)


def test_memory_is_measured_once_in_an_interval():
    measured = []
    watch = MemoryWatch(MemoryLimiter(check_interval=3600), in_use=lambda: measured.append(1) or 0)
    assert not watch.is_above()
    assert not watch.is_above()
    assert len(measured) == 1


def test_this_process_is_measured():
    before = memory_in_use()
    held = bytearray(b"x" * (64 * MIB))
    assert memory_in_use() - before > 32 * MIB
    assert len(held) < memory_there_is()


def test_the_limit_is_on_by_default():
    assert parse_config("").memory_limiter == MemoryLimiter()
