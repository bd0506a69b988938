# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A real gateway, in a thread or in a process, between real clients and a real back end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import uvicorn
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.collector import Gateway, GatewayConfig
from runrecord.ledger.entry import Entry
from runrecord.ledger.ledger import Ledger

TIMEOUT = 60.0
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: a client that makes one itself reads all authorities, 20 ms for each request."""
TRACE_ID = bytes.fromhex("5b8efff798038103d269b633813fc60c")


def wait_until(condition, timeout=TIMEOUT):
    """Poll a condition until it holds; its value is returned."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, (
            f"not within {timeout} s: {traceback.extract_stack(limit=2)[0].line}"
        )
        time.sleep(0.01)
    return value


class _ThreadServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield


@dataclass
class Sink:
    """A back end: a real OTLP/HTTP receiver that keeps what it gets. It can be told to refuse, to hang, or to be gone."""

    port: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""
    requests: list = field(default_factory=list)
    attempts: int = 0
    hang: threading.Event = field(default_factory=threading.Event)
    refused_paths: set[str] = field(default_factory=set)
    parsed: dict = field(default_factory=dict)

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.attempts += 1
        status = 503 if scope["path"] in self.refused_paths else self.status
        while self.hang.is_set():  # noqa: ASYNC110 - set from another thread
            await asyncio.sleep(0.01)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        raw = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        if status == 200:
            self.requests.append((scope["path"], headers, raw))
        extra = [(k.encode(), v.encode()) for k, v in self.headers.items()]
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/x-protobuf"), *extra],
            }
        )
        await send({"type": "http.response.body", "body": self.answer if status == 200 else b""})

    def start(self):
        import socket

        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(100)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self,
            http="httptools",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        self._server = _ThreadServer(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started)
        return self

    def stop(self):
        self.hang.clear()
        self._server.should_exit = True
        self._thread.join(TIMEOUT)
        self._listener.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def spans(self):
        return [
            span
            for path, _, body in list(self.requests)
            if path == "/v1/traces"
            for span in self._spans_of(body)
        ]

    def _spans_of(self, body):
        """Parse a request once: many tests ask again and again what has come."""
        if id(body) not in self.parsed:
            parts = ExportTraceServiceRequest.FromString(body).resource_spans
            # With the body, so that no other one gets its id.
            self.parsed[id(body)] = (
                body,
                [span for part in parts for scope in part.scope_spans for span in scope.spans],
            )
        return self.parsed[id(body)][1]

    def span_ids(self):
        return [span.span_id.hex() for span in self.spans()]


@pytest.fixture
def sink():
    """Start a back end."""
    started = Sink().start()
    yield started
    started.stop()


@pytest.fixture
def poll():
    """Return the way to wait for something."""
    return wait_until


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "runrecord-state"))
    monkeypatch.delenv("RUNRECORD_KEY", raising=False)


def make_settings(root, forward=None, **changes):
    """Return a configuration as a mapping: everything on free ports, the ledger and the intake log under root."""
    exporters = {"ledger": {"directory": str(root / "ledger"), "origin": "test/gateway"}}
    names = ["ledger"]
    if forward:
        retry = {"initial_interval": "50ms", "max_interval": "200ms"}
        exporters["otlp_http/backend"] = {"endpoint": forward, "retry_on_failure": retry}
        names = ["otlp_http/backend", "ledger"]
    pipeline = {"receivers": ["otlp"], "processors": ["redaction"], "exporters": names}
    config = {
        "receivers": {
            "otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}, "http": {"endpoint": "127.0.0.1:0"}}}
        },
        "processors": {"redaction": {"packs": []}},  # compiling them takes time
        "exporters": exporters,
        "service": {
            "state_dir": str(root / "state"),
            "pipelines": {name: dict(pipeline) for name in ("traces", "logs", "metrics")},
            "telemetry": {"metrics": {"address": "127.0.0.1:0"}, "health": {"endpoint": "127.0.0.1:0"}},
            "drain_timeout": "3s",
        },
    }
    return _merge(config, changes)


@pytest.fixture
def settings(tmp_path):
    """Return the maker of configurations under tmp_path."""
    return functools.partial(make_settings, tmp_path)


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory):
    """One gateway for all tests of a module that leave no trace in it, with a body limit of 2 MiB."""
    root = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNRECORD_STATE_DIR", str(root / "runrecord-state"))
        patch.delenv("RUNRECORD_KEY", raising=False)
        limits = {"http": {"max_request_body_size": 2 << 20}}
        started = InThread(make_settings(root, receivers={"otlp": {"protocols": limits}})).start()
    yield started
    started.stop()


def _merge(base, changes):
    for key, value in changes.items():
        base[key] = _merge(base.get(key, {}), value) if isinstance(value, dict) else value
    return base


class InThread:
    """A gateway in an event loop of its own thread, so that blocking clients can talk to it."""

    def __init__(self, settings):
        self.gateway = Gateway(GatewayConfig.model_validate(settings))
        self._started = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    async def _main(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self.gateway.start()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self._failure = error
            return
        finally:
            self._started.set()
        await self._stop.wait()
        await self.gateway.stop()

    def start(self):
        self._thread.start()
        assert self._started.wait(TIMEOUT)
        if self._failure is not None:
            self._thread.join(TIMEOUT)
            raise self._failure
        return self

    def stop(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(TIMEOUT)
            assert not self._thread.is_alive()

    def post(self, request, path="/v1/traces"):
        """Send a request over HTTP in protobuf; the answer is returned."""
        headers = {"content-type": "application/x-protobuf"}
        return httpx2.post(
            self.http + path, content=request.SerializeToString(), headers=headers, timeout=60, verify=PLAIN
        )

    def metric(self, name):
        """Add up the samples of a metric."""
        lines = httpx2.get(self.metrics, verify=PLAIN).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def part(self, name):
        """Return how a part is, from the health endpoint."""
        return httpx2.get(self.health, verify=PLAIN).json()["parts"][name]

    @property
    def http(self):
        return f"http://{self.gateway.bound.http}"

    @property
    def grpc(self):
        return str(self.gateway.bound.grpc)

    @property
    def health(self):
        return f"http://{self.gateway.bound.health}/"

    @property
    def metrics(self):
        return f"http://{self.gateway.bound.metrics}/metrics"


@pytest.fixture
def run_gateway(settings, request):
    """Start gateways in threads; they are stopped at the end, before the back end is."""
    if "sink" in request.fixturenames:
        request.getfixturevalue("sink")
    running = []

    def start(forward=None, config=None, **changes):
        started = InThread(config or settings(forward, **changes)).start()
        running.append(started)
        return started

    yield start
    for gateway in reversed(running):  # one that forwards to another lets go of it first
        gateway.stop()


RUNNER = "import typer; from runrecord.cli.gateway import gateway; typer.run(gateway)"


class Process:
    """The real command in a process of its own."""

    def __init__(self, config, directory, environment=None):
        directory.mkdir(parents=True, exist_ok=True)
        self.config_file = directory / "runrecord.yaml"
        self.config_file.write_text(json.dumps(config))  # JSON is YAML
        self.out, self.err = directory / "gateway.out", directory / "gateway.err"
        self.environment = {**os.environ, "COLUMNS": "200", **(environment or {})}
        self.process = None

    def spawn(self):
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self._from = self.out.stat().st_size
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUNNER, "--config", str(self.config_file)],
                stdout=out,
                stderr=err,
                env=self.environment,
            )
        return self

    def start(self):
        self.spawn()

        def ready():
            assert self.process.poll() is None, self.err.read_text()
            return "is ready" in self.said()

        wait_until(ready)
        text = self.said()
        self.http = re.search(r"OTLP over HTTP +(https?://\S+)", text)[1]
        self.grpc = re.search(r"OTLP over gRPC +(\S+)", text)[1]
        self.metrics = re.search(r"metrics +(http\S+)", text)[1]
        self.health = re.search(r"health +(http\S+)", text)[1]
        return self

    def said(self):
        return self.out.read_bytes()[self._from :].decode()

    def kill(self):
        self.process.kill()
        self.process.wait(TIMEOUT)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)


@pytest.fixture
def gateway_process(tmp_path):
    """Make gateways in processes; what still runs is killed at the end."""
    made = []

    def make(config, environment=None):
        made.append(Process(config, tmp_path / f"process-{len(made)}", environment))
        return made[-1]

    yield make
    for process in made:
        if process.process is not None and process.process.poll() is None:
            process.kill()


def attribute(target, key, value):
    item = target.attributes.add(key=key)
    if isinstance(value, bool):
        item.value.bool_value = value
    elif isinstance(value, int):
        item.value.int_value = value
    else:
        item.value.string_value = value


def make_traces(count=1, *, start=0, text="hello", run="run-1", source="00000000000000aa"):
    """Make a request with governed spans; their ids count from `start`."""
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add()
    attribute(part.resource, "service.name", "test-agent")
    scope = part.scope_spans.add()
    for number in range(start, start + count):
        span = scope.spans.add(
            trace_id=TRACE_ID, span_id=(number + 1).to_bytes(8, "big"), name=f"step {number}"
        )
        span.start_time_unix_nano, span.end_time_unix_nano = (
            1_700_000_000_000_000_000 + number,
            1_700_000_000_000_000_001 + number,
        )
        attribute(span, "runrecord.run.id", run)
        attribute(span, "runrecord.source.id", source)
        attribute(span, "runrecord.record.seq", number)
        attribute(span, "runrecord.step.index", number)
        attribute(span, "runrecord.step.kind", "tool")
        attribute(span, "note", text)
    return request


def make_logs(text="hello"):
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=1)
    record.body.string_value = text
    return request


def make_metrics():
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="tokens")
    metric.sum.data_points.add(as_int=7)
    metric.sum.data_points.add(as_int=8)
    return request


@pytest.fixture
def requests():
    """Return the makers of export requests."""

    class Makers:
        traces, logs, metrics = staticmethod(make_traces), staticmethod(make_logs), staticmethod(make_metrics)

    return Makers


def ledger_entries(directory):
    """Read every entry that the last checkpoint covers."""
    with Ledger(directory, read_only=True) as ledger:
        return [Entry.parse(leaf) for leaf in ledger.log.leaves(0, ledger.log.size)]


@pytest.fixture
def sealed(tmp_path):
    """Return the span ids in the ledger; none before there is a checkpoint."""

    def read(directory: Path = tmp_path / "ledger"):
        return (
            [entry.span_id for entry in ledger_entries(directory) if entry.span_id]
            if (directory / "checkpoint").exists()
            else []
        )

    return read


@pytest.fixture
def stated(tmp_path):
    """Return the entries of a kind that the last checkpoint covers."""

    def read(kind, directory: Path = tmp_path / "ledger"):
        found = ledger_entries(directory) if (directory / "checkpoint").exists() else []
        return [entry for entry in found if entry.kind == kind]

    return read
