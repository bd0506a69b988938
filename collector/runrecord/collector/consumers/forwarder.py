# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Forwards to one back end, repeats what it could not take, and never holds anyone else up."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from runrecord.collector.config import Retry
from runrecord.collector.consumers.base import IntakeConsumer, Stopped
from runrecord.collector.consumers.transport import Delivered, Refused, Transport, TryAgain
from runrecord.collector.receiver.accept import ITEMS_HEADER
from runrecord.collector.telemetry import GatewayMetrics, Health
from runrecord.exporters.intake import Consumer, IntakeRecord
from runrecord.processors.signal import Signal

_log = logging.getLogger(__name__)
_LONGEST_WISH = 300.0


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
            retry: How it repeats.
            concurrency: How many requests may be under way at once.
            compat: Adds attributes for tracing UIs.
            compat_signals: The pipelines in which it is.
        """
        super().__init__(consumer, signals=signals, health=health)
        self.batch_records = concurrency
        self._transport = transport
        self._metrics = metrics
        self._retry = retry
        self._compat = compat
        self._compat_signals = frozenset(compat_signals)
        self._refusals: set[str] = set()
        self._sent = self._refused = 0

    async def take(self, records: Sequence[IntakeRecord]) -> None:
        """Send a batch, all at once, and return when each was taken or refused for good."""
        results = await asyncio.gather(*(self._deliver(record) for record in records), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def stop(self) -> None:
        """Stop after what is being done now, and close the connections."""
        await super().stop()
        await self._transport.close()

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "sent_requests": self._sent, "refused_requests": self._refused}

    async def _deliver(self, record: IntakeRecord) -> None:
        items = int(dict(record.headers).get(ITEMS_HEADER, "1"))
        body = await self._prepare(record)
        interval, started = self._retry.initial_interval, time.monotonic()
        while True:
            if self._stop.is_set():
                raise Stopped
            outcome = await self._transport.send(record.signal, body)
            if isinstance(outcome, Delivered):
                self._sent += 1
                self._metrics.sent(self.name, record.signal, max(0, items - outcome.rejected))
                if outcome.rejected:
                    self._metrics.send_failed(self.name, record.signal, outcome.rejected)
                    self._once(f"the back end rejected records of a {record.signal.value} request one by one")
                self.recover()
                return
            if isinstance(outcome, TryAgain):
                limit = self._retry.max_elapsed_time
                if not limit or time.monotonic() - started < limit:
                    self._metrics.retried(self.name)
                    self.degrade(f"{outcome.reason}; repeating until it is taken")
                    await self.pause(self._delay(interval, outcome.after))
                    interval = min(interval * self._retry.multiplier, self._retry.max_interval)
                    continue
                outcome = Refused(f"{outcome.reason} for more than {limit:g} s")
            self._refused += 1
            self._metrics.send_failed(self.name, record.signal, items)
            self.degrade(f"the back end refused a request for good ({outcome.reason}); it was skipped")
            self._once(f"{outcome.reason}: skipped. Further ones are only counted")
            return

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
            self._once(f"compat raised {type(error).__name__}; such requests are forwarded without it")
            return record.body

    def _once(self, message: str) -> None:
        if message not in self._refusals:
            self._refusals.add(message)
            _log.warning("%s: %s", self.name, message)
