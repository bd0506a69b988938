# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway: every part of it in one event loop, started in an order in which nothing is accepted too early.

Ledger and intake log are opened first, ports are bound next, consumers begin, and only then are requests answered. It stops
the other way round: no new requests, answers to those under way, consumers catch up, a last checkpoint, locks given up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from runrecord.collector.config import GatewayConfig, LedgerExporter, OtlpHttpExporter
from runrecord.collector.config_file import check_references
from runrecord.collector.consumers import Forwarder, IntakeConsumer, LedgerSequencer
from runrecord.collector.consumers.quarantine import Quarantine
from runrecord.collector.consumers.transport import GrpcTransport, HttpTransport, Transport
from runrecord.collector.errors import ConfigError, StartError
from runrecord.collector.receiver import Acceptor, GrpcReceiver, HttpReceiver
from runrecord.collector.servers import HttpServer, health_application, metrics_application
from runrecord.collector.telemetry import GatewayMetrics, Health
from runrecord.collector.values import HostPort, parse_address
from runrecord.exporters.errors import IntakeError
from runrecord.exporters.intake import IntakeLimits, IntakeLog
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.processors import compat
from runrecord.processors.errors import ProcessorError
from runrecord.processors.ledger.projection import Projection, project_counted
from runrecord.processors.redaction import Redactor
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import TenantKey, load_tenant_key
from runrecord.semconv.errors import TenantKeyError

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger(__name__)
_MIB: Final = 1 << 20
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True)
class Bound:
    """Where a running gateway listens; None for what is off.

    Attributes:
        grpc: OTLP over gRPC.
        http: OTLP over HTTP.
        metrics: Prometheus.
        health: Health.
    """

    grpc: HostPort | None = None
    http: HostPort | None = None
    metrics: HostPort | None = None
    health: HostPort | None = None


class Gateway:
    """A gateway that runs in the current event loop.

    Example:
        >>> async with Gateway(config) as gateway:  # doctest: +SKIP
        ...     print(gateway.bound.http)

    Attributes:
        config: What it was made of.
        metrics: Its metrics.
        health: Its health.
        bound: Where it listens, once it has started.
    """

    def __init__(self, config: GatewayConfig) -> None:
        """Check the configuration; nothing is opened yet.

        Args:
            config: From `load_config`, or made in code.

        Raises:
            ConfigError: Names in it do not fit together.
        """
        if problems := check_references(config):
            raise ConfigError(None, problems)
        self.config = config
        self.metrics = GatewayMetrics()
        self.health = Health()
        self.bound = Bound()
        self._consumers: list[IntakeConsumer] = []
        self._stack = AsyncExitStack()
        self._started = self._stopped = False

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    @property
    def _sequencers(self) -> list[LedgerSequencer]:
        return [consumer for consumer in self._consumers if isinstance(consumer, LedgerSequencer)]

    @property
    def consumers(self) -> dict[str, IntakeConsumer]:
        """What reads the intake log, by name."""
        return {consumer.name: consumer for consumer in self._consumers}

    async def start(self) -> None:
        """Open, bind, and begin to answer.

        Raises:
            AddressError: A port is taken.
            StartError: The ledger, the intake log, the key or the redaction policy can't be used.
        """
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Answer what is under way, let consumers catch up for a bounded time, publish a checkpoint, close everything."""
        if self._stopped:
            return
        self._stopped = True
        self.health.stopping = True
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        config = self.config
        key = _load_key()
        redactor = self._make_redactor(key)
        intake = self._open_intake(stack, [*config.ledgers, *config.forwarders])
        stack.push_async_callback(self._stop_consumers)
        for name, exporter in config.ledgers.items():
            ledger = await asyncio.to_thread(self._open_ledger, name, exporter)
            self._add_sequencer(intake, name, ledger, key)
        try:
            for name in config.forwarders:
                self._add_forwarder(intake, name)
        except OSError as error:
            raise StartError(f"a file named in the configuration can't be read: {error}") from error

        executor = ThreadPoolExecutor(
            max(2, min(4, os.cpu_count() or 1)), thread_name_prefix="runrecord-accept"
        )
        stack.callback(executor.shutdown)
        acceptor = Acceptor(
            intake,
            redactor.redact,
            self.metrics,
            signals=config.service.pipelines,
            executor=executor,
            max_in_flight_bytes=config.receivers.otlp.max_in_flight_mib * _MIB,
        )
        servers = self._bind(acceptor, intake)
        for consumer in self._consumers:
            consumer.start()
        self._started = True
        watch = asyncio.create_task(self._watch(intake))
        stack.callback(watch.cancel)
        started: list[Callable[[], Awaitable[None]]] = []

        async def stop_servers() -> None:
            await asyncio.gather(*(stop() for stop in started))

        stack.push_async_callback(stop_servers)
        for start, stop in servers:
            started.append(stop)
            await start()
        stack.push_async_callback(acceptor.drain)

    # -- parts -------------------------------------------------------------------------------------------------

    def _make_redactor(self, key: TenantKey) -> Redactor:
        try:
            redactor = Redactor(self.config.processors.redaction, key=key.pseudonym_key())
        except ProcessorError as error:
            raise StartError(f"redaction: {error}") from error
        self.metrics.redaction_rules.labels(redactor.engine_name, redactor.rules_version).set(1)
        return redactor

    def _open_ledger(self, name: str, exporter: LedgerExporter) -> Ledger:
        try:
            return Ledger(exporter.directory, origin=exporter.origin)
        except LedgerError as error:
            raise StartError(f"{name}: {error.message}", next_step=error.next_step or "") from error
        except OSError as error:
            raise StartError(
                f"{name}: {exporter.directory} can't be used ({error.strerror})",
                next_step=f"set exporters.{name}.directory to a directory that this user can write",
            ) from error

    def _open_intake(self, stack: AsyncExitStack, consumers: list[str]) -> IntakeLog:
        limits = IntakeLimits(
            self.config.service.intake.max_size_mib * _MIB, self.config.service.intake.max_age
        )
        try:
            intake = IntakeLog(self.config.service.state_dir / "intake", consumers=consumers, limits=limits)
        except IntakeError as error:
            raise StartError(str(error), next_step=error.next_step) from error
        stack.callback(intake.close)
        self.metrics.intake_limit.set(limits.max_bytes)
        return intake

    def _add_sequencer(self, intake: IntakeLog, name: str, ledger: Ledger, key: TenantKey) -> None:
        exporter = self.config.ledgers[name]

        def project(signal: Signal, body: bytes) -> Projection:
            return project_counted(signal, body, tenant_key=key)

        self._consumers.append(
            LedgerSequencer(
                intake.consumer(name),
                ledger,
                reopen=lambda: Ledger(exporter.directory, origin=exporter.origin),
                project=project,
                signals=self.config.pipelines_of(name),
                health=self.health,
                metrics=self.metrics,
                quarantine=self._quarantine(name),
            )
        )

    def _add_forwarder(self, intake: IntakeLog, name: str) -> None:
        exporter = self.config.forwarders[name]
        pipelines = self.config.pipelines_of(name)
        transport: Transport = (
            HttpTransport(exporter) if isinstance(exporter, OtlpHttpExporter) else GrpcTransport(exporter)
        )
        settings = self.config.processors.compat
        self._consumers.append(
            Forwarder(
                intake.consumer(name),
                transport,
                signals=pipelines,
                health=self.health,
                metrics=self.metrics,
                quarantine=self._quarantine(name),
                retry=exporter.retry_on_failure,
                concurrency=exporter.concurrency,
                compat=compat.openinference if settings and settings.openinference else None,
                compat_signals=[
                    signal for signal, pipeline in pipelines.items() if "compat" in pipeline.processors
                ],
            )
        )

    def _quarantine(self, name: str) -> Quarantine:
        service = self.config.service
        return Quarantine(
            service.state_dir / "quarantine", name, max_bytes=service.intake.max_size_mib * _MIB
        )

    def _bind(
        self, acceptor: Acceptor, intake: IntakeLog
    ) -> list[tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]]:
        """Bind every port before anything is answered, so that a taken one leaves nothing half-started."""
        protocols, telemetry = self.config.receivers.otlp.protocols, self.config.service.telemetry
        servers: list[HttpServer] = []
        grpc: GrpcReceiver | None = None
        bound: dict[str, HostPort] = {}

        def listen(name: str, application: Any, address: str, what: str) -> None:
            server = HttpServer(application, parse_address(address), what)
            servers.append(server)
            bound[name] = server.bound

        try:
            if telemetry.health:
                listen(
                    "health",
                    health_application(self.health),
                    telemetry.health.endpoint,
                    "the health endpoint",
                )
            if telemetry.metrics:
                application = metrics_application(self.metrics, lambda: self._refresh(intake))
                listen("metrics", application, telemetry.metrics.address, "Prometheus metrics")
            if protocols.http:
                receiver = HttpReceiver(acceptor, max_body=protocols.http.max_request_body_size)
                listen("http", receiver, protocols.http.endpoint, "OTLP over HTTP")
            if protocols.grpc:
                size = protocols.grpc.max_recv_msg_size_mib * _MIB
                grpc = GrpcReceiver(acceptor, parse_address(protocols.grpc.endpoint), max_message=size)
                bound["grpc"] = grpc.bound
        except BaseException:
            for server in servers:
                server.abandon()
            raise
        self.bound = Bound(**bound)
        pairs: list[tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]] = [
            (server.start, server.stop) for server in servers
        ]
        if grpc is not None:
            receiver_grpc = grpc
            pairs.append((receiver_grpc.start, lambda: receiver_grpc.stop(5.0)))
        return pairs

    # -- while it runs -----------------------------------------------------------------------------------------

    def _refresh(self, intake: IntakeLog) -> None:
        self.metrics.intake_bytes.set(intake.stored_bytes)
        self.metrics.intake_lag_seconds.set(intake.oldest_age_seconds())
        for consumer in self._consumers:
            self.metrics.intake_lag_records.labels(consumer.name).set(consumer.backlog_records)
        for sequencer in self._sequencers:
            sequencer.watch_checkpoints()

    async def _watch(self, intake: IntakeLog) -> None:
        """Show in the health what has no call of its own to say it: the intake log, and the checkpoints of ledgers."""
        part = self.health.part(
            "intake", lambda: {"stored_bytes": intake.stored_bytes, "limit_bytes": intake.limits.max_bytes}
        )
        refused, max_age = 0, intake.limits.max_age_seconds
        while True:
            why = ""
            if intake.failure is not None:
                why = f"{intake.failure}. {intake.failure.next_step}"
            elif intake.no_room is not None or intake.no_room_groups > refused:
                why = (
                    f"no room on the disk of {intake.directory}: requests are refused until consumers catch up "
                    "or somebody makes room"
                )
            elif max_age is not None and intake.oldest_age_seconds() > max_age:
                why = "requests are refused: a consumer is further behind than service.intake.max_age"
            elif intake.stored_bytes > 0.9 * intake.limits.max_bytes:
                why = "nearly full: a consumer is far behind"
            refused = intake.no_room_groups
            if part.set(ok=not why, message=why) and intake.failure is None:  # that has a line of its own
                _log.log(logging.WARNING if why else logging.INFO, "intake: %s", why or "works")
            for sequencer in self._sequencers:
                sequencer.watch_checkpoints()
            await asyncio.sleep(1.0)

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

    async def _stop_consumers(self) -> None:
        if self._started and not await self.caught_up(self.config.service.drain_timeout):
            for consumer in self._consumers:
                if consumer.backlog_records:
                    _log.warning(
                        "%s: %d requests stay in the intake log", consumer.name, consumer.backlog_records
                    )
        await asyncio.gather(*(consumer.stop() for consumer in self._consumers))


def _load_key() -> TenantKey:
    try:
        return load_tenant_key()
    except TenantKeyError as error:
        raise StartError(f"the tenant key can't be loaded: {error}") from error
