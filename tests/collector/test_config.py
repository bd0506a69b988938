# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration: the collector's shape, and errors that name the place and the nearest valid key."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from runrecord.collector import ConfigError, GatewayConfig, load_config, parse_config
from runrecord.processors.signal import Signal

WHOLE = """
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
      http: {endpoint: "[::1]:4318", max_request_body_size: 1048576}
processors:
  redaction: {packs: [secrets]}
  compat: {openinference: true}
exporters:
  otlp_http/main:
    endpoint: https://back.example/
    headers: {authorization: "Bearer ${env:TOKEN}"}
    timeout: 1m30s
    retry_on_failure: {initial_interval: 300ms}
  otlp_grpc:
    endpoint: ${env:HOST:-back.example}:4317
    tls: {insecure: true}
  ledger: {directory: /var/lib/runrecord, origin: example.com/agents}
service:
  state_dir: /var/lib/runrecord-state
  intake:
    max_size_mib: ${env:MIB:-100}
    max_age: 7d
  pipelines:
    traces: {receivers: [otlp], processors: [redaction, compat], exporters: [otlp_http/main, ledger]}
    logs: {exporters: [otlp_grpc]}
  telemetry:
    health: null
"""


def problems(text, **environment):
    with pytest.raises(ConfigError) as caught:
        parse_config(dedent(text), environment=environment)
    return [problem.render(None).removeprefix("configuration:") for problem in caught.value.problems]


def test_a_whole_file_is_read():
    config = parse_config(WHOLE, environment={"TOKEN": "t0ken"})
    assert config.receivers.otlp.protocols.http.endpoint == "[::1]:4318"
    main = config.exporters["otlp_http/main"]
    assert (main.endpoint, main.timeout, main.retry_on_failure.initial_interval) == (
        "https://back.example",
        90.0,
        0.3,
    )
    assert main.headers["authorization"].get_secret_value() == "Bearer t0ken"
    assert config.exporters["otlp_grpc"].endpoint == "back.example:4317"
    assert config.exporters["ledger"].directory == Path("/var/lib/runrecord")
    assert (config.service.intake.max_size_mib, config.service.intake.max_age) == (100, 604800.0)
    assert config.service.telemetry.health is None
    assert config.service.telemetry.metrics.address == "127.0.0.1:8888"
    assert list(config.forwarders) == ["otlp_http/main", "otlp_grpc"]
    assert list(config.pipelines_of("otlp_http/main")) == [Signal.TRACES]
    assert "t0ken" not in repr(config) + config.model_dump_json()


def test_nothing_at_all_is_a_working_default(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNRECORD_LEDGER", str(tmp_path / "elsewhere"))
    config = parse_config("")
    assert config == GatewayConfig()
    assert config.receivers.otlp.protocols.grpc.endpoint == "127.0.0.1:4317"
    assert config.exporters["ledger"].directory == tmp_path / "elsewhere"
    assert list(config.forwarders) == []


def test_a_protocol_that_is_not_named_is_off():
    protocols = parse_config("receivers: {otlp: {protocols: {http:}}}").receivers.otlp.protocols
    assert (protocols.grpc, protocols.http.endpoint) == (None, "127.0.0.1:4318")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("recievers: {}", ["1:1: recievers: unknown key; valid here: exporters, extensions, processors, receivers, service (did you mean 'receivers'?)"]),
        (
            """
            receivers:
              otlp:
                protocols:
                  grpc:
                    endpont: 127.0.0.1:1
            """,
            [
                ("6:9: receivers.otlp.protocols.grpc.endpont: unknown key; valid here: auth, endpoint, insecure, max_recv_msg_size_mib, tls"
                " (did you mean 'endpoint'?)")
            ],
        ),
        (
            """
            exporters:
              otlp_http/a:
                endpoint: http://x
                retry_on_failure: {max_intervall: 5s}
              ledger: {}
            """,
            [
                ("5:24: exporters.otlp_http/a.retry_on_failure.max_intervall: unknown key; valid here: initial_interval, "
                "max_elapsed_time, max_interval, multiplier (did you mean 'max_interval'?)")
            ],
        ),
        (
            "exporters: {otlphttp/a: {endpoint: http://x}}",
            ["1:13: exporters.otlphttp/a: unknown kind of exporter; there are otlp_http, otlp_grpc, ledger (did you mean 'otlp_http/a'?)"],
        ),
        ("exporters:\n  otlp_http:\n", ["2:3: exporters.otlp_http.endpoint: is required"]),
        ("exporters: {otlp_http: {endpoint: back:1}}", ["1:25: exporters.otlp_http.endpoint: must be a URL that begins with http:// or https://, for example http://localhost:4318"]),
        (
            "exporters: {otlp_http: {endpoint: 'http://u:p4ss@x'}}",
            ["1:25: exporters.otlp_http.endpoint: must not hold a password; put it into headers, as ${env:NAME}"],
        ),
        ("exporters: {otlp_grpc: {endpoint: x}}", ["1:25: exporters.otlp_grpc.endpoint: must be HOST:PORT, for example 127.0.0.1:4317"]),
        ("exporters: {otlp_http: {endpoint: http://x, timeout: soon}}", ["1:45: exporters.otlp_http.timeout: must be a duration, for example 300ms, 5s, 1m30s or 7d"]),
        ("exporters: [a]", ["1:1: exporters: must be a mapping, not a list"]),
        ("service: {pipelines: {tracez: {exporters: [ledger]}}}", ["1:23: service.pipelines.tracez: unknown pipeline; there are traces, logs, metrics (did you mean 'traces'?)"]),
        ("service: {pipelines: {traces: {exporters: [leger]}}}", ["1:44: service.pipelines.traces.exporters.0: there is no 'leger' under exporters (did you mean 'ledger'?)"]),
        ("service: {pipelines: {traces: {receivers: [kafka], exporters: [ledger]}}}", ["1:44: service.pipelines.traces.receivers.0: there is no 'kafka' under receivers"]),
        ("service: {pipelines: {traces: {exporters: [ledger, ledger]}}}", ["1:52: service.pipelines.traces.exporters.1: 'ledger' is here a second time"]),
        (
            "service: {pipelines: {traces: {processors: [], exporters: [ledger]}}}",
            ["1:32: service.pipelines.traces.processors: redaction must be the first processor: nothing is stored or sent before it"],
        ),
        (
            "service: {pipelines: {traces: {processors: [redaction, compat], exporters: [ledger]}}}",
            ["1:32: service.pipelines.traces.processors: compat is not configured under processors"],
        ),
        (
            "receivers: {otlp: {protocols: {grpc: {endpoint: '[::1]:9'}, http: {endpoint: '[::1]:9'}}}}",
            ["1:68: receivers.otlp.protocols.http.endpoint: receivers.otlp.protocols.grpc.endpoint has the same address"],
        ),
        (
            "{exporters: {ledger/a: {directory: x}, ledger/b: {directory: ./x}}, service: {pipelines: {logs: {exporters: [ledger/a, ledger/b]}}}}",
            ["1:51: exporters.ledger/b.directory: exporters.ledger/a has the same directory"],
        ),
        ("receivers: {otlp: {protocols: {}}}", ["1:20: receivers.otlp.protocols: name grpc, http, or both"]),
        ("receivers: {otlp: {max_in_flight_mib: 100}}", ["1:13: receivers.otlp: max_in_flight_mib must hold the largest request twice: at least 128"]),
        ("receivers: [", ["1:13: not valid YAML: expected the node content, but found '<stream end>'"]),
        ("just text", ["1:1: must be a mapping with receivers, processors, exporters and service"]),
        ("service: {}\nservice: {}", ["2:1: service: is here a second time (first in line 1)"]),
        ("a: !!python/object/apply:os.system [x]", ["1:4: not valid YAML: tags (!...) and keys that are no text are not allowed"]),
        ("exporters: {ledger: {directory: '${env:NOPE}'}}", ["1:33: exporters.ledger.directory: the environment variable NOPE is not set"]),
        ("exporters: {ledger: {directory: '${NOPE}'}}", ["1:33: exporters.ledger.directory: only ${env:NAME} and ${env:NAME:-default} are known; $$ is a dollar sign"]),
    ],
)  # fmt: skip
def test_an_error_names_place_key_and_nearest(text, expected):
    assert problems(text) == expected


def test_a_wrong_key_of_the_redaction_policy_has_its_place_too():
    [found] = problems("processors:\n  redaction:\n    pakcs: [secrets]\n")
    assert found.startswith("3:5: processors.redaction.pakcs: ")
    assert "'packs'" in found


def test_all_problems_of_a_file_are_told_at_once():
    found = problems("recievers: {}\nservice: {stat_dir: x}\nexporters: {otlp_http: {timeout: x}}\n")
    assert [text.split(":")[0] for text in found] == ["1", "2", "3", "3"]


def test_no_value_is_repeated_in_an_error():
    found = problems(
        "exporters: {otlp_http: {endpoint: http://x, headers: {authorization: [s3cret]}, bad: s3cret}}"
    )
    assert found
    assert "s3cret" not in "".join(found)


def test_what_pydantic_says_in_code_repeats_no_value_either():
    section = {"endpoint": "http://x", "headers": {"authorization": ["s3cret"]}, "timeout": "s3cret"}
    with pytest.raises(ValueError, match="2 validation errors") as caught:
        GatewayConfig.model_validate({"exporters": {"otlp_http": section}})
    assert "s3cret" not in str(caught.value)


def test_a_variable_cannot_add_keys_and_a_number_is_a_number():
    config = parse_config(
        "service:\n  state_dir: ${env:DIR}\n  intake:\n    max_size_mib: ${env:MIB}\n",
        environment={"DIR": "x\nexporters: {}", "MIB": "12"},
    )
    assert config.service.state_dir == Path("x\nexporters: {}")
    assert config.service.intake.max_size_mib == 12


def test_two_dollars_are_one():
    assert parse_config("service: {state_dir: 'a$$b${env:X:-}'}").service.state_dir == Path("a$b")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: can't be read \(No such file"):
        load_config(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "binary.yaml")


def test_anchors_and_merges_work():
    config = parse_config(
        "service: {pipelines: {traces: &p {exporters: [ledger]}, logs: {<<: *p}, metrics: *p}}"
    )
    assert {signal.value: p.exporters for signal, p in config.service.pipelines.items()} == dict.fromkeys(
        ("traces", "logs", "metrics"), ("ledger",)
    )
