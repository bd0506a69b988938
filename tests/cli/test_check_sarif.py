# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""SARIF that a code host accepts: valid against the schema of the standard, with rules, places and levels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from runrecord.cli.checking.report import Report
from runrecord.cli.checking.sarif import sarif
from runrecord.semconv.conformance import RULES, Finding, Place, Severity, Subject

SCHEMA = json.loads((Path(__file__).parent / "sarif" / "sarif-schema-2.1.0.json").read_text())


def finding(rule: str, place: Place, severity: Severity = Severity.VIOLATION, count: int = 1) -> Finding:
    subject = Subject("span", "policy_decision refunds", "a" * 32, "b" * 16, place)
    return Finding(rule, severity, "runrecord.policy_decision", subject, "", "the message", count)


def log_of(*findings: Finding) -> Any:
    report = Report((), (), 100)
    for item in findings:
        report.add(item)
    log = json.loads(sarif(report))
    jsonschema.validate(log, SCHEMA)
    return log["runs"][0]


def test_every_rule_and_every_kind_of_place_is_valid() -> None:
    places = (Place(), Place("a b/ü.jsonl", 3), Place("traces.pb", 0, 120), Place("otlp:traces"))
    run = log_of(
        *(finding(rule, places[number % len(places)], count=number + 1) for number, rule in enumerate(RULES))
    )
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(RULES)
    assert all(
        run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        for result in run["results"]
    )


def test_a_report_without_findings_is_valid() -> None:
    assert log_of()["results"] == []


def test_lines_bytes_and_levels() -> None:
    run = log_of(
        finding("wrong-type", Place("a b/t.jsonl", 3)),
        finding("wrong-name", Place("t.pb", 0, 120), Severity.IMPROVEMENT),
        finding("wrong-kind", Place(), Severity.INFORMATION),
    )
    first, second, third = run["results"]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    physical = first["locations"][0]["physicalLocation"]
    assert physical == {"artifactLocation": {"uri": "a%20b/t.jsonl"}, "region": {"startLine": 3}}
    assert second["locations"][0]["physicalLocation"]["region"] == {"byteOffset": 120}
    assert "physicalLocation" not in third["locations"][0]
    assert third["locations"][0]["logicalLocations"][0]["kind"] == "span"


def test_the_same_finding_of_another_day_is_the_same_alert() -> None:
    run = log_of(finding("wrong-type", Place("t.jsonl", 3)), finding("wrong-type", Place("u.jsonl", 9)))
    assert len({result["partialFingerprints"]["runrecord/v1"] for result in run["results"]}) == 1
