# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The main job with real processes: agents under ``opentelemetry-instrument``, the gateway, a back end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runrecord.demo.job import Job
from runrecord.demo.processes import Service, free_port


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A job whose back end keeps what it gets under ``forwarded/``; nothing of the agent has run yet."""
    directory: Path = tmp_path_factory.mktemp("job")
    port = free_port()
    made = Job(directory, f"http://127.0.0.1:{port}/v1/traces")
    command = [sys.executable, "-m", "runrecord.demo.sink", str(port), str(directory / "forwarded")]
    backend = Service("back end", command, directory / "logs" / "backend.log", made.environment())
    backend.start(f"http://127.0.0.1:{port}", timeout=20)
    try:
        made.start_gateway()
        yield made
    finally:
        made.gateway.stop()
        backend.stop()
