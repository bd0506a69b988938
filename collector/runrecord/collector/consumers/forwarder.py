# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Forwards to one back end: repeats what it could not take, sets aside what it never will, and holds nobody else up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from runrecord.collector.config import Retry
from runrecord.collector.consumers.base import IntakeConsumer, Stopped
from runrecord.collector.consumers.quarantine import Quarantine
from runrecord.collector.consumers.transport import Delivered, Misconfigured, Transport, TryAgain
from runrecord.collector.receiver.accept import ITEMS_HEADER
from runrecord.collector.telemetry import GatewayMetrics, Health
from runrecord.exporters.intake import Consumer, IntakeRecord
from runrecord.processors.signal import Signal

_LONGEST_WISH: Final = 300.0
_ADVICE: Final = {
    "headers": "check the credentials in exporters.{name}.headers",
    "endpoint": "check exporters.{name}.endpoint, or take {name} out of service.pipelines.{signal}",
}


class Forwarder(IntakeConsumer):
    """One exporter of the configuration."""

    def __init__(
        self,
        consumer: Consumer,
        transport: Transport,
        *,
        signals: Collection[Signal],
        health: Health,
        metrics: GatewayMetrics,
        quarantine: Quarantine,
        retry: Retry,
        concurrency: int,
        compat: Callable[[Signal, bytes], bytes] | None = None,
        compat_signals: Collection[Signal] = (),
    ) -> None:
        """Prepare; `start` begins.

        Args:
            consumer: Its place in the intake log.
            transport: Sends a request once.
            signals: The pipelines that end here.
            health: Where it says how it is.
            metrics: Where it counts.
            quarantine: Where it keeps requests that the back end will never take.
            retry: How it repeats.
            concurrency: How many requests may be under way at once.
            compat: Adds attributes for tracing UIs.
            compat_signals: The pipelines in which it is.
        """
        super().__init__(consumer, signals=signals, health=health, metrics=metrics, quarantine=quarantine)
        self.batch_records = concurrency
        self._transport = transport
        self._retry = retry
        self._compat = compat
        self._compat_signals = frozenset(compat_signals)
        self._sent = 0
        self._waiting: dict[int, str] = {}
        """By sequence number, why a request of the batch has to be sent again."""

    async def take(self, records: Sequence[IntakeRecord]) -> None:
        """Send a batch, all at once, and return when each was taken or is set aside."""
        results = await asyncio.gather(*(self._deliver(record) for record in records), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def stop(self) -> None:
        """Stop after what is being done now, and close the connections."""
        await super().stop()
        await self._transport.close()

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "sent_requests": self._sent}

    async def _deliver(self, record: IntakeRecord) -> None:
        items = int(dict(record.headers).get(ITEMS_HEADER, "1"))
        body = await self._prepare(record)
        interval, started = self._retry.initial_interval, time.monotonic()
        while True:
            if self._stop.is_set():
                raise Stopped
            outcome = await self._transport.send(record.signal, body)
            if isinstance(outcome, Delivered):
                return self._delivered(record, items, outcome.rejected)
            if isinstance(outcome, TryAgain) and not self._gives_up(started):
                delay = self._delay(interval, outcome.after)
                interval = min(interval * self._retry.multiplier, self._retry.max_interval)
                why = f"{outcome.reason}; repeating until it is taken"
            elif isinstance(outcome, Misconfigured):
                delay = self._delay(self._retry.max_interval, None)
                advice = _ADVICE[outcome.key].format(name=self.name, signal=record.signal.value)
                why = f"{outcome.reason} to a {record.signal.value} request: {advice}; until then all wait in the intake log"
            else:
                reason = f"{outcome.reason} for too long" if isinstance(outcome, TryAgain) else outcome.reason
                return await self._refused(record, items, reason)
            self._metrics.retried(self.name)
            self._waiting[record.sequence] = why
            self._tell()
            await self.pause(delay)

    def _delivered(self, record: IntakeRecord, items: int, rejected: int) -> None:
        rejected = min(rejected, items)
        self._sent += 1
        self._metrics.sent(self.name, record.signal, items - rejected)
        if rejected:  # OTLP 1.11, "Partial Success": they must not be sent again
            self._metrics.send_failed(self.name, record.signal, rejected)
            self.warn_once(
                f"the back end rejected records of a {record.signal.value} request one by one; further ones are only counted"
            )
        self._waiting.pop(record.sequence, None)
        self._tell()

    async def _refused(self, record: IntakeRecord, items: int, reason: str) -> None:
        await self.set_aside(record, reason)
        self._metrics.send_failed(self.name, record.signal, items)
        self._waiting.pop(record.sequence, None)
        self._tell(f"the back end does not accept a request ({reason}); it is set aside")

    def _tell(self, otherwise: str = "") -> None:
        """Show in the health what the oldest request waits for; if none waits, what there is to say otherwise."""
        message = next(iter(self._waiting.values()), otherwise)
        if message:
            self.degrade(message)
        else:
            self.recover()

    def _gives_up(self, started: float) -> bool:
        limit = self._retry.max_elapsed_time
        return bool(limit) and time.monotonic() - started >= limit

    @staticmethod
    def _delay(interval: float, wish: float | None) -> float:
        """Wait as long as the back end asked for, or a random time around the interval."""
        jittered = interval * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load
        return jittered if wish is None else min(max(wish, 0.0), _LONGEST_WISH) + jittered * 0.1

    async def _prepare(self, record: IntakeRecord) -> bytes:
        if self._compat is None or record.signal not in self._compat_signals:
            return record.body
        try:
            return await asyncio.to_thread(self._compat, record.signal, record.body)
        except Exception as error:  # noqa: BLE001 - it only adds; what is redacted may go out without it
            self.warn_once(f"compat raised {type(error).__name__}; such requests are forwarded without it")
            return record.body
