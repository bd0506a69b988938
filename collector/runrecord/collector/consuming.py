# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The consuming side of the gateway: a sequencer for each ledger, a forwarder for each back end, fed by the intake log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from runrecord.collector.bearer_tokens import BearerTokens
from runrecord.collector.config import BearerTokenAuth, LedgerExporter, OtlpGrpcExporter, OtlpHttpExporter
from runrecord.collector.consumers import Forwarder, IntakeConsumer, LedgerSequencer
from runrecord.collector.consumers.quarantine import Quarantine
from runrecord.collector.consumers.stamp import LedgerStamp
from runrecord.collector.consumers.transport import GrpcTransport, HttpTransport, Transport
from runrecord.collector.consumers.witnesses import WitnessedLedger
from runrecord.collector.errors import StartError
from runrecord.collector.routing import takes
from runrecord.collector.sampling.sampler import TailSampler
from runrecord.collector.sampling.stage import NAME as TAIL_SAMPLING
from runrecord.collector.sampling.stage import SamplingStage, samples
from runrecord.collector.tls import files_seen
from runrecord.exporters.errors import IntakeError
from runrecord.ledger.erasure import keep_for_days
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.note import NoteSigner
from runrecord.ledger.run_keys import RunKeys, RunSecrets
from runrecord.ledger.vault import state_vault, vault_of
from runrecord.processors import compat
from runrecord.processors.ledger.projection import Projection, project_counted
from runrecord.processors.signal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from runrecord.collector.config import GatewayConfig
    from runrecord.collector.telemetry import GatewayMetrics, Health
    from runrecord.exporters.intake import Intake, IntakeRecord
    from runrecord.semconv.commitment import TenantKey

_log = logging.getLogger(__name__)
_MIB: Final = 1 << 20
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True)
class _Route:
    """One signal to one back end.

    Attributes:
        exporter: Its name.
        signal: The signal.
        settings: Of the exporter.
        compat: Whether attributes for tracing UIs are added.
        sampled: Whether it takes what tail sampling kept, not what is in the intake log.
        auth: The extension whose token it sends, and its settings.
        files: Tells its certificates from those before, so that a reload takes new ones.
    """

    exporter: str
    signal: Signal
    settings: OtlpHttpExporter | OtlpGrpcExporter
    compat: bool
    sampled: bool = False
    auth: tuple[str, BearerTokenAuth] | None = None
    files: tuple[tuple[int, int, int], ...] = ()

    @property
    def name(self) -> str:
        """The name of its cursor."""
        return f"{self.exporter} {self.signal.value}{' sampled' if self.sampled else ''}"

    def __hash__(self) -> int:
        """Hash by name: there is one of each."""
        return hash(self.name)


def _routes(config: GatewayConfig) -> list[_Route]:
    """List the ways out; a back end that takes no logs, say, must not keep it from getting traces."""
    settings = config.processors.compat
    return [
        _Route(
            name,
            signal,
            exporter,
            compat="compat" in pipeline.processors and settings is not None and settings.openinference,
            sampled=signal is Signal.TRACES and samples(config),
            auth=_authenticator(config, exporter),
            files=files_seen(exporter.tls),
        )
        for name, exporter in config.forwarders.items()
        for signal, pipeline in config.pipelines_of(name).items()
    ]


def _authenticator(
    config: GatewayConfig, exporter: OtlpHttpExporter | OtlpGrpcExporter
) -> tuple[str, BearerTokenAuth] | None:
    if exporter.auth is None:
        return None
    name = exporter.auth.authenticator
    return name, config.authenticators[name]


def _transport(route: _Route) -> Transport:
    settings = route.settings
    tokens = BearerTokens(route.auth[1], route.auth[0]) if route.auth else None
    if isinstance(settings, OtlpHttpExporter):
        return HttpTransport(settings, tokens)
    return GrpcTransport(settings, tokens)


def consumer_names(config: GatewayConfig) -> list[str]:
    """Name the cursors that a configuration needs: one of each ledger, and one of each back end and signal."""
    direct = [route.name for route in _routes(config) if not route.sampled]
    return [*config.ledgers, *direct, *([TAIL_SAMPLING] if samples(config) else ())]


def _leftover(config: GatewayConfig) -> list[_Route]:
    """List the ways out of what tail sampling kept, whether or not it is still in the configuration."""
    return [replace(route, sampled=True) for route in _routes(config) if route.signal is Signal.TRACES]


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
        self._witnesses: list[WitnessedLedger] = []
        self._quarantines: dict[str, Quarantine] = {}
        self._running: dict[str, _Route] = {}
        """The ways out as they were when their forwarders were made."""
        self._sampling: SamplingStage | None = None
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
            sequencer = self._sequencer(name, ledger)
            self._consumers.append(sequencer)
            if exporter.witnesses is not None:
                self._witnesses.append(WitnessedLedger(name, exporter.witnesses, sequencer, self._health))
        leftover = _leftover(self._config)
        self._sampling = await SamplingStage.open(
            self._config,
            self._intake,
            [route.name for route in leftover],
            health=self._health,
            metrics=self._metrics,
            quarantine=self._quarantine(TAIL_SAMPLING),
        )
        if self._sampling is not None and self._sampling.sampler is not None:
            self._consumers.append(self._sampling.sampler)
        try:
            for route in self._routes(self._config):
                self._consumers.append(self._forwarder(route, _transport(route)))
                self._running[route.name] = route
        except OSError as error:
            raise StartError(f"a file named in the configuration can't be read: {error}") from error

    async def reload(self, config: GatewayConfig) -> None:
        """Forward as another configuration says, from now on; what did not change goes on undisturbed.

        Args:
            config: It has the same ledgers.

        Raises:
            StartError: It can't be used; all stays as it was.
        """
        before, after = self._running, {route.name: route for route in self._routes(config)}
        changed = [name for name in before if after.get(name) != before[name]]
        try:
            fresh = {route: _transport(route) for name, route in after.items() if before.get(name) != route}
        except OSError as error:
            raise StartError(f"a file named in the configuration can't be read: {error}") from error
        try:
            await asyncio.to_thread(self._set_cursors, self._config, config)
        except IntakeError as error:
            raise StartError(f"a new exporter can't begin: {error}", next_step=error.next_step) from error
        running = self.consumers
        await asyncio.gather(*(running[name].stop() for name in changed))
        self._config, self._running = config, after
        for name in changed:
            self._consumers.remove(running[name])
            if name not in after:
                self._health.drop(name)
        await asyncio.to_thread(self._set_cursors, config)  # now nobody asks for those that go
        for consumer in self._consumers:
            consumer.want(self._wanted(consumer))
        for route, transport in fresh.items():
            forwarder = self._forwarder(route, transport)
            self._consumers.append(forwarder)
            forwarder.start()

    def _set_cursors(self, *configs: GatewayConfig) -> None:
        """Have the cursors that any of the configurations needs, and no other."""
        self._intake.set_consumers({name for config in configs for name in consumer_names(config)})
        if self._sampling is not None:
            self._sampling.log.set_consumers({r.name for config in configs for r in _leftover(config)})

    def _routes(self, config: GatewayConfig) -> list[_Route]:
        """List the ways out, with those of what is left of a tail sampling that is no more."""
        left = self._sampling is not None and self._sampling.sampler is None
        return [*_routes(config), *(_leftover(config) if left else ())]

    def _wanted(self, consumer: IntakeConsumer) -> Callable[[IntakeRecord], bool]:
        if isinstance(consumer, LedgerSequencer):
            return takes(consumer.name, self._config.pipelines_of(consumer.name))
        if isinstance(consumer, TailSampler):
            return lambda record: record.signal is Signal.TRACES
        route = self._running[consumer.name]
        return takes(route.exporter, {route.signal: self._config.service.pipelines[route.signal]})

    def start(self) -> None:
        """Begin to consume."""
        self._started = True
        for consumer in self._consumers:
            consumer.start()
        for witnessed in self._witnesses:
            witnessed.start()

    async def stop(self) -> None:
        """Let consumers catch up for a bounded time, then stop them and close the ledgers."""
        if self._started and not await self.caught_up(self._config.service.drain_timeout):
            for consumer in self._consumers:
                if consumer.backlog_records:
                    _log.warning(
                        "%s: %d requests stay in the intake log", consumer.name, consumer.backlog_records
                    )
        await asyncio.gather(*(witnessed.stop() for witnessed in self._witnesses))
        await asyncio.gather(*(consumer.stop() for consumer in self._consumers))
        if self._sampling is not None:
            await asyncio.to_thread(self._sampling.close)

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
        requests = {consumer.name: consumer.backlog_records for consumer in self._consumers}
        size: dict[str, int] = {}
        for consumer in self._consumers:
            if isinstance(consumer, Forwarder):  # one for each signal, and all of them read the same log
                size[consumer.exporter] = max(size.get(consumer.exporter, 0), consumer.backlog_bytes)
        intake = self._config.service.intake
        self._metrics.waiting(requests, size, None if intake.kafka else intake.max_size_mib * _MIB)
        self.watch()

    def watch(self) -> None:
        """Show how checkpoints are; call it about once a second."""
        for sequencer in self._sequencers:
            sequencer.watch_checkpoints()

    # -- parts -------------------------------------------------------------------------------------------------

    def _sequencer(self, name: str, ledger: Ledger) -> LedgerSequencer:
        exporter = self._config.ledgers[name]

        keys = RunKeys(ledger.run_secrets, self._key)

        def project(signal: Signal, body: bytes, known: Container[tuple[str, str]]) -> Projection:
            keep = None if exporter.vault is None else exporter.vault.keeps
            return project_counted(signal, body, key_of=keys.key, known=known, keep=keep)

        return LedgerSequencer(
            self._intake.consumer(name),
            ledger,
            reopen=lambda: _ledger(exporter, ledger.run_secrets),
            project=project,
            wanted=takes(name, self._config.pipelines_of(name)),
            health=self._health,
            metrics=self._metrics,
            quarantine=self._quarantine(name),
            lifecycle=self._config.service.state_dir / "lifecycle" / f"{quote(name, safe='')}.sqlite",
            abandon_after=exporter.abandon_after or None,
            vault=vault_of(ledger, self._key) if exporter.vault is not None else None,
            retention=exporter.vault.retention_days if exporter.vault is not None else None,
        )

    def _forwarder(self, route: _Route, transport: Transport) -> Forwarder:
        settings = route.settings
        log = self._sampling.log if route.sampled and self._sampling is not None else self._intake
        return Forwarder(
            log.consumer(route.name),
            transport,
            exporter=route.exporter,
            wanted=takes(route.exporter, {route.signal: self._config.service.pipelines[route.signal]}),
            health=self._health,
            metrics=self._metrics,
            quarantine=self._quarantine(route.exporter),
            retry=settings.retry_on_failure,
            queue=settings.sending_queue,
            compat=compat.openinference if route.compat else None,
            compat_signals=[route.signal],
            stamp=LedgerStamp(self._sequencers) if settings.stamp_ledger else None,
        )

    def _quarantine(self, exporter: str) -> Quarantine:
        """Return the one of an exporter: all its signals are in one directory, under one limit."""
        if exporter not in self._quarantines:
            service = self._config.service
            self._quarantines[exporter] = Quarantine(
                service.state_dir / "quarantine", exporter, max_bytes=service.intake.max_size_mib * _MIB
            )
        return self._quarantines[exporter]


def _ledger(exporter: LedgerExporter, run_secrets: RunSecrets | None = None) -> Ledger:
    return Ledger(
        exporter.location,
        origin=exporter.origin,
        signer=None if exporter.key_file is None else _log_key(exporter.key_file),
        previous=[_log_key(path) for path in exporter.previous_key_files],
        overlap=exporter.key_overlap,
        epochs=exporter.epochs,
        retention=exporter.retention,
        run_secrets=run_secrets,
    )


def _log_key(path: Path) -> NoteSigner:
    try:
        return NoteSigner.parse(path.read_bytes().decode("utf-8", "replace"))
    except OSError as error:
        raise LedgerError(
            f"the log key {path} can't be read ({error.strerror})", "check key_file of the ledger"
        ) from None


def _open_ledger(name: str, exporter: LedgerExporter) -> Ledger:
    try:
        with contextlib.ExitStack() as undo:
            ledger = undo.enter_context(_ledger(exporter))
            assert ledger.run_secrets  # opened or made now: a ledger without them can't take an entry
            keep_for_days(ledger, exporter.erasure.after_days)
            if exporter.vault is not None:
                state_vault(ledger, exporter.vault.address)
            undo.pop_all()
            return ledger
    except LedgerError as error:
        raise StartError(f"{name}: {error.message}", next_step=error.next_step or "") from error
    except OSError as error:
        raise StartError(
            f"{name}: {exporter.where} can't be used ({error.strerror})",
            next_step=f"set exporters.{name}.directory to a directory that this user can write",
        ) from error
