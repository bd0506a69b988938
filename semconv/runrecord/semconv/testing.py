# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""``assert_conforms``: one line in a test that holds what an application emits against the conventions.

Example::

    exporter = InMemorySpanExporter()
    ...  # run the agent
    assert_conforms(exporter.get_finished_spans(), log_exporter.get_finished_logs())

The pytest plugin offers the same as a fixture of the same name (see ``docs/check.md``).
"""

from collections.abc import Collection, Iterable
from contextlib import closing
from itertools import chain
from typing import Any

from runrecord.semconv.conformance import RULES, Checker, Finding, Severity, records_of
from runrecord.semconv.registry import Registry

__all__ = ["assert_conforms", "describe"]

_SHOWN = 50


def assert_conforms(
    spans: Iterable[Any] = (),
    logs: Iterable[Any] = (),
    *,
    metrics: Iterable[Any] = (),
    registry: Registry | None = None,
    fail_on: Severity = Severity.VIOLATION,
    ignore: Collection[str] = (),
    payload_free: bool = False,
    partial: bool = False,
) -> None:
    """Check spans, log records and metrics, one by one and together.

    Args:
        spans: of the OpenTelemetry SDK or of OTLP in protobuf, as the others; an export request will do as well.
        logs: log records.
        metrics: ``MetricsData``, or requests.
        registry: the conventions; those that come with the package by default.
        fail_on: the mildest finding that is an error.
        ignore: rules that are not judged.
        payload_free: content is an error wherever it is.
        partial: what is missing in the input (a run, a request, a record) is no error.

    Raises:
        AssertionError: something does not conform; lists the findings and what to do.
        ValueError: ``ignore`` names a rule that does not exist.
    """
    __tracebackhide__ = True
    if unknown := sorted(set(ignore) - set(RULES)):
        raise ValueError(f"no such rule: {', '.join(unknown)}; the rules are in docs/check.md")
    with closing(Checker(registry, payload_free=payload_free, partial=partial)) as checker:
        records = chain.from_iterable(records_of(part) for part in (spans, logs, metrics))
        every = chain(chain.from_iterable(map(checker.add, records)), checker.finish())
        wrong = [item for item in every if item.severity.rank >= fail_on.rank and item.rule not in ignore]
        checked = checker.records
    if wrong:
        raise AssertionError(describe(wrong, checked))


def describe(findings: list[Finding], checked: int) -> str:
    """Write findings for people: grouped by rule, each record with its ids, each rule with what to do."""
    lines = [f"{len(findings)} finding{'s' * (len(findings) != 1)} in {checked} records"]
    left = _SHOWN
    for rule in [rule for rule in RULES if any(item.rule == rule for item in findings)]:
        group = [item for item in findings if item.rule == rule]
        shown = group[: max(1, left)]
        left -= len(shown)
        lines += ["", f"{group[0].severity.value} {rule}: {RULES[rule].brief}"]
        for item in shown:
            ids = f" ({item.subject.trace_id}/{item.subject.span_id})" if item.subject.span_id else ""
            lines.append(f"  {item.subject.form} {item.subject.name!r}{ids}: {item.message}")
        if len(group) > len(shown):
            lines.append(f"  ... and {len(group) - len(shown)} more")
        lines.append(f"  next: {RULES[rule].next_step}")
    return "\n".join(lines)
