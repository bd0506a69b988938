# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the gateway tells about itself: metrics for Prometheus, and health as JSON. Never content."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from runrecord.processors.signal import Signal

if TYPE_CHECKING:
    from runrecord.collector.receiver.requests import Checked
    from runrecord.collector.receiver.status import Refusal

_STATM: Final = Path("/proc/self/statm")
ITEMS = {Signal.TRACES: "spans", Signal.LOGS: "log_records", Signal.METRICS: "metric_points"}


class GatewayMetrics:
    """The metrics of one gateway, in a registry of their own.

    The collector's names where the collector has them (``otelcol_receiver_accepted_spans`` and its siblings; the text format
    adds ``_total``), ``runrecord_*`` for the rest.
    """

    def __init__(self) -> None:
        """Make all of them, so that they are there with 0 from the start."""
        self.registry = CollectorRegistry()

        def by_signal(name: str, text: str, *labels: str) -> dict[Signal, Counter]:
            return {
                signal: Counter(
                    f"otelcol_{name}_{items}",
                    f"{text} {items.replace('_', ' ')}.",
                    labels,
                    registry=self.registry,
                )
                for signal, items in ITEMS.items()
            }

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"runrecord_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"runrecord_{name}", text, labels, registry=self.registry)

        self._accepted = by_signal("receiver_accepted", "Durably accepted", "receiver", "transport")
        self._rejected = by_signal("receiver_failed", "Rejected one by one", "receiver", "transport")
        self._sent = by_signal("exporter_sent", "Delivered to the back end", "exporter")
        self._send_failed = by_signal(
            "exporter_send_failed", "Rejected by the back end, or set aside", "exporter"
        )
        self._refused = Counter(
            "otelcol_receiver_refused_requests",
            "Requests that were refused as a whole.",
            ("receiver", "transport", "signal", "code"),
            registry=self.registry,
        )
        self._retries = counter("exporter_retries", "Attempts that have to be repeated.", "exporter")
        self._quarantined = counter("quarantined_requests", "Requests set aside.", "exporter", "reason")
        self._matches = counter("redaction_matches", "Matches that were redacted.", "rule")
        self._redaction_errors = counter(
            "redaction_errors", "Requests refused because redaction failed.", "signal"
        )
        self.redaction_rules = gauge("redaction_info", "1, with what redacts as labels.", "engine", "rules")
        self.ledger_entries = gauge("ledger_entries", "Entries in the ledger.", "ledger")
        self.ledger_unpublished = gauge(
            "ledger_unpublished_entries", "Durable entries that no checkpoint covers yet.", "ledger"
        )
        self.ledger_publish_failed = gauge(
            "ledger_publish_failed", "1 while no checkpoint can be written or signed.", "ledger"
        )
        self.ledger_appended = counter("ledger_appended", "Entries handed to the ledger.", "ledger", "status")
        self.ledger_skipped = counter(
            "ledger_skipped", "Governed records that can't be entries.", "ledger", "reason"
        )
        self.intake_bytes = gauge("intake_bytes", "Bytes of the intake log on disk.")
        self.intake_limit = gauge("intake_limit_bytes", "Bytes at which the intake log refuses.")
        self._intake_lag_records = gauge(
            "intake_lag_records", "Requests that a consumer has not taken.", "consumer"
        )
        self.intake_lag_seconds = gauge(
            "intake_lag_seconds", "Age of the oldest request that some consumer has not taken."
        )
        self.accept_seconds = Histogram(
            "runrecord_accept_seconds",
            "Time from a whole request to its acknowledgement.",
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )
        self.redaction_seconds = Histogram(
            "otelcol_processor_internal_duration_seconds",
            "Time that a processor takes for a request.",
            ("processor",),
            registry=self.registry,
            buckets=(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10),
        ).labels("redaction")
        self._queue_size = Gauge(
            "otelcol_exporter_queue_size",
            "Bytes of the intake log that an exporter has not taken.",
            ("exporter",),
            registry=self.registry,
        )
        self._queue_capacity = Gauge(
            "otelcol_exporter_queue_capacity",
            "Bytes of the intake log at which requests are refused.",
            ("exporter",),
            registry=self.registry,
        )
        self._sampled = counter("sampling_spans", "Spans that tail sampling decided about.", "decision")
        self._sampling_waiting = gauge("sampling_waiting_spans", "Spans of runs that are not decided yet.")
        self._sampling_bytes = gauge(
            "sampling_waiting_bytes", "Bytes of runs that are not decided yet, on disk."
        )
        self._sampling_early = gauge(
            "sampling_early_runs", "Runs decided before their end for want of room, since the start."
        )
        self.registry.register(ProcessMetrics())
        for signal in Signal:
            for transport in ("grpc", "http"):
                self._accepted[signal].labels("otlp", transport)

    def accepted(self, signal: Signal, checked: Checked, counts: Mapping[str, int], transport: str) -> None:
        """Count a request that was taken, and what was redacted in it."""
        self._accepted[signal].labels("otlp", transport).inc(checked.accepted)
        if checked.rejected:
            self._rejected[signal].labels("otlp", transport).inc(checked.rejected)
        for rule, number in counts.items():
            self._matches.labels(rule).inc(number)

    def refused(self, signal: Signal, transport: str, refusal: Refusal) -> None:
        """Count a request that was refused."""
        self._refused.labels("otlp", transport, signal.value, refusal.code.name).inc()

    def redaction_failed(self, signal: Signal) -> None:
        """Count a request that could not be redacted."""
        self._redaction_errors.labels(signal.value).inc()

    def sent(self, exporter: str, signal: Signal, items: int) -> None:
        """Count what a back end took."""
        self._sent[signal].labels(exporter).inc(items)

    def send_failed(self, exporter: str, signal: Signal, items: int) -> None:
        """Count records that a back end rejected one by one, or whose request was set aside."""
        self._send_failed[signal].labels(exporter).inc(items)

    def quarantined(self, exporter: str, reason: str) -> None:
        """Count a request that was set aside."""
        self._quarantined.labels(exporter, reason).inc()

    def retried(self, exporter: str) -> None:
        """Count an attempt that has to be repeated."""
        self._retries.labels(exporter).inc()

    def sampled(self, kept: int, dropped: int) -> None:
        """Count spans that tail sampling decided about."""
        self._sampled.labels("kept").inc(kept)
        self._sampled.labels("dropped").inc(dropped)

    def sampling_waiting(self, spans: int, size: int, early: int) -> None:
        """Show what waits for a decision, and how many runs were decided for want of room."""
        self._sampling_waiting.set(spans)
        self._sampling_bytes.set(size)
        self._sampling_early.set(early)

    def waiting(self, requests: Mapping[str, int], size: Mapping[str, int], capacity: int | None) -> None:
        """Show what waits in the intake log.

        Args:
            requests: How many requests each consumer has not taken.
            size: How many bytes each exporter has not taken.
            capacity: At how many bytes requests are refused; None if something else says that.
        """
        for gauge in (self._intake_lag_records, self._queue_size, self._queue_capacity):
            gauge.clear()  # a reload may have taken one away
        for consumer, number in requests.items():
            self._intake_lag_records.labels(consumer).set(number)
        if capacity is not None:
            for exporter, number in size.items():
                self._queue_size.labels(exporter).set(number)
                self._queue_capacity.labels(exporter).set(capacity)

    def render(self) -> tuple[str, bytes]:
        """Return content type and text for Prometheus."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.registry)


class ProcessMetrics(Collector):
    """The collector's ``otelcol_process_*``, read when somebody looks."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def collect(self) -> Iterable[Metric]:
        """Return CPU time, uptime and memory."""
        cpu = CounterMetricFamily(
            "otelcol_process_cpu_seconds",
            "CPU time of the process, user and system.",
            value=time.process_time(),
        )
        uptime = CounterMetricFamily(
            "otelcol_process_uptime_seconds",
            "Time since the gateway started.",
            value=time.monotonic() - self._started,
        )
        memory = GaugeMetricFamily(
            "otelcol_process_memory_rss_bytes", "Physical memory of the process.", value=_resident_bytes()
        )
        return [cpu, uptime, memory]


def _resident_bytes() -> int:
    """Source: proc(5), /proc/[pid]/statm; elsewhere the most that it ever was."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


@dataclass
class PartHealth:
    """How one part is.

    Attributes:
        ok: False makes the whole degraded.
        message: Why, in one sentence; empty if all is well.
        since: Unix time of the last change.
        facts: Further numbers to show.
    """

    ok: bool = True
    message: str = ""
    since: float = field(default_factory=time.time)
    facts: Callable[[], Mapping[str, Any]] = dict

    def set(self, *, ok: bool, message: str = "") -> bool:
        """Change it.

        Returns:
            True if it was not like that before.
        """
        changed = (ok, message) != (self.ok, self.message)
        if ok != self.ok:
            self.since = time.time()
        self.ok, self.message = ok, message
        return changed


class Health:
    """The parts of a gateway and how they are."""

    def __init__(self) -> None:
        """Begin without parts."""
        self._parts: dict[str, PartHealth] = {}
        self._started = time.time()
        self.stopping = False

    def part(self, name: str, facts: Callable[[], Mapping[str, Any]] = dict) -> PartHealth:
        """Add a part.

        Args:
            name: How it is shown.
            facts: Called for each answer; its numbers are shown with the part.
        """
        self._parts[name] = PartHealth(facts=facts)
        return self._parts[name]

    def drop(self, name: str) -> None:
        """Take a part away."""
        self._parts.pop(name, None)

    def render(self) -> tuple[int, bytes]:
        """Return the HTTP status (503 if anything is wrong) and the JSON."""
        parts = {
            name: {
                "status": "ok" if part.ok else "degraded",
                **({"message": part.message, "since": _iso(part.since)} if part.message else {}),
                **part.facts(),
            }
            for name, part in self._parts.items()
        }
        ok = not self.stopping and all(part.ok for part in self._parts.values())
        status = "stopping" if self.stopping else "ok" if ok else "degraded"
        body = {"status": status, "since": _iso(self._started), "parts": parts}
        return (200 if ok else 503), json.dumps(body, indent=2).encode() + b"\n"


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
