# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway whose state is on a disk that is full: it says so, loses nothing, and goes on by itself."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 600 kB; only root may."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_told_and_left_behind_when_consumers_catch_up(
    small_disk, settings, run_gateway, sink, requests, poll, caplog
):
    caplog.set_level(logging.INFO, logger="runrecord")
    sink.hang.set()  # the back end is away, so nothing can be freed
    config = settings(sink.url, service={"state_dir": str(small_disk)})
    gateway = run_gateway(config=config)
    text, accepted = "x" * 10_000, 0
    while (answer := gateway.post(requests.traces(start=accepted, text=text))).status_code == 200:
        accepted += 1
    assert (answer.status_code, accepted > 20) == (503, True)
    assert int(answer.headers["retry-after"]) > 0
    part = poll(lambda: (p := gateway.part("intake"))["status"] == "degraded" and p)
    assert part["message"].startswith(f"no room on the disk of {small_disk / 'intake'}: requests are refused")
    assert httpx2.get(gateway.health).status_code == 503
    sink.hang.clear()
    poll(lambda: gateway.part("intake")["status"] == "ok")
    assert [r.levelname for r in caplog.records if r.getMessage().startswith("intake: no room")] == [
        "WARNING"
    ]
    assert "intake: works" in caplog.text

    refused = 0
    for number in range(accepted, accepted + 400):  # the back end is up
        while (answer := gateway.post(requests.traces(start=number, text=text))).status_code == 503:
            refused += 1
            poll(lambda: not any(c.backlog_records for c in gateway.gateway.consumers.values()))
        assert answer.status_code == 200
    assert refused < 400
    poll(lambda: set(sink.span_ids()) == {f"{n + 1:016x}" for n in range(accepted + 400)})
    gateway.stop()
    gateway = run_gateway(config=config)
    assert gateway.post(requests.traces(start=1000, text=text)).status_code == 200
