# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A server that is written in Go, for the tests: built once by whichever process of the session is first, and stopped at the end.

Its modules come through the ordinary Go module proxy. The tests that use it have the marker ``go``: without Go, or without a
network for the first download, they are skipped; where the environment variable CI is set, they fail instead.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def serving(source: Path, factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    """Build the program in ``source``, run it, and yield the address that it prints first."""
    base = factory.getbasetemp()  # of a process of xdist, below that of the session
    program = _built(source, base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _built(source: Path, shared: Path) -> Path:
    go = shutil.which("go")
    if not go:
        pytest.skip("the Go toolchain is not installed (https://go.dev/dl)")
    program = shared / f"{source.parent.name}-server"
    with (shared / f"{program.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            done = subprocess.run(
                [go, "build", "-ldflags=-s -w", "-o", str(program), "."],
                cwd=source,
                capture_output=True,
                text=True,
                check=False,
            )
            offline = ("dial tcp", "no such host", "connection refused", "Forbidden")
            if done.returncode and any(each in done.stderr for each in offline):
                pytest.skip(f"Go could not download the server: {done.stderr[-300:]}")
            assert not done.returncode, done.stderr
    return program
