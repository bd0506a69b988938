# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Arize Phoenix as the demo's back end: find it or install it in an environment of its own, start it, ask it what it shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runrecord.demo.processes import DemoError, Service

_REQUIREMENT = "arize-phoenix>=20"


def find() -> Path | None:
    """The ``phoenix`` command: ``RUNRECORD_PHOENIX``, the path, or what an earlier demo installed."""
    named = os.environ.get("RUNRECORD_PHOENIX")
    candidates = [named, shutil.which("phoenix"), str(_cache() / "bin" / "phoenix")]
    return next((Path(path) for path in candidates if path and Path(path).exists()), None)


def install() -> Path:
    """Install Phoenix into an environment of its own (its pins are many) and return its command.

    Raises:
        DemoError: pip failed.
    """
    home = _cache()
    venv.create(home, with_pip=True, clear=True)
    command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", _REQUIREMENT]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - our own command
        shutil.rmtree(home, ignore_errors=True)
        message = f"Phoenix could not be installed with: {' '.join(command)}. Install it yourself and name its command in RUNRECORD_PHOENIX."
        raise DemoError(message)
    return home / "bin" / "phoenix"


def service(
    command: Path, directory: Path, port: int, grpc_port: int, environment: Mapping[str, str]
) -> Service:
    """Phoenix on the loopback interface, with its data in ``directory``.

    It opens a gRPC port of its own, too, on every interface: Phoenix has no setting for that one's address.
    """
    settings = {
        "PHOENIX_WORKING_DIR": str(directory / "phoenix"),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    return Service(
        "phoenix", [str(command), "serve"], directory / "logs" / "phoenix.log", {**environment, **settings}
    )


def spans(url: str, project: str = "default") -> list[dict[str, Any]]:
    """All spans of a project, as Phoenix's REST API gives them; a list of objects with ``name`` and ``attributes``."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        query = f"{url}/v1/projects/{project}/spans?limit=1000{cursor}"
        with urllib.request.urlopen(query, timeout=10) as response:  # noqa: S310 - a loopback address
            page = json.load(response)
        found += page["data"]
        if not page.get("next_cursor"):
            return found
        cursor = f"&cursor={page['next_cursor']}"


def wait_for_spans(url: str, minimum: int, timeout: float) -> list[dict[str, Any]]:
    """All spans, as soon as there are ``minimum`` and no more are coming; Phoenix writes what it has acknowledged a little later.

    Raises:
        DemoError: There were fewer after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    before = -1
    while time.monotonic() < deadline:
        found = spans(url)
        if len(found) >= minimum and len(found) == before:
            return found
        before = len(found)
        time.sleep(1)
    message = f"Phoenix shows {before} spans after {timeout:.0f} s, fewer than {minimum}; see its log"
    raise DemoError(message)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "runrecord" / f"phoenix-py{sys.version_info.major}{sys.version_info.minor}"
