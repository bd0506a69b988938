# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What happens in a ledger arrives at the user's back end as log events: checkpoints, run closes, conflicts; without content."""

from __future__ import annotations

import httpx2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.ledger import Checkpoint, Ledger, leaf_hash

RUN = "0123456789abcdef0123456789abcdef"


def span(request, number, **attributes):
    """Add a span of the run."""
    made = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=b"t" * 16,
            span_id=bytes([number]) * 8,
            name="invoke_agent demo",
            start_time_unix_nano=number,
        )
    )
    for key, value in {"runrecord.run.id": RUN, "runrecord.source.id": "s1", **attributes}.items():
        pair = made.attributes.add(key=key)
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value


def events(sink):
    """Name of an event to what came under it: attributes and body."""
    found = {}
    for path, _, body in sink.requests:
        if path != "/v1/logs":
            continue
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    told = {p.key: p.value.string_value or p.value.int_value for p in record.attributes}
                    found.setdefault(record.event_name, []).append((told, record.body.string_value))
    return found


def test_a_checkpoint_a_close_and_a_conflict_are_told(gateway_process, settings, sink, poll, tmp_path):
    config = settings(sink.url)
    out = {"batch": {"exporter": {"otlp": {"endpoint": sink.url, "protocol": "http/protobuf"}}}}
    config["service"]["telemetry"]["logs"] = {"processors": [out]}
    [directory] = [e["directory"] for n, e in config["exporters"].items() if n.startswith("ledger")]
    gateway = gateway_process(config).start()
    close = {
        "runrecord.run.state": "completed",
        "runrecord.run.outcome": "success",
        "text": "ada@example.org",
    }
    for attributes in (
        {"runrecord.step.kind": "plan"},
        {"runrecord.step.kind": "act"},
    ):  # one span, two versions
        request = ExportTraceServiceRequest()
        span(request, 1, **attributes)
        body = request.SerializeToString()
        assert httpx2.post(
            gateway.http + "/v1/traces", content=body, headers={"content-type": "application/x-protobuf"}
        ).is_success
    request = ExportTraceServiceRequest()
    span(request, 2, **{"runrecord.run.segment": 0, "runrecord.record.seq": 0, **close})
    body = request.SerializeToString()
    httpx2.post(gateway.http + "/v1/traces", content=body, headers={"content-type": "application/x-protobuf"})
    wanted = {"runrecord.ledger.checkpoint", "runrecord.ledger.run_close", "runrecord.ledger.conflict"}
    poll(lambda: wanted <= set(events(sink)))
    assert gateway.stop() == 0

    told = events(sink)
    [(closed, _)] = told["runrecord.ledger.run_close"]
    with Ledger(directory, read_only=True) as ledger:
        assert (
            closed["runrecord.ledger.leaf_hash"]
            == leaf_hash(ledger.log.leaf(closed["runrecord.ledger.index"])).hex()
        )
        assert (closed["runrecord.run.id"], closed["runrecord.run.outcome"]) == (RUN, "success")
        assert closed["runrecord.ledger.origin"] == ledger.log.origin
        [(conflict, _)] = told["runrecord.ledger.conflict"]
        assert conflict["runrecord.run.id"] == RUN
        # The copy at the back end is enough to catch who shows another history later.
        checkpoints = [
            Checkpoint.open(note.encode(), ledger.log.verifiers)
            for _, note in told["runrecord.ledger.checkpoint"]
        ]
        assert checkpoints[-1].size == ledger.log.checkpoint.size
        assert all(ledger.log.root(each.size) == each.root for each in checkpoints)
    assert b"ada@example" not in b"".join(body for path, _, body in sink.requests if path == "/v1/logs")
    assert "runrecord.ledger" not in gateway.err.read_text()
