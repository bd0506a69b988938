# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The harness of the scenarios, and what a real gateway makes of them: nothing in this directory is on the path."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.collector import Gateway, GatewayConfig


@pytest.fixture(scope="session")
def harness() -> ModuleType:
    name, path = "runrecord_scenario_harness", Path(__file__).parent / "harness.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def forwarded(harness: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The spans and log records of all scenarios as a gateway forwards them that stamps what its ledger sealed."""
    with _back_end() as (url, got):
        asyncio.run(_send_all(harness, tmp_path_factory.mktemp("gateway"), url))
    spans = [
        span
        for body in got["/v1/traces"]
        for part in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    ]
    records = [
        record
        for body in got["/v1/logs"]
        for part in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in part.scope_logs
        for record in scope.log_records
    ]
    return [*spans, *records]


_client: Any = httpx2.AsyncClient


async def _send_all(harness: Any, root: Path, url: str) -> None:
    pipeline = {"exporters": ["ledger", "otlp_http"]}
    config: dict[str, Any] = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": "127.0.0.1:0"}}}},
        "processors": {"redaction": {"packs": []}},
        "exporters": {
            "ledger": {"directory": str(root / "ledger"), "origin": "example.com/test"},
            "otlp_http": {"endpoint": url, "compression": "none", "stamp_ledger": True},
        },
        "service": {
            "state_dir": str(root / "state"),
            "pipelines": {"traces": pipeline, "logs": pipeline},
            "telemetry": {"metrics": None, "health": None},
            "drain_timeout": "60s",
        },
    }
    async with (
        Gateway(GatewayConfig.model_validate(config)) as gateway,
        _client(base_url=f"http://{gateway.bound.http}", timeout=60) as client,
    ):
        headers = {"content-type": "application/x-protobuf"}
        for number, name in enumerate(harness.SITUATIONS):
            played = harness.play(name)
            for path, body in (("/v1/traces", played.traces), ("/v1/logs", played.log_records)):
                answer = await client.post(path, content=_apart(path, body, number), headers=headers)
                answer.raise_for_status()
    await _lose(harness, config, root)


async def _lose(harness: Any, config: dict[str, Any], root: Path) -> None:
    """Have another gateway refuse what it can't redact, and say so."""
    config["processors"] = {"redaction": {"on_error": "reject", "limits": {"request_confirms": 1}}}
    config["service"]["state_dir"] = str(root / "strict")
    config["exporters"]["ledger"]["directory"] = str(root / "strict-ledger")
    async with (
        Gateway(GatewayConfig.model_validate(config)) as gateway,
        _client(base_url=f"http://{gateway.bound.http}", timeout=60) as client,
    ):
        headers = {"content-type": "application/x-protobuf"}
        answer = await client.post(
            "/v1/traces", content=harness.play("personal_data").traces, headers=headers
        )
        assert answer.status_code == 500


def _apart(path: str, body: bytes, number: int) -> bytes:
    """Give the traces of a scenario ids of their own: all scenarios count from one."""
    kind: Any = ExportTraceServiceRequest if path == "/v1/traces" else ExportLogsServiceRequest
    request = kind.FromString(body)
    parts = request.resource_spans if path == "/v1/traces" else request.resource_logs
    for part in parts:
        for scope in part.scope_spans if path == "/v1/traces" else part.scope_logs:
            for item in scope.spans if path == "/v1/traces" else scope.log_records:
                if item.trace_id:
                    item.trace_id = bytes([number + 1]) + item.trace_id[1:]
    sent: bytes = request.SerializeToString()
    return sent


@contextmanager
def _back_end() -> Generator[tuple[str, dict[str, list[bytes]]]]:
    """An OTLP/HTTP receiver that keeps what it gets."""
    got: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/logs": []}

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got[self.path].append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Keep) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()
