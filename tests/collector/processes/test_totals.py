# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of several processes read like those of one, also after one of them died."""

from __future__ import annotations

import json

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runrecord.collector.telemetry import GatewayMetrics
from runrecord.collector.workers.totals import Totals, snapshot


class Process:
    """What one process counts."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.spans = Counter("spans", "Spans.", ("via",), registry=self.registry)
        self.bytes = Gauge("bytes", "Bytes.", registry=self.registry)
        self.lag = Gauge("lag_seconds", "Lag.", registry=self.registry)
        self.took = Histogram("took_seconds", "Time.", buckets=(1, 2), registry=self.registry)

    def count(self, spans, size, lag):
        self.spans.labels("grpc").inc(spans)
        self.bytes.set(size)
        self.lag.set(lag)
        self.took.observe(lag)
        return json.loads(json.dumps(snapshot(self.registry)))  # as it is sent


@pytest.fixture
def totals():
    """Return totals, and the way to read a sample of them."""
    registry, made = CollectorRegistry(), Totals()
    registry.register(made)
    return made, registry.get_sample_value


def test_amounts_are_added_and_ages_are_the_largest(totals):
    made, value = totals
    made.update("a", Process().count(3, 100, 0.5))
    made.update("b", Process().count(4, 50, 1.5))
    assert value("spans_total", {"via": "grpc"}) == 7
    assert value("bytes") == 150
    assert value("lag_seconds") == 1.5
    assert value("took_seconds_bucket", {"le": "1.0"}) == 1
    assert value("took_seconds_bucket", {"le": "+Inf"}) == 2
    assert value("took_seconds_sum") == 2.0


def test_counters_go_on_when_a_process_dies_and_gauges_go_with_it(totals):
    made, value = totals
    made.update("a", Process().count(3, 100, 0.5))
    made.update("b", Process().count(4, 50, 1.5))
    made.ended("b")
    assert (value("spans_total", {"via": "grpc"}), value("bytes"), value("lag_seconds")) == (7, 100, 0.5)
    made.update("b", Process().count(1, 10, 0.1))
    made.update("b", (again := Process()).count(1, 10, 0.1))
    made.update("b", again.count(1, 10, 0.1))
    assert value("spans_total", {"via": "grpc"}) == 3 + 4 + 2
    made.ended("b")
    made.ended("b")
    assert value("spans_total", {"via": "grpc"}) == 9
    assert value("took_seconds_count") == 4


def test_every_family_of_a_gateway_can_be_shown(totals):
    made, value = totals
    for name in ("a", "b"):
        metrics = GatewayMetrics()
        metrics.redaction_rules.labels("re2", "builtin-1").set(1)
        made.update(name, snapshot(metrics.registry))
    names = {metric.name for metric in made.collect()}
    assert names == {metric.name for metric in GatewayMetrics().registry.collect()}
    assert value("runrecord_redaction_info", {"engine": "re2", "rules": "builtin-1"}) == 1
    assert value("otelcol_process_uptime_seconds_total") < 60
