# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's processes: start them, wait until they answer, stop them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path


class DemoError(Exception):
    """A process of the demo did not do its part; the message names it, its log and the next step."""


def free_port() -> int:
    """A TCP port on the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def script(name: str) -> str:
    """The path of a console script of the running environment.

    Raises:
        DemoError: It is not installed.
    """
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        message = f'{name} is not installed. Install the demo with: pip install "runrecord[demo]"'
        raise DemoError(message)
    return found


class Service:
    """A process that goes on until it is stopped; its output goes to a log file."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ready_url: str, timeout: float) -> None:
        """Start the process and wait until ``ready_url`` answers with 200.

        Raises:
            DemoError: It ended, or did not answer within ``timeout`` seconds.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )
        deadline = time.monotonic() + timeout
        while not _answers(ready_url):
            if self._process.poll() is not None:
                self._fail(f"ended with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                self.stop()
                self._fail(f"did not answer at {ready_url} within {timeout:.0f} s")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the process at once, as a crash would: SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask the process to end, and wait for it."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.kill()

    def _fail(self, what: str) -> None:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
        message = f"{self.name} {what}. The end of its log, {self.log}:\n{tail}"
        raise DemoError(message)


def run(name: str, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> str:
    """Run a process to its end and give its standard output.

    Raises:
        DemoError: It failed.
    """
    done = subprocess.run(  # noqa: S603 - our own command
        list(command),
        env=dict(environment),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (directory / "logs" / f"{name}.log").write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-5:])
        message = f"{name} ended with exit code {done.returncode}:\n{tail}"
        raise DemoError(message)
    return done.stdout.strip()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - a loopback address
            return bool(response.status < 500)  # noqa: PLR2004
    except urllib.error.HTTPError as error:
        return error.code < 500  # noqa: PLR2004
    except OSError:
        return False
