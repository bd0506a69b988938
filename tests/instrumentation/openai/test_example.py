# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example's three stories, in real processes under ``opentelemetry-instrument``, to a real OTLP receiver."""

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

pytestmark = [pytest.mark.sdk]

EXAMPLE = Path(__file__).parents[3] / "examples" / "openai_responses" / "refund_agent.py"
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
    def spans(self) -> list[Any]:
        found = [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def facts(span: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


def process(directory: Path, receiver: Receiver, *arguments: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))}
    environment = {
        **kept,
        "RUNRECORD_STATE_DIR": str(directory / "state"),
        "OTEL_SERVICE_NAME": "refunds",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai",  # the official one; test_official.py is about it
    }
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    done = subprocess.run(
        [instrument, sys.executable, str(EXAMPLE), *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def check(receiver: Receiver) -> list[tuple[str, dict[str, Any]]]:
    """What holds for every story; the spans of the run in the order in which they began."""
    assert_conforms([ExportTraceServiceRequest.FromString(body) for body in receiver.bodies])
    governed = [span for span in receiver.spans if "runrecord.run.id" in facts(span)]
    assert len({facts(span)["runrecord.run.id"] for span in governed}) == 1
    assert len({span.trace_id for span in governed}) == 1
    assert not [word for word in PERSONAL if any(word.encode() in body for body in receiver.bodies)]
    numbers: dict[str, list[int]] = {}
    for span in governed:
        numbers.setdefault(facts(span)["runrecord.source.id"], []).append(facts(span)["runrecord.record.seq"])
    assert all(sorted(seen) == list(range(len(seen))) for seen in numbers.values())
    said = [
        facts(span)["runrecord.run.records"] for span in governed if "runrecord.run.records" in facts(span)
    ]
    assert sorted(said) == sorted(len(seen) for seen in numbers.values())
    return [(span.name, facts(span)) for span in governed]


BEFORE = [
    "invoke_agent refund-agent",
    "agent_step act",
    "execute_tool lookup_customer",
    "execute_tool list_invoices",
]
WAITS = [*BEFORE, "policy_decision require_approval", "request_approval create_refund"]
GOES_ON = ["invoke_agent refund-agent", "agent_step act", "approval_decision create_refund"]


def test_a_refund_that_a_person_approves_in_another_process(tmp_path: Path, receiver: Receiver) -> None:
    who = ("--thread", "refund-a", "--customer", "c-100")
    assert process(tmp_path, receiver, "start", *who) == "waits for a person"
    assert not (tmp_path / "payments.jsonl").exists()
    said = process(tmp_path, receiver, "resume", *who, "--decision", "approve", "--reviewer", "u-17")
    assert said == "Your request has been dealt with."
    assert len((tmp_path / "payments.jsonl").read_text().splitlines()) == 1
    spans = check(receiver)
    assert [name for name, _ in spans] == [*WAITS, *GOES_ON, "execute_tool create_refund"]
    lookup, request = spans[2][1], spans[len(WAITS) - 1][1]
    decision, tool = (facts for _, facts in spans[-2:])
    assert lookup["runrecord.tool.read_only"] is True
    assert decision["runrecord.approval.status"] == "approved"
    assert decision["runrecord.approval.actor.ref"] == "u-17"
    assert (
        request["runrecord.approval.subject.digest"]
        == decision["runrecord.approval.subject.digest"]
        == tool["runrecord.arguments.digest"]
    )
    assert [said["runrecord.run.segment"] for _, said in spans if "runrecord.run.segment" in said] == [0, 1]


def test_a_refund_that_the_model_refuses(tmp_path: Path, receiver: Receiver) -> None:
    assert process(tmp_path, receiver, "start", "--thread", "refund-b", "--customer", "c-200") == "Refused."
    assert not (tmp_path / "payments.jsonl").exists()
    spans = check(receiver)
    assert [name for name, _ in spans] == [*BEFORE, "policy_decision refusal"]
    assert spans[-1][1]["runrecord.decision.outcome"] == "deny"
    assert spans[0][1]["runrecord.run.outcome"] == "denied"


def test_a_refund_that_the_person_denies(tmp_path: Path, receiver: Receiver) -> None:
    who = ("--thread", "refund-c", "--customer", "c-300")
    assert process(tmp_path, receiver, "start", *who) == "waits for a person"
    process(tmp_path, receiver, "resume", *who, "--decision", "reject")
    assert not (tmp_path / "payments.jsonl").exists()
    spans = check(receiver)
    assert [name for name, _ in spans] == [*WAITS, *GOES_ON]
    assert spans[-1][1]["runrecord.approval.status"] == "denied"
    assert spans[len(WAITS)][1]["runrecord.run.outcome"] == "denied"
