# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The consumer between the intake log and those back ends that get a sample: what is kept goes into a log of its own."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runrecord.collector import envelope
from runrecord.collector.consumers.base import IntakeConsumer
from runrecord.collector.receiver.accept import ITEMS_HEADER
from runrecord.collector.routing import ROUTE_HEADER
from runrecord.collector.sampling.reasons import Seen, look
from runrecord.collector.sampling.spool import Fragment, Kept, Spool
from runrecord.exporters.errors import IntakeFull
from runrecord.processors.signal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from runrecord.collector.consumers.quarantine import Quarantine
    from runrecord.collector.telemetry import GatewayMetrics, Health
    from runrecord.exporters.intake import IntakeRecord, IntakeSource, IntakeWriter

_log = logging.getLogger(__name__)
_LARGEST: Final = 4 << 20
_SETTLE_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 5.0


class TailSampler(IntakeConsumer):
    """Decides which runs go on; see `Spool` for when."""

    def __init__(
        self,
        source: IntakeSource,
        *,
        spool: Spool,
        sampled: IntakeWriter,
        health: Health,
        metrics: GatewayMetrics,
        quarantine: Quarantine,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            source: Its way through the intake log.
            spool: Where undecided runs wait; this object closes it.
            sampled: Where what is kept goes, for the forwarders.
            health: Where it says how it is.
            metrics: Where it counts.
            quarantine: Where it keeps what is no trace request.
            clock: Unix time.
        """
        super().__init__(
            source,
            exporter=source.name,
            wanted=lambda record: record.signal is Signal.TRACES,
            health=health,
            metrics=metrics,
            quarantine=quarantine,
        )
        self._spool, self._sampled, self._clock = spool, sampled, clock
        self._settler: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        """Whoever has it uses the spool."""

    def start(self) -> None:
        """Begin to consume, and to settle what has ended."""
        super().start()
        self._settler = asyncio.create_task(
            self._settle_again_and_again(), name=f"runrecord-{self.name}-settle"
        )

    async def stop(self) -> None:
        """Stop after what is being done now; what waits is still there at the next start."""
        await super().stop()
        if self._settler is not None:
            self._settler.cancel()
            await asyncio.gather(self._settler, return_exceptions=True)
        async with self._turn:
            await asyncio.to_thread(self._spool.close)

    async def take(self, records: Sequence[IntakeRecord]) -> None:
        """Pass on what is kept, and let the rest wait; return when both are durable."""
        while True:
            async with self._turn:
                try:
                    kept = await asyncio.to_thread(self._decide, records)
                    for each in _together(kept):
                        await self._pass_on(each)
                    await asyncio.to_thread(self._spool.commit)
                except sqlite3.Error as error:
                    await asyncio.to_thread(self._spool.rollback)
                    problem = f"spans that wait for a decision can't be written: {error}; all wait in the intake log"
                except BaseException:
                    await asyncio.to_thread(self._spool.rollback)
                    raise
                else:
                    break
            self.degrade(problem)
            await self.pause(_AGAIN_SECONDS)
        self._count(sum(each.spans for each in kept))
        self.done(records)
        self.recover()

    def _facts(self) -> dict[str, Any]:
        spool = self._spool
        return {
            **super()._facts(),
            "waiting_spans": spool.waiting_spans,
            "waiting_bytes": spool.waiting_bytes,
            "decided_early": spool.early,
        }

    def _decide(self, records: Sequence[IntakeRecord]) -> list[Kept]:
        fragments = [
            fragment
            for record in records
            for fragment in fragments_of(record.body, dict(record.headers).get(ROUTE_HEADER, ""))
        ]
        return self._spool.add(fragments, self._clock())

    async def _pass_on(self, kept: Kept) -> None:
        while True:
            try:
                await self._sampled.append(Signal.TRACES, kept.body, headers=headers_of(kept))
            except IntakeFull as error:
                self.degrade(f"the log of sampled spans is full: {error}; all wait in the intake log")
                await self.pause(error.retry_after)
            else:
                return

    def _count(self, kept: int) -> None:
        dropped, self._spool.dropped_spans = self._spool.dropped_spans, 0
        self._metrics.sampled(kept, dropped)
        self._metrics.sampling_waiting(
            self._spool.waiting_spans, self._spool.waiting_bytes, self._spool.early
        )

    async def _settle_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(_SETTLE_SECONDS)
            async with self._turn:
                await asyncio.to_thread(self._settle)
            self._count(0)

    def _settle(self) -> None:
        try:
            self._spool.settle(self._clock())
            self._spool.commit()
        except sqlite3.Error as error:  # `take` says it in the health; what is due stays due
            _log.debug("%s: nothing was settled: %s", self.name, error)
            self._spool.rollback()


def headers_of(kept: Kept) -> tuple[tuple[str, str], ...]:
    """What the log of sampled spans keeps with a request, as the intake log does."""
    items = (ITEMS_HEADER, str(kept.spans))
    return (items, (ROUTE_HEADER, kept.route)) if kept.route else (items,)


def fragments_of(body: bytes, route: str = "") -> list[Fragment]:
    """Take a request apart by trace.

    Args:
        body: A serialised trace request, valid.
        route: Of the request.

    Returns:
        One fragment per trace; spans of one run may be in several. If there is one only, it has the very same body.
    """
    seen: dict[bytes, list[Seen]] = {}

    def trace_of(span: bytes) -> bytes:
        found = look(Span.FromString(span))
        seen.setdefault(found.trace, []).append(found)
        return found.trace

    parts = envelope.by_record(body, trace_of)
    return [Fragment(tuple(seen[trace]), len(seen[trace]), part, route) for trace, part in parts]


def _together(kept: Sequence[Kept]) -> list[Kept]:
    """Join what is kept and goes the same way into few requests of a handy size."""
    requests: dict[str, list[list[Kept]]] = {}
    for each in kept:
        of_its_way = requests.setdefault(each.route, [[]])
        if of_its_way[-1] and sum(len(one.body) for one in of_its_way[-1]) + len(each.body) > _LARGEST:
            of_its_way.append([])
        of_its_way[-1].append(each)
    return [
        Kept(sum(each.spans for each in parts), envelope.merge([each.body for each in parts]), way)
        for way, of_its_way in requests.items()
        for parts in of_its_way
    ]
