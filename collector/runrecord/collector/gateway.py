# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway in one process: receiving and consuming in one event loop, joined by the intake log.

Ledger and intake log are opened first, ports are bound next, consumers begin, and only then are requests answered. It stops
the other way round: no new requests, answers to those under way, consumers catch up, a last checkpoint, locks given up.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final

from runrecord.collector.bound import Bound
from runrecord.collector.config import GatewayConfig
from runrecord.collector.config_file import check_references
from runrecord.collector.consumers import IntakeConsumer
from runrecord.collector.consuming import Consuming, consumer_names
from runrecord.collector.errors import ConfigError, StartError
from runrecord.collector.intake_logs import open_alone
from runrecord.collector.receiving import Receiving, load_key, make_redactor
from runrecord.collector.telemetry import GatewayMetrics, Health
from runrecord.collector.telemetry_servers import TelemetryServers

if TYPE_CHECKING:
    from typing_extensions import Self

_WATCH_SECONDS: Final = 1.0


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
        self._consuming: Consuming | None = None
        self._receiving: Receiving | None = None
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
    def consumers(self) -> dict[str, IntakeConsumer]:
        """What reads the intake log, by name."""
        return {} if self._consuming is None else self._consuming.consumers

    async def start(self) -> None:
        """Open, bind, and begin to answer.

        Raises:
            AddressError: A port is taken.
            StartError: The ledger, the intake log, the key or the redaction policy can't be used.
        """
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()

    async def reload(self, config: GatewayConfig) -> list[str]:
        """Use another configuration for requests from now on; no connection is closed.

        Args:
            config: Checked, and no different in what can't change; see `needs_restart`.

        Returns:
            Why it can't be used; then all stays as it was.
        """
        assert self._receiving is not None and self._consuming is not None  # noqa: PT018 - it runs
        try:
            use = await self._receiving.prepare(config)
            # Cursors of new exporters first: a request for them must not pass them by.
            await self._consuming.reload(config)
            use()
        except StartError as error:
            return [str(error)]
        self.config = config
        return []

    def reload_files(self) -> bool:
        """Read certificates and tokens again; connections go on, and new ones meet what was read.

        Returns:
            False if a file can't be used; what it held before stays in use, and the log says why.
        """
        return self._receiving is None or self._receiving.reload_files()

    async def stop(self) -> None:
        """Answer what is under way, let consumers catch up for a bounded time, publish a checkpoint, close everything."""
        if self._stopped:
            return
        self._stopped = True
        self.health.stopping = True
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        config, metrics, health = self.config, self.metrics, self.health
        key = load_key()
        redactor = make_redactor(config, key)
        log, intake = stack.enter_context(open_alone(config, consumer_names(config)))
        consuming = self._consuming = Consuming(config, intake, key=key, metrics=metrics, health=health)
        stack.push_async_callback(consuming.stop)
        await consuming.open()

        async def show_metrics() -> tuple[str, bytes]:
            receiving.refresh()
            consuming.refresh()
            return metrics.render()

        async def show_health() -> tuple[int, bytes]:
            return health.render()

        servers = TelemetryServers(config.service.telemetry, metrics=show_metrics, health=show_health)
        stack.push_async_callback(servers.stop)
        receiving = self._receiving = Receiving(config, log, redactor, metrics=metrics, health=health)
        stack.push_async_callback(receiving.stop)
        receiving.bind()
        self.bound = Bound(receiving.grpc, receiving.http, servers.metrics, servers.health)
        consuming.start()
        watch = asyncio.create_task(self._watch(receiving, consuming))
        stack.callback(watch.cancel)
        await servers.start()
        await receiving.start()

    @staticmethod
    async def _watch(receiving: Receiving, consuming: Consuming) -> None:
        while True:
            receiving.watch()
            consuming.watch()
            await asyncio.sleep(_WATCH_SECONDS)
