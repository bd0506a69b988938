# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The page about metrics names only metrics and labels that there are, and every metric of ours."""

import re
from pathlib import Path

from runrecord.semconv.registry import load_registry

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
WORD = re.compile(r"\b(?:runrecord|gen_ai|error)_\w+")


def prometheus() -> tuple[dict[str, set[str]], set[str]]:
    """The names that Prometheus gives to our metrics, with the labels of each."""
    registry = load_registry()
    names: dict[str, set[str]] = {}
    for metric in (*registry.metrics.values(), *registry.official_metrics.values()):
        unit = "_seconds" if metric.unit == "s" else ""
        labels = {use.attribute.key.replace(".", "_") for use in metric.uses}
        for suffix in SUFFIXES[metric.instrument]:
            names[metric.name.replace(".", "_") + unit + suffix] = labels
    return names, set(registry.metrics)


def test_every_query_names_what_there_is() -> None:
    names, _ = prometheus()
    queries = re.findall(r"```(?:promql|yaml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(queries) > 8
    for query in queries:
        words = set(WORD.findall(query))
        metrics = words & set(names)
        assert metrics, query
        assert words - metrics <= set().union(*(names[name] for name in metrics)), query
        for name, selected in re.findall(r"(\w+)\{([^}]*)\}", query):
            assert set(WORD.findall(selected)) <= names[name], query
        assert all(query.count(left) == query.count(right) for left, right in ("()", "{}", "[]")), query


def test_every_metric_is_on_the_page() -> None:
    _, ours = prometheus()
    named = set(
        re.findall(r"\[`(runrecord\.[\w.]+)`\]\(conventions/metric-", PAGE.read_text(encoding="utf-8"))
    )
    assert named == ours
    for target in re.findall(r"\]\((conventions/[^)]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target
