# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Spans per CPU-second of the gateway's process, stage by stage, beside a server that does nothing with the same bytes."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import yaml

from bench.corpus import SPANS_PER_REQUEST, Corpus
from runrecord.demo.processes import free_port, script

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_LAG = re.compile(r"^runrecord_intake_lag_records\{[^}]*\} ([0-9.e+]+)$", re.MULTILINE)
_IN_FLIGHT = 4


@dataclass(frozen=True)
class Stage:
    """One row: which processors and consumers the gateway runs; ``None`` is the bare server."""

    title: str
    redact: bool = False
    consume: bool = False
    bare: bool = False


STAGES = (
    Stage("bare grpc.aio server (the limit)", bare=True),
    Stage("receive (validate, intake log, fsync)"),
    Stage("receive + redact", redact=True),
    Stage("receive + redact + ledger + forward", redact=True, consume=True),
)


def measure(requests: Sequence[bytes], rounds: int) -> list[tuple[str, float, float]]:
    """Rows of (stage, spans per CPU-second, MB per CPU-second): medians over interleaved rounds."""
    seconds: dict[str, list[float]] = {stage.title: [] for stage in STAGES}
    for round_number in range(rounds):
        for stage in STAGES:
            print(
                f"\r  round {round_number + 1} of {rounds}: {stage.title:<50}",
                end="",
                file=sys.stderr,
                flush=True,
            )
            seconds[stage.title].append(_one(stage, requests))
    print("\r" + " " * 80 + "\r", end="", file=sys.stderr)
    spans, megabytes = len(requests) * SPANS_PER_REQUEST, sum(map(len, requests)) / 1e6
    return [
        (title, spans / statistics.median(cpu), megabytes / statistics.median(cpu))
        for title, cpu in seconds.items()
    ]


def corpus(count: int) -> list[bytes]:
    """``count`` distinct requests."""
    source = Corpus()
    return [source.request() for _ in range(count)]


def _one(stage: Stage, requests: Sequence[bytes]) -> float:
    """CPU seconds of the server process for all requests, consumers included."""
    with tempfile.TemporaryDirectory(prefix="runrecord-bench-") as directory, socket.socket() as stuck:
        port, metrics, backend_port = free_port(), free_port(), free_port()
        if (
            not stage.consume
        ):  # a back end that takes the connection and never answers: forwarding costs nothing
            stuck.bind(("127.0.0.1", backend_port))
            stuck.listen()
        processes = []
        try:
            if stage.bare:
                command = [sys.executable, "-m", "bench.bare_server", str(port)]
            else:
                config = Path(directory) / "runrecord.yaml"
                config.write_text(yaml.safe_dump(_config(stage, directory, port, metrics, backend_port)))
                command = [script("runrecord"), "gateway", "--config", str(config)]
            if stage.consume:
                processes.append(
                    subprocess.Popen([sys.executable, "-m", "bench.null_backend", str(backend_port)])
                )
                _wait_for_port(backend_port)
            with (Path(directory) / "log").open("wb") as log:
                environment = {**os.environ, "RUNRECORD_STATE_DIR": str(Path(directory) / "state")}
                server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            processes.append(server)
            _wait_for_port(port)
            process = psutil.Process(server.pid)
            asyncio.run(_send(port, requests[:2]))  # warm
            before = process.cpu_times()
            asyncio.run(_send(port, requests))
            if stage.consume:
                _wait_until_consumed(metrics)
            after = process.cpu_times()
            return (after.user - before.user) + (after.system - before.system)
        finally:
            for started in processes:
                started.terminate()
            for started in processes:
                started.wait()


def _config(stage: Stage, directory: str, port: int, metrics: int, backend: int) -> dict[str, object]:
    """The gateway's configuration for a stage; a pipeline needs an exporter, so the stages without one have one that is stuck."""
    exporters: dict[str, object] = {
        "otlp_http/backend": {"endpoint": f"http://127.0.0.1:{backend}/v1/traces"}
    }
    if stage.consume:
        exporters["ledger"] = {"directory": f"{directory}/ledger"}
    return {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
        "processors": {"redaction": {"packs": ["secrets", "pii"] if stage.redact else []}},
        "exporters": exporters,
        "service": {
            "state_dir": f"{directory}/state",
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["redaction"], "exporters": list(exporters)}
            },
            "telemetry": {
                "metrics": {"address": f"127.0.0.1:{metrics}"},
                "health": {"endpoint": f"127.0.0.1:{free_port()}"},
            },
        },
    }


async def _send(port: int, requests: Sequence[bytes]) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        export = channel.unary_unary(_METHOD)
        gate = asyncio.Semaphore(_IN_FLIGHT)

        async def one(body: bytes) -> None:
            async with gate:
                await export(body, wait_for_ready=True, timeout=60)

        await asyncio.gather(*(one(body) for body in requests))


def _wait_for_port(port: int, timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on 127.0.0.1:{port} after {timeout:.0f} s")


def _wait_until_consumed(metrics: int, timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=5) as response:
            lags = [float(value) for value in _LAG.findall(response.read().decode())]
        if lags and not any(lags):
            return
        time.sleep(0.1)
    raise SystemExit(f"the gateway's consumers were not done after {timeout:.0f} s")
