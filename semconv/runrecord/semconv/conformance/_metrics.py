# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Judge a metric: its name, unit and instrument, and that no label is an id."""

from collections.abc import Iterator
from typing import Final

from runrecord.semconv._model import Metric
from runrecord.semconv.conformance._tables import Tables
from runrecord.semconv.conformance._values import has_type, plain, type_name
from runrecord.semconv.conformance.findings import Problem, printable
from runrecord.semconv.conformance.records import MetricRecord

__all__ = ["judge_metric"]

_UNBOUNDED: Final = frozenset(
    {"id", "ref", "digest", "modified_digest", "seq", "index", "trace_id", "span_id", "leaf_hash"}
)


def judge_metric(tables: Tables, record: MetricRecord) -> Iterator[Problem]:
    """Go through what is wrong with a metric; nothing, if the registry neither has it nor its namespace."""
    metric = tables.metrics.get(record.name)
    if metric is None:
        if record.name.startswith(tables.namespaces):
            yield Problem("unknown-metric", "the registry has no metric of this name")
        return
    if record.unit != metric.unit:
        yield Problem("wrong-unit", f"the unit must be {metric.unit!r}")
    if record.instrument and record.instrument != metric.instrument:
        yield Problem(
            "wrong-instrument",
            f"it comes from a {record.instrument} and must come from a {metric.instrument}",
        )
    seen: set[tuple[str, str]] = set()
    for problem in _labels(tables, metric, record):
        if (problem.rule, problem.attribute) not in seen:  # once per metric, not per series
            seen.add((problem.rule, problem.attribute))
            yield problem


def _labels(tables: Tables, metric: Metric, record: MetricRecord) -> Iterator[Problem]:
    uses = {use.attribute.key for use in metric.uses}
    required = [use.attribute.key for use in metric.uses if use.level == "required"]
    for point in record.points:
        for key, value in point.items():
            check = tables.checks.get(key)
            if key in uses and check is not None:
                if not has_type(value, check.attribute.type):
                    kind = f"{type_name(value)} and must be of type {check.attribute.type}"
                    yield Problem("wrong-type", f"{key} is of type {kind}", key)
                elif check.members is not None and plain(value) not in check.members:
                    rule = "official-unknown-member" if check.attribute.official else "unknown-member"
                    yield Problem(rule, f"{key} has a value that is not one of its members", key)
            elif key.rsplit(".", 1)[-1] in _UNBOUNDED and key.startswith((*tables.namespaces, "gen_ai.")):
                yield Problem("id-as-label", f"{printable(key)} has no bounded set of values", key)
            elif key.startswith(tables.namespaces):
                rule = "misplaced-attribute" if key in tables.own_keys else "unknown-attribute"
                yield Problem(rule, f"{printable(key)} does not belong on {record.name}", key)
        for key in required:
            if key not in point:
                yield Problem("missing-required", f"{key} is required and missing", key)
