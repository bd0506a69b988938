# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway in several processes, seen as one: the supervisor starts them, keeps them, and speaks for them.

Receivers share the ports (SO_REUSEPORT) and have an intake log each, so that none waits for another; one process reads all logs.
Whoever of them is killed, what was acknowledged is in a log, and the others go on.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from runrecord.collector.bound import Bound
from runrecord.collector.config_file import check_references
from runrecord.collector.errors import AddressError, ConfigError
from runrecord.collector.receiving import load_key
from runrecord.collector.servers import bind
from runrecord.collector.telemetry import Health, ProcessMetrics
from runrecord.collector.telemetry_servers import TelemetryServers
from runrecord.collector.values import HostPort, parse_address
from runrecord.collector.workers.supervised import Supervised
from runrecord.collector.workers.totals import Totals, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric
    from typing_extensions import Self

    from runrecord.collector.config import GatewayConfig

_MIB: Final = 1 << 20
_ASK_SECONDS: Final = 2.0
_WATCH_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 30.0


class Supervisor:
    """A gateway of several processes; has the shape of `Gateway`.

    Attributes:
        config: What it was made of.
        health: Its health, with that of all processes.
        bound: Where it listens, once it has started.
    """

    def __init__(self, config: GatewayConfig, *, log_level: str | None = None) -> None:
        """Check the configuration; nothing is started yet.

        Args:
            config: From `load_config`, or made in code.
            log_level: Of the logs of all processes; None for that of the configuration.

        Raises:
            ConfigError: Names in it do not fit together.
        """
        if problems := check_references(config):
            raise ConfigError(None, problems)
        self.config = config
        self.health = Health()
        self.bound = Bound()
        self._log_level = log_level
        self._totals = Totals()
        self._registry = CollectorRegistry()
        self._registry.register(self._totals)
        self._own = CollectorRegistry()
        self._own.register(ProcessMetrics())
        self._receivers: list[Supervised] = []
        self._consumers: Supervised | None = None
        self._stack = AsyncExitStack()
        self._stopped = False

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
    def processes(self) -> dict[str, Supervised]:
        """All children, by name."""
        consumers = [self._consumers] if self._consumers else []
        return {child.name: child for child in (*self._receivers, *consumers)}

    async def start(self) -> None:
        """Start all processes, and let them begin when each has what it needs.

        Raises:
            AddressError: A port is taken.
            StartError: A process can't open something.
        """
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop receivers first, then, when they have answered what is under way, the process that consumes."""
        if self._stopped:
            return
        self._stopped = True
        self.health.stopping = True
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        load_key()  # once, before several processes would make it
        protocols = self.config.receivers.otlp.protocols
        grpc = protocols.grpc and self._reserve(stack, protocols.grpc.endpoint, "OTLP over gRPC")
        http = protocols.http and self._reserve(stack, protocols.http.endpoint, "OTLP over HTTP")
        servers = TelemetryServers(
            self.config.service.telemetry, metrics=self._show_metrics, health=self._show_health
        )
        stack.push_async_callback(servers.stop)
        self.bound = Bound(grpc or None, http or None, servers.metrics, servers.health)

        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        stack.callback(os.close, writing)
        self._consumers = self._supervised("consumers", 0, reading)
        self._receivers = [
            self._supervised(f"receiver-{number}", number, writing)
            for number in range(1, self.config.service.workers + 1)
        ]
        self._registry.register(_Restarts(self.processes.values()))
        stack.push_async_callback(self._stop_processes)
        await _all(child.spawn() for child in self.processes.values())
        # Receivers first: each repairs its log and says how far it goes before somebody reads it.
        await _all(child.open() for child in self._receivers)
        await self._consumers.open()
        await _all(child.go() for child in (self._consumers, *self._receivers))
        watch = asyncio.create_task(self._watch())
        stack.callback(watch.cancel)
        await servers.start()

    def _supervised(self, name: str, number: int, pipe: int) -> Supervised:
        return Supervised(
            name,
            number,
            pipe=pipe,
            config=lambda: self._config_of(number, self.config),
            log_level=self._log_level,
            health=self.health,
            totals=self._totals,
        )

    @staticmethod
    def _reserve(stack: AsyncExitStack, endpoint: str, what: str) -> HostPort:
        """Take a port for all receivers and for as long as the gateway runs; receivers are what listens there."""
        address = parse_address(endpoint)
        with bind(address, what) as alone:  # nobody has it, not even one who would share it
            family, found = alone.family, alone.getsockname()
        reserved = socket.socket(family, socket.SOCK_STREAM)
        stack.callback(reserved.close)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            reserved.bind(found)
        except OSError as error:
            raise AddressError(f"can't listen on {address} for {what}: {error.strerror}") from error
        return HostPort(address.host, found[1])

    def _config_of(self, number: int, config: GatewayConfig) -> GatewayConfig:
        """Give a receiver its share of the limits, and the ports that were taken."""
        if not number:
            return config
        workers, receivers, service = config.service.workers, config.receivers, config.service
        protocols = receivers.otlp.protocols
        endpoints = {
            name: section.model_copy(update={"endpoint": str(bound)})
            for name, section, bound in (
                ("grpc", protocols.grpc, self.bound.grpc),
                ("http", protocols.http, self.bound.http),
            )
            if section is not None
        }
        largest = max(
            protocols.grpc.max_recv_msg_size_mib if protocols.grpc else 0,
            -(-protocols.http.max_request_body_size // _MIB) if protocols.http else 0,
        )
        otlp = receivers.otlp.model_copy(
            update={
                "protocols": protocols.model_copy(update=endpoints),
                "max_in_flight_mib": max(receivers.otlp.max_in_flight_mib // workers, 2 * largest),
            }
        )
        share = {"max_size_mib": max(1, service.intake.max_size_mib // workers)}
        intake = service.intake.model_copy(update=share)
        return config.model_copy(
            update={
                "receivers": receivers.model_copy(update={"otlp": otlp}),
                "service": service.model_copy(update={"intake": intake}),
            }
        )

    async def _stop_processes(self) -> None:
        await _all(child.stop(_STOP_SECONDS) for child in self._receivers)
        if self._consumers is not None:
            await self._consumers.stop(self.config.service.drain_timeout + _STOP_SECONDS)

    async def reload(self, config: GatewayConfig) -> list[str]:
        """Let all processes use another configuration.

        Args:
            config: Checked, and no different in what can't change.

        Returns:
            What went wrong, by process; the others use it, and so does one that is started again.
        """
        self.config = config
        found: list[str] = []
        for number, child in enumerate((self._consumers, *self._receivers)):
            if child is not None and (why := await child.reload(self._config_of(number, config))):
                found.append(f"{child.name}: {why}")
        return found

    # -- what it tells ---------------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        await asyncio.gather(*(child.report(_ASK_SECONDS) for child in self.processes.values()))

    async def _show_metrics(self) -> tuple[str, bytes]:
        await self._ask()
        self._totals.update("supervisor", snapshot(self._own))
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    async def _show_health(self) -> tuple[int, bytes]:
        await self._ask()
        return self.health.render()

    async def _watch(self) -> None:
        """Ask now and then, so that little of what a process counted is gone with it when it is killed."""
        while True:
            await self._ask()
            await asyncio.sleep(_WATCH_SECONDS)


class _Restarts(Collector):
    def __init__(self, children: Iterable[Supervised]) -> None:
        self._children = tuple(children)

    def collect(self) -> Iterable[Metric]:
        restarts = CounterMetricFamily(
            "runrecord_process_restarts",
            "How often a process died and was started again.",
            labels=["process"],
        )
        for child in self._children:
            restarts.add_metric([child.name], child.restarts)
        return [restarts]


async def _all(work: Iterable[object]) -> None:
    """Wait for all of it, and raise the first error only then."""
    for result in await asyncio.gather(*work, return_exceptions=True):  # type: ignore[call-overload]
        if isinstance(result, BaseException):
            raise result
