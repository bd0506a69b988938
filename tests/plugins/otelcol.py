# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A real OpenTelemetry Collector for the tests: built once on a machine, kept in the user's cache, started with any configuration.

It is built by the collector's own builder from ``tests/otelcol/builder.yaml``, with the Go toolchain of the machine and the
ordinary Go module proxy. The program is kept under a name that holds a digest of that file and of Go's version; a lock makes the
processes of one test run wait for the one that builds (about three minutes of CPU the first time). Tests that use it have the marker
``go``: without Go, or without a network for the first build, they are skipped; where the environment variable CI is set, they fail.

```python
from otelcol import Collector, collector_program, free_port

with Collector.run(program, config, directory) as collector:   # ready: its health check answered
    collector.http, collector.grpc                             # where its OTLP receiver listens
    collector.exported()                                       # what its file exporter wrote: OTLP/JSON, one mapping a request
```

`program` is `collector_program()` (or the session fixture ``otelcol`` of a conftest that makes one of it). `config` is a mapping in
the collector's own shape; `completed` fills in a free loopback port where `receivers.otlp` names none, and the health check, turns its
own metrics off, and points a ``file`` exporter without a path below `directory`. `validate(program, config, directory)` returns what
``otelcol validate`` says, empty if it is content. What the collector logged is shown when a test fails in the block.

The first build outlasts the time limit of a test: give those that use it ``pytest.mark.timeout(BUILD_SECONDS)``, or build first:
``python tests/plugins/otelcol.py``. A cold build took 3.4 minutes of CPU; a build that only lacks the last link takes seconds.
"""

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFEST = Path(__file__).parent.parent / "otelcol" / "builder.yaml"
BUILDER_VERSION = "v0.155.0"
BUILD_SECONDS = 1200
READY_SECONDS = 60.0

_OFFLINE = ("dial tcp", "no such host", "connection refused", "Forbidden", "i/o timeout")


def collector_program() -> Path:
    """Return the collector, built if this machine has none of these versions."""
    go = shutil.which("go")
    if not go:
        pytest.skip("the Go toolchain is not installed (https://go.dev/dl)")
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    parts = json.dumps([yaml.safe_load(MANIFEST.read_text()), BUILDER_VERSION, version])
    digest = hashlib.sha256(parts.encode()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runrecord-tests" / "otelcol"
    home.mkdir(parents=True, exist_ok=True)
    program = home / f"otelcol-{digest}"
    with (home / f"{program.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(go, home / f"{program.name}.build", program)
    return program


def _build(go: str, work: Path, program: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    manifest = yaml.safe_load(MANIFEST.read_text())
    manifest["dist"]["output_path"] = str(work / "dist")
    (work / "builder.yaml").write_text(yaml.safe_dump(manifest))
    builder = f"go.opentelemetry.io/collector/cmd/builder@{BUILDER_VERSION}"
    # -e: `go mod tidy` also asks for what only the tests of the components import; nobody needs that here
    flags = f"{os.environ.get('GOFLAGS', '')} -buildvcs=false -e".strip()
    print("building an OpenTelemetry Collector, which takes minutes the first time ...", file=sys.stderr)
    began = time.monotonic()
    done = subprocess.run(
        [go, "run", builder, "--config", str(work / "builder.yaml")],
        cwd=work,
        env={**os.environ, "GOFLAGS": flags, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    said = done.stdout + done.stderr
    if done.returncode and any(each in said for each in _OFFLINE):
        pytest.skip(f"Go could not download the collector: {said[-300:]}")
    assert not done.returncode, said[-4000:]
    (work / "dist" / manifest["dist"]["name"]).rename(program)
    shutil.rmtree(work)
    print(f"built in {time.monotonic() - began:.0f} s: {program.name}", file=sys.stderr)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def completed(config: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return a configuration with what a test need not say; see the module."""
    config = copy.deepcopy(config)
    config.setdefault("extensions", {})["health_check"] = {"endpoint": f"127.0.0.1:{free_port()}"}
    service = config.setdefault("service", {})
    service["extensions"] = [*service.get("extensions", []), "health_check"]
    service.setdefault("telemetry", {}).setdefault("metrics", {"level": "none"})
    protocols = config.get("receivers", {}).get("otlp", {}).get("protocols", {})
    for name in protocols:
        protocols[name] = {"endpoint": f"127.0.0.1:{free_port()}", **(protocols[name] or {})}
    for name, exporter in config.get("exporters", {}).items():
        if name.partition("/")[0] == "file":
            config["exporters"][name] = {"path": str(directory / "exported.jsonl"), **(exporter or {})}
    return config


def validate(program: Path, config: dict[str, Any], directory: Path) -> str:
    """Return what ``otelcol validate`` complains of; empty if the configuration is good."""
    file = _written(completed(config, directory), directory)
    done = subprocess.run(
        [program, "validate", "--config", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    return (done.stderr + done.stdout or "failed") if done.returncode else ""


def _written(config: dict[str, Any], directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "otelcol.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


@dataclass
class Collector:
    """A collector that runs.

    Attributes:
        config: What it was started with.
        directory: Its configuration, its log, and what it exported.
        process: The process.
        grpc: HOST:PORT of OTLP over gRPC; empty if it has none.
        http: Base URL of OTLP over HTTP; empty if it has none.
    """

    config: dict[str, Any]
    directory: Path
    process: subprocess.Popen[bytes]
    grpc: str = ""
    http: str = ""
    _health: str = field(default="", repr=False)

    @classmethod
    @contextmanager
    def run(cls, program: Path, config: dict[str, Any], directory: Path) -> Iterator[Collector]:
        """Start a collector, yield it when it is ready, and stop it.

        Args:
            program: From `collector_program`.
            config: In the collector's own shape; see the module.
            directory: Made if it is missing.
        """
        collector = cls._start(program, config, directory)
        try:
            collector._wait_until_ready()
            yield collector
        except BaseException:
            print(collector.log()[-6000:], file=sys.stderr)
            raise
        finally:
            collector.stop()

    @classmethod
    def _start(cls, program: Path, config: dict[str, Any], directory: Path) -> Collector:
        config = completed(config, directory)
        file = _written(config, directory)
        with (directory / "otelcol.log").open("wb") as log:
            process = subprocess.Popen([program, "--config", str(file)], stdout=log, stderr=log)
        protocols = config.get("receivers", {}).get("otlp", {}).get("protocols", {})
        found = {name: protocol["endpoint"] for name, protocol in protocols.items()}
        scheme = "https" if "tls" in protocols.get("http", {}) else "http"
        http = f"{scheme}://{found['http']}" if "http" in found else ""
        health = f"http://{config['extensions']['health_check']['endpoint']}/"
        return cls(config, directory, process, found.get("grpc", ""), http, health)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the collector ended: {self.log()[-4000:]}"
            try:
                with urllib.request.urlopen(self._health, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        pytest.fail(f"the collector was not ready in {READY_SECONDS:.0f} s")

    def stop(self) -> int:
        """Stop it as a service manager would, and return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(10)

    def log(self) -> str:
        """Return what it logged."""
        return (self.directory / "otelcol.log").read_text(errors="replace")

    def exported(self, name: str = "exported.jsonl") -> list[dict[str, Any]]:
        """Return the requests that a file exporter wrote: OTLP/JSON, whole lines only."""
        file = self.directory / name
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


if __name__ == "__main__":
    print(collector_program())
