# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The consuming side of the gateway: a sequencer for each ledger, a forwarder for each back end, fed by the intake log."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from runrecord.collector.config import LedgerExporter, OtlpHttpExporter
from runrecord.collector.consumers import Forwarder, IntakeConsumer, LedgerSequencer
from runrecord.collector.consumers.quarantine import Quarantine
from runrecord.collector.consumers.transport import GrpcTransport, HttpTransport, Transport
from runrecord.collector.errors import StartError
from runrecord.collector.routing import takes
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.processors import compat
from runrecord.processors.ledger.projection import Projection, project_counted

if TYPE_CHECKING:
    from runrecord.collector.config import GatewayConfig
    from runrecord.collector.telemetry import GatewayMetrics, Health
    from runrecord.exporters.intake import Intake
    from runrecord.processors.signal import Signal
    from runrecord.semconv.commitment import TenantKey

_log = logging.getLogger(__name__)
_MIB: Final = 1 << 20
_POLL_SECONDS: Final = 0.02


def consumer_names(config: GatewayConfig) -> list[str]:
    """Name the cursors that a configuration needs: one of each ledger, and one of each back end and signal.

    A back end that takes no logs, say, must not keep it from getting traces.
    """
    names = [
        forwarder_name(name, signal) for name in config.forwarders for signal in config.pipelines_of(name)
    ]
    return [*config.ledgers, *names]


def forwarder_name(exporter: str, signal: Signal) -> str:
    """Name the cursor of an exporter for one signal."""
    return f"{exporter} {signal.value}"


class Consuming:
    """Everything that reads the intake log, each at its own pace."""

    def __init__(
        self,
        config: GatewayConfig,
        intake: Intake,
        *,
        key: TenantKey,
        metrics: GatewayMetrics,
        health: Health,
    ) -> None:
        """Prepare; `open` opens ledgers, `start` begins.

        Args:
            config: The configuration.
            intake: What is read; it knows the `consumer_names`.
            key: What the ledger's commitments are made with.
            metrics: What is counted.
            health: Where each consumer says how it is.
        """
        self._config = config
        self._intake = intake
        self._key = key
        self._metrics = metrics
        self._health = health
        self._consumers: list[IntakeConsumer] = []
        self._started = False

    @property
    def consumers(self) -> dict[str, IntakeConsumer]:
        """What reads the intake log, by name."""
        return {consumer.name: consumer for consumer in self._consumers}

    @property
    def _sequencers(self) -> list[LedgerSequencer]:
        return [consumer for consumer in self._consumers if isinstance(consumer, LedgerSequencer)]

    async def open(self) -> None:
        """Open ledgers and make clients of back ends.

        Raises:
            StartError: One of them can't be used.
        """
        for name, exporter in self._config.ledgers.items():
            ledger = await asyncio.to_thread(_open_ledger, name, exporter)
            self._consumers.append(self._sequencer(name, ledger))
        try:
            for name in self._config.forwarders:
                quarantine = self._quarantine(name)
                for signal in self._config.pipelines_of(name):
                    self._consumers.append(self._forwarder(name, signal, quarantine))
        except OSError as error:
            raise StartError(f"a file named in the configuration can't be read: {error}") from error

    def start(self) -> None:
        """Begin to consume."""
        self._started = True
        for consumer in self._consumers:
            consumer.start()

    async def stop(self) -> None:
        """Let consumers catch up for a bounded time, then stop them and close the ledgers."""
        if self._started and not await self.caught_up(self._config.service.drain_timeout):
            for consumer in self._consumers:
                if consumer.backlog_records:
                    _log.warning(
                        "%s: %d requests stay in the intake log", consumer.name, consumer.backlog_records
                    )
        await asyncio.gather(*(consumer.stop() for consumer in self._consumers))

    async def caught_up(self, timeout: float) -> bool:
        """Wait until every consumer has taken everything.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            False if one of them is still behind.
        """
        deadline = time.monotonic() + timeout
        while any(consumer.backlog_records for consumer in self._consumers):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    def refresh(self) -> None:
        """Set the gauges."""
        for consumer in self._consumers:
            self._metrics.intake_lag_records.labels(consumer.name).set(consumer.backlog_records)
        self.watch()

    def watch(self) -> None:
        """Show how checkpoints are; call it about once a second."""
        for sequencer in self._sequencers:
            sequencer.watch_checkpoints()

    # -- parts -------------------------------------------------------------------------------------------------

    def _sequencer(self, name: str, ledger: Ledger) -> LedgerSequencer:
        exporter = self._config.ledgers[name]

        def project(signal: Signal, body: bytes) -> Projection:
            return project_counted(signal, body, tenant_key=self._key)

        return LedgerSequencer(
            self._intake.consumer(name),
            ledger,
            reopen=lambda: Ledger(exporter.directory, origin=exporter.origin),
            project=project,
            wanted=takes(name, self._config.pipelines_of(name)),
            health=self._health,
            metrics=self._metrics,
            quarantine=self._quarantine(name),
        )

    def _forwarder(self, name: str, signal: Signal, quarantine: Quarantine) -> Forwarder:
        exporter = self._config.forwarders[name]
        pipeline = self._config.service.pipelines[signal]
        transport: Transport = (
            HttpTransport(exporter) if isinstance(exporter, OtlpHttpExporter) else GrpcTransport(exporter)
        )
        settings = self._config.processors.compat
        return Forwarder(
            self._intake.consumer(forwarder_name(name, signal)),
            transport,
            exporter=name,
            wanted=takes(name, {signal: pipeline}),
            health=self._health,
            metrics=self._metrics,
            quarantine=quarantine,
            retry=exporter.retry_on_failure,
            queue=exporter.sending_queue,
            compat=compat.openinference if settings and settings.openinference else None,
            compat_signals=[signal] if "compat" in pipeline.processors else [],
        )

    def _quarantine(self, name: str) -> Quarantine:
        service = self._config.service
        return Quarantine(
            service.state_dir / "quarantine", name, max_bytes=service.intake.max_size_mib * _MIB
        )


def _open_ledger(name: str, exporter: LedgerExporter) -> Ledger:
    try:
        return Ledger(exporter.directory, origin=exporter.origin)
    except LedgerError as error:
        raise StartError(f"{name}: {error.message}", next_step=error.next_step or "") from error
    except OSError as error:
        raise StartError(
            f"{name}: {exporter.directory} can't be used ({error.strerror})",
            next_step=f"set exporters.{name}.directory to a directory that this user can write",
        ) from error
