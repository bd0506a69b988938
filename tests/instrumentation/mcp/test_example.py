# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example as a user runs it: two processes of the client, each with a server of its own, all under opentelemetry-instrument."""

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from runrecord.semconv.testing import assert_conforms

pytest.importorskip("runrecord.exporters.configurator")

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(300)]  # up to four processes, one after the other

EXAMPLE = Path(__file__).parents[3] / "examples" / "mcp" / "refund_client.py"
PERSONAL = [
    "mail.example.org",
    "4111 1111",
    "4012 8888",
    "5555 5555",
    "sk_live_",
    "Ada Example",
    "Please refund",
]


class Receiver:
    """Takes OTLP over HTTP on a loopback port and keeps the spans."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    receiver.bodies.append(body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    @property
    def governed(self) -> list[tuple[str, dict[str, Any], str]]:
        """Name, attributes and service of the governed records, in the order in which they began."""
        found: list[tuple[int, str, dict[str, Any], str]] = []
        for request in self.requests:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        facts = attributes(span)
                        if "runrecord.record.seq" in facts:
                            found.append((span.start_time_unix_nano, span.name, facts, span.trace_id.hex()))
        return [(name, facts, trace) for _, name, facts, trace in sorted(found, key=lambda item: item[0])]


def attributes(span: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def process(directory: Path, receiver: Receiver, *arguments: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))}
    environment = {
        **kept,
        "RUNRECORD_STATE_DIR": str(directory / "state"),
        "OTEL_SERVICE_NAME": "refunds",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    done = subprocess.run(
        [instrument, sys.executable, str(EXAMPLE), *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def check(receiver: Receiver) -> list[tuple[str, dict[str, Any]]]:
    """What holds for every story; the records in the order in which they began."""
    governed = receiver.governed
    assert len({facts["runrecord.run.id"] for _, facts, _ in governed}) == 1
    assert len({trace for _, _, trace in governed}) == 1
    assert not [word for word in PERSONAL if any(word.encode() in body for body in receiver.bodies)]
    numbers: dict[str, list[int]] = {}
    said: dict[str, int] = {}
    for _, facts, _ in governed:
        source = facts["runrecord.source.id"]
        numbers.setdefault(source, []).append(facts["runrecord.record.seq"])
        said[source] = said.get(source, 0) + facts.get("runrecord.run.records", 0)
    assert all(sorted(seen) == list(range(len(seen))) for seen in numbers.values())
    assert said == {source: len(seen) for source, seen in numbers.items()}
    spans = [
        span
        for request in receiver.requests
        for resource in request.resource_spans
        for span in resource.scope_spans
    ]
    assert_conforms([span for scope in spans for span in scope.spans])
    return [(name, facts) for name, facts, _ in governed]


def story(records: list[tuple[str, dict[str, Any]]], *starts: str) -> list[dict[str, Any]]:
    return [facts for name, facts in records if name.startswith(starts)]


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_refund_over_the_limit(tmp_path: Path, receiver: Receiver, decision: str) -> None:
    assert (
        process(tmp_path, receiver, "start", "--thread", "refund-a", "--customer", "c-100")
        == "waits for a person"
    )
    assert not (tmp_path / "payments.jsonl").exists()
    said = process(
        tmp_path, receiver, "resume", "--thread", "refund-a", "--decision", decision, "--reviewer", "u-17"
    )
    assert said == ("Refunded." if decision == "approve" else "Not refunded.")
    assert (tmp_path / "payments.jsonl").exists() is (decision == "approve")
    records = check(receiver)
    (request,), (answer,) = story(records, "request_approval"), story(records, "approval_decision")
    assert answer["runrecord.approval.status"] == ("approved" if decision == "approve" else "denied")
    assert answer["runrecord.approval.actor.ref"] == "u-17"
    waiting, going_on = story(records, "invoke_agent")
    assert (waiting["runrecord.run.state"], going_on["runrecord.run.state"]) == ("suspended", "completed")
    assert going_on["runrecord.run.outcome"] == ("success" if decision == "approve" else "denied")
    tools = story(records, "execute_tool create_refund", "tools/call create_refund")
    assert len(tools) == 4  # in each process, the client's and the server's
    assert {tool["runrecord.arguments.digest"] for tool in tools} == {
        request["runrecord.approval.subject.digest"]
    }
    assert {tool["gen_ai.tool.call.id"] for tool in tools} == {request["runrecord.subject.id"]}
    assert {tool["runrecord.side_effect.type"] for tool in tools} == {"pay"}
    assert {policy["runrecord.decision.outcome"] for policy in story(records, "policy_decision refunds")} == {
        "allow"
    }


def test_a_refund_that_the_policy_denies(tmp_path: Path, receiver: Receiver) -> None:
    said = process(tmp_path, receiver, "start", "--thread", "refund-b", "--customer", "c-200")
    assert said == "Refused: recent chargeback."
    assert not (tmp_path / "payments.jsonl").exists()
    records = check(receiver)
    denial = story(records, "policy_decision refunds")[-1]
    assert denial["runrecord.decision.outcome"] == "deny"
    assert denial["runrecord.policy.rule.id"] == "recent_chargeback"
    (asked,) = story(records, "execute_tool create_refund")
    assert denial["runrecord.subject.id"] == asked["gen_ai.tool.call.id"]
    assert not story(records, "tools/call create_refund")
