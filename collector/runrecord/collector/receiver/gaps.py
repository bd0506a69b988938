# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What was refused is said in the intake log as soon as that takes anything again, so that no gap is silent.

Who was refused may send again, or may drop it: nobody here knows. The event `runrecord.gap` goes the way of all log records, to every
back end that takes logs; a ledger takes it whether or not it is in a pipeline of logs, and seals it.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Final, Protocol

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from runrecord.exporters.errors import IntakeError
from runrecord.processors.signal import Signal
from runrecord.semconv import SCHEMA_URL
from runrecord.semconv import attributes as names
from runrecord.semconv.signals import EVENT_GAP

GAP_HEADER: Final = "gap"
"""Under this name the intake log marks what was written here, not by a client; a ledger takes it in any case."""
_SCOPE: Final = "runrecord.collector"
_WARNING: Final = 13  # SeverityNumber of OpenTelemetry's data model


class Appends(Protocol):
    """What is needed of an intake log."""

    async def append(self, signal: Signal, body: bytes, *, headers: tuple[tuple[str, str], ...] = ()) -> int:
        """Store a request and return when it is durable."""
        ...


@dataclass
class _Gap:
    first: int
    last: int
    requests: int = 0
    records: int = 0


class Gaps:
    """Collects what was refused, by reason, and tells the intake log. For one event loop and its worker threads.

    Attributes:
        source: The source id of what it says.
    """

    def __init__(self, intake: Appends) -> None:
        """Begin with none.

        Args:
            intake: Where to say it.
        """
        self.source = secrets.token_hex(8)
        self._intake = intake
        self._open: dict[str, _Gap] = {}
        self._lock = threading.Lock()
        self._telling: asyncio.Task[None] | None = None

    def note(self, reason: str, records: int = 0) -> None:
        """Note that a request was refused, or a part of it lost.

        Args:
            reason: A member of `runrecord.gap.reason`.
            records: How many records were lost for good; 0 if nobody knows.
        """
        now = time.time_ns()
        with self._lock:
            gap = self._open.setdefault(reason, _Gap(now, now))
            gap.last = now
            gap.requests += 1
            gap.records += records

    def tell_soon(self) -> None:
        """Say what is open, without waiting for it; call it about once a second."""
        if self._open and (self._telling is None or self._telling.done()):
            self._telling = asyncio.ensure_future(self.tell())

    async def tell(self) -> None:
        """Say what is open; what can't be said now stays open."""
        with self._lock:
            told, self._open = self._open, {}
        for reason, gap in told.items():
            try:
                await self._intake.append(
                    Signal.LOGS, self._event(reason, gap), headers=((GAP_HEADER, reason),)
                )
            except IntakeError:
                with self._lock:
                    later = self._open.setdefault(reason, gap)
                    if later is not gap:
                        later.first = gap.first
                        later.requests += gap.requests
                        later.records += gap.records

    async def close(self) -> None:
        """Say what is still open."""
        if self._telling is not None:
            await self._telling
        await self.tell()

    def _event(self, reason: str, gap: _Gap) -> bytes:
        request = ExportLogsServiceRequest()
        part = request.resource_logs.add()
        scope = part.scope_logs.add(schema_url=SCHEMA_URL)
        scope.scope.name = _SCOPE
        record = scope.log_records.add(
            event_name=EVENT_GAP,
            time_unix_nano=gap.last,
            observed_time_unix_nano=time.time_ns(),
            severity_number=_WARNING,
        )
        facts = {names.SOURCE_ID: self.source, names.GAP_REASON: reason}
        for name, text in facts.items():
            record.attributes.add(key=name).value.string_value = text
        counts = {names.GAP_REQUESTS: gap.requests, names.GAP_START: gap.first, names.GAP_END: gap.last}
        if gap.records:
            counts[names.GAP_RECORDS] = gap.records
        for name, number in counts.items():
            record.attributes.add(key=name).value.int_value = number
        return request.SerializeToString()
