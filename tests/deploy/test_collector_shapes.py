# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway before, after and inside a stock collector, from the very files of deploy/, with other ports and directories."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otelcol import BUILD_SECONDS, Collector, collector_program, free_port
from refund_story import Receiver

from runrecord.ledger import Ledger

DEPLOY = Path(__file__).parents[2] / "deploy"
EMAIL = "ada@mail.example.org"


def moved(text, ports, root):
    """A file of deploy/ with each loopback port replaced by a free one, the same for all files of a shape."""
    text = re.sub(
        r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports.setdefault(found[1], free_port())}", text
    )
    return text.replace("/var/lib", str(root))


def request():
    made = ExportTraceServiceRequest()
    part = made.resource_spans.add()
    part.resource.attributes.add(key="service.name").value.string_value = "agent"
    span = part.scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="step 0")
    facts = {
        "runrecord.run.id": "r1",
        "runrecord.source.id": "a" * 16,
        "runrecord.step.kind": "tool",
        "note": EMAIL,
    }
    for key, value in facts.items():
        span.attributes.add(key=key).value.string_value = value
    span.attributes.add(key="runrecord.record.seq").value.int_value = 0
    return made


@pytest.mark.go
@pytest.mark.e2e
@pytest.mark.timeout(BUILD_SECONDS)
@pytest.mark.parametrize("shape", ["before", "after", "inside"])
def test_a_span_goes_all_the_way_redacted_and_sealed(shape, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / "state"))
    with Receiver().serving() as backend:
        ports = {"4328": int(backend.endpoint.rpartition(":")[2]), "8888": free_port(), "13133": free_port()}
        collector = yaml.safe_load(
            moved((DEPLOY / "collector" / shape / "otelcol.yaml").read_text(), ports, tmp_path)
        )
        own = moved((DEPLOY / "collector" / shape / "runrecord.yaml").read_text(), ports, tmp_path)
        gateway = {**yaml.safe_load(own)}
        gateway["service"]["telemetry"] = {
            "metrics": {"address": f"127.0.0.1:{ports['8888']}"},
            "health": {"endpoint": f"127.0.0.1:{ports['13133']}"},
        }
        (tmp_path / "runrecord.yaml").write_text(yaml.safe_dump(gateway))
        command = [sys.executable, "-c", "from runrecord.cli.main import main; main()", "gateway", "-c", str(tmp_path / "runrecord.yaml")]  # fmt: skip
        with (tmp_path / "gateway.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with Collector.run(collector_program(), collector, tmp_path / "otelcol"):
                entry = f"http://127.0.0.1:{ports['4318']}/v1/traces"
                deadline = time.monotonic() + 60
                while not backend.bodies:
                    assert time.monotonic() < deadline, (tmp_path / "gateway.log").read_text()
                    assert process.poll() is None, (tmp_path / "gateway.log").read_text()
                    try:
                        headers = {"content-type": "application/x-protobuf"}
                        httpx2.post(entry, content=request().SerializeToString(), headers=headers, timeout=5)
                    except httpx2.TransportError:
                        pass
                    time.sleep(0.2)
        finally:
            process.terminate()
            assert process.wait(60) == 0
    [span] = {
        span.SerializeToString(): span
        for part in ExportTraceServiceRequest.FromString(backend.bodies[0]).resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    }.values()
    found = {pair.key: pair.value.string_value for pair in span.attributes}
    assert (span.name, found["note"]) == ("step 0", "[EMAIL]")
    assert EMAIL.encode() not in b"".join(backend.bodies)
    with Ledger(tmp_path / "runrecord" / "ledger", read_only=True) as ledger:
        assert ledger.log.size == 2  # what the resource says of itself, and the span
