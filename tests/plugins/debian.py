# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A program of Debian's packages, for the tests: from the path, or unpacked below the user's cache without being installed.

Nothing needs root: apt gets a state directory of its own, and the package is unpacked, not installed. What a package depends on
is not fetched, so this is for programs that need little more than libc. Tests that use it have the marker ``debian``: on another
system, or without a network, they are skipped; where the environment variable CI is set, they fail instead.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

_OFFLINE = ("Could not resolve", "Could not connect", "Temporary failure", "Unable to locate package")


def program(package: str, path: str) -> Path:
    """Find a program, or unpack its package.

    Args:
        package: The binary package, such as ``prometheus``.
        path: The program in it, such as ``usr/bin/prometheus``.
    """
    found = shutil.which(Path(path).name)
    return Path(found) if found else unpacked(package) / path


def unpacked(package: str) -> Path:
    """Return the directory that holds the files of a package; made once on a machine."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        pytest.skip(f"{package} is neither installed nor can it be unpacked: this is not a Debian")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runrecord-tests" / "debian"
    home.mkdir(parents=True, exist_ok=True)
    root = home / package
    with (home / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _fetch(package, home / f"{package}.part", root)
    return root


def _fetch(package: str, work: Path, root: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    for directory in ("state/lists/partial", "cache/archives/partial"):
        (work / directory).mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", f"Dir::State={work}/state", "-o", f"Dir::Cache={work}/cache"]
    _run([*apt, "update"], work, package)
    _run([*apt, "download", package], work, package)
    [archive] = work.glob("*.deb")
    _run(["dpkg-deb", "-x", str(archive), str(work / "files")], work, package)
    (work / "files").rename(root)
    shutil.rmtree(work)


def _run(command: list[str], work: Path, package: str) -> None:
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode and any(each in done.stderr for each in _OFFLINE):
        pytest.skip(f"{package} could not be fetched from Debian's packages: {done.stderr[-300:]}")
    assert not done.returncode, done.stderr
