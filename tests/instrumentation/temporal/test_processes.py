# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example's three stories in real processes, with a worker that is killed while the workflow waits, and one while it works."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from refund_story import EXAMPLES, Receiver, check, command, facts

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.skipif(
        not any(
            point.name == "runrecord_temporal" for point in entry_points(group="opentelemetry_instrumentor")
        ),
        reason="needs the installed wheel",
    ),
]

EXAMPLE = EXAMPLES / "temporal" / "refund_agent.py"


def has(receiver: Receiver, name: str, **attributes: Any) -> bool:
    return any(
        span.name == name
        and all(facts(span).get(f"runrecord.{key}") == value for key, value in attributes.items())
        for span in receiver.spans
    )


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

    def run(self, *arguments: str) -> str:
        """Run a client; return the line that it says.

        Its end is not waited for: a process that used temporalio's client may never come to one, instrumented or not, since a thread
        of its runtime and the interpreter wait for each other (seen with 1.35.0), or it aborts while the interpreter is shutting
        down (seen with 1.24.0, on a busy machine). Its telemetry is sent before that.
        """
        called = command(EXAMPLE, self.directory, self.receiver, *arguments, "--address", self.server)
        with subprocess.Popen(**called, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
            assert client.stdout is not None
            said = client.stdout.readline()
            try:
                _, errors = client.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                client.kill()
                _, errors = client.communicate()
        aborted = client.returncode == -signal.SIGABRT and "Python runtime state: finalizing" in errors
        assert aborted or client.returncode in {0, -signal.SIGKILL}, errors
        return str(said).strip()

    def start_worker(self) -> "subprocess.Popen[str]":
        address = ("--address", self.server)
        called = command(
            EXAMPLE, self.directory, self.receiver, "worker", *address, OTEL_BSP_SCHEDULE_DELAY="50"
        )
        worker = subprocess.Popen(**called, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.workers.append(worker)
        return worker

    def stop(self, worker: "subprocess.Popen[str]", how: int) -> None:
        worker.send_signal(how)
        worker.communicate(timeout=30)


@pytest.fixture
def story(tmp_path: Path, receiver: Receiver, server: str) -> Generator[Story, None, None]:
    story = Story(tmp_path, receiver, server)
    yield story
    for worker in story.workers:
        if worker.poll() is None:
            story.stop(worker, signal.SIGKILL)


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
    until(lambda: has(receiver, "invoke_workflow RefundAgent", **{"run.state": "suspended"}), worker)
    story.stop(worker, signal.SIGKILL)
    assert not (story.directory / "payments.jsonl").exists()
    second = story.start_worker()
    said = story.run("decide", "--thread", thread, "--decision", "approve", "--reviewer", "u-17")
    assert said == "Your request has been dealt with."
    until(lambda: has(receiver, "invoke_workflow RefundAgent", **{"run.state": "completed"}), second)
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
    until(lambda: has(receiver, "invoke_workflow RefundAgent", **{"run.state": "completed"}), worker)
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
    until(lambda: has(receiver, "invoke_workflow RefundAgent", **{"run.state": "completed"}), worker)
    spans = dict(check(receiver))
    assert spans["approval_decision create_refund"]["runrecord.approval.status"] == "denied"
    assert "execute_tool create_refund" not in spans
    assert not (story.directory / "payments.jsonl").exists()
