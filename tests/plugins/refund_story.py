# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The examples as a user runs them: real processes under ``opentelemetry-instrument``, which export to a real OTLP receiver."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from runrecord.semconv.testing import assert_conforms

EXAMPLES = Path(__file__).parents[2] / "examples"
PERSONAL = [
    "mail.example.org",
    "4111 1111",
    "4012 8888",
    "5555 5555",
    "sk_live_",
    "Ada Example",
    "Please refund",
]
"""What the shop's customers and the prompts contain; long enough not to turn up in an id by chance."""


class Receiver:
    """Takes OTLP over HTTP on a loopback port and keeps the spans."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    receiver.bodies.append(body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Generator[Receiver, None, None]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in list(self.bodies)]

    @property
    def spans(self) -> list[Any]:
        """The spans in the order in which they began."""
        found = [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


def facts(span: Any) -> dict[str, Any]:
    """The attributes of a span."""
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


def command(
    example: Path, directory: Path, receiver: Receiver, *arguments: str, **settings: str
) -> dict[str, Any]:
    """What ``subprocess`` needs to run an example with nothing but the standard variables, and ``settings``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))}
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    return {
        "args": [instrument, sys.executable, str(example), *arguments],
        "cwd": directory,
        "env": {
            **kept,
            "RUNRECORD_STATE_DIR": str(directory / "state"),
            "OTEL_SERVICE_NAME": "refunds",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            **settings,
        },
        "text": True,
    }


def run(
    example: Path,
    directory: Path,
    receiver: Receiver,
    *arguments: str,
    timeout: float = 60,
    **settings: str,
) -> str:
    """Run an example to its end; return what it says."""
    called = command(example, directory, receiver, *arguments, **settings)
    done = subprocess.run(**called, capture_output=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


def check(receiver: Receiver, personal: Sequence[str] = PERSONAL) -> list[tuple[str, dict[str, Any]]]:
    """What holds for every story of one run; its records in the order in which they began."""
    assert_conforms(receiver.requests)
    assert not [word for word in personal if any(word.encode() in body for body in receiver.bodies)]
    governed = [span for span in receiver.spans if "runrecord.record.seq" in facts(span)]
    records = [(span.name, facts(span)) for span in governed]
    assert len({said["runrecord.run.id"] for _, said in records}) == 1
    assert len({span.trace_id for span in governed}) == 1
    numbers: dict[str, list[int]] = {}
    counts: dict[str, int] = {}
    for _, said in records:
        source = said["runrecord.source.id"]
        numbers.setdefault(source, []).append(said["runrecord.record.seq"])
        counts[source] = counts.get(source, 0) + said.get("runrecord.run.records", 0)
    assert counts == {source: len(seen) for source, seen in numbers.items()}
    assert all(sorted(seen) == list(range(len(seen))) for seen in numbers.values())
    return records
