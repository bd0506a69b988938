# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The same spans, log records and metrics through a real collector with the compiled policy, and through our engine.

Where the two differ, the report must say so: each difference has to be one of those that it lists for that rule, field or key.
"""

from __future__ import annotations

import json
import re

import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otelcol import BUILD_SECONDS, Collector, collector_program, validate
from typer.testing import CliRunner

from runrecord.cli.main import app
from runrecord.collector.compiler import Effect, compile_otelcol
from runrecord.collector.config import GatewayConfig
from runrecord.collector.receiver.otlp_json import json_to_protobuf
from runrecord.processors.redaction import Redactor
from runrecord.processors.signal import Signal

httpx2 = pytest.importorskip("httpx2")
SECRET = "AKIA" + "QWERTYUIOPASDFGH"
POLICY = {
    "packs": ["secrets", "pii"],
    "annotate": False,
    "keys": [
        {"match": "http.request.header.authorization", "action": "drop"},
        {"match": "refund.reason", "tool": "create_refund", "action": "drop"},
        {"match": "card.holder", "action": "token"},
        {"match": "*.password", "action": "mask", "inside_json": True},
        {"match": "customer.id", "action": "hash"},
        {"match": "only.prod", "environment": ["prod*"], "action": "drop"},
    ],
    "content": {"gen_ai.input.messages": "drop"},
    "allow": {"values": ["support@example.com"]},
}


def settings(policy=POLICY, **processors):
    pipeline = {"processors": ["redaction", *processors], "exporters": ["otlp_http/main", "ledger"]}
    return {
        "processors": {"redaction": policy, **processors},
        "exporters": {
            "otlp_http/main": {"endpoint": "http://127.0.0.1:1"},
            "ledger": {"directory": "ledger"},
        },
        "service": {
            "state_dir": "state",
            "pipelines": {
                "traces": pipeline,
                **{name: {**pipeline, "processors": ["redaction"]} for name in ("logs", "metrics")},
            },
        },
    }


def compiled_of(raw):
    config = GatewayConfig.model_validate(raw)
    redactor = Redactor(config.processors.redaction, key=bytes(32))
    own = {name: setting.action for name, setting in config.processors.redaction.rules.items()}
    rules = [(rule, own.get(rule.id) or rule.action) for rule in redactor.rules]
    return compile_otelcol(config, raw, rules, source="a test"), redactor


def loopback(config, tmp_path):
    """The compiled configuration, with a file for the back end and the queue in a directory of the test."""
    config = json.loads(json.dumps(config))
    config["receivers"]["otlp"]["protocols"] = {"http": {}}
    config["exporters"] = {"file": {}}
    config["extensions"] = {}
    config["service"]["extensions"] = []
    for pipeline in config["service"]["pipelines"].values():
        pipeline["exporters"] = ["file"]
        pipeline["processors"] = [each for each in pipeline["processors"] if each != "memory_limiter"]
    return config


class Case:
    """One text in one field, and what it is."""

    def __init__(self, field, text, *, rules=(), key="note", place=None):
        self.field, self.text, self.rules, self.key, self.place = field, text, rules, key, place


def put(target, key, text):
    target.attributes.add(key=key).value.string_value = text


TRACE_FIELDS = {
    "resource attributes": lambda part, span, text: put(part.resource, "note", text),
    "scope attributes": lambda part, span, text: put(part.scope_spans[0].scope, "note", text),
    "scope name": lambda part, span, text: setattr(part.scope_spans[0].scope, "name", text),
    "schema URL": lambda part, span, text: setattr(part, "schema_url", text),
    "span name": lambda part, span, text: setattr(span, "name", text),
    "span attributes": lambda part, span, text: put(span, "note", text),
    "span status": lambda part, span, text: setattr(span.status, "message", text),
    "trace state": lambda part, span, text: setattr(span, "trace_state", f"v={text}"),
    "event name": lambda part, span, text: setattr(span.events.add(), "name", text),
    "event attributes": lambda part, span, text: put(span.events.add(name="e"), "note", text),
    "link attributes": lambda part, span, text: put(span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8), "note", text),
}  # fmt: skip
LOG_FIELDS = {
    "log body": lambda part, record, text: setattr(record.body, "string_value", text),
    "log attributes": lambda part, record, text: put(record, "note", text),
    "log event name": lambda part, record, text: setattr(record, "event_name", text),
    "log severity": lambda part, record, text: setattr(record, "severity_text", text),
}
METRIC_FIELDS = {
    "metric name": lambda part, metric, text: setattr(metric, "name", text),
    "metric description": lambda part, metric, text: setattr(metric, "description", text),
    "metric unit": lambda part, metric, text: setattr(metric, "unit", text),
    "data point attributes": lambda part, metric, text: put(metric.gauge.data_points[0], "note", text),
    "exemplar attributes": lambda part, metric, text: metric.gauge.data_points[0].exemplars.add().filtered_attributes.add(key="note").value.__setattr__("string_value", text),
}  # fmt: skip


def trace_part(request, number, field, text):
    part = request.resource_spans.add()
    put(part.resource, "case", str(number))
    span = part.scope_spans.add().spans.add(
        trace_id=b"t" * 16, span_id=(number + 1).to_bytes(8, "big"), name="work"
    )
    TRACE_FIELDS[field](part, span, text)


def log_part(request, number, field, text):
    part = request.resource_logs.add()
    put(part.resource, "case", str(number))
    LOG_FIELDS[field](part, part.scope_logs.add().log_records.add(time_unix_nano=1), text)


def metric_part(request, number, field, text):
    part = request.resource_metrics.add()
    put(part.resource, "case", str(number))
    metric = part.scope_metrics.add().metrics.add(name="m")
    metric.gauge.data_points.add(as_int=1)
    METRIC_FIELDS[field](part, metric, text)


def by_case(signal, body):
    """Each resource's part, as text without its number."""
    request = {
        Signal.TRACES: ExportTraceServiceRequest,
        Signal.LOGS: ExportLogsServiceRequest,
        Signal.METRICS: ExportMetricsServiceRequest,
    }[signal].FromString(body)
    parts = {}
    for part in getattr(request, {Signal.TRACES: "resource_spans", Signal.LOGS: "resource_logs", Signal.METRICS: "resource_metrics"}[signal]):  # fmt: skip
        number = next(pair.value.string_value for pair in part.resource.attributes if pair.key == "case")
        parts[int(number)] = part
    return parts


def through_collector(config, requests, directory):
    with Collector.run(collector_program(), config, directory) as collector:
        for signal, request in requests.items():
            answer = httpx2.post(
                f"{collector.http}/v1/{signal.value}",
                content=request.SerializeToString(),
                headers={"content-type": "application/x-protobuf"},
                timeout=120,
            )
            assert answer.status_code == 200, answer.text
        collector.stop()
        written = collector.exported()
    found = {}
    kinds = {"resourceSpans": Signal.TRACES, "resourceLogs": Signal.LOGS, "resourceMetrics": Signal.METRICS}
    for request in written:
        signal = kinds[next(iter(request))]
        found.setdefault(signal, {}).update(
            by_case(signal, json_to_protobuf(signal, json.dumps(request).encode()))
        )
    return found


def text_of(part):
    """Everything that a person could read in it; a message with nothing in it is as good as none."""
    text = re.sub(r"\s+", " ", str(part))
    while (shorter := re.sub(r"\b\w+ \{ \} ?", "", text)) != text:
        text = shorter
    return text.strip()


pytestmark = [pytest.mark.go, pytest.mark.timeout(BUILD_SECONDS)]


def test_what_differs_is_what_the_report_says(tmp_path):
    compiled, redactor = compiled_of(settings())
    differences = compiled.report.differences
    requests = {
        Signal.TRACES: ExportTraceServiceRequest(),
        Signal.LOGS: ExportLogsServiceRequest(),
        Signal.METRICS: ExportMetricsServiceRequest(),
    }
    makers = {Signal.TRACES: (trace_part, TRACE_FIELDS), Signal.LOGS: (log_part, LOG_FIELDS), Signal.METRICS: (metric_part, METRIC_FIELDS)}  # fmt: skip
    cases = {signal: [] for signal in requests}
    for signal, (_, fields) in makers.items():
        for field in fields:
            cases[signal] += [(field, (), f"before {SECRET} after"), (field, (), "nothing here")]
    for rule in redactor.rules:
        cases[Signal.TRACES] += [
            ("span attributes", (rule.id,), text) for text in (*rule.examples, *rule.counter_examples)
        ]
    cases[Signal.TRACES] += [("span attributes", (), "write to support@example.com or ada@example.org")]
    for signal, listed in cases.items():
        for number, (field, _, text) in enumerate(listed):
            makers[signal][0](requests[signal], number, field, text)
    theirs = through_collector(loopback(compiled.config, tmp_path), requests, tmp_path / "otelcol")
    equal, unexplained = 0, []
    for signal, listed in cases.items():
        body = requests[signal].SerializeToString()
        before, ours = by_case(signal, body), by_case(signal, redactor.redact(signal, body).body)
        for number, (field, rules, text) in enumerate(listed):
            original, mine, other = (text_of(found[number]) for found in (before, ours, theirs[signal]))
            if mine == other:
                equal += 1
                continue
            effect = Effect.LESS if other == original else Effect.MORE if mine == original else Effect.OTHER
            said = [
                each.code
                for each in differences
                if each.effect is effect
                and (not each.rules or set(each.rules) & set(rules) or "@" in text)
                and (not each.fields or field in each.fields)
                and not each.keys
            ]
            concrete = [each for each in differences if each.code in said and (each.rules or each.fields)]
            general = {"overlap", "json", "nested", "allow"} & set(said)
            if not concrete and not general:
                unexplained.append((effect.value, field, rules, text, mine[-300:], other[-300:]))
    assert not unexplained, "\n".join(map(str, unexplained))
    total = sum(map(len, cases.values()))
    assert equal > 0.8 * total, f"{equal} of {total}"
    unreached = {name for each in differences if each.code == "fields" for name in each.fields}
    for signal, listed in cases.items():
        for number, (field, rules, text) in enumerate(listed):
            if SECRET in text and not rules:
                assert (SECRET in text_of(theirs[signal][number])) == (field in unreached), field


def test_keys_are_treated_as_the_report_says(tmp_path):
    raw = settings({**POLICY, "packs": []})
    compiled, redactor = compiled_of(raw)
    request = ExportTraceServiceRequest()
    values = {
        "http.request.header.authorization": "Bearer x",
        "refund.reason": "broken",
        "card.holder": "Ada",
        "db.password": "hunter2",
        "customer.id": "c-1",
        "gen_ai.input.messages": "[]",
        "only.prod": "x",
        "kept": "yes",
    }
    for number, (tool, environment) in enumerate(
        [("create_refund", "prod-eu"), ("other", "dev"), (None, None)]
    ):
        part = request.resource_spans.add()
        put(part.resource, "case", str(number))
        if environment:
            put(part.resource, "deployment.environment.name", environment)
        span = part.scope_spans.add().spans.add(
            trace_id=b"t" * 16, span_id=bytes([number + 1] * 8), name="work"
        )
        if tool:
            put(span, "gen_ai.tool.name", tool)
        for key, value in values.items():
            put(span, key, value)
    body = request.SerializeToString()
    theirs = through_collector(loopback(compiled.config, tmp_path), {Signal.TRACES: request}, tmp_path)[
        Signal.TRACES
    ]
    ours = by_case(Signal.TRACES, redactor.redact(Signal.TRACES, body).body)

    def attributes(part):
        return {pair.key: pair.value.string_value for pair in part.scope_spans[0].spans[0].attributes}

    said = {key for each in compiled.report.differences for key in each.keys}
    for number in range(3):
        mine, other = attributes(ours[number]), attributes(theirs[number])
        assert set(mine) == set(other)
        differing = {key for key in mine if mine[key] != other[key]}
        assert differing == {"db.password", "customer.id"}
        assert {"*.password", "customer.id"} <= said
        assert (other["db.password"], other["customer.id"]) == ("****", "[REDACTED]")
        assert ("refund.reason" in other) == (number != 0)
        assert ("only.prod" in other) == (number != 0)


def test_the_command_writes_what_a_collector_accepts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "s3cr3t")
    raw = settings(
        {"packs": ["secrets"], "limits": {"attribute_bytes": 4096}}, tail_sampling={"sampling_percentage": 5}
    )
    raw["exporters"]["otlp_http/main"]["headers"] = {"authorization": "Bearer ${env:TOKEN}"}
    (tmp_path / "runrecord.yaml").write_text(yaml.safe_dump(raw))
    done = CliRunner().invoke(
        app, ["compile", "runrecord.yaml", "--target", "otelcol-contrib", "-o", "otelcol.yaml"]
    )
    assert done.exit_code == 0, done.output
    written = (tmp_path / "otelcol.yaml").read_text()
    assert "s3cr3t" not in written + done.output
    assert "${env:TOKEN}" in written
    assert "ledger: a collector has no ledger" in written
    config = yaml.safe_load(written)
    modes = [
        part["error_mode"]
        for name, part in config["processors"].items()
        if "/" in name and "error_mode" in part
    ]
    assert modes
    assert set(modes) == {"propagate"}
    assert config["service"]["pipelines"]["traces"]["processors"][-1] == "tail_sampling"
    config["extensions"]["file_storage"]["directory"] = str(tmp_path / "storage")
    assert validate(collector_program(), config, tmp_path / "otelcol") == ""


def test_no_exporter_gets_what_all_tenants_send_and_what_a_collector_lacks_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "runrecord.yaml"
    file.write_text("""
exporters: {otlp_http/all: {endpoint: http://x, stamp_ledger: true}, otlp_http/acme: {endpoint: http://y}, ledger: {}}
service: {pipelines: {traces: {
  exporters: [otlp_http/all, ledger], routing: {resource_attribute: tenant.id, table: {acme: [otlp_http/acme]}}}}}
""")
    done = CliRunner().invoke(app, ["compile", str(file)])
    assert done.exit_code == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert config["service"]["pipelines"]["traces"]["exporters"] == ["otlp_http/all"]
    assert list(config["exporters"]) == ["otlp_http/all"]
    assert "missing routing: the exporters of tenants are left out" in done.stderr
    assert "missing stamp: " in done.stderr
    file.write_text(file.read_text().replace("[otlp_http/all, ledger]", "[ledger]"))
    assert CliRunner().invoke(app, ["compile", str(file)]).exit_code == 4


def test_without_a_back_end_there_is_nothing_to_compile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["compile"])
    assert done.exit_code == 4
