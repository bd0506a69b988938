# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The example in the documentation runs as it stands, but for the server, which Temporal's SDK would download."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from runrecord.instrumentation import temporal

pytestmark = [pytest.mark.sdk]

SERVER = Path(sys.executable).with_name("temporal-test-server")


def test_the_example_runs(tmp_path: Path) -> None:
    text = (temporal.__doc__ or "").partition("one line, since Temporal has no notion of one::\n")[2]
    code = textwrap.dedent(text[: text.index("\n====")])
    code = code.replace(
        "start_time_skipping()", f"start_time_skipping(test_server_existing_path={str(SERVER)!r})"
    )
    (tmp_path / "program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    # Not the exit status: the SDK's runtime threads may abort an interpreter that is shutting down, on a busy machine.
    names = done.stdout.splitlines()
    for name in (
        "paid",
        "request_approval create_refund",
        "approval_decision create_refund",
        "execute_tool create_refund",
        "invoke_workflow RefundWorkflow",
    ):
        assert name in names, done.stderr
