# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Routing by tenant: each back end and each ledger gets its tenant's spans, whole requests and parts of them, and no other's."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import grpc
import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from runrecord.collector.config_file import parse_config
from runrecord.collector.errors import ConfigError
from runrecord.collector.receiver.requests import SERVICES
from runrecord.processors.signal import Signal


@pytest.fixture
def routed(settings, tmp_path, two_sinks):
    """Make a configuration: a back end and a ledger for acme, a back end for globex, and what else is asked for."""

    def make(**routing):
        config = settings()
        acme, globex = two_sinks
        config["exporters"] |= {
            "otlp_http/acme": {"endpoint": acme.url},
            "otlp_http/globex": {"endpoint": globex.url},
            "ledger/acme": {"directory": str(tmp_path / "ledger-acme"), "origin": "test/acme"},
        }
        config["service"]["pipelines"]["traces"] = {
            "processors": ["redaction"],
            "routing": {
                "table": {"acme": ["otlp_http/acme", "ledger/acme"], "globex": ["otlp_http/globex"]},
                **routing,
            },
            "exporters": [],
        }
        return config

    return make


@pytest.fixture
def two_sinks(sink):
    """Start a back end for each of two tenants."""
    other = type(sink)().start()
    yield sink, other
    other.stop()


def tenants(requests, *names):
    """Make a request with two spans for each tenant; their ids count on. None has no tenant."""
    request = ExportTraceServiceRequest()
    for number, name in enumerate(names):
        part = requests.traces(2, start=2 * number).resource_spans[0]
        if name is not None:
            part.resource.attributes.add(key="tenant.id").value.string_value = name
        request.resource_spans.append(part)
    return request


def ids(*numbers):
    return [f"{number + 1:016x}" for number in numbers]


def test_a_request_of_several_tenants_is_cut_and_none_sees_the_other(
    run_gateway, routed, two_sinks, requests, poll, sealed, tmp_path
):
    acme, globex = two_sinks
    gateway = run_gateway(config=routed(resource_attribute="tenant.id"))
    answer = gateway.post(tenants(requests, "acme", "globex", "acme"))
    assert answer.status_code == 200
    assert answer.content == b""
    poll(lambda: sorted(acme.span_ids()) == ids(0, 1, 4, 5))
    poll(lambda: globex.span_ids() == ids(2, 3))
    poll(lambda: sorted(sealed(tmp_path / "ledger-acme")) == ids(0, 1, 4, 5))
    for sink, name in ((acme, b"globex"), (globex, b"acme")):
        assert not any(name in body for _, _, body in sink.requests)
    assert gateway.metric("otelcol_receiver_accepted_spans_total") == 6
    assert gateway.metric("otelcol_exporter_sent_spans_total") == 6


def test_what_has_no_route_is_rejected_and_the_rest_is_taken(
    run_gateway, routed, two_sinks, requests, poll, tmp_path
):
    acme, _ = two_sinks
    gateway = run_gateway(config=routed(resource_attribute="tenant.id"))
    answer = gateway.post(tenants(requests, "acme", "nobody", None))
    assert answer.status_code == 200
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 4
    assert partial.error_message == "4 without a route for its resource attribute tenant.id"
    poll(lambda: acme.span_ids() == ids(0, 1))
    refused = gateway.post(tenants(requests, "nobody"))
    assert refused.status_code == 403
    assert b"no route for its resource attribute tenant.id" in refused.content
    assert b"nobody" not in refused.content
    gateway.stop()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert b"nobody" not in stored


def test_others_go_to_the_default_together_and_common_exporters_get_everything(
    run_gateway, routed, two_sinks, requests, poll, sealed
):
    acme, globex = two_sinks
    config = routed(resource_attribute="tenant.id", default=["otlp_http/globex"])
    config["service"]["pipelines"]["traces"]["exporters"] = ["ledger"]
    gateway = run_gateway(config=config)
    gateway.post(tenants(requests, "acme", "nobody", None))
    poll(lambda: acme.span_ids() == ids(0, 1))
    poll(lambda: globex.span_ids() == ids(2, 3, 4, 5))
    assert len(globex.requests) == 1
    poll(lambda: sorted(sealed()) == ids(0, 1, 2, 3, 4, 5))


def test_a_header_routes_a_whole_request_over_http_and_grpc(run_gateway, routed, two_sinks, requests, poll):
    acme, globex = two_sinks
    gateway = run_gateway(config=routed(header="X-Tenant"))
    body = requests.traces(2).SerializeToString()

    def post(*tenant):
        headers = [("content-type", "application/x-protobuf"), *(("x-tenant", each) for each in tenant)]
        return httpx2.post(gateway.http + "/v1/traces", content=body, headers=headers)

    assert post("acme").status_code == 200
    assert post().status_code == 403
    assert post("nobody").status_code == 403
    assert post("acme", "globex").status_code == 403
    poll(lambda: acme.span_ids() == ids(0, 1))
    with grpc.insecure_channel(gateway.grpc) as channel:
        export = channel.unary_unary(SERVICES[Signal.TRACES].method)
        export(body, metadata=(("x-tenant", "globex"),))
        with pytest.raises(grpc.RpcError) as refused:
            export(body)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    poll(lambda: globex.span_ids() == ids(0, 1))
    assert acme.span_ids() == ids(0, 1)


def test_a_tenant_is_routed_by_what_it_sent_though_redaction_masks_it(
    run_gateway, routed, two_sinks, requests, poll
):
    acme, _ = two_sinks
    config = routed(resource_attribute="tenant.id")
    config["processors"]["redaction"] = {"packs": [], "keys": [{"match": "tenant.id", "action": "mask"}]}
    run_gateway(config=config).post(tenants(requests, "acme"))
    poll(lambda: acme.span_ids() == ids(0, 1))
    assert b"acme" not in acme.requests[0][2]


@pytest.mark.parametrize(
    ("routing", "message"),
    [
        ("table: {a: [ledger]}", "service.pipelines.traces.routing: set resource_attribute or header, and only one of them"),
        ("header: x, table: {}", "service.pipelines.traces.routing.table: "),
        ("header: x, table: {a: [leger]}", "service.pipelines.traces.routing.table.a.0: there is no 'leger' under exporters (did you mean 'ledger'?)"),
        ("header: x, table: {a: [ledger]}, default: [b]", "service.pipelines.traces.routing.default.0: there is no 'b' under exporters"),
        ("header: 'x y', table: {a: [ledger]}", "service.pipelines.traces.routing.header: is not a valid name of a header"),
        ("header: x, tabel: {a: [ledger]}", "service.pipelines.traces.routing.tabel: unknown key"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_routing_is_said(routing, message):
    text = f"exporters: {{ledger: {{}}}}\nservice: {{pipelines: {{traces: {{routing: {{{routing}}}, exporters: []}}}}}}"
    with pytest.raises(ConfigError) as wrong:
        parse_config(text)
    assert message in str(wrong.value)
