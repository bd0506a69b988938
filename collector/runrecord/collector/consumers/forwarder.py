# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Forwards to one back end: repeats what it could not take, sets aside what it never will, and holds nobody else up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from runrecord.collector.config import Retry, SendingQueue
from runrecord.collector.consumers.base import IntakeConsumer, Stopped
from runrecord.collector.consumers.quarantine import Quarantine
from runrecord.collector.consumers.stamp import LedgerStamp
from runrecord.collector.consumers.transport import (
    Delivered,
    Misconfigured,
    Transport,
    TryAgain,
    Unacceptable,
)
from runrecord.collector.envelope import halve, merge
from runrecord.collector.own_signals import own_tracer
from runrecord.collector.receiver.accept import ITEMS_HEADER
from runrecord.collector.receiver.requests import count_in
from runrecord.collector.telemetry import GatewayMetrics, Health
from runrecord.exporters.intake import IntakeRecord, IntakeSource
from runrecord.processors.signal import Signal

_LONGEST_WISH: Final = 300.0
_MAX_HELD: Final = 64 << 20
"""Bytes of requests that one forwarder has in memory at most, unless one alone is larger."""
_ADVICE: Final = {
    "headers": "check the credentials in exporters.{name}.headers",
    "endpoint": "check exporters.{name}.endpoint, or take {name} out of service.pipelines.{signal}",
}


class Forwarder(IntakeConsumer):
    """One exporter of the configuration, for one signal.

    A window of requests is under way at any time. One that is slow, or has to be sent again, holds up none of the others; the
    cursor stays in front of it. Requests that wait are joined, and joined ones that are refused are taken apart again until only
    what is really not acceptable is left.
    """

    def __init__(
        self,
        consumer: IntakeSource,
        transport: Transport,
        *,
        exporter: str,
        wanted: Callable[[IntakeRecord], bool],
        health: Health,
        metrics: GatewayMetrics,
        quarantine: Quarantine,
        retry: Retry,
        queue: SendingQueue,
        compat: Callable[[Signal, bytes], bytes] | None = None,
        compat_signals: Collection[Signal] = (),
        stamp: LedgerStamp | None = None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            consumer: Its place in the intake log.
            transport: Sends a request once.
            exporter: Its name in the configuration.
            wanted: Says which records are for this exporter.
            health: Where it says how it is.
            metrics: Where it counts.
            quarantine: Where it keeps requests that the back end will never take.
            retry: How it repeats.
            queue: How much is under way at once, and how requests are joined.
            compat: Adds attributes for tracing UIs.
            compat_signals: The pipelines in which it is.
            stamp: Waits for the ledger, and says on each record where it is there.
        """
        super().__init__(
            consumer, exporter=exporter, wanted=wanted, health=health, metrics=metrics, quarantine=quarantine
        )
        self._transport = transport
        self._tracer = own_tracer()
        self._retry = retry
        self._window = queue.num_consumers
        self._batch = queue.batch
        if self._batch is None:
            self.batch_records = 1
        elif self._batch.sizer == "bytes":
            self.batch_bytes = self._batch.max_size
        self._compat = compat
        self._compat_signals = frozenset(compat_signals)
        self._stamp = stamp
        self._sent = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self._held = 0
        self._freed = asyncio.Event()
        self._error: BaseException | None = None
        self._waiting: dict[object, str] = {}
        """Why requests have to be sent again, the oldest first."""

    async def ready(self) -> None:
        """Return when there is something to read and a place for it: what comes meanwhile can be joined."""
        await self._room(0)
        await super().ready()

    async def take(self, records: Sequence[IntakeRecord]) -> None:
        """Begin to send a batch."""
        for group in self._groups(records):
            size = sum(len(record.body) for record in group)
            await self._room(size)
            if self._stop.is_set():
                raise Stopped
            self._held += size
            task = asyncio.create_task(self._deliver(group))
            self._under_way.add(task)
            task.add_done_callback(partial(self._free, size))

    async def finish(self) -> None:
        """Wait for what is under way; what has to be sent again is given up, and read again next time."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def stop(self) -> None:
        """Stop after what is being done now, and close the connections."""
        await super().stop()
        await self._transport.close()

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "sent_requests": self._sent}

    # -- the window ------------------------------------------------------------------------------------------------

    async def _room(self, size: int) -> None:
        while self._under_way and (len(self._under_way) >= self._window or self._held + size > _MAX_HELD):
            self._freed.clear()
            await self._freed.wait()
        if self._error is not None:
            raise self._error

    def _free(self, size: int, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._held -= size
        self._freed.set()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Stopped):
            self._error = error
            self.fault(error)

    def _groups(self, records: Sequence[IntakeRecord]) -> Iterator[list[IntakeRecord]]:
        """Cut a batch into requests, of one signal each, and none over the size that was set unless it is of one record."""
        groups: dict[Signal, list[IntakeRecord]] = {}
        sizes: dict[Signal, int] = {}
        for record in records:
            size = self._size(record)
            group = groups.setdefault(record.signal, [])
            if group and (self._batch is None or sizes[record.signal] + size > self._batch.max_size):
                yield group
                groups[record.signal] = group = []
            sizes[record.signal] = size + (sizes[record.signal] if group else 0)
            group.append(record)
        yield from groups.values()

    def _size(self, record: IntakeRecord) -> int:
        by_items = self._batch is not None and self._batch.sizer == "items"
        return _items(record) if by_items else len(record.body)

    # -- one request -----------------------------------------------------------------------------------------------

    async def _deliver(self, records: list[IntakeRecord]) -> None:
        """Send records as one request, and in halves if the back end does not accept them together."""
        body = await self._prepare(records)
        refused = await self._send(records[0].signal, body, sum(map(_items, records)))
        if isinstance(refused, Unacceptable) and len(records) > 1:
            middle = len(records) // 2
            await self._deliver(records[:middle])
            await self._deliver(records[middle:])
            return
        if refused is not None:
            for record in records:
                await self._refused(record, body if len(records) == 1 else record.body, refused)
        self.done(records)

    async def _send(self, signal: Signal, body: bytes, items: int) -> Unacceptable | TryAgain | None:
        """Send a request until there is a last answer; None if it was taken."""
        interval, started, token = self._retry.initial_interval, time.monotonic(), object()
        try:
            while True:
                if self._stop.is_set():
                    raise Stopped
                with self._tracer.start_as_current_span(f"exporter/{self.exporter}/{signal.value}") as span:
                    outcome = await self._transport.send(signal, body)
                    span.set_attributes({"items": items, "outcome": type(outcome).__name__})
                if isinstance(outcome, Delivered):
                    self._waiting.pop(token, None)
                    self._delivered(signal, items, outcome.rejected)
                    return None
                if isinstance(outcome, TryAgain) and not self._gives_up(started):
                    delay = self._delay(interval, outcome.after)
                    interval = min(interval * self._retry.multiplier, self._retry.max_interval)
                    why = f"{outcome.reason}; repeating until it is taken"
                elif isinstance(outcome, Misconfigured):
                    delay = self._delay(self._retry.max_interval, None)
                    advice = _ADVICE[outcome.key].format(name=self.exporter, signal=signal.value)
                    why = f"{outcome.reason} to a {signal.value} request: {advice}; until then all wait in the intake log"
                else:
                    return outcome
                self._metrics.retried(self.exporter)
                self._waiting[token] = why
                self._tell()
                await self.pause(delay)
        finally:
            self._waiting.pop(token, None)

    def _delivered(self, signal: Signal, items: int, rejected: int) -> None:
        rejected = min(rejected, items)
        self._sent += 1
        self._metrics.sent(self.exporter, signal, items - rejected)
        if rejected:  # OTLP 1.11, "Partial Success": they must not be sent again
            self._metrics.send_failed(self.exporter, signal, rejected)
            self.warn_once(
                f"the back end rejected records of a {signal.value} request one by one; further ones are only counted"
            )
        self._tell()

    async def _refused(
        self, record: IntakeRecord, body: bytes, refused: Unacceptable | TryAgain, *, piece: bool = False
    ) -> None:
        """Set a request aside, or only those pieces of it that are too large and can't be made smaller."""
        halves = halve(body) if isinstance(refused, Unacceptable) and refused.too_large else None
        if halves is not None:
            for half in halves:
                again = await self._send(record.signal, half, count_in(record.signal, half))
                if again is not None:
                    await self._refused(record, half, again, piece=True)
            return
        reason = f"{refused.reason} for too long" if isinstance(refused, TryAgain) else refused.reason
        items = count_in(record.signal, body) if piece else _items(record)
        await self.set_aside(replace(record, body=body) if piece else record, reason)
        self._metrics.send_failed(self.exporter, record.signal, items)
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

    async def _prepare(self, records: Sequence[IntakeRecord]) -> bytes:
        signal, bodies = records[0].signal, [record.body for record in records]
        if self._stamp is not None:
            bodies = [await self._stamp(record, self.pause) for record in records]
        if self._compat is not None and signal in self._compat_signals:
            bodies = await asyncio.to_thread(self._with_compat, signal, bodies, self._compat)
        return merge(bodies)

    def _with_compat(
        self, signal: Signal, plain: Sequence[bytes], compat: Callable[[Signal, bytes], bytes]
    ) -> list[bytes]:
        bodies: list[bytes] = []
        for body in plain:
            try:
                bodies.append(compat(signal, body))
            except Exception as error:  # noqa: BLE001 - it only adds; what is redacted may go out without it
                self.warn_once(
                    f"compat raised {type(error).__name__}; such requests are forwarded without it"
                )
                bodies.append(body)
        return bodies


def _items(record: IntakeRecord) -> int:
    """How many records a request has, as it was counted when it came."""
    return int(dict(record.headers).get(ITEMS_HEADER, "1"))
