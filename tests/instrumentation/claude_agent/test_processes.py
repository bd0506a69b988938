# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A call that one process defers and another answers: two real processes, two real programs, one run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from claude_model import Model, call, text, turns

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(300)]

PROGRAM = Path(__file__).with_name("deferred_process.py")
REFUND = "mcp__shop__create_refund"


@pytest.fixture
def process(model: Model, tmp_path: Path) -> Any:
    home = tmp_path / "home"
    home.mkdir()
    model.script = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])
    environment = {
        **os.environ,
        **model.environment(home),
        "RUNRECORD_STATE_DIR": str(tmp_path / "state"),
        "RUNRECORD_KEY": "00" * 32,
    }

    def run(*arguments: str) -> Any:
        out = tmp_path / "out.json"
        command = [sys.executable, str(PROGRAM), str(out), *arguments]
        done = subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=140, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_text())

    return run


def paid(tmp_path: Path) -> list[Any]:
    file = tmp_path / "home" / "payments.jsonl"
    return [json.loads(line)["amount"] for line in file.read_text().splitlines()] if file.exists() else []


def of_run(told: Any, run_id: str) -> list[Any]:
    return [span for span in told["spans"] if span["attributes"]["runrecord.run.id"] == run_id]


@pytest.mark.parametrize(
    ("answer", "status", "amounts"),
    [("allow", "approved", [80]), ("deny", "denied", []), ("other", "modified", [50])],
)
def test_a_deferred_call_is_answered_in_another_process(
    process: Any, tmp_path: Path, answer: str, status: str, amounts: list[int]
) -> None:
    first = process("defer")
    names = [span["name"] for span in first["spans"]]
    assert sorted(names) == sorted(
        [
            "invoke_agent claude-agent",
            "agent_step act",
            "policy_decision refunds",
            f"request_approval {REFUND}",
        ]
    )
    run = next(span for span in first["spans"] if span["name"] == "invoke_agent claude-agent")
    assert run["attributes"]["runrecord.run.state"] == "suspended"
    assert run["attributes"]["runrecord.run.stop_reason"] == "tool_deferred"
    request = next(span for span in first["spans"] if span["name"].startswith("request_approval"))
    assert paid(tmp_path) == []

    second = process(answer, first["session"])
    assert second["pid"] != first["pid"]
    assert paid(tmp_path) == amounts
    continued = of_run(second, run["attributes"]["runrecord.run.id"])
    assert {span["context"]["trace_id"] for span in continued} == {run["context"]["trace_id"]}
    segment = next(span for span in continued if span["name"] == "invoke_agent claude-agent")
    assert segment["attributes"]["runrecord.run.segment"] == 1
    assert segment["attributes"]["runrecord.run.outcome"] == ("denied" if answer == "deny" else "success")
    (decision,) = [span for span in continued if span["name"].startswith("approval_decision")]
    assert decision["attributes"]["runrecord.approval.status"] == status
    assert decision["attributes"]["runrecord.approval.id"] == request["attributes"]["runrecord.approval.id"]
    assert decision["attributes"]["runrecord.approval.actor.type"] == "human"
    assert decision["attributes"]["runrecord.approval.actor.ref"] == "u-17"
    assert request["context"]["span_id"] in {link["context"]["span_id"] for link in decision["links"]}
    # One request and one decision, though the hook was called twice.
    every = [span["name"].partition(" ")[0] for span in first["spans"] + second["spans"]]
    assert (every.count("request_approval"), every.count("approval_decision")) == (1, 1)
    assert every.count("policy_decision") == 1
    tools = [span for span in continued if span["name"].startswith("execute_tool")]
    assert len(tools) == len(amounts)
    shown = request["attributes"]["runrecord.approval.subject.digest"]
    for tool in tools:
        ran = tool["attributes"]["runrecord.arguments.digest"]
        assert tool["attributes"]["runrecord.approval.id"] == request["attributes"]["runrecord.approval.id"]
        assert (ran == shown) is (answer == "allow")


def test_a_call_that_is_deferred_again_is_one_request(process: Any, tmp_path: Path) -> None:
    first = process("defer")
    second = process("defer", first["session"])
    third = process("allow", first["session"])
    told = first["spans"] + second["spans"] + third["spans"]
    every = [span["name"].partition(" ")[0] for span in told]
    assert (every.count("request_approval"), every.count("approval_decision")) == (1, 1)
    run_id = first["spans"][0]["attributes"]["runrecord.run.id"]
    segments = [
        span["attributes"]["runrecord.run.segment"]
        for span in told
        if span["attributes"]["runrecord.run.id"] == run_id and "runrecord.run.segment" in span["attributes"]
    ]
    assert segments == [0, 1, 2]
    assert paid(tmp_path) == [80]
