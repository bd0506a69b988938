# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example's three stories in real processes, with a worker that is killed while the workflow waits, and one while it works."""

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from runrecord.semconv.testing import assert_conforms

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.skipif(
        not any(
            point.name == "runrecord_temporal" for point in entry_points(group="opentelemetry_instrumentor")
        ),
        reason="needs the installed wheel",
    ),
]

EXAMPLE = Path(__file__).parents[3] / "examples" / "temporal" / "refund_agent.py"
PERSONAL = ["mail.example.org", "4111 1111", "4012 8888", "sk_live_", "Ada Example"]


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
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def spans(self) -> list[Any]:
        found = [
            span
            for body in list(self.bodies)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def has(self, name: str, **attributes: Any) -> bool:
        return any(
            span.name == name
            and all(facts(span).get(f"runrecord.{key}") == value for key, value in attributes.items())
            for span in self.spans
        )


def facts(span: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


def until(condition: Callable[[], Any], process: Any = None) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


class Story:
    """The processes of one story."""

    def __init__(self, directory: Path, receiver: Receiver, server: str) -> None:
        self.directory, self.receiver, self.server = directory, receiver, server
        self.workers: list[subprocess.Popen[str]] = []

    def _command(self, *arguments: str) -> dict[str, Any]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))}
        environment = {
            **kept,
            "RUNRECORD_STATE_DIR": str(self.directory / "state"),
            "OTEL_SERVICE_NAME": "refunds",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.receiver.server.server_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
        return {
            "args": [instrument, sys.executable, str(EXAMPLE), *arguments, "--address", self.server],
            "cwd": self.directory,
            "env": environment,
            "text": True,
        }

    def run(self, *arguments: str) -> str:
        done = subprocess.run(**self._command(*arguments), capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start_worker(self) -> "subprocess.Popen[str]":
        worker = subprocess.Popen(**self._command("worker"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.workers.append(worker)
        return worker

    def stop(self, worker: "subprocess.Popen[str]", how: int) -> None:
        worker.send_signal(how)
        worker.communicate(timeout=30)


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture
def story(tmp_path: Path, receiver: Receiver, server: str) -> Generator[Story, None, None]:
    story = Story(tmp_path, receiver, server)
    yield story
    for worker in story.workers:
        if worker.poll() is None:
            story.stop(worker, signal.SIGKILL)


def check(receiver: Receiver) -> list[tuple[str, dict[str, Any]]]:
    """What holds for every story; the spans of the run in the order in which they began."""
    assert_conforms([ExportTraceServiceRequest.FromString(body) for body in receiver.bodies])
    governed = [span for span in receiver.spans if "runrecord.run.id" in facts(span)]
    assert len({facts(span)["runrecord.run.id"] for span in governed}) == 1
    assert len({span.trace_id for span in governed}) == 1
    assert not [word for word in PERSONAL if any(word.encode() in body for body in receiver.bodies)]
    numbers: dict[str, list[int]] = {}
    said: dict[str, int] = {}
    for span in governed:
        source = facts(span)["runrecord.source.id"]
        numbers.setdefault(source, []).append(facts(span)["runrecord.record.seq"])
        said[source] = said.get(source, 0) + facts(span).get("runrecord.run.records", 0)
    assert {source: len(seen) for source, seen in numbers.items()} == said
    assert all(sorted(seen) == list(range(len(seen))) for seen in numbers.values())
    return [(span.name, facts(span)) for span in governed]


BEFORE = [
    "invoke_workflow RefundAgent",
    *["agent_step plan", "agent_step act", "execute_tool lookup_customer"],
    *["agent_step plan", "agent_step act", "execute_tool list_invoices"],
    "agent_step plan",
    "policy_decision refunds",
]


def test_a_worker_is_killed_while_the_workflow_waits_and_another_goes_on(
    story: Story, receiver: Receiver
) -> None:
    thread = f"refund-{uuid4()}"
    worker = story.start_worker()
    assert story.run("start", "--thread", thread, "--customer", "c-100") == "waits for a person"
    until(lambda: receiver.has("invoke_workflow RefundAgent", **{"run.state": "suspended"}), worker)
    story.stop(worker, signal.SIGKILL)
    assert not (story.directory / "payments.jsonl").exists()
    second = story.start_worker()
    said = story.run("decide", "--thread", thread, "--decision", "approve", "--reviewer", "u-17")
    assert said == "Your request has been dealt with."
    until(lambda: receiver.has("invoke_workflow RefundAgent", **{"run.state": "completed"}), second)
    assert len((story.directory / "payments.jsonl").read_text().splitlines()) == 1
    spans = check(receiver)
    assert [name for name, _ in spans] == [
        *BEFORE,
        "request_approval create_refund",
        "invoke_workflow RefundAgent",
        "policy_decision decide",
        "approval_decision create_refund",
        "agent_step act",
        "execute_tool create_refund",
        "agent_step plan",
    ]
    request, decision, tool = (facts for name, facts in spans if name.endswith(" create_refund"))
    assert spans[0][1]["gen_ai.conversation.id"] == thread
    assert spans[0][1]["runrecord.run.autonomy"] == "execute_with_approval"
    assert decision["runrecord.approval.status"] == "approved"
    assert decision["runrecord.approval.actor.ref"] == "u-17"
    assert tool["runrecord.side_effect.type"] == "pay"
    assert (
        request["runrecord.approval.subject.digest"]
        == decision["runrecord.approval.subject.digest"]
        == tool["runrecord.arguments.digest"]
    )
    assert tool["runrecord.approval.id"] == request["runrecord.approval.id"]
    sources = {facts["runrecord.source.id"] for name, facts in spans if name.startswith("invoke_workflow")}
    assert len(sources) == 2


def test_a_refund_that_the_policy_denies(story: Story, receiver: Receiver) -> None:
    worker = story.start_worker()
    said = story.run("start", "--thread", f"refund-{uuid4()}", "--customer", "c-200")
    assert said == "Your request has been dealt with."
    until(lambda: receiver.has("invoke_workflow RefundAgent", **{"run.state": "completed"}), worker)
    spans = check(receiver)
    assert [name for name, _ in spans] == [*BEFORE, "agent_step plan"]
    assert spans[len(BEFORE) - 1][1]["runrecord.decision.outcome"] == "deny"
    assert spans[0][1]["runrecord.run.outcome"] == "denied"
    assert not (story.directory / "payments.jsonl").exists()


def test_a_refund_that_the_person_denies(story: Story, receiver: Receiver) -> None:
    thread = f"refund-{uuid4()}"
    worker = story.start_worker()
    assert story.run("start", "--thread", thread, "--customer", "c-300") == "waits for a person"
    story.run("decide", "--thread", thread, "--decision", "reject")
    until(lambda: receiver.has("invoke_workflow RefundAgent", **{"run.state": "completed"}), worker)
    spans = dict(check(receiver))
    assert spans["approval_decision create_refund"]["runrecord.approval.status"] == "denied"
    assert "execute_tool create_refund" not in spans
    assert not (story.directory / "payments.jsonl").exists()
