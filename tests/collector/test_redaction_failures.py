# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the gateway does with a request that cannot be redacted: refuse it, or set it aside and say so; never forward it."""

from __future__ import annotations

import httpx2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from runrecord.processors.redaction import RedactionPolicy, RedactionQuarantine
from runrecord.semconv.commitment import load_tenant_key

MANY = "ada@example.org " * 9
LIMITS = {"request_confirms": 3}


def quarantine(tmp_path):
    policy = RedactionPolicy.parse({"on_error": "quarantine"})
    directory = next(tmp_path.rglob("quarantine/redaction"))
    return RedactionQuarantine.make(policy, load_tenant_key().pseudonym_key(), directory)


def test_a_request_is_set_aside_and_the_client_is_told(run_gateway, sink, requests, poll, tmp_path):
    redaction = {"packs": ["pii"], "on_error": "quarantine", "limits": LIMITS}
    gateway = run_gateway(sink.url, processors={"redaction": redaction})
    request = requests.traces(2, text=MANY)
    answer = gateway.post(request)
    assert answer.status_code == 200
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 2
    assert "2 spans could not be redacted and were set aside" in partial.error_message
    place = quarantine(tmp_path)
    (entry,) = place.entries()
    assert ExportTraceServiceRequest.FromString(place.read(entry)) == request
    gateway.post(requests.traces(1, start=5, text="mail eve@example.org"))
    poll(lambda: len(sink.spans()) == 1)
    assert b"ada@example.org" not in b"".join(body for _, _, body in sink.requests)
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and b"ada@example.org" in path.read_bytes()
    ]


def test_a_quarantine_that_cannot_be_written_refuses(run_gateway, sink, requests, tmp_path):
    (tmp_path / "aside").write_text("a file")
    redaction = {
        "packs": ["pii"],
        "on_error": "quarantine",
        "limits": LIMITS,
        "quarantine": {"directory": str(tmp_path / "aside")},
    }
    gateway = run_gateway(sink.url, processors={"redaction": redaction})
    answer = gateway.post(requests.traces(1, text=MANY))
    assert answer.status_code == 503
    assert b"nor set aside" in answer.content
    assert b"ada@" not in answer.content


def test_a_content_store_that_fails_asks_for_the_request_again(run_gateway, sink, requests, tmp_path, poll):
    (tmp_path / "content").write_text("a file")
    redaction = {
        "limits": {"attribute_bytes": 1024, "on_oversize": "offload"},
        "offload": {"store": str(tmp_path / "content")},
    }
    gateway = run_gateway(sink.url, processors={"redaction": redaction})
    request = requests.traces(1, text="large " * 1000)
    assert gateway.post(request).status_code == 503
    (tmp_path / "content").unlink()
    assert gateway.post(request).status_code == 200
    poll(lambda: len(sink.spans()) == 1)
    (uri,) = [each.value.string_value for each in sink.spans()[0].attributes if each.key.endswith(".ref")]
    assert uri.startswith("file://")
    stored = [path.read_text() for path in (tmp_path / "content").rglob("*") if path.is_file()]
    assert stored == ["large " * 1000]


def test_a_request_that_is_refused_is_not_retried_in_vain(run_gateway, requests):
    gateway = run_gateway(processors={"redaction": {"packs": ["pii"], "limits": LIMITS}})
    answer = httpx2.post(
        gateway.http + "/v1/traces",
        content=requests.traces(1, text=MANY).SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
    )
    assert answer.status_code == 500
