# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Chromium for the tests: the one of the machine, or in CI, whose machines are thrown away, Debian's package.

Tests that use it have the marker ``browser``: where there is none they are skipped and say why; where the environment variable
CI is set, they fail instead.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def find() -> str:
    """Return the program; skip the test where there is none and none may be installed."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        found = _install()
    if found is None:
        pytest.skip("Chromium is not installed; on Debian: apt-get install chromium")
    return found


def _install() -> str | None:
    with (Path(tempfile.gettempdir()) / "runrecord-tests-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes run the tests
        if shutil.which("chromium") is None:
            for command in ("update", "install --yes --no-install-recommends chromium fonts-dejavu-core"):
                done = subprocess.run(
                    ["apt-get", "-q", *command.split()],
                    capture_output=True,
                    text=True,
                    check=False,
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                )
                if done.returncode:
                    pytest.fail(f"apt-get {command} failed: {done.stderr[-2000:]}")
    return shutil.which("chromium")


def run(page: Path, directory: Path, *arguments: str) -> str:
    """Open a page, and return what the browser prints.

    Args:
        page: A file.
        directory: For its profile, and where it runs.
        arguments: Such as ``--dump-dom``.
    """
    profile = f"--user-data-dir={directory}/browser"
    command = [find(), *_QUIET, profile, *arguments, page.as_uri()]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, cwd=directory
    ).stdout
