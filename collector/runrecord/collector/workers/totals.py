# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of several processes shown as those of one: added up, and counters go on when a process dies and comes back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

Snapshot = list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]
"""Of each family its name, its type, its text, and of each sample name, labels and value."""

_ADDED: Final = frozenset({"counter", "histogram"})
_LARGEST: Final = ("_info", "_seconds", "_failed")
"""Gauges with these endings are the same everywhere, or tell how bad it is where it is worst; all others are amounts."""
_UPTIME: Final = "otelcol_process_uptime"
_Sample = tuple[str, tuple[tuple[str, str], ...]]


def snapshot(registry: CollectorRegistry) -> Snapshot:
    """Take what a process counts, in a form that can be sent."""
    return [
        (
            family.name,
            family.type,
            family.documentation,
            [(s.name, dict(s.labels), s.value) for s in family.samples if not s.name.endswith("_created")],
        )
        for family in registry.collect()
    ]


class _Family:
    def __init__(self, name: str, kind: str, text: str) -> None:
        self.name, self.kind, self.text = name, kind, text
        self.values: dict[_Sample, float] = {}

    @property
    def largest(self) -> bool:
        return self.name.startswith(_UPTIME) or (self.kind == "gauge" and self.name.endswith(_LARGEST))

    def add(self, sample: str, labels: dict[str, str], value: float) -> None:
        key = (sample, tuple(labels.items()))
        before = self.values.get(key)
        if before is None:
            self.values[key] = value
        else:
            self.values[key] = max(before, value) if self.largest else before + value

    def metric(self) -> Metric:
        metric = Metric(self.name, self.text, self.kind)
        for (sample, labels), value in self.values.items():
            metric.add_sample(sample, dict(labels), value)
        return metric


class Totals(Collector):
    """The sum over all processes, those that died included."""

    def __init__(self) -> None:
        """Begin without any."""
        self._now: dict[str, Snapshot] = {}
        self._before: dict[str, _Family] = {}

    def update(self, process: str, counted: Snapshot) -> None:
        """Replace what a process counted since it was started."""
        self._now[process] = counted

    def ended(self, process: str) -> None:
        """Keep what a process counted in its life; the next one of that name begins with 0."""
        for name, kind, text, samples in self._now.pop(process, []):
            if kind in _ADDED and not name.startswith(_UPTIME):
                _add(self._before, name, kind, text, samples)

    def collect(self) -> Iterable[Metric]:
        """Return the sums."""
        families: dict[str, _Family] = {}
        kept = [
            (
                f.name,
                f.kind,
                f.text,
                [(name, dict(labels), value) for (name, labels), value in f.values.items()],
            )
            for f in self._before.values()
        ]
        for counted in (kept, *self._now.values()):
            for name, kind, text, samples in counted:
                _add(families, name, kind, text, samples)
        return [family.metric() for family in families.values()]


def _add(families: dict[str, _Family], name: str, kind: str, text: str, samples: Iterable[Any]) -> None:
    family = families.setdefault(name, _Family(name, kind, text))
    for sample, labels, value in samples:
        family.add(sample, labels, value)
