# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the integration is true: its example runs as it stands, against a scripted model."""

import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from claude_model import call, text, turns

from runrecord.instrumentation import claude_agent

pytestmark = [pytest.mark.sdk, pytest.mark.timeout(200)]

EXPECTED = [
    "request_approval mcp__shop__create_refund",
    "approval_decision mcp__shop__create_refund",
    "execute_tool mcp__shop__create_refund",
    "invoke_agent claude-agent",
]


def test_the_example_runs(model: Any, tmp_path: Path) -> None:
    model.script = turns([call("toolu_1", "mcp__shop__create_refund", amount=80)], [text("Done.")])
    page = inspect.getdoc(claude_agent) or ""
    code = textwrap.dedent(page.partition("in code::")[2].partition("\n====")[0])
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **model.environment(tmp_path), "RUNRECORD_STATE_DIR": str(tmp_path / "state")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert [name for name in EXPECTED if name not in printed] == []
