# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The loops that all consumers share: one reads ahead and has the work done, one commits what is done behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from runrecord.collector.consumers.quarantine import Quarantine
from runrecord.collector.telemetry import GatewayMetrics, Health
from runrecord.exporters.errors import IntakeError
from runrecord.exporters.intake import IntakeRecord, IntakeSource

_log = logging.getLogger(__name__)
_AGAIN_SECONDS = 5.0


class Stopped(Exception):  # noqa: N818 - how a batch is left when the gateway stops
    """The consumer was told to stop in the middle of a batch; what is not committed is read again next time."""


class IntakeConsumer(ABC):
    """A task that takes every record of some signals, at its own pace.

    Attributes:
        name: The name of its cursor.
        exporter: The exporter's name in the configuration.
    """

    def __init__(
        self,
        consumer: IntakeSource,
        *,
        exporter: str,
        wanted: Callable[[IntakeRecord], bool],
        health: Health,
        metrics: GatewayMetrics,
        quarantine: Quarantine,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            consumer: Its place in the intake log.
            exporter: Its name in the configuration.
            wanted: Records for which it is false are passed over.
            health: Where it says how it is.
            metrics: Where it counts.
            quarantine: Where it keeps requests that it can't pass on.
        """
        self.name = consumer.name
        self.exporter = exporter
        self._consumer = consumer
        self._wanted = wanted
        self._health = health.part(self.name, self._facts)
        self._metrics = metrics
        self._quarantine = quarantine
        self._said: set[str] = set()
        self._stop = asyncio.Event()
        self._progressed = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.batch_records = 256
        self.batch_bytes = 8 << 20

    @property
    def backlog_records(self) -> int:
        """How many records it has not committed."""
        return self._consumer.backlog_records

    @property
    def backlog_bytes(self) -> int:
        """About how many bytes it has not read."""
        return self._consumer.backlog_bytes

    def want(self, wanted: Callable[[IntakeRecord], bool]) -> None:
        """Pass over other records than before, from now on."""
        self._wanted = wanted

    def start(self) -> None:
        """Begin to consume."""
        self._task = asyncio.create_task(self._run(), name=f"runrecord-{self.name}")

    async def stop(self) -> None:
        """Stop after what is being done now."""
        self._stop.set()
        if self._task is not None:
            await self._task
        await asyncio.to_thread(self._consumer.close)

    @abstractmethod
    async def take(self, records: Sequence[IntakeRecord]) -> None:
        """Do the work for a batch, or begin it; call `done` for what is safe to forget.

        Args:
            records: In the order of the log.

        Raises:
            Stopped: The consumer was told to stop before it was done.
        """

    async def ready(self) -> None:
        """Return when it makes sense to read."""
        await self._consumer.wait()

    async def finish(self) -> None:  # noqa: B027 - most have none
        """Wait for work that `take` only began."""

    def done(self, records: Iterable[IntakeRecord]) -> None:
        """Say that records need never be read again."""
        self._consumer.done(records)
        self._progressed.set()

    def _facts(self) -> dict[str, Any]:
        return {
            "behind_records": self.backlog_records,
            "behind_bytes": self.backlog_bytes,
            "quarantined_requests": self._quarantine.files,
        }

    def degrade(self, message: str) -> None:
        """Say what is wrong, in the health and, when it is new, in the log."""
        if self._health.set(ok=False, message=message):
            _log.warning("%s: %s", self.name, message)

    def recover(self) -> None:
        """Say that all is well."""
        if self._health.set(ok=True):
            _log.info("%s: works", self.name)

    def warn_once(self, message: str) -> None:
        """Log a message if it is the first of its kind.

        Args:
            message: One of a small number of texts; all of them are remembered.
        """
        if message not in self._said:
            self._said.add(message)
            _log.warning("%s: %s", self.name, message)

    async def set_aside(self, record: IntakeRecord, reason: str) -> None:
        """Keep a request that can't be passed on; return when it is durable in the quarantine.

        Args:
            record: The request.
            reason: Why, as a label: one of a small number of texts, without content.

        Raises:
            Stopped: The consumer was told to stop before there was room for it.
        """
        while True:
            try:
                await asyncio.to_thread(self._quarantine.keep, record)
            except OSError as error:
                self.degrade(
                    f"a request ({reason}) can't be set aside in {self._quarantine.directory} ({error.strerror}); "
                    "it waits in the intake log, and all behind it: make room"
                )
                await self.pause(_AGAIN_SECONDS)
            else:
                break
        self._metrics.quarantined(self.exporter, reason)
        self.warn_once(
            f"{reason}: the request is set aside in {self._quarantine.directory}; further ones are only counted"
        )

    async def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            Stopped: The consumer was told to stop.
        """
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except asyncio.TimeoutError:
            return
        raise Stopped

    async def _run(self) -> None:
        committing = asyncio.create_task(self._commit_behind())
        try:
            await self._consume()
        except Stopped:
            return
        except IntakeError as error:
            self.degrade(f"stopped: {error}. {error.next_step}")
        except Exception as error:  # noqa: BLE001 - health says it, and the others go on
            self.fault(error)
        finally:
            await self.finish()
            self._ended.set()
            self._progressed.set()
            await committing

    async def _consume(self) -> None:
        while not self._stop.is_set():
            await self._until_stopped(self.ready())
            before = self._consumer.position
            records = await asyncio.to_thread(self._read)
            if records:
                await self.take(records)
            elif self._consumer.position == before:
                return  # the intake log has stopped, and there is nothing left
            else:
                self._progressed.set()

    def fault(self, error: BaseException) -> None:
        """Say that an error of ours ended it."""
        self.degrade(
            f"stopped by a fault of ours ({type(error).__name__}); restart the gateway, nothing is lost"
        )
        # Where it was, without the text of the error: that may hold content.
        _log.debug("%s: %s", self.name, "".join(traceback.format_tb(error.__traceback__)))

    def _read(self) -> list[IntakeRecord]:
        return self._consumer.read(
            max_records=self.batch_records, max_bytes=self.batch_bytes, wanted=self._wanted
        )

    async def _commit_behind(self) -> None:
        """Write the cursor; a full disk must not end the consumer, it only means that some records come twice."""
        last = False
        while not last:
            await self._progressed.wait()
            self._progressed.clear()
            last = self._ended.is_set()
            try:
                await asyncio.to_thread(self._consumer.commit)
            except IntakeError as error:
                self.degrade(str(error))
                self._progressed.set()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), _AGAIN_SECONDS)

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        working, stopping = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)
        if self._stop.is_set():
            raise Stopped
