# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Check telemetry against the registry: does each record carry what the conventions say, and nothing else?

Works on plain values, so that it serves tests, live checks and stored OTLP alike; ``records_of`` makes them of what the
OpenTelemetry SDK or its protobuf messages hold. It judges our signals, those of a registry that extends ours, and the
official GenAI part of any instrumentation. Rules that a record alone can break are judged at once; rules that take several
records (a decision without its run, counters, ids) at the end, in bounded memory.

What is only recommended may be missing, and a condition that the record does not show is not judged. Where the upstream live
check of weaver has the same rule, the severity is the same, but for official enumerations and deprecations: those are in
flux and have no release, so they are milder here.
"""

from runrecord.semconv.conformance.adapt import records_of
from runrecord.semconv.conformance.checker import Checker, check
from runrecord.semconv.conformance.findings import Finding, Subject
from runrecord.semconv.conformance.records import LogRecord, MetricRecord, Place, Record, SpanRecord
from runrecord.semconv.conformance.rules import RULES, Rule, Severity

__all__ = [
    "RULES",
    "Checker",
    "Finding",
    "LogRecord",
    "MetricRecord",
    "Place",
    "Record",
    "Rule",
    "Severity",
    "SpanRecord",
    "Subject",
    "check",
    "records_of",
]
