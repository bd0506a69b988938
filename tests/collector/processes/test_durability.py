# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A back end that is away for long, and a disk that is full: what was acknowledged is delivered, and memory stays flat."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

PROTOBUF = {"content-type": "application/x-protobuf"}
MIB = 1 << 20

pytestmark = pytest.mark.e2e


def resident(gateway):
    lines = httpx2.get(gateway.metrics, timeout=60).text.splitlines()
    [value] = [
        line.rsplit(" ", 1)[1] for line in lines if line.startswith("otelcol_process_memory_rss_bytes")
    ]
    return float(value)


def post_many(gateway, requests, numbers, text):
    """Post from four threads, each over one connection; return the numbers that were acknowledged."""
    local = threading.local()

    def post(number):
        if not hasattr(local, "client"):
            local.client = stack.enter_context(httpx2.Client(headers=PROTOBUF, timeout=60, verify=False))
        content = requests.traces(start=number, text=text).SerializeToString()
        return number, local.client.post(gateway.http + "/v1/traces", content=content).status_code

    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        return {number for number, status in pool.map(post, numbers) if status == 200}


def test_while_the_back_end_is_away_memory_stays_flat_and_afterwards_it_gets_everything(
    gateway_process, settings, sink, requests, poll, parts
):
    """Some 80 MB in 2000 requests, of which no more than eight groups of 2 MB may be in memory."""
    sink.status = 503
    gateway = gateway_process(settings(sink.url)).start()
    text = "x" * 40_000
    taken = post_many(gateway, requests, range(500), text)
    before = resident(gateway)
    taken |= post_many(gateway, requests, range(500, 2000), text)
    assert len(taken) == 2000
    assert resident(gateway) - before < 30 * MIB
    assert parts(gateway)["intake"]["stored_bytes"] > 2000 * len(text)
    sink.status = 200
    poll(lambda: {f"{number + 1:016x}" for number in taken} <= set(sink.span_ids()), timeout=120)
    poll(lambda: parts(gateway)["intake"]["stored_bytes"] < 40 * MIB)
    assert gateway.stop() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 2 MB; only root may."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2000k", "none", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_receivers_of_a_full_disk_refuse_and_take_again_when_consumers_have_made_room(
    small_disk, gateway_process, settings, sink, requests, poll, sealed
):
    sink.status = 503
    gateway = gateway_process(
        settings(sink.url, service={"state_dir": str(small_disk), "workers": 2})
    ).start()
    text = "x" * 10_000
    taken: set[int] = set()
    start = 0
    while len(taken) == start:  # until one is refused; new connections, so both receivers get there
        taken |= post_many(gateway, requests, range(start, start + 20), text)
        start += 20
    assert len(taken) > 50
    gateway.process.kill()  # everything that was acknowledged is on that disk
    gateway.process.wait(60)
    sink.status = 200
    gateway.start()
    poll(lambda: {f"{number + 1:016x}" for number in taken} <= set(sink.span_ids()))
    poll(lambda: len(post_many(gateway, requests, range(10_000, 10_020), text)) == 20)
    poll(lambda: {f"{number + 1:016x}" for number in taken} <= set(sealed()))
    assert gateway.stop() == 0
