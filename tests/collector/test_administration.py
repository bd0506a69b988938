# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A command changes a ledger that a gateway writes to, and the user's back end is told."""

from __future__ import annotations

import subprocess
import sys

import httpx2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from runrecord.ledger import Ledger
from runrecord.ledger.legal_hold import held


def runrecord(*arguments):
    command = [sys.executable, "-c", "from runrecord.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def told(sink):
    """Name and run id of each log event that arrived."""
    for path, _, body in sink.requests:
        if path == "/v1/logs":
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope in resource.scope_logs:
                    for record in scope.log_records:
                        facts = {pair.key: pair.value.string_value for pair in record.attributes}
                        yield record.event_name, facts.get("runrecord.run.id")


def test_a_hold_is_placed_while_a_gateway_writes(gateway_process, settings, sink, poll, requests):
    config = settings(sink.url)
    out = {"batch": {"exporter": {"otlp": {"endpoint": sink.url, "protocol": "http/protobuf"}}}}
    config["service"]["telemetry"]["logs"] = {"processors": [out]}
    [directory] = [e["directory"] for n, e in config["exporters"].items() if n.startswith("ledger")]
    gateway = gateway_process(config).start()
    body, headers = requests.traces(2).SerializeToString(), {"content-type": "application/x-protobuf"}
    assert httpx2.post(gateway.http + "/v1/traces", content=body, headers=headers).is_success
    poll(sink.spans)

    def place():
        return runrecord("hold", "place", "run-1", "--reason", "case 7", "--ledger", str(directory))

    done = poll(
        lambda: result if (result := place()).returncode == 0 or "no run" not in result.stderr else None
    )
    assert done.returncode == 0, done.stderr
    assert "is under a legal hold: entry" in done.stdout
    again = place()
    assert again.returncode == 1
    assert "under a legal hold already" in again.stderr
    poll(lambda: ("runrecord.ledger.legal_hold", "run-1") in set(told(sink)))
    assert gateway.stop() == 0
    with Ledger(directory, read_only=True) as ledger:
        assert held(ledger, "run-1").entry.detail["reason"] == "case 7"
