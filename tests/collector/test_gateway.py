# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The way through a gateway: accepted, redacted, sealed, forwarded, and told about."""

from __future__ import annotations

import httpx2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

PROTOBUF = {"content-type": "application/x-protobuf"}


def post(gateway, request, path="/v1/traces"):
    return httpx2.post(gateway.http + path, content=request.SerializeToString(), headers=PROTOBUF)


def test_a_request_is_redacted_sealed_and_forwarded(run_gateway, sink, requests, poll, sealed):
    gateway = run_gateway(sink.url, processors={"redaction": {"packs": ["pii"]}})
    answer = post(gateway, requests.traces(3, text="mail to ada@example.org"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-protobuf")
    assert not ExportTraceServiceResponse.FromString(answer.content).HasField("partial_success")
    poll(lambda: len(sink.spans()) == 3)
    assert b"ada@example.org" not in b"".join(body for _, _, body in sink.requests)
    poll(lambda: sealed() == [f"{n:016x}" for n in (1, 2, 3)])
