# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Real OTLP receivers on loopback, and a slow redactor to compare with."""

from __future__ import annotations

import gzip
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runrecord.processors import Signal


@dataclass
class Receiver:
    """An OTLP receiver: where it is, and every request it got."""

    endpoint: str = ""
    traces: list[trace_service_pb2.ExportTraceServiceRequest] = field(default_factory=list)
    logs: list[logs_service_pb2.ExportLogsServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    fail_next: int = 0
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def add(self, request: Message) -> None:
        with self.arrived:
            (
                self.traces if isinstance(request, trace_service_pb2.ExportTraceServiceRequest) else self.logs
            ).append(request)  # type: ignore[arg-type]
            self.arrived.notify_all()

    def wait_for(self, condition: Callable[[Receiver], bool], seconds: float = 20) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: condition(self), seconds), "the receiver got nothing in time"

    @property
    def spans(self) -> list[Span]:
        return [s for r in self.traces for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]

    @property
    def bytes(self) -> bytes:
        return b"".join(request.SerializeToString() for request in (*self.traces, *self.logs))


@pytest.fixture
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            encoding = self.headers.get("Content-Encoding", "")
            if encoding:
                body = gzip.decompress(body) if encoding == "gzip" else zlib.decompress(body)
            receiver.headers.append({key.lower(): value for key, value in self.headers.items()})
            if receiver.fail_next:
                receiver.fail_next -= 1
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            kind = (
                trace_service_pb2.ExportTraceServiceRequest
                if self.path == "/v1/traces"
                else logs_service_pb2.ExportLogsServiceRequest
            )
            receiver.add(kind.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def grpc_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    def answer(request: Message, context: grpc.ServicerContext, response: type) -> Message:
        receiver.headers.append({key: str(value) for key, value in context.invocation_metadata()})
        if receiver.fail_next:
            receiver.fail_next -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        receiver.add(request)
        return response()

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request, context):  # noqa: N802
            return answer(request, context, trace_service_pb2.ExportTraceServiceResponse)

    class Logs(logs_service_pb2_grpc.LogsServiceServicer):
        def Export(self, request, context):  # noqa: N802
            return answer(request, context, logs_service_pb2.ExportLogsServiceResponse)

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Logs(), server)
        receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        yield receiver
        server.stop(None).wait()


@dataclass
class SlowRedaction:
    body: bytes


class SlowRedactor:
    """Parse, replace in every string, serialise: what redaction is, without any of the speed."""

    def __init__(self, pattern: str = r"SECRET-[a-z0-9]+", replacement: str = "[HIDDEN]") -> None:
        self.pattern = re.compile(pattern)
        self.replacement = replacement

    def redact(self, signal: Signal, body: bytes) -> SlowRedaction:
        kind = (
            trace_service_pb2.ExportTraceServiceRequest
            if signal is Signal.TRACES
            else logs_service_pb2.ExportLogsServiceRequest
        )
        request = kind.FromString(body)
        return SlowRedaction(request.SerializeToString() if self._walk(request) else body)

    def _walk(self, message: Message) -> int:
        changed = 0
        for descriptor, value in message.ListFields():
            if descriptor.type == descriptor.TYPE_MESSAGE:
                changed += sum(map(self._walk, [value] if isinstance(value, Message) else value))
            elif descriptor.type in (
                descriptor.TYPE_STRING,
                descriptor.TYPE_BYTES,
            ) and not descriptor.name.endswith("_id"):
                binary = isinstance(value, bytes)
                text, count = self.pattern.subn(
                    self.replacement, value.decode("latin-1") if binary else value
                )
                if count:
                    setattr(message, descriptor.name, text.encode("latin-1") if binary else text)
                changed += count
        return changed


@pytest.fixture
def slow_redactor() -> SlowRedactor:
    return SlowRedactor()


class RaisingRedactor:
    """Raises on every request that holds its trigger; its message quotes the content, as a careless one would."""

    def __init__(self, trigger: bytes = b"") -> None:
        self.trigger = trigger
        self.calls = 0

    def redact(self, _: Signal, body: bytes) -> SlowRedaction:
        self.calls += 1
        if self.trigger in body:
            raise RuntimeError(f"cannot redact {body!r}")
        return SlowRedaction(body)


@pytest.fixture
def raising_redactor() -> type[RaisingRedactor]:
    return RaisingRedactor


@pytest.fixture
def deadline() -> Callable[[Callable[[], bool]], None]:
    def poll(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "not in time"
            threading.Event().wait(0.01)

    return poll
