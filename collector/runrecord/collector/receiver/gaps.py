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
from typing import Final, Protocol

from runrecord.exporters.errors import IntakeError
from runrecord.exporters.gap_event import Gap, gap_request
from runrecord.processors.signal import Signal

GAP_HEADER: Final = "gap"
"""Under this name the intake log marks what was written here, not by a client; a ledger takes it in any case."""
_SCOPE: Final = "runrecord.collector"


class Appends(Protocol):
    """What is needed of an intake log."""

    async def append(self, signal: Signal, body: bytes, *, headers: tuple[tuple[str, str], ...] = ()) -> int:
        """Store a request and return when it is durable."""
        ...


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
        self._open: dict[str, Gap] = {}
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
            self._open.setdefault(reason, Gap(reason, now, now)).add(records)

    def tell_soon(self) -> None:
        """Say what is open, without waiting for it; call it about once a second."""
        if self._open and (self._telling is None or self._telling.done()):
            self._telling = asyncio.ensure_future(self.tell())

    async def tell(self) -> None:
        """Say what is open; what can't be said now stays open."""
        with self._lock:
            told, self._open = self._open, {}
        for reason, gap in told.items():
            body = gap_request(gap, source=self.source, scope=_SCOPE)
            try:
                await self._intake.append(Signal.LOGS, body, headers=((GAP_HEADER, reason),))
            except IntakeError:
                with self._lock:
                    later = self._open.setdefault(reason, gap)
                    if later is not gap:
                        later.join(gap)

    async def close(self) -> None:
        """Say what is still open."""
        if self._telling is not None:
            await self._telling
        await self.tell()
