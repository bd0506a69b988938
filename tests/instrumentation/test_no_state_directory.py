# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where no key can be made or read, the log names the path and what to set, and the program runs on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from runrecord.instrumentation import recorder
trace.set_tracer_provider(TracerProvider())
with recorder.run("agent") as run, run.tool("pay", call_id="c", arguments={"amount": 80}):
    print("done")
"""


def run(**variables: str) -> str:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RUNRECORD_", "XDG_", "OTEL_", "PYTEST_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**kept, **variables}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "done\n"
    return done.stderr


@pytest.mark.parametrize("variable", ["HOME", "RUNRECORD_STATE_DIR"])
def test_a_home_that_cannot_be_written_is_named_with_the_variable_that_moves_it(
    tmp_path: Path, variable: str
) -> None:
    home = tmp_path / "home"
    home.write_text("a file, below which root can't make a directory either")
    (line,) = [line for line in run(**{variable: str(home)}).splitlines() if "commitment" in line]
    path = home / ".local/state/runrecord" if variable == "HOME" else home
    assert f"can't make the key file {path / 'tenant.key'}: " in line
    assert "RUNRECORD_STATE_DIR" in line


def test_a_malformed_key_is_not_quoted(tmp_path: Path) -> None:
    said = run(RUNRECORD_KEY="not-a-key-but-secret", RUNRECORD_STATE_DIR=str(tmp_path))
    assert "RUNRECORD_KEY" in said
    assert "but-secret" not in said
