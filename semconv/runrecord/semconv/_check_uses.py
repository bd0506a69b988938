# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Check how signals and metrics use attributes, and how metrics are named and measured.

The rules for metrics are upstream's: semantic-conventions, docs/general/naming.md and docs/general/metrics.md.
"""

import re
from collections.abc import Iterator

from runrecord.semconv._model import Attribute, Metric, Use
from runrecord.semconv._yaml import Node

__all__ = ["metric_problems", "unbounded", "use_problems"]

_SENTENCE = re.compile(r"[A-Z].*\.\Z")
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)+\Z")
_UNIT = re.compile(r"(1|%|s|ms|us|ns|min|h|By|KiBy|MiBy|[a-zA-Z]+/s|\{[a-z][a-z_]*\}(/[a-z]+)?)\Z")
"""The part of UCUM that upstream asks for: seconds, bytes, ratios, and things that are counted, in braces."""
_UNBOUNDED = frozenset(
    {
        "id",
        "ref",
        "digest",
        "modified_digest",
        "index",
        "seq",
        "segment",
        "records",
        "trace_id",
        "span_id",
        "deadline",
        "amount",
        "consumed",
        "limit",
        "leaf_hash",
        "wait_seconds",
    }
)
"""Last words of attributes whose values are many, which can be part neither of a span name nor of a metric."""


def unbounded(attribute: Attribute) -> bool:
    """Say whether an attribute has so many values that no name and no metric may hold it."""
    if attribute.members or attribute.type == "boolean":
        return False
    return attribute.type != "string" or attribute.key.rsplit(".", 1)[-1] in _UNBOUNDED


def use_problems(use: Use) -> Iterator[str]:
    """Check one use of an attribute."""
    key = use.attribute.key
    if use.level == "conditionally_required" and not use.condition:
        yield f"{key} is conditionally required and does not say when"
    if use.condition and not _SENTENCE.match(use.condition):
        yield f"the condition of {key} must be a sentence: a capital letter and a full stop"
    if use.attribute.deprecated:
        yield f"{key} is deprecated" + (
            f"; use {use.attribute.renamed_to}" if use.attribute.renamed_to else ""
        )


def metric_problems(metric: Metric) -> Iterator[tuple[Node, str]]:
    """Check the name, the unit and the attributes of one metric."""
    if not metric.brief.endswith("."):
        yield metric.node, "the brief must end with a full stop"
    if not metric.ref:
        for what in _naming_problems(metric):
            yield metric.node, what
    for use in metric.uses:
        if use.inherited:
            continue
        yield from ((use.node, what) for what in use_problems(use))
        if unbounded(use.attribute):
            yield (
                use.node,
                f"{use.attribute.key} has many values; each would make a time series of its own",
            )


def _naming_problems(metric: Metric) -> Iterator[str]:
    if not _NAME.match(metric.name):
        yield "the name of a metric is two or more lower-case words with dots between them"
    last = metric.name.rsplit(".", 1)[-1]
    if last in ("count", "total") or last.endswith("_total"):
        yield f"the name must not end with {last}: name what is counted, in the plural, and say {{thing}} as the unit"
    if not _UNIT.match(metric.unit):
        yield f"the unit {metric.unit} is none of UCUM that the conventions use: s, By, 1, or a thing in braces"
    if last in ("duration", "wait") and metric.unit != "s":
        yield "a duration is measured in seconds: unit s"
    if metric.unit in ("s", "ms", "By") and metric.unit == last:
        yield "the unit does not belong in the name"
