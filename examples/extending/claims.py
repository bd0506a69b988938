# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An agent that settles insurance claims, recorded with Runrecord's conventions and with attributes of its own.

Prints its spans, log events and metrics as JSON::

    python claims.py
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from acme_conventions import SCHEMA_URL, attributes, metrics, signals
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from runrecord.instrumentation.recorder import Recorder, Run
from runrecord.semconv.attributes import RUN_ID, STEP_INDEX


@dataclass(frozen=True)
class Claim:
    """What a customer claims."""

    id: str
    kind: attributes.AcmeClaimClass
    amount: float


class Claims:
    """The agent. What it says of its own goes out under the schema URL of its own registry."""

    def __init__(self, traces: TracerProvider, logs: LoggerProvider, meters: MeterProvider) -> None:
        self._recorder = Recorder(tracer_provider=traces, logger_provider=logs)
        self._tracer = traces.get_tracer("acme.claims", schema_url=SCHEMA_URL)
        self._logger = logs.get_logger("acme.claims", schema_url=SCHEMA_URL)
        name = metrics.ACME_CLAIM_TRIAGE_DURATION
        meter = meters.get_meter("acme.claims", schema_url=SCHEMA_URL)
        self._duration = meter.create_histogram(name, unit=metrics.UNITS[name])

    def settle(self, claim: Claim) -> str:
        """Settle one claim, and say how."""
        about = {attributes.ACME_CLAIM_CLASS: claim.kind.value, attributes.ACME_CLAIM_ID: claim.id}
        with self._recorder.run(agent="claims-agent") as run:
            with run.step(kind="route") as step:
                fast_track = self._triage(
                    claim, {**about, RUN_ID: run.run_id, STEP_INDEX: step.step_index or 0}
                )
            decision = run.decision("coverage", version="7", subject=run.run_id, subject_type="run")
            # An attribute of Acme's own on a span of Runrecord's; the refinement in claims.yaml says that it belongs there.
            decision.set(about)
            if fast_track:
                decision.allow(rule="small_and_clear")
            else:
                decision.deny(rule="needs_an_expert")
            settled = (
                attributes.AcmeClaimSettlement.PAID if fast_track else attributes.AcmeClaimSettlement.REJECTED
            )
            self._say(run, {**about, attributes.ACME_CLAIM_SETTLEMENT: settled.value})
            return settled.value

    def _triage(self, claim: Claim, about: dict[str, str | int]) -> bool:
        """Sort the claim, in a span of Acme's own."""
        started = time.perf_counter()
        with self._tracer.start_as_current_span(
            f"{signals.SPAN_TRIAGE_CLAIM} {claim.kind.value}", attributes=about
        ) as span:
            fast_track = claim.kind is attributes.AcmeClaimClass.GLASS and claim.amount < 500
            span.set_attribute(attributes.ACME_CLAIM_FAST_TRACK, fast_track)
        labels = {attributes.ACME_CLAIM_CLASS: claim.kind.value}
        self._duration.record(time.perf_counter() - started, labels)
        return fast_track

    def _say(self, run: Run, about: dict[str, str]) -> None:
        event = signals.EVENT_ACME_CLAIM_SETTLED
        self._logger.emit(event_name=event, attributes={**about, RUN_ID: run.run_id})


def main() -> None:
    """Settle two claims and print what was recorded."""
    traces, logs = TracerProvider(), LoggerProvider()
    traces.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    logs.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
    meters = MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())])
    claims = Claims(traces, logs, meters)
    claims.settle(Claim("c-2026-0117", attributes.AcmeClaimClass.GLASS, 240.0))
    claims.settle(Claim("c-2026-0118", attributes.AcmeClaimClass.THEFT, 4100.0))
    for provider in (traces, logs, meters):
        provider.shutdown()


if __name__ == "__main__":
    main()
