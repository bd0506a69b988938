# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the gateway's configuration to one of otelcol-contrib: receivers and exporters as they are, the policy as processors.

Every component that can pass data on unredacted after an error is told to refuse it instead: since release 0.157 or so the
collector's default is to go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import yaml

from runrecord.collector.compiler.re2 import translate
from runrecord.collector.compiler.report import Difference, Effect, Report
from runrecord.collector.compiler.statements import (
    MAPS,
    UNREACHED,
    Processors,
    keys,
    note_settings,
    patterns,
)
from runrecord.processors.signal import Signal
from runrecord.semconv import attributes as names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runrecord.collector.config import GatewayConfig
    from runrecord.collector.config.processors import TailSampling
    from runrecord.processors.redaction.rule import Rule

_STATEMENTS: Final = {
    Signal.TRACES: "trace_statements",
    Signal.LOGS: "log_statements",
    Signal.METRICS: "metric_statements",
}
_STORAGE: Final = "file_storage"
_QUEUE: Final = {"storage": _STORAGE, "block_on_overflow": True}
_EXPORTER_KEYS: Final = ("endpoint", "headers", "compression", "timeout", "retry_on_failure", "tls", "auth")
_RECEIVER_KEYS: Final = ("endpoint", "tls", "auth", "max_recv_msg_size_mib", "max_request_body_size")
_LINE: Final = 118


@dataclass(frozen=True)
class Compiled:
    """A configuration for a collector.

    Attributes:
        config: The configuration.
        report: What it does differently.
        source: What it was made of, in words.
    """

    config: dict[str, Any]
    report: Report
    source: str

    def to_yaml(self) -> str:
        """Write it, with the report in front."""
        lines = [
            f"Made by `runrecord compile --target otelcol-contrib` from {self.source}. Do not edit: change that, and compile again.",
            "What this configuration does differently from `runrecord gateway` (less: stays readable; more: redacted as well):",
            *(f"  {line}" for line in self.report.lines()),
        ]
        head = "".join(f"# {line}\n" for line in lines)
        return head + yaml.safe_dump(self.config, sort_keys=False, width=_LINE, allow_unicode=True)


def compile_otelcol(
    config: GatewayConfig, raw: Mapping[str, Any], rules: Sequence[tuple[Rule, str]], *, source: str
) -> Compiled:
    """Make a configuration of otelcol-contrib.

    Args:
        config: The gateway's configuration.
        raw: The same as it stands in the file, with ``${env:NAME}`` not filled in, so that no secret is copied.
        rules: The rules of the policy in order, each with its action.
        source: What it is made of, in words, for the head of the file.
    """
    report = Report()
    made: dict[str, Any] = {
        "receivers": {"otlp": _receiver(raw)},
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_percentage": 75, "spike_limit_percentage": 15}
        },
        "exporters": {},
        "extensions": {_STORAGE: {"directory": "/var/lib/otelcol/storage", "create_directory": True}},
        "service": {"extensions": [_STORAGE], "pipelines": {}},
    }
    _extensions(raw, made)
    for signal, pipeline in config.service.pipelines.items():
        steps = ["memory_limiter", *_redaction(signal, config, rules, made["processors"])]
        if "tail_sampling" in pipeline.processors and config.processors.tail_sampling is not None:
            made["processors"]["tail_sampling"] = _tail_sampling(config.processors.tail_sampling)
            steps.append("tail_sampling")
        # Not those of a routing: without it, each of them would get what all tenants send.
        exporters = [name for name in config.forwarders if name in pipeline.exporters]
        for name in exporters:
            made["exporters"][name] = _exporter(_section(raw, "exporters", name))
        if exporters:
            made["service"]["pipelines"][signal.value] = {
                "receivers": ["otlp"],
                "processors": steps,
                "exporters": exporters,
            }
    actions = {rule.id: action for rule, action in rules}
    note_settings(config.processors.redaction, [rule for rule, _ in rules], actions, report)
    _note_parts(config, report)
    return Compiled(made, report, source)


def _section(raw: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """Return a section of the file; empty if it is not there, or has nothing in it."""
    found: Any = raw
    for name in path:
        found = cast("dict[str, Any]", found).get(name) or {}
    return cast("dict[str, Any]", found)


def _receiver(raw: Mapping[str, Any]) -> dict[str, Any]:
    given = _section(_section(raw, "receivers", "otlp"), "protocols") or {"grpc": None, "http": None}
    defaults = {"grpc": "127.0.0.1:4317", "http": "127.0.0.1:4318"}
    protocols: dict[str, dict[str, Any]] = {}
    for name in given:
        section = _section(given, name)
        kept: dict[str, Any] = {key: section[key] for key in _RECEIVER_KEYS if key in section}
        protocols[name] = {"endpoint": defaults[name]} | kept
    return {"protocols": protocols}


def _exporter(raw: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: raw[key] for key in _EXPORTER_KEYS if key in raw}
    made["retry_on_failure"] = {"max_elapsed_time": 0, **(made.get("retry_on_failure") or {})}
    made["sending_queue"] = dict(_QUEUE)
    return made


def _extensions(raw: Mapping[str, Any], made: dict[str, Any]) -> None:
    for name, section in _section(raw, "extensions").items():
        if name.partition("/")[0] == "bearertokenauth":
            made["extensions"][name] = section
            made["service"]["extensions"].append(name)


def _redaction(
    signal: Signal, config: GatewayConfig, rules: Sequence[tuple[Rule, str]], processors: dict[str, Any]
) -> list[str]:
    """Add the processors of one signal; return their names in order."""
    policy = config.processors.redaction
    parts = Processors()
    keys(signal, policy, parts)
    parts.statements += patterns(
        signal, [rule for rule, _ in rules], {rule.id: action for rule, action in rules}
    )
    if policy.limits.attribute_bytes is not None:
        parts.statements += [
            f"truncate_all({path}, {policy.limits.attribute_bytes})" for path in MAPS[signal].values()
        ]
    steps: list[str] = []
    if parts.dropped:
        name = f"filter/{signal.value}"
        inner = {
            Signal.TRACES: ("traces", "span"),
            Signal.LOGS: ("logs", "log_record"),
            Signal.METRICS: ("metrics", "datapoint"),
        }
        outer, record = inner[signal]
        processors[name] = {"error_mode": "propagate", outer: {record: parts.dropped}}
        steps.append(name)
    if parts.statements:
        name = f"transform/{signal.value}"
        processors[name] = {
            "error_mode": "propagate",
            _STATEMENTS[signal]: _grouped(parts.statements),
        }
        steps.append(name)
    # Maps and lists as attribute values are out of OTTL's reach; the redaction processor turns those with a match into text.
    name = f"redaction/{signal.value}"
    processors[name] = {
        "allow_all_keys": True,
        "redact_all_types": True,
        "summary": "silent",
        "blocked_key_patterns": [_doubled(pattern) for pattern in parts.blocked_keys],
        "blocked_values": [_doubled(translate(rule).pattern) for rule, action in rules if action != "tag"],
    }
    steps.append(name)
    return steps


def _grouped(statements: Sequence[str]) -> list[dict[str, Any]]:
    """Put statements that change the same kind of record together: each group runs once for each of those records."""
    groups: dict[str, list[str]] = {}
    for statement in statements:
        target = statement.partition("(")[2].partition(".")[0]
        groups.setdefault(target, []).append(_doubled(statement))
    return [{"context": context, "statements": found} for context, found in groups.items()]


def _doubled(text: str) -> str:
    """A dollar sign begins a variable in the collector's YAML, unless there are two."""
    return text.replace("$", "$$")


def _tail_sampling(settings: TailSampling) -> dict[str, Any]:
    conditions = {
        "denial": f'span.attributes["{names.DECISION_OUTCOME}"] == "deny"',
        "approval": f'span.attributes["{names.APPROVAL_ID}"] != nil or span.attributes["{names.DECISION_OUTCOME}"] == "require_approval"',
        "budget": f'span.attributes["{names.BUDGET_EXCEEDED}"] == true or span.attributes["{names.RUN_OUTCOME}"] == "budget_exceeded"',
        "escalation": f'span.attributes["{names.RUN_OUTCOME}"] == "escalated" or span.attributes["{names.DECISION_OUTCOME}"] == "escalate"',
    }
    policies: list[dict[str, Any]] = [
        {
            "name": reason,
            "type": "ottl_condition",
            "ottl_condition": {"error_mode": "propagate", "span": [conditions[reason]]},
        }
        for reason in settings.keep
        if reason in conditions
    ]
    if "error" in settings.keep:
        policies.append({"name": "error", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}})
    policies.append(
        {
            "name": "share",
            "type": "probabilistic",
            "probabilistic": {"sampling_percentage": settings.sampling_percentage},
        }
    )
    return {
        "decision_wait": f"{settings.decision_wait:g}s",
        "decision_cache": {"sampled_cache_size": 200_000, "non_sampled_cache_size": 200_000},
        "policies": policies,
    }


def _note_parts(config: GatewayConfig, report: Report) -> None:
    policy, service = config.processors.redaction, config.service
    unreached = tuple(dict.fromkeys(name for signal in service.pipelines for name in UNREACHED[signal]))
    notes = (
        (bool(unreached), Difference("fields", Effect.LESS, "no stock processor changes these fields", fields=unreached)),
        (True, Difference("nested", Effect.OTHER, "a map or a list as the value of an attribute becomes text if anything in it is redacted, and what is found becomes ****")),
        (True, Difference("overlap", Effect.OTHER, "where two rules match the same text, the first in the order of the policy replaces its part, and the next one sees the rest")),
        (True, Difference("json", Effect.OTHER, "text is edited without regard to JSON in it: a number becomes text, an escape may be cut, \\u0040 is not read as @ in every rule")),
        (True, Difference("bytes", Effect.LESS, "values of type bytes are not looked at")),
        (policy.annotate, Difference("annotate", Effect.MISSING, "runrecord.redaction.* does not say what was redacted")),
        (policy.on_error != "reject", Difference("on-error", Effect.MISSING, "what can't be processed is refused, not set aside or masked")),
        (True, Difference("counts", Effect.MISSING, "nothing counts matches by rule")),
        (bool(config.ledgers), Difference("ledger", Effect.MISSING, "a collector has no ledger: nothing is sealed")),
        (True, Difference("durability", Effect.MISSING, "a request is acknowledged when it is in the exporter's queue, which is on disk but not synced")),
        (service.intake.kafka is not None, Difference("kafka", Effect.MISSING, "requests do not go through a topic: each collector has a queue of its own")),
        (any(each.stamp_ledger for each in config.forwarders.values()), Difference("stamp", Effect.MISSING, "spans do not say where the ledger holds them")),
        (any("compat" in each.processors for each in service.pipelines.values()), Difference("compat", Effect.MISSING, "no attributes for UIs that read another convention are added")),
        (any(each.routing for each in service.pipelines.values()), Difference("routing", Effect.MISSING, "the exporters of tenants are left out, since without a routing connector each would get what all tenants send")),
        (any("tail_sampling" in each.processors for each in service.pipelines.values()), Difference("tail-sampling", Effect.MISSING, "a trace is decided decision_wait after its first span and held in memory until then; runs that are longer, or of several traces, are not kept whole")),
    )  # fmt: skip
    for holds, difference in notes:
        if holds:
            report.add(difference)
