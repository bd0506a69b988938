# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Forwarding: whatever a back end answers, nothing that was acknowledged is lost, and nobody else is held up."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx2
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from runrecord.collector.receiver.requests import SERVICES
from runrecord.processors.signal import Signal

BACKEND = "otlp_http/backend"


@pytest.fixture
def kept(tmp_path):
    """Return the requests in the quarantine of an exporter, in the order of the log."""

    def read(name="otlp_http%2Fbackend"):
        files = sorted((tmp_path / "state" / "quarantine" / name).glob("*"))
        return [file.read_bytes() for file in files]

    return read


def test_a_dead_back_end_delays_nobody_and_gets_everything_when_it_is_back(
    run_gateway, sink, requests, poll, sealed
):
    sink.stop()
    gateway = run_gateway(sink.url)
    for number in range(40):
        assert gateway.post(requests.traces(2, start=2 * number)).status_code == 200
    poll(lambda: len(sealed()) == 80)
    health = poll(lambda: (h := httpx2.get(gateway.health)).status_code == 503 and h.json())
    assert health["parts"]["otlp_http/backend traces"]["status"] == "degraded"
    assert "ConnectError" in health["parts"]["otlp_http/backend traces"]["message"]
    assert health["parts"]["ledger"]["status"] == "ok"
    sink.start()
    poll(lambda: sorted(sink.span_ids()) == [f"{n + 1:016x}" for n in range(80)])
    poll(lambda: httpx2.get(gateway.health).status_code == 200)


def test_a_back_end_that_hangs_delays_nobody(run_gateway, sink, requests, poll, sealed):
    gateway = run_gateway(sink.url)
    sink.hang.set()
    for number in range(20):
        assert gateway.post(requests.traces(start=number)).status_code == 200
    poll(lambda: len(sealed()) == 20)
    sink.hang.clear()
    poll(lambda: len(set(sink.span_ids())) == 20)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_retryable_answer_is_repeated_until_it_is_taken(run_gateway, sink, requests, poll, status):
    sink.status, sink.headers = status, {"retry-after": "0"}
    gateway = run_gateway(sink.url)
    gateway.post(requests.traces())
    poll(lambda: sink.attempts >= 3)
    sink.status = 200
    poll(lambda: len(sink.spans()) == 1)
    assert gateway.metric("runrecord_exporter_retries_total") >= 2


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (307, "check exporters.otlp_http/backend.endpoint, or take otlp_http/backend out of service.pipelines.traces"),
        (401, "check the credentials in exporters.otlp_http/backend.headers"),
        (403, "check the credentials in exporters.otlp_http/backend.headers"),
        (404, "check exporters.otlp_http/backend.endpoint, or take otlp_http/backend out of service.pipelines.traces"),
    ],
)  # fmt: skip
def test_an_answer_about_our_configuration_holds_everything_until_it_is_put_right(
    run_gateway, sink, requests, poll, caplog, kept, sealed, status, advice
):
    sink.status = status
    gateway = run_gateway(sink.url)
    for number in range(20):
        assert gateway.post(requests.traces(start=number)).status_code == 200
    poll(lambda: sink.attempts >= 20)
    poll(lambda: len(sealed()) == 20)
    part = gateway.part(f"{BACKEND} traces")
    assert part["status"] == "degraded"
    assert (
        part["message"]
        == f"HTTP {status} to a traces request: {advice}; until then all wait in the intake log"
    )
    assert part["behind_records"] == 20
    assert gateway.metric("otelcol_exporter_send_failed_spans_total") == 0
    assert len([record for record in caplog.records if f"HTTP {status}" in record.message]) == 1
    sink.status = 200
    poll(lambda: sorted(sink.span_ids()) == [f"{n + 1:016x}" for n in range(20)])
    poll(lambda: gateway.part(f"{BACKEND} traces")["status"] == "ok")
    assert kept() == []


def test_a_gateway_that_stops_while_it_is_held_sends_everything_the_next_time(
    run_gateway, sink, requests, poll
):
    sink.status = 401
    gateway = run_gateway(sink.url, service={"drain_timeout": "50ms"})
    for number in range(3):
        gateway.post(requests.traces(start=number))
    poll(lambda: sink.attempts >= 3)
    gateway.stop()
    sink.status = 200
    run_gateway(sink.url)
    poll(lambda: sorted(sink.span_ids()) == [f"{n + 1:016x}" for n in range(3)])


@pytest.mark.parametrize("status", [400, 415, 422, 500])
def test_a_request_that_is_not_accepted_is_set_aside_and_holds_nothing_up(
    run_gateway, sink, requests, poll, caplog, kept, status
):
    sink.status = status
    gateway = run_gateway(sink.url)
    sent = [requests.traces(5, start=5 * number) for number in range(3)]
    for request in sent:
        gateway.post(request)
    poll(lambda: gateway.metric("otelcol_exporter_send_failed_spans_total") == 15)
    assert kept() == [request.SerializeToString() for request in sent]
    labels = f'{{exporter="{BACKEND}",reason="HTTP {status}"}}'
    assert gateway.metric(f"runrecord_quarantined_requests_total{labels}") == 3
    [told] = [record.message for record in caplog.records if "is set aside in" in record.message]
    assert f"HTTP {status}: the request is set aside in " in told
    assert gateway.part(f"{BACKEND} traces")["status"] == "degraded"
    sink.status = 200
    gateway.post(requests.traces(start=100))
    poll(lambda: sink.span_ids() == [f"{101:016x}"])
    poll(lambda: gateway.part(f"{BACKEND} traces")["status"] == "ok")
    assert gateway.part(f"{BACKEND} traces")["quarantined_requests"] == 3


def test_what_was_set_aside_can_be_sent_once_more(run_gateway, sink, requests, poll, kept):
    sink.status = 400
    gateway = run_gateway(sink.url)
    gateway.post(requests.traces(2))
    [body] = poll(kept)
    sink.status = 200
    headers = {"content-type": "application/x-protobuf"}
    assert httpx2.post(gateway.http + "/v1/traces", content=body, headers=headers).status_code == 200
    poll(lambda: len(sink.spans()) == 2)


def test_a_request_that_can_not_be_set_aside_waits(run_gateway, sink, requests, poll, tmp_path, monkeypatch):
    """A file stands where the directory should be; then it is taken away."""
    monkeypatch.setattr("runrecord.collector.consumers.base._AGAIN_SECONDS", 0.02)
    sink.status = 400
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "quarantine").write_text("")
    gateway = run_gateway(sink.url)
    gateway.post(requests.traces())
    part = poll(lambda: (p := gateway.part(f"{BACKEND} traces"))["status"] == "degraded" and p)
    assert "a request (HTTP 400) can't be set aside in " in part["message"]
    assert part["behind_records"] == 1
    (tmp_path / "state" / "quarantine").unlink()
    poll(lambda: gateway.part(f"{BACKEND} traces")["behind_records"] == 0)
    assert gateway.part(f"{BACKEND} traces")["quarantined_requests"] == 1


def test_a_full_quarantine_holds_what_comes_until_there_is_room(
    run_gateway, sink, requests, poll, kept, tmp_path, monkeypatch
):
    monkeypatch.setattr("runrecord.collector.consumers.base._AGAIN_SECONDS", 0.02)
    sink.status = 400
    gateway = run_gateway(sink.url, service={"intake": {"max_size_mib": 1}})
    for number in range(2):
        request = requests.traces(start=number, text="x" * 600_000)
        # The intake log has no room for two: this waits until it let the first one go.
        poll(lambda request=request: gateway.post(request).status_code == 200)
        poll(lambda number=number: sink.attempts > number)
    part = poll(lambda: "make room" in (p := gateway.part(f"{BACKEND} traces")).get("message", "") and p)
    assert "which is its limit" in part["message"]
    assert len(kept()) == 1
    (tmp_path / "state" / "quarantine").rename(
        tmp_path / "moved away"
    )  # at once: the gateway tries all the time
    poll(lambda: gateway.part(f"{BACKEND} traces")["behind_records"] == 0)
    assert len(kept()) == 1


def test_a_request_is_set_aside_after_the_time_that_was_set(
    run_gateway, sink, settings, requests, poll, kept
):
    sink.status = 503
    config = settings(sink.url)
    config["exporters"][BACKEND]["retry_on_failure"]["max_elapsed_time"] = "100ms"
    gateway = run_gateway(config=config)
    gateway.post(requests.traces())
    poll(lambda: gateway.metric("otelcol_exporter_send_failed_spans_total") == 1)
    assert kept() == [requests.traces().SerializeToString()]


def test_records_that_are_rejected_one_by_one_are_counted_and_not_sent_again(
    run_gateway, sink, requests, poll, caplog, kept
):
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 2
    answer.partial_success.error_message = "s3cret of a span"
    sink.answer = answer.SerializeToString()
    gateway = run_gateway(sink.url)
    for number in range(2):
        gateway.post(requests.traces(3, start=3 * number))
        rejected = 2 * (number + 1)  # one after the other, or they may be joined
        poll(lambda wanted=rejected: gateway.metric("otelcol_exporter_send_failed_spans_total") == wanted)
    assert gateway.metric("otelcol_exporter_sent_spans_total") == 2
    poll(lambda: gateway.part(f"{BACKEND} traces")["behind_records"] == 0)
    assert sink.attempts == 2
    assert kept() == []
    assert len([record for record in caplog.records if "one by one" in record.message]) == 1
    assert "s3cret" not in caplog.text


class GrpcBackEnd(grpc.GenericRpcHandler):
    """A real gRPC server that keeps what it takes; `answers` is what it says first."""

    def __init__(self):
        self.answers, self.got, self.attempts = [], [], 0

    def records(self):
        """Count the log records that it took; requests that wait are joined."""
        taken = [ExportLogsServiceRequest.FromString(body) for _, _, body in self.got]
        scopes = (scope for each in taken for part in each.resource_logs for scope in part.scope_logs)
        return sum(len(scope.log_records) for scope in scopes)

    def service(self, details):
        def export(body, context):
            self.attempts += 1
            answers = self.answers  # a test may replace it meanwhile
            if answers:
                code, *trailers = answers[0] if answers[0][-1] is ... else answers.pop(0)
                context.set_trailing_metadata([item for item in trailers if item is not ...])
                context.abort(code, "not now")
            self.got.append((details.method, dict(context.invocation_metadata()).get("x-tenant"), body))
            return b""

        return grpc.unary_unary_rpc_method_handler(export)


@pytest.fixture
def grpc_back_end(settings):
    """Start one, with a configuration that forwards logs to it."""
    with ThreadPoolExecutor(4) as pool:
        back = GrpcBackEnd()
        server = grpc.server(pool, handlers=[back])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        back.config = settings()
        back.config["exporters"]["otlp_grpc"] = {
            "endpoint": f"127.0.0.1:{port}",
            "tls": {"insecure": True},
            "headers": {"x-tenant": "t1"},
            "compression": "gzip",
            "retry_on_failure": {"initial_interval": "20ms", "max_interval": "100ms"},
        }
        back.config["service"]["pipelines"]["logs"]["exporters"] = ["otlp_grpc"]
        yield back
        server.stop(0).wait()


def test_forwarding_over_grpc_with_headers(run_gateway, grpc_back_end, requests, poll):
    grpc_back_end.answers = [(grpc.StatusCode.UNAVAILABLE,)] * 2
    gateway = run_gateway(config=grpc_back_end.config)
    gateway.post(requests.logs(), "/v1/logs")
    poll(lambda: grpc_back_end.got)
    assert grpc_back_end.got == [(SERVICES[Signal.LOGS].method, "t1", requests.logs().SerializeToString())]
    assert gateway.metric("runrecord_exporter_retries_total") == 2


@pytest.mark.parametrize(
    ("code", "key"),
    [("UNAUTHENTICATED", "headers"), ("PERMISSION_DENIED", "headers"), ("UNIMPLEMENTED", "endpoint")],
)
def test_a_grpc_code_about_our_configuration_holds_everything(
    run_gateway, grpc_back_end, requests, poll, kept, code, key
):
    grpc_back_end.answers = [(grpc.StatusCode[code], ...)]
    gateway = run_gateway(config=grpc_back_end.config)
    for text in "abc":
        assert gateway.post(requests.logs(text), "/v1/logs").status_code == 200
    poll(lambda: grpc_back_end.attempts >= 6)
    part = gateway.part("otlp_grpc logs")
    assert part["message"].startswith(f"{code} to a logs request: check ")
    assert f"exporters.otlp_grpc.{key}" in part["message"]
    grpc_back_end.answers = []
    poll(lambda: grpc_back_end.records() == 3)
    poll(lambda: gateway.part("otlp_grpc logs")["status"] == "ok")
    assert kept("otlp_grpc") == []


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "INTERNAL"])
def test_a_grpc_code_about_one_request_sets_it_aside(run_gateway, grpc_back_end, requests, poll, kept, code):
    grpc_back_end.answers = [(grpc.StatusCode[code],)]
    gateway = run_gateway(config=grpc_back_end.config)
    gateway.post(requests.logs("first"), "/v1/logs")
    poll(lambda: kept("otlp_grpc") == [requests.logs("first").SerializeToString()])
    gateway.post(requests.logs("second"), "/v1/logs")
    poll(lambda: [body for _, _, body in grpc_back_end.got] == [requests.logs("second").SerializeToString()])


def test_an_exhausted_resource_with_a_retry_info_is_repeated(
    run_gateway, grpc_back_end, requests, poll, kept
):
    status = Status(code=8)
    status.details.add().Pack(RetryInfo(retry_delay=Duration(nanos=1)))
    trailer = ("grpc-status-details-bin", status.SerializeToString())
    grpc_back_end.answers = [(grpc.StatusCode.RESOURCE_EXHAUSTED, trailer)]
    gateway = run_gateway(config=grpc_back_end.config)
    gateway.post(requests.logs(), "/v1/logs")
    poll(lambda: grpc_back_end.got)
    assert kept("otlp_grpc") == []


def test_two_gateways_in_a_row(tmp_path, run_gateway, settings, sink, requests, poll):
    last = run_gateway(sink.url)
    config = settings(last.http)
    config["exporters"]["ledger"]["directory"] = str(tmp_path / "ledger-2")
    config["service"]["state_dir"] = str(tmp_path / "state-2")
    first = run_gateway(config=config)
    first.post(requests.traces(3))
    poll(lambda: len(sink.spans()) == 3)


def test_a_back_end_that_takes_no_logs_gets_its_traces_all_the_same(
    run_gateway, sink, requests, poll, settings
):
    """More logs than may be under way at once wait for ever; behind them in the same intake log are traces."""
    config = settings(sink.url)
    config["exporters"][BACKEND]["sending_queue"] = {"num_consumers": 2}
    sink.refused_paths = {"/v1/logs"}
    gateway = run_gateway(config=config)
    for number in range(6):
        assert gateway.post(requests.logs(str(number)), "/v1/logs").status_code == 200
    for number in range(6):
        assert gateway.post(requests.traces(start=number)).status_code == 200
    poll(lambda: len(set(sink.span_ids())) == 6)
    assert gateway.part(f"{BACKEND} traces")["status"] == "ok"
    assert gateway.part(f"{BACKEND} logs")["status"] == "degraded"
    sink.refused_paths = set()
    poll(lambda: gateway.part(f"{BACKEND} logs")["behind_records"] == 0)
