# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Write findings as SARIF 2.1.0, which code hosts show beside the code (OASIS, Static Analysis Results Interchange Format)."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from typing import Any, Final
from urllib.parse import quote

from runrecord.cli.checking.report import Report
from runrecord.semconv.conformance import RULES, Finding, Rule, Severity

__all__ = ["sarif"]

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {
    Severity.VIOLATION: "error",
    Severity.IMPROVEMENT: "warning",
    Severity.INFORMATION: "note",
}


def sarif(report: Report) -> str:
    """Write a report as one SARIF log with one run."""
    driver = {
        "name": "runrecord check",
        "version": metadata.version("runrecord"),
        "rules": [_rule(rule) for rule in RULES.values()],
    }
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding) for finding in report.findings],
        "properties": {"records": report.records, "leftOut": report.left_out},
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.id.split("-")),
        "shortDescription": {"text": rule.brief},
        "help": {"text": rule.next_step},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["opentelemetry", rule.part]},
    }


def _result(finding: Finding) -> dict[str, Any]:
    subject = finding.subject
    address = "/".join(part for part in (subject.trace_id, subject.span_id) if part)
    location: dict[str, Any] = {
        "logicalLocations": [
            {
                "name": subject.name,
                "fullyQualifiedName": f"{address}/{subject.name}" if address else subject.name,
                "kind": subject.form,
            }
        ]
    }
    place = subject.place
    if place.source:
        physical: dict[str, Any] = {
            "artifactLocation": {"uri": quote(place.source.replace("\\", "/"), safe="/:-._~")}
        }
        if place.line:
            physical["region"] = {"startLine": place.line}
        elif place.offset >= 0:
            physical["region"] = {"byteOffset": place.offset}
        location["physicalLocation"] = physical
    # The same finding on the same kind of record is the same alert, whatever the ids of the day.
    same = f"{finding.rule} {finding.signal} {finding.attribute} {subject.form}"
    return {
        "ruleId": finding.rule,
        "ruleIndex": list(RULES).index(finding.rule),
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}. {finding.next_step}"},
        "locations": [location],
        "occurrenceCount": finding.count,
        "partialFingerprints": {"runrecord/v1": hashlib.sha256(same.encode()).hexdigest()[:32]},
    }
