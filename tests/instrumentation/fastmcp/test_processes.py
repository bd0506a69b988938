# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A round that a person answers in another process, which shares nothing but the state directory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.sdk]

SCRIPT = str(Path(__file__).with_name("approval_process.py"))


@pytest.mark.parametrize("action", ["accept", "decline"])
def test_a_round_that_goes_on_in_another_process(tmp_path: Path, action: str) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "OTEL_"))}
    environment = {**kept, "RUNRECORD_STATE_DIR": str(tmp_path / "state")}
    spans: list[dict[str, Any]] = []
    for step in ("ask", action):
        done = subprocess.run(
            [sys.executable, SCRIPT, step, str(tmp_path / "state.txt")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        spans += [json.loads(line) for line in done.stdout.splitlines()]
    ours = [span for span in spans if "runrecord.record.seq" in span["attributes"]]
    assert len({span["attributes"]["runrecord.run.id"] for span in ours}) == 1
    assert len({span["trace"] for span in ours}) == 1
    segments = [span["attributes"] for span in ours if span["name"] == "invoke_agent agent"]
    assert [(one["runrecord.run.state"], one.get("runrecord.run.outcome")) for one in segments] == [
        ("suspended", None),
        ("completed", "success" if action == "accept" else "denied"),
    ]
    (request,) = [span for span in ours if span["name"].startswith("request_approval")]
    (decision,) = [span for span in ours if span["name"].startswith("approval_decision")]
    assert decision["links"] == [request["span"]]
    said = decision["attributes"]
    assert said["runrecord.approval.status"] == ("approved" if action == "accept" else "denied")
    for name in ("runrecord.approval.id", "runrecord.approval.subject.digest"):
        assert said[name] == request["attributes"][name]
    digests = {span["attributes"].get("runrecord.arguments.digest") for span in ours} - {None}
    assert digests == {said["runrecord.approval.subject.digest"]}
