# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the gateway tells about itself: metrics for Prometheus, and health as JSON. Never content."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from runrecord.processors.signal import Signal

if TYPE_CHECKING:
    from runrecord.collector.receiver.requests import Checked
    from runrecord.collector.receiver.status import Refusal

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
        self.intake_lag_records = gauge(
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

    def render(self) -> tuple[str, bytes]:
        """Return content type and text for Prometheus."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.registry)


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
