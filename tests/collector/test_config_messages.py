# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The exact words of everything that can be wrong with one key of a configuration file. Nobody should meet pydantic here."""

from __future__ import annotations

import pytest

from runrecord.collector import ConfigError, parse_config
from runrecord.processors.redaction.packs.discovery import pack_names

HTTP = "exporters: {ledger: {}, otlp_http: {endpoint: http://x, %s}}"
REDACTION = "processors: {redaction: {%s}}"
DURATION = "must be a duration, for example 300ms, 5s, 1m30s or 7d"
ADDRESS = "must be HOST:PORT, for example 127.0.0.1:4317"
URL = "must be a URL that begins with http:// or https://, for example http://localhost:4318"
KINDS = "unknown kind of exporter; there are otlp_http, otlp_grpc, ledger"
ACTIONS = "must be 'token', 'pseudonym', 'mask', 'hash', 'drop', 'drop_span'"


def problems(text):
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    return [problem.render("f.yaml").removeprefix("f.yaml:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # missing, empty
        ("exporters: {otlp_http: }", "1:13: exporters.otlp_http.endpoint: is required"),
        ("service: {pipelines: {traces: {}}}", "1:23: service.pipelines.traces.exporters: is required"),
        ("service: {pipelines: {traces: {exporters: []}}}", "1:32: service.pipelines.traces.exporters: name at least one exporter"),
        ("service: {pipelines: {traces: {receivers: [], exporters: [ledger]}}}", "1:32: service.pipelines.traces.receivers: name at least one receiver"),
        ("service: {pipelines: {}}", "1:11: service.pipelines: name at least one pipeline"),
        ("exporters: {otlp_http: {endpoint: http://x}}", "1:1: service.pipelines: is required to use these exporters, for example {traces: {exporters: [otlp_http]}}"),
        ("service: {state_dir: ''}", "1:11: service.state_dir: must not be empty"),
        ("exporters: {ledger: {directory: ''}}", "1:22: exporters.ledger.directory: must not be empty"),
        (REDACTION % "keys: [{match: '', action: mask}]", "1:34: processors.redaction.keys.0.match: must not be empty"),
        (REDACTION % "keys: [{action: mask}]", "1:33: processors.redaction.keys.0.match: is required"),
        # wrong type
        ("receivers: 1", "1:1: receivers: must be a mapping, not a number"),
        ("exporters:", "1:1: exporters: must be a mapping; it has no value"),
        ("exporters: {otlp_http: []}", "1:13: exporters.otlp_http: must be a mapping, not a list"),
        ("exporters: {ledger: here}", "1:13: exporters.ledger: must be a mapping, not text"),
        ("service: {pipelines: [traces]}", "1:11: service.pipelines: must be a mapping, not a list"),
        ("service: {pipelines: {traces: ledger}}", "1:23: service.pipelines.traces: must be a mapping, not text"),
        ("service: {telemetry: 2026-01-01}", "1:11: service.telemetry: must be a mapping, not a date"),
        ("service: {telemetry: true}", "1:11: service.telemetry: must be a mapping, not true"),
        ("service: {pipelines: {traces: {exporters: ledger}}}", "1:32: service.pipelines.traces.exporters: must be a list, not text"),
        (REDACTION % "packs: pii", "1:26: processors.redaction.packs: must be a list, not text"),
        ("service: {pipelines: {traces: {exporters: [1]}}}", "1:44: service.pipelines.traces.exporters.0: must be text, not a number; put it in quotes"),
        (HTTP % "headers: {a: 1}", "1:67: exporters.otlp_http.headers.a: must be text, not a number; put it in quotes"),
        (HTTP % "headers: {a: no}", "1:67: exporters.otlp_http.headers.a: must be text, not false; put it in quotes"),
        (HTTP % "headers: {a: }", "1:67: exporters.otlp_http.headers.a: must be text; it has no value"),
        (HTTP % "headers: {a: [s3cret]}", "1:67: exporters.otlp_http.headers.a: must be text, not a list"),
        (HTTP % "headers: [a]", "1:57: exporters.otlp_http.headers: must be a mapping, not a list"),
        ("service: {state_dir: [a]}", "1:11: service.state_dir: must be a path, not a list"),
        ("service: {state_dir: 5}", "1:11: service.state_dir: must be a path, not a number; put it in quotes"),
        ("service: {intake: {max_size_mib: lots}}", "1:20: service.intake.max_size_mib: must be a whole number, not text"),
        ("service: {intake: {max_size_mib: 1.5}}", "1:20: service.intake.max_size_mib: must be a whole number"),
        (HTTP % "retry_on_failure: {multiplier: x}", "1:76: exporters.otlp_http.retry_on_failure.multiplier: must be a number, not text"),
        (HTTP % "retry_on_failure: {multiplier: .inf}", "1:76: exporters.otlp_http.retry_on_failure.multiplier: must be a finite number"),
        ("exporters: {otlp_grpc: {endpoint: 'x:1', tls: {insecure: maybe}}}", "1:48: exporters.otlp_grpc.tls.insecure: must be true or false, not text"),
        ("exporters: {otlp_grpc: {endpoint: 'x:1', tls: {insecure: [1]}}}", "1:48: exporters.otlp_grpc.tls.insecure: must be true or false, not a list"),
        (HTTP % "sending_queue: {num_consumers: true}", "1:73: exporters.otlp_http.sending_queue.num_consumers: must be a whole number, not true"),
        ("service: {intake: {max_size_mib: on}}", "1:20: service.intake.max_size_mib: must be a whole number, not true"),
        (HTTP % "retry_on_failure: {multiplier: true}", "1:76: exporters.otlp_http.retry_on_failure.multiplier: must be a number, not true"),
        (REDACTION % "limits: {leaf_confirms: true}", "1:35: processors.redaction.limits.leaf_confirms: must be a whole number, not true"),
        (REDACTION % "limits: {attribute_bytes: true}", "1:35: processors.redaction.limits.attribute_bytes: must be a whole number, not true"),
        # limits
        ("service: {intake: {max_size_mib: 0}}", "1:20: service.intake.max_size_mib: must be at least 1"),
        (HTTP % "sending_queue: {num_consumers: 65}", "1:73: exporters.otlp_http.sending_queue.num_consumers: must be at most 64"),
        (HTTP % "retry_on_failure: {initial_interval: 0}", "1:76: exporters.otlp_http.retry_on_failure.initial_interval: must be more than 0"),
        # durations, addresses, URLs, headers
        ("service: {drain_timeout: soon}", f"1:11: service.drain_timeout: {DURATION}"),
        ("service: {drain_timeout: }", f"1:11: service.drain_timeout: {DURATION}"),
        (HTTP % "timeout: true", f"1:57: exporters.otlp_http.timeout: {DURATION}"),
        ("service: {drain_timeout: .inf}", "1:11: service.drain_timeout: must be a finite number"),
        ("receivers: {otlp: {protocols: {http: {endpoint: localhost}}}}", f"1:39: receivers.otlp.protocols.http.endpoint: {ADDRESS}"),
        ("exporters: {otlp_grpc: {endpoint: http://x:1}}", f"1:25: exporters.otlp_grpc.endpoint: {ADDRESS}"),
        ("exporters: {otlp_grpc: {endpoint: 'x:99999'}}", f"1:25: exporters.otlp_grpc.endpoint: {ADDRESS}"),
        ("service: {telemetry: {metrics: {address: 8888}}}", "1:33: service.telemetry.metrics.address: must be text, not a number; put it in quotes"),
        ("exporters: {otlp_http: {endpoint: x:1}}", f"1:25: exporters.otlp_http.endpoint: {URL}"),
        ("exporters: {otlp_http: {endpoint: 'http://[::1'}}", f"1:25: exporters.otlp_http.endpoint: {URL}"),
        ("exporters: {otlp_http: {endpoint: 'http://x:99999'}}", f"1:25: exporters.otlp_http.endpoint: {URL}"),
        ("exporters: {otlp_http: {endpoint: 'http://x?token=s3cret'}}", "1:25: exporters.otlp_http.endpoint: must end with a path; put a token into headers, as ${env:NAME}"),
        (HTTP % 'headers: {a: "s3cret\\n"}', "1:67: exporters.otlp_http.headers.a: must be one line of printable ASCII; is there a line break at its end?"),
        (HTTP % "headers: {a b: x}", "1:67: exporters.otlp_http.headers.a b: is not a valid name of a header"),
        # one of a few
        (HTTP % "compression: gzpi", "1:57: exporters.otlp_http.compression: must be 'gzip', 'zstd' or 'none' (did you mean 'gzip'?)"),
        (HTTP % "compression: [gzip]", "1:57: exporters.otlp_http.compression: must be 'gzip', 'zstd' or 'none'"),
        (REDACTION % "engine: re3", "1:26: processors.redaction.engine: must be 'auto', 'hyperscan', 're2' or 'stdlib' (did you mean 're2'?)"),
        (REDACTION % "rules: {email: masc}", f"1:34: processors.redaction.rules.email: {ACTIONS} or 'tag' (did you mean 'mask'?)"),
        (REDACTION % "content: {a: dorp}", f"1:36: processors.redaction.content.a: {ACTIONS}, 'tag' or 'keep' (did you mean 'drop'?)"),
        (REDACTION % "packs: [piii]", f"1:26: processors.redaction.packs: no pack 'piii'; there are {', '.join(pack_names())}"),
        ("exporters: {otlphttp: {endpoint: http://x}}", f"1:13: exporters.otlphttp: {KINDS} (did you mean 'otlp_http'?)"),
        ("exporters: {kafka: {}}", f"1:13: exporters.kafka: {KINDS}"),
        ("exporters: {1: {}}", f"1:13: exporters.1: {KINDS}"),
        ("service: {pipelines: {trace: {exporters: [ledger]}}}", "1:23: service.pipelines.trace: unknown pipeline; there are traces, logs, metrics (did you mean 'traces'?)"),
        # what start-up would refuse
        (REDACTION % "packs: [secrets], rules: {emial: mask}", "1:52: processors.redaction.rules.emial: no rule 'emial'; `docs/redaction.md` lists the rules"),
        (REDACTION % "rules: {emial: mask}", "1:34: processors.redaction.rules.emial: no rule 'emial' (did you mean 'email'?)"),
        (REDACTION % "rule_files: [nope.yaml]", "1:39: processors.redaction.rule_files.0: rule file nope.yaml: cannot be read (FileNotFoundError)"),
        (REDACTION % "content: {gen_ai.*: drop}", "1:36: processors.redaction.content.gen_ai.*: 'gen_ai.*' must be an exact key; put globs under redaction.keys"),
        ("exporters: {ledger: {}, otlp_grpc: {endpoint: 'x:1', tls: {ca_file: /no/s.pem}}}\nservice: {pipelines: {logs: {exporters: [otlp_grpc]}}}", "1:60: exporters.otlp_grpc.tls.ca_file: can't be read (No such file or directory)"),
        ("exporters: {ledger: {origin: a b}}", "1:22: exporters.ledger.origin: must be a name without white space and plus signs, for example example.com/agents"),
        # unknown keys
        ("on: {}", "1:1: on: unknown key; valid here: exporters, extensions, processors, receivers, service"),
        ("receivers: {zipkin: {}}", "1:13: receivers.zipkin: unknown key; valid here: otlp"),
        (HTTP % "kind: ledger", "1:57: exporters.otlp_http.kind: unknown key; valid here: auth, compression, endpoint, headers, retry_on_failure, sending_queue, stamp_ledger, timeout, tls"),
        (REDACTION % "rules: {email: {acton: mask}}", "1:42: processors.redaction.rules.email.acton: unknown key; valid here: action, enabled (did you mean 'action'?)"),
        (REDACTION % "keys: [{match: a, action: mask, tol: x}]", "1:58: processors.redaction.keys.0.tol: unknown key; valid here: action, agent, environment, inside_json, match, tenant, tool (did you mean 'tool'?)"),
        ("processors: {compat: {openinferenz: true}}", "1:23: processors.compat.openinferenz: unknown key; valid here: openinference (did you mean 'openinference'?)"),
        # YAML itself
        ("a: 1\n\tb: 2", "2:1: not valid YAML: found character '\\t' that cannot start any token"),
        ("a: *s3cret", "1:4: not valid YAML: there is no anchor of this name, or there are two"),
        ("a: !s3cret x", "1:4: not valid YAML: tags (!...) and keys that are no text are not allowed"),
        ("? [s3cret]\n: b", "1:3: not valid YAML: tags (!...) and keys that are no text are not allowed"),
    ],
)  # fmt: skip
def test_the_words(text, said):
    [found] = problems(text)
    assert found == said
    assert "s3cret" not in found


def test_every_unknown_key_of_a_file_is_told_with_every_other_problem():
    text = """
recievers: {}
processors:
  redaction: {pakcs: [pii], keys: [{match: a, action: mask, bad: 1}], limits: {leaf_confirm: 1}, engine: re3}
  compact: {}
exporters:
  otlp_http/a: {endpoint: x, timeot: 1s}
  ledger: {dir: x}
service:
  intake: {max_size: 1}
  pipelines: {traces: {exporterz: [], exporters: []}}
"""
    assert [problem.split(": ")[:2] for problem in problems(text)] == [
        ["2:1", "recievers"],
        ["4:15", "processors.redaction.pakcs"],
        ["4:61", "processors.redaction.keys.0.bad"],
        ["4:80", "processors.redaction.limits.leaf_confirm"],
        ["4:98", "processors.redaction.engine"],
        ["5:3", "processors.compact"],
        ["7:17", "exporters.otlp_http/a.endpoint"],
        ["7:30", "exporters.otlp_http/a.timeot"],
        ["8:12", "exporters.ledger.dir"],
        ["10:12", "service.intake.max_size"],
        ["11:24", "service.pipelines.traces.exporterz"],
        ["11:39", "service.pipelines.traces.exporters"],
    ]


def test_rules_and_rule_files_are_looked_at_as_at_the_start(tmp_path):
    """Every mistake is told at once, and keyed actions need no key here."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("- {id: acme, seed: ab, exact: ab, examples: [cd]}\n")
    text = f"""
processors:
  redaction:
    packs: [secrets, pii]
    rule_files:
      - {broken}
      - {tmp_path / "gone.yaml"}
    keys: [{{match: a, action: pseudonym}}]
    content: {{"x?": drop}}
"""
    assert [problem.split(": ")[:3] for problem in problems(text)] == [
        ["6:9", "processors.redaction.rule_files.0", "rule file broken.yaml, rule 1"],
        ["7:9", "processors.redaction.rule_files.1", "rule file gone.yaml"],
        [
            "9:15",
            "processors.redaction.content.x?",
            "'x?' must be an exact key; put globs under redaction.keys",
        ],
    ]
    broken.write_text("- {id: acme, seed: ab, exact: ab, examples: [ab], action: hash}\n")
    good = f"processors: {{redaction: {{rule_files: [{broken}], rules: {{acme: pseudonym}}}}}}"
    assert parse_config(good).processors.redaction.rule_files == (broken,)
    broken.write_text("- {id: email, seed: ab, exact: ab, examples: [ab]}\n")
    assert problems(good)[0].endswith("two rules have the id 'email'; rename the one in your rule file")


def test_an_alias_has_the_problems_of_its_anchor_at_its_own_place():
    text = "service: {pipelines: {traces: &p {exporters: []}, logs: *p}}"
    assert problems(text) == [
        "1:35: service.pipelines.traces.exporters: name at least one exporter",
        "1:51: service.pipelines.logs.exporters: name at least one exporter",
    ]
