# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The one way in, for both transports: check, redact, store, and only then acknowledge."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Final, Protocol

from runrecord.collector.config import Pipeline
from runrecord.collector.envelope import halve
from runrecord.collector.own_signals import own_tracer
from runrecord.collector.receiver.gaps import Gaps
from runrecord.collector.receiver.memory import MemoryWatch
from runrecord.collector.receiver.requests import SERVICES, Checked, check, count_in
from runrecord.collector.receiver.status import Code, Refusal, unavailable
from runrecord.collector.routing import ROUTE_HEADER, Pairs, Piece, route
from runrecord.collector.telemetry import GatewayMetrics
from runrecord.exporters.errors import IntakeFull, IntakeStopped, IntakeTooLarge
from runrecord.exporters.intake import IntakeWriter
from runrecord.processors.errors import QuarantineError, RedactionError
from runrecord.processors.signal import Signal

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger(__name__)
ITEMS_HEADER: Final = "items"
"""Under this name the intake log keeps how many records a request has."""
_SPAN_NAMES: Final = {
    Signal.TRACES: "receiver/otlp/TraceDataReceived",
    Signal.LOGS: "receiver/otlp/LogsReceived",
    Signal.METRICS: "receiver/otlp/MetricsReceived",
}
"""As the collector names them (receiverhelper)."""
_INLINE_BYTES: Final = 32 << 10
_TOO_MANY: Final = "too_many_requests"
_NOT_REDACTED: Final = "not_redacted"


class Redacted(Protocol):
    """What a redactor returns."""

    @property
    def body(self) -> bytes:
        """The redacted request."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Matches by rule."""
        ...


class Reservation:
    """Memory that one request holds; a context manager that gives it back."""

    def __init__(self, acceptor: Acceptor) -> None:
        """Hold nothing yet; use `Acceptor.reservation`."""
        self._acceptor = acceptor
        self._held = 0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give everything back."""
        self._acceptor.release(self._held)

    def grow_to(self, size: int) -> None:
        """Hold so many bytes in all.

        Raises:
            Refusal: There is no room now.
        """
        if size > self._held:
            self._acceptor.reserve(size - self._held)
            self._held = size


class Acceptor:
    """Takes serialised export requests and answers when they are durable.

    Attributes:
        gaps: What was refused for want of room, or could not be redacted.
        max_in_flight_bytes: Above it requests are refused, retryable.
    """

    def __init__(
        self,
        intake: IntakeWriter,
        redact: Callable[[Signal, bytes], Redacted],
        metrics: GatewayMetrics,
        *,
        pipelines: Mapping[Signal, Pipeline],
        executor: Executor,
        max_in_flight_bytes: int,
        memory: MemoryWatch | None = None,
        redaction_waits: bool = False,
        set_aside: Callable[[Signal, bytes], object] | None = None,
    ) -> None:
        """Join the parts.

        Args:
            intake: Where redacted requests go.
            redact: Redacts a request or raises RedactionError; safe to call from several threads.
            metrics: What is counted.
            pipelines: A signal without one is refused.
            executor: Where large requests are parsed and redacted, so that the event loop stays free.
            max_in_flight_bytes: The most bytes of requests that may be under way.
            memory: Knows whether the process has too much of it.
            redaction_waits: Redacting may wait for a disk or a network, so it never happens on the event loop.
            set_aside: Makes a request durable that can't be redacted, for the policy that wants that; raises
                QuarantineError.
        """
        self.gaps = Gaps(intake)
        self._intake = intake
        self._redact = redact
        self._metrics = metrics
        self._pipelines = pipelines
        self._executor = executor
        self._memory = memory
        self._inline_bytes = 0 if redaction_waits else _INLINE_BYTES
        self._set_aside = set_aside
        self._tracer = own_tracer()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self.max_in_flight_bytes = max_in_flight_bytes

    def use(
        self,
        redact: Callable[[Signal, bytes], Redacted],
        pipelines: Mapping[Signal, Pipeline],
        *,
        redaction_waits: bool = False,
        set_aside: Callable[[Signal, bytes], object] | None = None,
    ) -> None:
        """Take requests in another way from now on; those under way may still go the old one."""
        self._inline_bytes = 0 if redaction_waits else _INLINE_BYTES
        self._set_aside = set_aside
        self._redact = redact
        self._pipelines = pipelines

    def check_room(self) -> None:
        """Refuse a request before any of it is read; one at a time is always read, so that there is progress.

        Raises:
            Refusal: There is no room now.
        """
        if self._stopping:
            raise unavailable("the gateway is stopping")
        if not self._in_flight:
            return
        if self._in_flight >= self.max_in_flight_bytes:
            self.gaps.note(_TOO_MANY)
            raise unavailable("too many requests are under way")
        self.check_memory()

    def check_memory(self) -> None:
        """Refuse if the process is above its soft limit.

        Raises:
            Refusal: It is.
        """
        if self._memory is not None and self._memory.is_above():
            self.gaps.note(_TOO_MANY)
            raise unavailable("memory is above its soft limit")

    def reserve(self, size: int) -> None:
        """Count bytes that are about to be held in memory.

        Args:
            size: Bytes; give them back with `release`.

        Raises:
            Refusal: There is no room now.
        """
        if self._stopping:
            raise unavailable("the gateway is stopping")
        if self._in_flight and self._in_flight + size > self.max_in_flight_bytes:
            self.gaps.note(_TOO_MANY)
            raise unavailable("too many requests are under way")
        self._in_flight += size
        self._idle.clear()

    def reservation(self) -> Reservation:
        """Return an account for the memory of one request."""
        return Reservation(self)

    def release(self, size: int) -> None:
        """Give back what `reserve` counted."""
        self._in_flight -= size
        if not self._in_flight:
            self._idle.set()

    async def drain(self) -> None:
        """Refuse new requests, and return when those under way are answered."""
        self._stopping = True
        await self._idle.wait()

    def check_signal(self, signal: Signal) -> None:
        """Refuse a signal that has no pipeline."""
        if signal not in self._pipelines:
            raise Refusal(
                Code.UNIMPLEMENTED,
                f"no pipeline for {signal.value}: add service.pipelines.{signal.value} to the configuration",
            )

    async def accept(
        self,
        signal: Signal,
        body: bytes,
        *,
        transport: str,
        headers: Pairs = (),
        convert: Callable[[bytes], bytes] | None = None,
    ) -> Checked:
        """Take a request; when this returns, what it accepted survives any crash.

        Args:
            signal: What the body is a request of.
            body: The request, decompressed.
            transport: ``grpc`` or ``http``, for metrics.
            headers: Of the transport; none of them is kept.
            convert: Turns the body into protobuf first; used for JSON.

        Returns:
            What was accepted and what was rejected one by one.

        Raises:
            Refusal: Nothing of it was kept.
        """
        self.check_signal(signal)
        size = max(1, len(body))
        self.reserve(size)
        facts = {"receiver": "otlp", "transport": transport}
        try:
            with (
                self._metrics.accept_seconds.time(),
                self._tracer.start_as_current_span(
                    _SPAN_NAMES[signal],
                    attributes=facts,
                    record_exception=False,  # the text of one may hold content
                    set_status_on_exception=False,
                ) as span,
            ):
                checked, pieces, counts = await self._prepare(signal, body, headers, convert)
                if pieces:
                    await self._store(signal, pieces)
                span.set_attribute(f"accepted_{SERVICES[signal].items}", checked.accepted)
            self._metrics.accepted(signal, checked, counts, transport)
        except Refusal as refusal:
            self._metrics.refused(signal, transport, refusal)
            raise
        finally:
            self.release(size)
        return checked

    async def _prepare(
        self, signal: Signal, body: bytes, headers: Pairs, convert: Callable[[bytes], bytes] | None
    ) -> tuple[Checked, list[Piece], Counter[str]]:
        if len(body) < self._inline_bytes:
            return self._check_and_redact(signal, body, headers, convert)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, self._check_and_redact, signal, body, headers, convert
        )

    def _check_and_redact(
        self, signal: Signal, body: bytes, headers: Pairs, convert: Callable[[bytes], bytes] | None
    ) -> tuple[Checked, list[Piece], Counter[str]]:
        checked, counts = check(signal, convert(body) if convert else body), Counter[str]()
        if not checked.accepted:
            return checked, [], counts
        checked, pieces = route(signal, checked, self._pipelines[signal].routing, headers)
        kept = [
            redacted for piece in pieces if (redacted := self._redacted(signal, piece, counts)) is not None
        ]
        aside = sum(piece.items for piece in pieces) - sum(piece.items for piece in kept)
        if aside:
            why = f"{aside} {SERVICES[signal].items} could not be redacted and were set aside"
            reason = f"{checked.reason}; {why}" if checked.reason else why
            checked = Checked(checked.body, checked.accepted - aside, checked.rejected + aside, reason)
        return checked, kept, counts

    def _redacted(self, signal: Signal, piece: Piece, counts: Counter[str]) -> Piece | None:
        """Redact a piece; None if it was set aside instead."""
        try:
            with self._metrics.redaction_seconds.time():
                redaction = self._redact(signal, piece.body)
        except RedactionError as error:
            self._metrics.redaction_failed(signal)
            if error.malformed:
                raise Refusal(Code.INVALID_ARGUMENT, f"the request can't be redacted: {error}") from error
            if error.disposition == "quarantine" and self._set_aside is not None:
                self._quarantine(signal, piece, error, self._set_aside)
                return None
            if error.temporary:
                raise unavailable(f"the request can't be redacted now: {error}") from error
            self.gaps.note(_NOT_REDACTED, piece.items)
            _log.error("a request of %d %s was refused: %s", piece.items, SERVICES[signal].items, error)
            raise Refusal(Code.INTERNAL, f"the request can't be redacted: {error}") from error
        except Exception as error:
            self._metrics.redaction_failed(signal)
            self.gaps.note(_NOT_REDACTED, piece.items)
            _log.error("a request was refused: the redactor raised %s", type(error).__name__)
            raise Refusal(Code.INTERNAL, "the request can't be redacted") from error
        counts.update(redaction.counts)
        return piece._replace(body=redaction.body)

    def _quarantine(
        self,
        signal: Signal,
        piece: Piece,
        error: RedactionError,
        set_aside: Callable[[Signal, bytes], object],
    ) -> None:
        try:
            set_aside(signal, piece.body)
        except QuarantineError as failure:
            _log.error("a request of %d %s was refused: %s", piece.items, SERVICES[signal].items, failure)
            raise unavailable(f"the request can't be redacted, nor set aside: {failure}") from failure
        self.gaps.note(_NOT_REDACTED, piece.items)
        _log.error("a request of %d %s was set aside: %s", piece.items, SERVICES[signal].items, error)

    async def _store(self, signal: Signal, pieces: Iterable[Piece]) -> None:
        """Store all pieces, at the same time; after a failure the client sends all of them again."""
        results = await asyncio.gather(
            *(self._append(signal, piece) for piece in pieces), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _append(self, signal: Signal, piece: Piece) -> None:
        headers = [(ITEMS_HEADER, str(piece.items))]
        if piece.route:
            headers.append((ROUTE_HEADER, piece.route))
        try:
            await self._intake.append(signal, piece.body, headers=tuple(headers))
        except IntakeTooLarge as error:
            halves = halve(piece.body)
            if halves is None:
                raise Refusal(Code.RESOURCE_EXHAUSTED, f"one record of it is too large: {error}") from error
            await self._store(
                signal, [piece._replace(body=half, items=count_in(signal, half)) for half in halves]
            )
        except IntakeFull as error:
            limit = self._intake.limits.max_age_seconds
            too_old = limit is not None and self._intake.oldest_age_seconds() > limit
            self.gaps.note("intake_too_old" if too_old else "intake_full")
            raise unavailable(str(error), error.retry_after) from error
        except IntakeStopped as error:
            raise unavailable(str(error), 30.0) from error
