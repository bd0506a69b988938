# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The answer comes in another process, with the stored context or without."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.types import Command

from runrecord.instrumentation import MemoryContextStore

pytestmark = pytest.mark.sdk


@tool
def refund(invoice: str, amount: float) -> str:
    """Pay an invoice back."""
    return f"paid {amount} for {invoice}"


def asking(agents: Any, interrupt_mode: str, *turns: Any, saver: Any) -> Any:
    return agents.make(
        *turns,
        tools=[refund],
        middleware=[agents.review({"refund": True}, interrupt_mode)],
        checkpointer=saver,
    )


def run(graph: Any, given: Any, config: Any, mode: str = "sync") -> Any:
    return graph.invoke(given, config) if mode == "sync" else asyncio.run(graph.ainvoke(given, config))


@pytest.mark.parametrize("interrupt_mode", ["per_call"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_without_the_stored_context_the_ids_still_meet(
    telemetry: Any, agents: Any, instrument: Any, interrupt_mode: str, mode: str
) -> None:
    call = agents.call("refund", "call_1", invoice="inv-1", amount=80.0)
    instrumentor = instrument()
    saver = agents.saver()
    asking(agents, interrupt_mode, [call], "done", saver=saver).invoke(agents.ask, agents.config())
    instrumentor.uninstrument()
    instrument(recorder=telemetry.recorder(store=MemoryContextStore(), new_source=lambda: "f" * 16))
    agent = asking(agents, interrupt_mode, "done", saver=saver)
    run(agent, Command(resume={"type": "approve"}), agents.config(), mode)
    request, decided = telemetry.one("request_approval").attributes, telemetry.one("approval_decision")
    assert decided.attributes["runrecord.approval.id"] == request["runrecord.approval.id"]
    assert decided.attributes["runrecord.subject.id"] == "call_1"
    assert decided.links == ()
    ran = telemetry.one("execute_tool").attributes["runrecord.arguments.digest"]
    assert decided.attributes["runrecord.approval.subject.digest"] == ran
    assert telemetry.named("invoke_agent")[1].attributes["runrecord.run.segment"] == 1
    telemetry.check_counters()


def process(directory: Path, *arguments: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    environment = {
        **os.environ,
        "RUNRECORD_STATE_DIR": str(directory / "state"),
        "RUNRECORD_KEY": "00" * 32,
    }
    environment.pop("PYTEST_CURRENT_TEST", None)
    script = Path(__file__).parent / "approval_process.py"
    command = [sys.executable, str(script), str(directory / "checkpoints.sqlite"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[:-1], lines[-1]


@pytest.mark.parametrize(
    ("answer", "interrupt_mode", "status"),
    [
        ("approve", "batched", "approved"),
        ("edit", "per_call", "modified"),
        ("reject", "batched", "denied"),
    ],
)
def test_the_answer_comes_in_another_process(
    tmp_path: Path, answer: str, interrupt_mode: str, status: str
) -> None:
    first, said = process(tmp_path, "start", interrupt_mode)
    assert said["waits"]
    second, said = process(tmp_path, answer, interrupt_mode)
    assert said == {"waits": False, "last": "done"}
    spans = [*first, *second]
    assert len({span["context"]["trace_id"] for span in spans}) == 1
    assert len({span["attributes"]["runrecord.run.id"] for span in spans}) == 1
    assert len({span["attributes"]["runrecord.source.id"] for span in spans}) == 2
    (request,) = [span for span in first if span["name"] == "request_approval refund"]
    (decided,) = [span for span in second if span["name"] == "approval_decision refund"]
    assert decided["attributes"]["runrecord.approval.status"] == status
    assert decided["links"][0]["context"]["span_id"] == request["context"]["span_id"]
    assert f"0x{decided['attributes']['runrecord.approval.request.span_id']}" == request["context"]["span_id"]
    (resumed,) = [span for span in second if span["name"] == "invoke_agent helper"]
    (root,) = [span for span in first if span["name"] == "invoke_agent helper"]
    assert resumed["parent_id"] == root["context"]["span_id"]
    assert (resumed["attributes"]["runrecord.run.segment"], root["attributes"]["runrecord.run.segment"]) == (
        1,
        0,
    )
    ran = [span for span in second if span["name"] == "execute_tool refund"]
    assert len(ran) == (status != "denied")
    assert not [span for span in first if span["name"] == "execute_tool refund"]
    for part, source in ((first, root), (second, resumed)):
        numbers = sorted(span["attributes"]["runrecord.record.seq"] for span in part)
        assert numbers == list(range(source["attributes"]["runrecord.run.records"]))
    assert "secret-reason" not in json.dumps(spans)
    stored = list((tmp_path / "state" / "contexts").iterdir())
    assert [oct(path.stat().st_mode & 0o777) for path in stored] == ["0o600"]
    assert "inv-1" not in stored[0].read_text()
