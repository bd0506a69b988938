# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The two small servers that tell how the gateway is: Prometheus metrics, and health as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from runrecord.collector.servers import Application, HttpServer
from runrecord.collector.telemetry_config import Telemetry
from runrecord.collector.values import HostPort, parse_address

MetricsText = Callable[[], Awaitable[tuple[str, bytes]]]
"""Returns content type and body."""
HealthText = Callable[[], Awaitable[tuple[int, bytes]]]
"""Returns HTTP status and JSON."""


class TelemetryServers:
    """Those that are configured, bound when it is made.

    Attributes:
        metrics: Where metrics are served; None if that is off.
        health: Where health is served; None if that is off.
    """

    def __init__(self, settings: Telemetry, *, metrics: MetricsText, health: HealthText) -> None:
        """Bind the ports.

        Args:
            settings: The section ``service.telemetry``.
            metrics: Called for each scrape.
            health: Called for each question.

        Raises:
            AddressError: A port is taken or an address can't be used.
        """
        self._servers: list[HttpServer] = []
        self.metrics: HostPort | None = None
        self.health: HostPort | None = None
        try:
            if settings.health:
                application = _health_application(health)
                self.health = self._listen(application, settings.health.endpoint, "the health endpoint")
            if settings.metrics:
                application = _metrics_application(metrics)
                self.metrics = self._listen(application, settings.metrics.address, "Prometheus metrics")
        except BaseException:
            for server in self._servers:
                server.abandon()
            raise

    def _listen(self, application: Application, address: str, what: str) -> HostPort:
        server = HttpServer(application, parse_address(address), what)
        self._servers.append(server)
        return server.bound

    async def start(self) -> None:
        """Begin to answer."""
        await asyncio.gather(*(server.start() for server in self._servers))

    async def stop(self) -> None:
        """Answer what is under way, and give the ports back; also when it never started."""
        await asyncio.gather(*(server.stop() for server in self._servers))


def _metrics_application(render: MetricsText) -> Application:
    async def application(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] != "/metrics":
            return await _answer(send, 404, "text/plain", b"metrics are under /metrics\n")
        content_type, body = await render()
        return await _answer(send, 200, content_type, body)

    return application


def _health_application(render: HealthText) -> Application:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        status, body = await render()
        await _answer(send, status, "application/json", body)

    return application


async def _answer(send: Any, status: int, content_type: str, body: bytes) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
