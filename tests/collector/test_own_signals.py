# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the gateway says of itself: lines on standard error, and logs and spans at a back end."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.trace import NoOpTracer

from runrecord.collector.own_signals import own_signals
from runrecord.collector.telemetry_config import Telemetry

LOG = logging.getLogger("runrecord.collector.test")


def settings(**changes):
    return Telemetry.model_validate(changes)


def to(sink, protocol="http/protobuf"):
    return [
        {
            "batch": {
                "exporter": {
                    "otlp": {"endpoint": sink.url, "protocol": protocol, "headers": {"X-Token": "t0k3n"}}
                }
            }
        }
    ]


def test_lines_for_people_are_the_default(capsys):
    with own_signals(settings()) as tracer:
        LOG.info("disk %s", "full")
        LOG.debug("not asked for")
        assert isinstance(tracer, NoOpTracer)
    said = capsys.readouterr().err
    assert said.endswith("INFO runrecord.collector.test: disk full\n")
    assert said.count("\n") == 1


def test_json_lines_are_otlp(capsys):
    with own_signals(
        settings(logs={"encoding": "json"}, resource={"deployment.environment.name": "prod"}),
        process="receiver-2",
    ):
        LOG.warning("a %s\nof two lines", "message")
        LOG.error("worse")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    [part] = first["resourceLogs"]
    told = {each["key"]: each["value"]["stringValue"] for each in part["resource"]["attributes"]}
    assert (told["service.name"], told["runrecord.process"]) == ("runrecord-gateway", "receiver-2")
    assert told["deployment.environment.name"] == "prod"
    [scoped] = part["scopeLogs"]
    [record] = scoped["logRecords"]
    assert scoped["scope"] == {"name": "runrecord.collector.test"}
    assert (record["severityNumber"], record["severityText"]) == (13, "WARN")
    assert record["body"] == {"stringValue": "a message\nof two lines"}
    assert record["timeUnixNano"].isdecimal()
    assert second["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["severityNumber"] == 17


def test_the_command_line_decides_the_level_and_nothing_stays_behind(capsys):
    logger = logging.getLogger("runrecord")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with own_signals(settings(logs={"level": "error"}), level="debug"):
        LOG.debug("seen")
    assert "seen" in capsys.readouterr().err
    assert (logger.level, logger.propagate, list(logger.handlers)) == before


def test_logs_and_spans_reach_a_back_end_with_headers_and_a_share_of_traces(sink):
    ratio = {"parent_based": {"root": {"trace_id_ratio_based": {"ratio": 1}}}}
    with (
        own_signals(
            settings(logs={"processors": to(sink)}, traces={"processors": to(sink), "sampler": ratio})
        ) as tracer,
        tracer.start_as_current_span("receiver/otlp"),
    ):
        LOG.error("something is wrong")
    assert {headers["x-token"] for _, headers, _ in sink.requests} == {"t0k3n"}
    [logs] = [
        ExportLogsServiceRequest.FromString(body) for path, _, body in sink.requests if path == "/v1/logs"
    ]
    [scoped] = logs.resource_logs[0].scope_logs
    [record] = scoped.log_records
    assert (scoped.scope.name, record.body.string_value) == ("runrecord.collector.test", "something is wrong")
    assert [span.name for span in sink.spans()] == ["receiver/otlp"]
    assert record.span_id == sink.spans()[0].span_id

    sink.requests.clear()
    none = {"parent_based": {"root": {"trace_id_ratio_based": {"ratio": 0}}}}
    with own_signals(settings(traces={"processors": to(sink), "sampler": none})) as tracer:
        tracer.start_span("receiver/otlp").end()
    assert sink.requests == []


def test_a_gateway_tells_of_its_work(gateway_process, settings, sink, requests, poll):
    config = settings(sink.url)
    config["service"]["telemetry"]["traces"] = {"processors": to(sink)}
    gateway = gateway_process(config).start()
    headers = {"content-type": "application/x-protobuf"}
    body = requests.traces(2, text="ada@example.org").SerializeToString()
    assert httpx2.post(gateway.http + "/v1/traces", content=body, headers=headers).status_code == 200
    poll(lambda: {"step 0", "step 1"} <= {span.name for span in sink.spans()})
    assert "runrecord_accept_seconds_count 1.0" in httpx2.get(gateway.metrics).text
    assert gateway.stop() == 0
    own = {span.name: span for span in sink.spans() if "/" in span.name}
    assert set(own) == {"receiver/otlp/TraceDataReceived", "exporter/otlp_http/backend/traces"}
    told = {pair.key: pair.value for pair in own["receiver/otlp/TraceDataReceived"].attributes}
    assert told["accepted_spans"].int_value == 2
    assert told["transport"].string_value == "http"


def test_a_header_is_hidden():
    shown = repr(settings(logs={"processors": to(type("Sink", (), {"url": "http://localhost:1"}))}))
    assert "t0k3n" not in shown
    assert "X-Token" in shown


def test_without_the_sdk_the_next_step_is_named():
    """The SDK is hidden from a process of its own, as where only the extra ``gateway`` is installed."""
    program = """
import sys
sys.modules["opentelemetry.sdk"] = None
from runrecord.collector.own_signals import own_signals
from runrecord.collector.telemetry_config import Telemetry
out = {"batch": {"exporter": {"otlp": {"endpoint": "http://localhost:1"}}}}
with own_signals(Telemetry()):
    print("works without")
try:
    with own_signals(Telemetry.model_validate({"logs": {"processors": [out]}})):
        pass
except Exception as error:
    print(type(error).__name__, error, "|", error.next_step)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[0] == "works without"
    assert "StartError" in said
    assert 'pip install "runrecord[gateway,otlp]"' in said


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"logs": {"level": "loud"}}, "logs.level"),
        (
            {"traces": {"sampler": {"parent_based": {"root": {"trace_id_ratio_based": {"ratio": 2}}}}}},
            "ratio",
        ),
        ({"logs": {"processors": [{"simple": {}}]}}, "simple"),
    ],
)
def test_what_is_not_there_is_an_error(wrong, where):
    with pytest.raises(ValueError, match=where):
        settings(**wrong)
