# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What stands between agents and a back end: programs that take OTLP over gRPC and forward it over HTTP to one that keeps nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.corpus import SPANS_PER_REQUEST
from bench.rules import default_rules, few_rules, policy_section
from runrecord.collector.compiler.re2 import translate
from runrecord.demo.processes import free_port, script

_TIMEOUT = 180.0
_PLUGINS = Path(__file__).parents[1] / "tests" / "plugins"
_PROCESSOR = Path(__file__).with_name("rotel_processor.py")


class Missing(Exception):  # noqa: N818 - it is no error of the measurement
    """A contender can't run on this machine."""


@dataclass
class Running:
    """A contender that runs.

    Attributes:
        port: Where it takes OTLP over gRPC.
        process: Its first process; children count too.
        backend: URL that tells how many spans the back end got.
        extra: Further to wait for, such as a ledger that is behind.
    """

    port: int
    process: psutil.Process
    backend: str
    extra: Callable[[], bool] = field(default=lambda: True)

    def _all(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """CPU of all its processes, user and system."""
        times = [process.cpu_times() for process in self._all()]
        return sum(each.user + each.system for each in times)

    def memory_megabytes(self) -> float:
        """Resident memory of all its processes."""
        return sum(process.memory_info().rss for process in self._all()) / 1e6

    def wait_until_done(self, requests: int) -> None:
        """Return when everything that was sent has been forwarded, and what else belongs to it is done."""
        deadline = time.monotonic() + _TIMEOUT
        while not (self._forwarded() >= requests * SPANS_PER_REQUEST and self.extra()):
            if time.monotonic() > deadline:
                raise Missing(f"not done after {_TIMEOUT:.0f} s: {self._forwarded()} spans arrived")
            time.sleep(0.02)

    def _forwarded(self) -> int:
        with urllib.request.urlopen(self.backend, timeout=5) as response:
            return int(response.read())


@dataclass(frozen=True)
class Contender:
    """One row.

    Attributes:
        title: What it is.
        command: Makes the command line from port, URL of the back end and a directory; and what else to wait for.
        environment: Variables of its process.
    """

    title: str
    command: Callable[[int, str, Path], tuple[list[str], Callable[[], bool]]]
    environment: dict[str, str] = field(default_factory=dict[str, str])

    @contextmanager
    def run(self, directory: Path) -> Generator[Running, None, None]:
        """Start it and its back end, and stop both at the end."""
        port, backend = free_port(), free_port()
        url = f"http://127.0.0.1:{backend}"
        command, extra = self.command(port, url, directory)
        processes = [subprocess.Popen([sys.executable, "-m", "bench.null_backend", str(backend)])]
        try:
            _wait_for_port(backend)
            environment = {**os.environ, "RUNRECORD_STATE_DIR": str(directory / "state"), **self.environment}
            with (directory / "log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
            _wait_for_port(port, processes[-1], directory / "log")
            yield Running(port, psutil.Process(processes[-1].pid), f"{url}/received", extra)
        finally:
            for started in reversed(processes):
                started.terminate()
                started.wait()


def contenders(*, few: bool) -> list[Contender]:
    """All rows, with the few rules or with all of the default policy."""
    number = len(few_rules() if few else default_rules())

    def through(*arguments: str) -> Callable[[int, str, Path], tuple[list[str], Callable[[], bool]]]:
        def command(port: int, backend: str, _directory: Path) -> tuple[list[str], Callable[[], bool]]:
            return [
                sys.executable,
                "-m",
                "bench.pass_through",
                str(port),
                f"{backend}/v1/traces",
                *arguments,
            ], _nothing

        return command

    return [
        Contender("pass-through: nothing read, nothing kept (the limit)", through()),
        Contender("pass-through with our redaction", through(str(number))),
        Contender("runrecord gateway: redaction, intake log", _gateway(few=few, ledger=False)),
        Contender("runrecord gateway: redaction, intake log, ledger", _gateway(few=few, ledger=True)),
        Contender("runrecord gateway --workers 2, the same", _gateway(few=few, ledger=True, workers=2)),
        Contender("otelcol-contrib, redaction processor, same rules", _otelcol(few=few)),
        Contender("Rotel, Python processor with the rules as re", _rotel, _of_rotel(number)),
    ]


def _nothing() -> bool:
    return True


def _gateway(
    *, few: bool, ledger: bool, workers: int = 1
) -> Callable[[int, str, Path], tuple[list[str], Callable[[], bool]]]:
    def command(port: int, backend: str, directory: Path) -> tuple[list[str], Callable[[], bool]]:
        health = free_port()
        exporters: dict[str, Any] = {"otlp_http/backend": {"endpoint": backend, "compression": "none"}}
        if ledger:
            exporters["ledger"] = {"directory": str(directory / "ledger")}
        pipeline = {"processors": ["redaction"], "exporters": list(exporters)}
        config = {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
            "processors": {"redaction": policy_section(few)},
            "exporters": exporters,
            "service": {
                "state_dir": str(directory / "gateway"),
                "workers": workers,
                "pipelines": {"traces": pipeline},
                "telemetry": {"metrics": None, "health": {"endpoint": f"127.0.0.1:{health}"}},
            },
        }
        file = directory / "runrecord.yaml"
        file.write_text(yaml.safe_dump(config))
        return [script("runrecord"), "gateway", "--config", str(file)], lambda: _caught_up(health)

    return command


def _caught_up(health: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health}/", timeout=5) as response:
            parts = yaml.safe_load(response.read())["parts"]
    except OSError:
        return False
    return not any(part.get("behind_records") for part in parts.values())


def _otelcol(*, few: bool) -> Callable[[int, str, Path], tuple[list[str], Callable[[], bool]]]:
    def command(port: int, backend: str, directory: Path) -> tuple[list[str], Callable[[], bool]]:
        rules = few_rules() if few else default_rules()
        config = {
            "receivers": {
                "otlp": {
                    "protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}", "max_recv_msg_size_mib": 64}}
                }
            },
            "processors": {
                "redaction": {
                    "allow_all_keys": True,
                    "summary": "silent",
                    "blocked_values": [translate(rule).pattern.replace("$", "$$") for rule in rules],
                }
            },
            "exporters": {"otlp_http": {"endpoint": backend, "compression": "none"}},
            "service": {
                "pipelines": {
                    "traces": {"receivers": ["otlp"], "processors": ["redaction"], "exporters": ["otlp_http"]}
                },
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        file = directory / "otelcol.yaml"
        file.write_text(yaml.safe_dump(config))
        return [str(_collector()), "--config", str(file)], _nothing

    return command


def _collector() -> Path:
    """The collector that the tests build."""
    command = [sys.executable, str(_PLUGINS / "otelcol.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing("it could not be built: " + (done.stderr or done.stdout).strip()[-200:])
    return Path(done.stdout.strip().splitlines()[-1])


def _rotel(port: int, backend: str, _directory: Path) -> tuple[list[str], Callable[[], bool]]:
    try:
        import rotel
    except ModuleNotFoundError:
        raise Missing("no wheel of Rotel for this Python") from None
    program = Path(rotel.__file__).with_name("rotel-agent")
    program.chmod(0o755)
    command = [
        str(program),
        "start",
        "--otlp-grpc-endpoint",
        f"127.0.0.1:{port}",
        "--otlp-http-endpoint",
        f"127.0.0.1:{free_port()}",
    ]
    command += [
        "--otlp-grpc-max-recv-msg-size-mib",
        "64",
        "--exporter",
        "otlp",
        "--otlp-exporter-protocol",
        "http",
    ]
    command += [
        "--otlp-exporter-endpoint",
        backend,
        "--otlp-exporter-compression",
        "none",
        "--disable-batching",
    ]
    return [*command, "--otlp-with-trace-processor", str(_PROCESSOR)], _nothing


def _of_rotel(rules: int) -> dict[str, str]:
    """Its own Python has to find ours, and what is installed here."""
    paths = (sysconfig.get_paths()["purelib"], str(_PROCESSOR.parents[1]))
    return {
        "BENCH_RULES": str(rules),
        "PYTHONPATH": os.pathsep.join(paths),
        "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR")),
    }


def _wait_for_port(
    port: int, process: subprocess.Popen[bytes] | None = None, log: Path | None = None
) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process is not None and process.poll() is not None:
            raise Missing((log.read_text(errors="replace")[-300:] if log else "") or "it ended at once")
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on 127.0.0.1:{port}")
