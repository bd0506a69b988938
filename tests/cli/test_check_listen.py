# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""``runrecord check --listen``: a real endpoint that real exporters send to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.semconv.commitment import TenantKey


@dataclass
class Listening:
    process: subprocess.Popen[str]
    grpc: str
    http: str

    def end(self) -> tuple[int, str, str]:
        """Wait until it ends by itself."""
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


def start(*arguments: str) -> Listening:
    command = [
        sys.executable,
        "-c",
        "from runrecord.cli.main import main; main()",
        "check",
        "--listen",
        "--grpc-port=0",
        "--http-port=0",
    ]
    process = subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"gRPC on (\S+), over HTTP on (http://[^ ]+)\.", line)
    if found is None:
        pytest.fail(line + process.communicate(timeout=30)[1])
    return Listening(process, found[1], found[2])


@pytest.fixture
def listening(request: pytest.FixtureRequest) -> Iterator[Listening]:
    running = start(*request.param)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.communicate()


def send(exporter: SpanExporter, *, broken: bool = False) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = Recorder(tracer_provider=provider, store=MemoryContextStore(), tenant_key=TenantKey(bytes(32)))
    with made.run("helper") as run:
        run.decision("refunds", attributes={"runrecord.mine": 1} if broken else {}).allow()
    provider.shutdown()


@pytest.mark.parametrize("listening", [("--count=4",)], indirect=True)
def test_both_transports_are_checked_and_it_ends_after_the_count(listening: Listening) -> None:
    send(GrpcExporter(endpoint=listening.grpc, insecure=True))
    send(HttpExporter(endpoint=f"{listening.http}/v1/traces"))
    code, out, err = listening.end()
    assert (code, err) == (0, "")
    assert "4 records checked, 4 of them governed: 0 violations" in out


@pytest.mark.parametrize("listening", [()], indirect=True)
def test_a_finding_is_said_at_once_and_again_when_it_is_interrupted(listening: Listening) -> None:
    send(HttpExporter(endpoint=f"{listening.http}/v1/traces"), broken=True)
    assert listening.process.stderr is not None
    said = listening.process.stderr.readline()
    assert "unknown-attribute" in said
    listening.process.send_signal(signal.SIGINT)
    code, out, _ = listening.end()
    assert code == 1
    assert "otlp:traces  span 'policy_decision refunds'" in out


@pytest.mark.parametrize("listening", [("--for=0.2s",)], indirect=True)
def test_hearing_nothing_is_no_success(listening: Listening) -> None:
    code, _, err = listening.end()
    assert code == 4
    assert "there was no span" in err


@pytest.mark.parametrize("listening", [("--count=1000",)], indirect=True)
def test_a_taken_port_is_named(listening: Listening) -> None:
    port = listening.grpc.rsplit(":", 1)[1]
    code = "from runrecord.cli.main import main; main()"
    command = [sys.executable, "-c", code, "check", "--listen", "--http-port=0", f"--grpc-port={port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4
    assert port in done.stderr
    assert "next:" in done.stderr
