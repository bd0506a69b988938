# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the integration is true: its example runs as it stands, against a server on a loopback port."""

import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from runrecord.instrumentation import openai

pytestmark = [pytest.mark.sdk]

EXPECTED = [
    "invoke_agent",
    "policy_decision require_approval",
    "request_approval create_refund",
    "approval_decision create_refund",
    "execute_tool create_refund",
]


def test_the_example_runs(tmp_path: Path, server: Any) -> None:
    server.script(server.response(server.ASKS), server.response(server.RAN, server.message()))
    page = inspect.getdoc(openai) or ""
    code = textwrap.dedent(page.partition("in code::")[2].partition("\n``examples/")[0])
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **kept,
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": "none",
            "RUNRECORD_STATE_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert [name for name in EXPECTED if name not in printed] == []
