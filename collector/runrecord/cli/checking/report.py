# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Collect findings in bounded memory, and write them as text or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from typing import Any

from runrecord.semconv.conformance import RULES, Finding, Severity

__all__ = ["Report"]

_SHOWN = 10


class Report:
    """What a check found.

    Args:
        rules: The rules that count; all if there are none.
        ignored: Those that don't.
        limit: How many findings are kept; all are counted.
    """

    def __init__(self, rules: Collection[str], ignored: Collection[str], limit: int) -> None:
        """Begin with nothing."""
        self._rules = frozenset(rules or RULES) - frozenset(ignored)
        self._limit = limit
        self.findings: list[Finding] = []
        self.counts: Counter[tuple[str, Severity]] = Counter()
        self.records = self.governed = self.files = 0

    def add(self, finding: Finding) -> bool:
        """Count a finding, and keep it if there is room; say whether it counts."""
        if finding.rule not in self._rules:
            return False
        self.counts[finding.rule, finding.severity] += 1
        if len(self.findings) < self._limit:
            self.findings.append(finding)
        return True

    @property
    def by_severity(self) -> dict[Severity, int]:
        """How many findings of each severity there are."""
        return {
            level: sum(number for (_, severity), number in self.counts.items() if severity is level)
            for level in Severity
        }

    @property
    def left_out(self) -> int:
        """How many findings were counted and not kept."""
        return self.counts.total() - len(self.findings)

    def fails(self, level: Severity | None) -> bool:
        """Say whether there is a finding of this level or a worse one."""
        return level is not None and any(
            number for severity, number in self.by_severity.items() if severity.rank >= level.rank
        )

    def text(self) -> str:
        """Write it for people: the worst first, each rule with its records and what to do."""
        lines: list[str] = []
        order = {rule: place for place, rule in enumerate(RULES)}
        for (rule, severity), count in sorted(
            self.counts.items(), key=lambda item: (-item[0][1].rank, order[item[0][0]])
        ):
            lines += [f"{severity.value.upper()} {rule} ({count:,})", f"  {RULES[rule].brief}"]
            kept = [item for item in self.findings if (item.rule, item.severity) == (rule, severity)]
            lines += [f"    {_line(item)}" for item in kept[:_SHOWN]]
            if count > min(len(kept), _SHOWN):
                lines.append(f"    ... and {count - min(len(kept), _SHOWN):,} more")
            lines += [f"  next: {RULES[rule].next_step}", ""]
        totals = ", ".join(
            f"{number:,} {level.value if level is Severity.INFORMATION else _many(level.value, number)}"
            for level, number in self.by_severity.items()
        )
        source = f" in {self.files:,} {_many('file', self.files)}" if self.files else ""
        lines.append(
            f"{self.records:,} {_many('record', self.records)} checked{source}, {self.governed:,} of them governed: {totals}"
        )
        return "\n".join(lines)

    def json(self) -> str:
        """Write it for programs."""
        return json.dumps(self.data(), indent=2)

    def data(self) -> dict[str, Any]:
        """Return what the JSON says."""
        return {
            "records": self.records,
            "governed": self.governed,
            "files": self.files,
            "counts": {level.value: number for level, number in self.by_severity.items()},
            "left_out": self.left_out,
            "findings": [
                {
                    "rule": item.rule,
                    "severity": item.severity.value,
                    "signal": item.signal,
                    "record": {
                        "form": item.subject.form,
                        "name": item.subject.name,
                        "trace_id": item.subject.trace_id,
                        "span_id": item.subject.span_id,
                    },
                    "file": item.subject.place.source,
                    "line": item.subject.place.line or None,
                    "offset": item.subject.place.offset if item.subject.place.offset >= 0 else None,
                    "attribute": item.attribute,
                    "message": item.message,
                    "next_step": item.next_step,
                    "count": item.count,
                }
                for item in self.findings
            ],
        }


def _line(finding: Finding) -> str:
    subject = finding.subject
    place = f"{subject.place}  " if subject.place.source else ""
    ids = f" ({subject.trace_id}/{subject.span_id})" if subject.span_id else ""
    return f"{place}{subject.form} {subject.name!r}{ids}: {finding.message}"


def _many(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"
