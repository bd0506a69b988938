# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The receiving side of the gateway: ports, redaction, and an acknowledgement when a request is in the intake log."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from runrecord.collector.errors import StartError
from runrecord.collector.receiver import Acceptor, GrpcReceiver, HttpReceiver
from runrecord.collector.receiver.memory import MemoryWatch
from runrecord.collector.receiver.protection import Protection
from runrecord.collector.servers import HttpServer
from runrecord.collector.values import HostPort, parse_address
from runrecord.processors.errors import ProcessorError
from runrecord.processors.redaction import RedactionQuarantine, Redactor
from runrecord.semconv.commitment import TenantKey, load_tenant_key
from runrecord.semconv.errors import TenantKeyError

if TYPE_CHECKING:
    from runrecord.collector.config import GatewayConfig
    from runrecord.collector.telemetry import GatewayMetrics, Health
    from runrecord.exporters.intake import IntakeWriter

_log = logging.getLogger(__name__)
_MIB: Final = 1 << 20
_GRPC_GRACE: Final = 5.0


def load_key() -> TenantKey:
    """Load the tenant key.

    Raises:
        StartError: It can't be.
    """
    try:
        return load_tenant_key()
    except TenantKeyError as error:
        raise StartError(f"the tenant key can't be loaded: {error}") from error


def make_redactor(config: GatewayConfig, key: TenantKey) -> Redactor:
    """Compile the redaction policy; takes seconds of CPU when it has many rules.

    Args:
        config: The configuration.
        key: What pseudonyms are made with.

    Raises:
        StartError: The policy can't be used.
    """
    policy, secret = config.processors.redaction, key.pseudonym_key()
    directory = config.service.state_dir / "quarantine" / "redaction"
    try:
        return Redactor(policy, secret, quarantine=RedactionQuarantine.make(policy, secret, directory))
    except ProcessorError as error:
        raise StartError(f"redaction: {error}") from error


class Receiving:
    """Takes requests and puts them into the intake log.

    Attributes:
        grpc: Where it listens for OTLP over gRPC, once bound; None if that is off.
        http: The same for OTLP over HTTP.
    """

    def __init__(
        self,
        config: GatewayConfig,
        intake: IntakeWriter,
        redactor: Redactor,
        *,
        metrics: GatewayMetrics,
        health: Health,
        share_ports: bool = False,
    ) -> None:
        """Prepare; nothing is bound yet.

        Args:
            config: The configuration.
            intake: Where requests go.
            redactor: What they go through first.
            metrics: What is counted.
            health: Where the intake log says how it is.
            share_ports: Other processes listen on the same ports.
        """
        self._config = config
        self._share_ports = share_ports
        self._intake = intake
        self._metrics = metrics
        self._health = health.part("intake", self._facts)
        self._no_room_groups = 0
        self._executor = ThreadPoolExecutor(
            max(2, min(4, os.cpu_count() or 1)), thread_name_prefix="runrecord-accept"
        )
        self._acceptor = Acceptor(
            intake,
            redactor.redact,
            metrics,
            pipelines=config.service.pipelines,
            executor=self._executor,
            max_in_flight_bytes=config.receivers.otlp.max_in_flight_mib * _MIB,
            memory=MemoryWatch(config.memory_limiter, processes=config.service.workers),
            redaction_waits=redactor.may_wait,
            set_aside=redactor.quarantine.keep if redactor.quarantine else None,
        )
        self._protection = Protection(config)
        self._started = False
        self._http: HttpServer | None = None
        self._grpc: GrpcReceiver | None = None
        self.grpc: HostPort | None = None
        self.http: HostPort | None = None
        metrics.intake_limit.set(intake.limits.max_bytes)
        self._show(redactor)

    def _show(self, redactor: Redactor) -> None:
        self._metrics.redaction_rules.clear()
        self._metrics.redaction_rules.labels(redactor.engine_name, redactor.rules_version).set(1)

    def bind(self) -> None:
        """Take the ports; nothing is answered yet.

        Raises:
            AddressError: A port is taken or an address can't be used.
        """
        protocols = self._config.receivers.otlp.protocols
        if protocols.http:
            protection = self._protection.http
            receiver = HttpReceiver(
                self._acceptor,
                max_body=protocols.http.max_request_body_size,
                authenticator=protection.authenticator,
            )
            self._http = HttpServer(
                receiver,
                parse_address(protocols.http.endpoint),
                "OTLP over HTTP",
                certificates=protection.certificates,
                share=self._share_ports,
            )
            self.http = self._http.bound
        if protocols.grpc:
            size = protocols.grpc.max_recv_msg_size_mib * _MIB
            self._grpc = GrpcReceiver(
                self._acceptor,
                parse_address(protocols.grpc.endpoint),
                max_message=size,
                certificates=self._protection.grpc.certificates,
                authenticator=self._protection.grpc.authenticator,
                share=self._share_ports,
            )
            self.grpc = self._grpc.bound

    def reload_files(self) -> bool:
        """Read certificates and tokens again, without a word to those who are connected.

        Returns:
            False if a file can't be used; what it held before stays in use, and the log says why.
        """
        return self._protection.reload()

    async def reload(self, config: GatewayConfig) -> None:
        """Take requests as another configuration says, from now on; see `prepare`."""
        (await self.prepare(config))()

    async def prepare(self, config: GatewayConfig) -> Callable[[], None]:
        """Make ready to take requests as another configuration says; nobody is disconnected.

        Args:
            config: It is no different in what can't change.

        Returns:
            What makes it so.

        Raises:
            StartError: It can't be used; all stays as it was.
        """
        redactor = await asyncio.to_thread(make_redactor, config, load_key())
        self._protection.reload_with(config)

        def use() -> None:
            self._acceptor.use(
                redactor.redact,
                config.service.pipelines,
                redaction_waits=redactor.may_wait,
                set_aside=redactor.quarantine.keep if redactor.quarantine else None,
            )
            self._config = config
            self._show(redactor)

        return use

    async def start(self) -> None:
        """Begin to answer."""
        self._started = True
        if self._http is not None:
            await self._http.start()
        if self._grpc is not None:
            await self._grpc.start()

    async def stop(self) -> None:
        """Take no new requests, answer those under way, and give the ports back; also when it never started."""
        await self._acceptor.drain()
        stops: list[Awaitable[None]] = []
        if self._http is not None:
            stops.append(self._http.stop())
        if self._grpc is not None and self._started:
            stops.append(self._grpc.stop(_GRPC_GRACE))
        await asyncio.gather(*stops)
        await self._acceptor.gaps.close()
        self._executor.shutdown()

    def _facts(self) -> dict[str, int]:
        return {"stored_bytes": self._intake.stored_bytes, "limit_bytes": self._intake.limits.max_bytes}

    def refresh(self) -> None:
        """Set the gauges."""
        self._metrics.intake_bytes.set(self._intake.stored_bytes)
        self._metrics.intake_lag_seconds.set(self._intake.oldest_age_seconds())

    def watch(self) -> None:
        """Show in the health how the intake log is, and tell what was refused; call it about once a second."""
        self._acceptor.gaps.tell_soon()
        intake = self._intake
        max_age, why = intake.limits.max_age_seconds, ""
        if intake.failure is not None:
            why = f"{intake.failure}. {intake.failure.next_step}"
        elif intake.no_room is not None or intake.no_room_groups > self._no_room_groups:
            why = (
                f"no room on the disk of {intake.place}: requests are refused until consumers catch up "
                "or somebody makes room"
            )
        elif max_age is not None and intake.oldest_age_seconds() > max_age:
            why = "requests are refused: a consumer is further behind than service.intake.max_age"
        elif intake.stored_bytes > 0.9 * intake.limits.max_bytes:
            why = "nearly full: a consumer is far behind"
        self._no_room_groups = intake.no_room_groups
        if self._health.set(ok=not why, message=why) and intake.failure is None:  # that has a line of its own
            _log.log(logging.WARNING if why else logging.INFO, "intake: %s", why or "works")
