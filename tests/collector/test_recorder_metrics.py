# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The metrics of a run go over the real OTLP exporter and the gateway to a back end, with units, buckets and labels intact."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.semconv import SCHEMA_URL
from runrecord.semconv.commitment import TenantKey


def test_the_metrics_of_a_run_arrive(run_gateway, sink, poll):
    gateway = run_gateway(sink.url)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{gateway.http}/v1/metrics"))
    provider = MeterProvider([reader], shutdown_on_exit=False)
    recorder = Recorder(
        meter_provider=provider,
        store=MemoryContextStore(),
        tenant_key=TenantKey(bytes(32)),
        clock=lambda: 1.8e9,
    )
    with recorder.run("refund-agent") as run:
        approval = run.request_approval("call_1", tool="create_refund", arguments={"card": "planted-number"})
        approval.approved(actor="human", actor_ref="planted-person")
        with run.tool("create_refund", call_id="call_1", effect="pay") as call:
            call.cost(0.3, "USD", source="provider")
    provider.shutdown()
    poll(lambda: [body for path, _, body in sink.requests if path == "/v1/metrics"])
    body = next(body for path, _, body in sink.requests if path == "/v1/metrics")
    [scope] = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics
    assert scope.schema_url == SCHEMA_URL
    found = {metric.name: metric for metric in scope.metrics}
    [runs] = found["runrecord.runs"].sum.data_points
    assert (found["runrecord.runs"].unit, runs.as_int) == ("{run}", 1)
    assert {label.key: label.value.string_value for label in runs.attributes} == {
        "gen_ai.agent.name": "refund-agent",
        "runrecord.run.outcome": "success",
    }
    [cost] = found["runrecord.run.cost"].histogram.data_points
    assert (cost.sum, cost.explicit_bounds[0]) == (0.3, 0.0001)
    assert found["gen_ai.execute_tool.duration"].unit == "s"
    assert found["runrecord.approval.wait"].description
    assert b"planted" not in body
