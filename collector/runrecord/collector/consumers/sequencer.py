# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the intake log to the ledger: entries are durable there before the cursor moves."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from runrecord.collector.consumers.base import IntakeConsumer
from runrecord.collector.consumers.quarantine import Quarantine
from runrecord.collector.telemetry import GatewayMetrics, Health
from runrecord.exporters.intake import IntakeRecord, IntakeSource
from runrecord.ledger.entry import Entry
from runrecord.ledger.errors import EntryTooLarge, LedgerError, LedgerStopped, MalformedError
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.tlog import leaf_hash
from runrecord.processors.errors import ProjectionError
from runrecord.processors.ledger.stamp import Place, record_id, stamp
from runrecord.processors.signal import Signal

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_Origin = tuple[Entry, IntakeRecord]


class Projected(Protocol):
    """What a projection returns."""

    @property
    def entries(self) -> list[Entry]:
        """In the order of the request."""
        ...

    @property
    def skipped(self) -> dict[str, int]:
        """Reason to number of governed records that can't be entries."""
        ...


class LedgerSequencer(IntakeConsumer):
    """One ledger of the configuration."""

    def __init__(
        self,
        consumer: IntakeSource,
        ledger: Ledger,
        *,
        reopen: Callable[[], Ledger],
        project: Callable[[Signal, bytes], Projected],
        wanted: Callable[[IntakeRecord], bool],
        health: Health,
        metrics: GatewayMetrics,
        quarantine: Quarantine,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            consumer: Its place in the intake log.
            ledger: Open for writing; this object closes it.
            reopen: Opens it once more after it has stopped.
            project: Makes entries of a request.
            wanted: Says which records are for this ledger.
            health: Where it says how it is.
            metrics: Where it counts.
            quarantine: Where it keeps requests of which no entries can be made.
        """
        super().__init__(
            consumer,
            exporter=consumer.name,
            wanted=wanted,
            health=health,
            metrics=metrics,
            quarantine=quarantine,
        )
        self._ledger: Ledger | None = ledger
        self._reopen = reopen
        self._project = project
        self._checkpoints = health.part(f"{self.name} checkpoints")
        self._entries = ledger.log.size
        self._settled = 0
        self._metrics.ledger_entries.labels(self.name).set(self._entries)

    @property
    def ledger(self) -> Ledger | None:
        """The ledger, or None while it is being opened again."""
        return self._ledger

    def watch_checkpoints(self) -> None:
        """Show in health and metrics whether checkpoints can be published; call it about once a second."""
        if self._ledger is None:  # being opened again: `degrade` says so
            return
        log = self._ledger.log
        failure = log.publish_failure
        self._metrics.ledger_unpublished.labels(self.name).set(log.size - log.checkpoint.size)
        self._metrics.ledger_publish_failed.labels(self.name).set(failure is not None)
        if failure is None:
            self._checkpoints.set(ok=True)
        else:
            self._checkpoints.set(
                ok=False, message=f"no new checkpoint; entries are durable without it: {failure}"
            )

    async def take(self, records: Sequence[IntakeRecord]) -> None:
        """Project a batch and append it; return when it is durable in the ledger."""
        entries, failed = await asyncio.to_thread(self._project_all, records)
        for record, reason in failed:
            await self.set_aside(record, reason)
        if entries:
            await self._append(entries)
        self.done(records)
        self._settled = self._consumer.position

    # -- for forwarders that go behind it --------------------------------------------------------------------------

    def takes(self, record: IntakeRecord) -> bool:
        """Say whether a record is for this ledger."""
        return self._wanted(record)

    def mark(self) -> int:
        """Return a place in the log behind everything that is durable there now."""
        return self._consumer.position + self._consumer.backlog_records

    def is_beyond(self, mark: int) -> bool:
        """Say whether all before a mark is in the ledger, or set aside."""
        return self._settled >= mark or not self._consumer.backlog_records

    def stamped(self, record: IntakeRecord) -> bytes:
        """Return the body of a record with the places of what the ledger holds of it.

        To append what is there once more gives its place, and changes nothing.

        Args:
            record: One that is before a `mark` that is passed.

        Raises:
            LedgerError: The ledger can't be asked now.
        """
        ledger = self._ledger
        if ledger is None:
            raise LedgerStopped("the ledger is being opened again", "wait")
        try:
            entries = self._project(record.signal, record.body).entries
            results = ledger.append_entries(entries) if entries else []
        except (EntryTooLarge, MalformedError, ProjectionError):  # the request was set aside under this name
            return stamp(record.signal, record.body, {})
        places = {
            record_id(entry): Place(ledger.log.origin, result.index, leaf_hash(entry.leaf()))
            for entry, result in zip(entries, results, strict=True)
            if result.status != "conflict"  # what is there under its key is another record
        }
        return stamp(record.signal, record.body, places)

    async def stop(self) -> None:
        """Stop after what is being done now, publish a checkpoint, and close the ledger."""
        await super().stop()
        if self._ledger is not None:
            ledger, self._ledger = self._ledger, None
            await asyncio.to_thread(self._publish_and_close, ledger)

    def _publish_and_close(self, ledger: Ledger) -> None:
        try:
            ledger.publish()
        except (LedgerError, OSError) as error:
            _log.warning("%s: no last checkpoint: %s", self.name, error)
        try:
            ledger.close()
        except (LedgerError, OSError, sqlite3.Error) as error:
            _log.warning("%s: did not close cleanly: %s", self.name, error)

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "entries": self._entries}

    def _project_all(
        self, records: Sequence[IntakeRecord]
    ) -> tuple[list[_Origin], list[tuple[IntakeRecord, str]]]:
        """Make the entries of a batch, each with the request it is of, and say of which requests none can be made."""
        entries: list[_Origin] = []
        failed: list[tuple[IntakeRecord, str]] = []
        for record in records:
            try:
                projected = self._project(record.signal, record.body)
            except ProjectionError:
                failed.append((record, "no entries can be made of it"))
                continue
            except Exception as error:  # noqa: BLE001 - one record must not stop the ledger
                failed.append((record, f"no entries can be made of it ({type(error).__name__})"))
                continue
            entries += ((entry, record) for entry in projected.entries)
            for reason, number in projected.skipped.items():
                self._metrics.ledger_skipped.labels(self.name, reason).inc(number)
        return entries, failed

    async def _append(self, entries: list[_Origin]) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await asyncio.to_thread(self._append_once, entries)
            except (EntryTooLarge, MalformedError):
                if len(entries) > 1:
                    half = len(entries) // 2
                    await self._append(entries[:half])
                    await self._append(entries[half:])
                else:
                    self._metrics.ledger_skipped.labels(self.name, "entry too large").inc()
                    await self.set_aside(entries[0][1], "an entry of it is too large")
                return
            except (LedgerError, OSError, sqlite3.Error) as error:
                self.degrade(f"the ledger takes no entries: {error}; they wait in the intake log")
                await self.pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self.recover()
                return

    def _append_once(self, entries: list[_Origin]) -> None:
        """Append; after a failure that the ledger does not survive, open it again first."""
        if self._ledger is None:
            self._ledger = self._reopen()
        try:
            results = self._ledger.append_entries([entry for entry, _ in entries])
        except LedgerStopped:
            ledger, self._ledger = self._ledger, None
            self._publish_and_close(ledger)
            raise
        for result in results:
            self._metrics.ledger_appended.labels(self.name, result.status).inc()
        self._entries = max(self._entries, *(result.index + 1 for result in results))
        self._metrics.ledger_entries.labels(self.name).set(self._entries)
