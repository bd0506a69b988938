# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway beside what else could stand in its place: the same requests, the same rules, in one run; CPU, memory, latency."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from bench.corpus import SPANS_PER_REQUEST, Corpus
from bench.gateways import Contender, Missing, Running

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_IN_FLIGHT = 4
_SECONDS = 6.0
"""About as long is one measured, if it is slow."""
_MB = 1e6


@dataclass
class Row:
    """What was measured of one contender, over all rounds.

    Attributes:
        contender: Who.
        spans_per_second: Spans per second of CPU, of all its processes, until everything was forwarded (and sealed).
        megabytes_per_second: The same in MB of requests.
        memory: Peak of its resident memory, in MB.
        p50: Median time to the acknowledgement at half of its highest load, in ms.
        p99: The slowest hundredth.
        missing: Why it is not there.
    """

    contender: Contender
    spans_per_second: list[float] = field(default_factory=list[float])
    megabytes_per_second: list[float] = field(default_factory=list[float])
    memory: float = 0.0
    p50: list[float] = field(default_factory=list[float])
    p99: list[float] = field(default_factory=list[float])
    missing: str = ""


def corpus(count: int, dirty: float) -> list[bytes]:
    """``count`` distinct requests, of whose spans a share holds something to redact."""
    source = Corpus(dirty_share=dirty)
    return [source.request() for _ in range(count)]


def measure(
    contenders: Sequence[Contender], requests: Sequence[bytes], rounds: int, *, latency: bool
) -> list[Row]:
    """Measure all contenders, which take turns.

    Args:
        contenders: Who is measured.
        requests: What each gets.
        rounds: How often.
        latency: Measure the acknowledgements too, with requests at half of the rate that the contender can take.
    """
    rows = [Row(contender) for contender in contenders]
    for number in range(rounds):
        for row in rows:
            if row.missing:
                continue
            title = f"\r  round {number + 1} of {rounds}: {row.contender.title:<60}"
            print(title, end="", file=sys.stderr, flush=True)
            try:
                _round(row, requests, latency=latency)
            except Missing as error:
                row.missing = str(error)
    print("\r" + " " * 80 + "\r", end="", file=sys.stderr)
    return rows


def _round(row: Row, requests: Sequence[bytes], *, latency: bool) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="runrecord-bench-") as directory,
        row.contender.run(Path(directory)) as running,
    ):
        asyncio.run(_send(running.port, requests[:1], None))
        running.wait_until_done(1)
        started = time.monotonic()
        asyncio.run(_send(running.port, requests[:1], None))
        running.wait_until_done(2)
        # A slow one gets fewer, or a table would take an hour.
        requests = requests[: max(2, int(_SECONDS / (time.monotonic() - started)))]
        spans, megabytes = len(requests) * SPANS_PER_REQUEST, sum(map(len, requests)) / _MB
        before, started = running.cpu_seconds(), time.monotonic()
        asyncio.run(_send(running.port, requests, None))
        running.wait_until_done(2 + len(requests))
        cpu, took = running.cpu_seconds() - before, time.monotonic() - started
        row.spans_per_second.append(spans / cpu)
        row.megabytes_per_second.append(megabytes / cpu)
        if latency:
            waits = sorted(asyncio.run(_send(running.port, requests, 2 * took / len(requests))))
            row.p50.append(statistics.median(waits) * 1000)
            row.p99.append(waits[min(len(waits) - 1, int(len(waits) * 0.99))] * 1000)
            running.wait_until_done(2 + 2 * len(requests))
        row.memory = max(row.memory, running.memory_megabytes())


async def _send(port: int, requests: Sequence[bytes], interval: float | None) -> list[float]:
    """Send requests, a few at once or one each interval; return how long each acknowledgement took."""
    options = [("grpc.max_send_message_length", 64 << 20)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        export = channel.unary_unary(_METHOD)
        gate = asyncio.Semaphore(_IN_FLIGHT if interval is None else len(requests))
        began = time.monotonic()

        async def one(number: int, body: bytes) -> float:
            if interval is not None:
                await asyncio.sleep(max(0.0, began + number * interval - time.monotonic()))
            async with gate:
                at = time.monotonic()
                await export(body, wait_for_ready=True, timeout=120)
                return time.monotonic() - at

        return await asyncio.gather(*(one(number, body) for number, body in enumerate(requests)))


__all__ = ["SPANS_PER_REQUEST", "Contender", "Row", "Running", "corpus", "measure"]
