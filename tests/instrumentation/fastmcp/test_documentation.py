# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the integration is true: its example runs as it stands."""

import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from runrecord.instrumentation import fastmcp

pytestmark = [pytest.mark.sdk]

EXPECTED = ["policy_decision refunds", "tools/call create_refund", "invoke_agent refund-agent"]


def test_the_example_runs(tmp_path: Path) -> None:
    page = inspect.getdoc(fastmcp) or ""
    code = textwrap.dedent(page.partition("in code::")[2].partition("\n====")[0])
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "RUNRECORD_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert [name for name in EXPECTED if name not in printed] == []
