# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC: what is accepted, and how each bad input is refused."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import re
from pathlib import Path

import google.protobuf
import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

PROTOBUF = tuple(map(int, google.protobuf.__version__.split(".")[:2]))

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture
def connect():
    channels = []

    def open_(gateway):
        channels.append(grpc.insecure_channel(gateway.grpc, options=[("grpc.max_send_message_length", -1)]))
        return channels[-1]

    yield open_
    for channel in channels:
        channel.close()


def refused(call, code):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code
    details = dict(caught.value.trailing_metadata()).get("grpc-status-details-bin", b"")
    status = Status.FromString(details)
    if details:
        assert (status.code, status.message) == (code.value[0], caught.value.details())
    return caught.value.details(), status


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
def test_all_signals_go_through(run_gateway, connect, sink, requests, poll, compression):
    channel = connect(run_gateway(sink.url))
    for stub, request in (
        (TraceServiceStub, requests.traces(2)),
        (LogsServiceStub, requests.logs()),
        (MetricsServiceStub, requests.metrics()),
    ):
        answer = stub(channel).Export(request, compression=compression)
        assert not answer.HasField("partial_success")
    poll(lambda: sorted(path for path, _, _ in sink.requests) == ["/v1/logs", "/v1/metrics", "/v1/traces"])


def test_spans_without_ids_are_a_partial_success(run_gateway, connect, requests):
    request = requests.traces(2)
    request.resource_spans[0].scope_spans[0].spans[0].span_id = b""
    answer = TraceServiceStub(connect(run_gateway())).Export(request)
    assert answer.partial_success.rejected_spans == 1
    assert "span id" in answer.partial_success.error_message


def test_an_empty_request_succeeds(run_gateway, connect):
    answer = TraceServiceStub(connect(run_gateway())).Export(ExportTraceServiceRequest())
    assert answer == ExportTraceServiceResponse()


def test_invalid_protobuf_is_invalid_argument(run_gateway, connect):
    send = connect(run_gateway()).unary_unary(EXPORT)
    message, _ = refused(lambda: send(b"\xff\xff\xff"), grpc.StatusCode.INVALID_ARGUMENT)
    assert message == "the body is not a valid ExportTraceServiceRequest in protobuf"


def test_another_method_is_unimplemented(run_gateway, connect):
    send = connect(run_gateway()).unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Import")
    refused(lambda: send(b""), grpc.StatusCode.UNIMPLEMENTED)


def test_a_signal_without_a_pipeline_is_unimplemented(run_gateway, connect, settings, requests):
    config = settings()
    del config["service"]["pipelines"]["logs"]
    stub = LogsServiceStub(connect(run_gateway(config=config)))
    message, _ = refused(lambda: stub.Export(requests.logs()), grpc.StatusCode.UNIMPLEMENTED)
    assert "service.pipelines.logs" in message


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
def test_200_mb_are_refused_for_good_compressed_or_not(run_gateway, connect, requests, compression):
    channel = connect(run_gateway())
    send = channel.unary_unary(EXPORT)
    _, status = refused(
        lambda: send(bytes(200 << 20), compression=compression), grpc.StatusCode.RESOURCE_EXHAUSTED
    )
    assert not status.details
    assert TraceServiceStub(channel).Export(requests.traces()) == ExportTraceServiceResponse()


@pytest.mark.e2e
def test_a_bomb_does_not_become_large_in_memory(gateway_process, settings, connect):
    gateway = gateway_process(settings()).start()
    send = connect(gateway).unary_unary(EXPORT)
    refused(
        lambda: send(bytes(1 << 30), compression=grpc.Compression.Gzip), grpc.StatusCode.RESOURCE_EXHAUSTED
    )
    text = Path(f"/proc/{gateway.process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) << 10  # the kernel's high-water mark
    assert peak < 400 << 20


def test_a_full_intake_log_is_unavailable_with_retry_info(run_gateway, connect, sink, requests):
    sink.status = 503
    stub = TraceServiceStub(connect(run_gateway(sink.url, service={"intake": {"max_size_mib": 1}})))
    request = requests.traces(text="x" * 200_000)
    stub.Export(request)

    def fill():
        for _ in range(8):
            stub.Export(request)

    message, status = refused(fill, grpc.StatusCode.UNAVAILABLE)
    assert "the intake log is full" in message
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.retry_delay.seconds >= 1


def test_what_is_nested_too_deeply_is_told_so(run_gateway, connect, requests):
    request = requests.traces()
    value = request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="deep").value
    for _ in range(48):
        value = value.array_value.values.add()
    stub = TraceServiceStub(connect(run_gateway()))
    message, _ = refused(lambda: stub.Export(request), grpc.StatusCode.INVALID_ARGUMENT)
    unsaid = "the body is not a valid ExportTraceServiceRequest in protobuf"  # protobuf before 7.35 gives no reason
    assert message == ("the request is nested too deeply (limit 100)" if PROTOBUF >= (7, 35) else unsaid)
