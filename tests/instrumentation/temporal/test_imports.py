# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""In whichever order a program imports the SDK, it is hooked into once, and nobody is told that it could not be."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize("order", ["client worker", "worker client", "client", "worker"])
def test_either_may_come_first(order: str) -> None:
    lines = [
        "import logging",
        "logging.basicConfig(level=logging.WARNING)",
        "from runrecord.instrumentation.temporal import TemporalInstrumentor as T",
        "T().instrument()",
        *(f"import temporalio.{name}" for name in order.split()),
        "print(T()._applied is not None)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
