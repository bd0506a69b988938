# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the intake log to the ledger: entries are durable there before the cursor moves."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from runrecord.collector.consumers.base import IntakeConsumer
from runrecord.collector.consumers.ledger_events import tell_checkpoint, tell_entries, tell_since
from runrecord.collector.consumers.quarantine import Quarantine
from runrecord.collector.receiver.gaps import GAP_HEADER
from runrecord.collector.telemetry import GatewayMetrics, Health
from runrecord.exporters.intake import IntakeRecord, IntakeSource
from runrecord.ledger.administration import carry_out_requests
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.entry import Entry, Kind
from runrecord.ledger.erasure import settle
from runrecord.ledger.errors import EntryTooLarge, LedgerError, LedgerStopped, MalformedError, Pruned
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.lifecycle import Lifecycle
from runrecord.ledger.opening import ERASED
from runrecord.ledger.prune import Pruner
from runrecord.ledger.records import Record
from runrecord.ledger.run_search import RunQuery
from runrecord.ledger.sequencer import Appended
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.vault import Content, Vault, expire
from runrecord.processors.errors import ProjectionError
from runrecord.processors.ledger.stamp import Place, record_id, stamp
from runrecord.processors.signal import Signal

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_MAX_RESOURCES = 65_536
_CHUNK = 5_000
_LOOK_SECONDS = 5.0  # between two looks at what other writers have erased
_EXPIRE_SECONDS = 3600.0  # between two looks at what a vault has kept for long enough
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

    @property
    def contents(self) -> list[Content]:
        """What entries commit to, for the vault."""
        ...


class Projects(Protocol):
    """Makes entries of a request."""

    def __call__(self, signal: Signal, body: bytes, known: Container[tuple[str, str]], /) -> Projected:
        """Return the entries, without those of resources that are known to be in the ledger."""
        ...


class LedgerSequencer(IntakeConsumer):
    """One ledger of the configuration."""

    def __init__(
        self,
        consumer: IntakeSource,
        ledger: Ledger,
        *,
        reopen: Callable[[], Ledger],
        project: Projects,
        wanted: Callable[[IntakeRecord], bool],
        health: Health,
        metrics: GatewayMetrics,
        quarantine: Quarantine,
        lifecycle: Path | None = None,
        abandon_after: float | None = None,
        vault: Vault | None = None,
        retention: Mapping[str, int] | None = None,
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
            lifecycle: The file in which it keeps which runs are open.
            abandon_after: Seconds without a record until the ledger gives an open run up; None never does.
            vault: Where it keeps what entries commit to.
            retention: Days for which the vault keeps what entries of a kind commit to; ``default`` for all others.
        """
        super().__init__(
            consumer,
            exporter=consumer.name,
            wanted=_or_gap(wanted),
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
        self._told = b""
        self._resources: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lifecycle = Lifecycle(
            lifecycle, self._records_of, self._runs_since, abandon_after=abandon_after
        )
        self._attending: asyncio.Task[None] | None = None
        self._look_again = self._expire_again = 0.0
        self._vault = vault
        self._retention = dict(retention or {})
        self._pruner = Pruner()
        self._metrics.ledger_entries.labels(self.name).set(self._entries)

    @property
    def ledger(self) -> Ledger | None:
        """The ledger, or None while it is being opened again."""
        return self._ledger

    def want(self, wanted: Callable[[IntakeRecord], bool]) -> None:
        """Pass over other records than before, from now on; gaps are always taken."""
        super().want(_or_gap(wanted))

    def watch_checkpoints(self) -> None:
        """Show in health and metrics whether checkpoints can be published, give up runs, and do what operators ask; call it each second."""
        self._lifecycle.tick(caught_up=not self.backlog_records and self._ledger is not None)
        if self._attending is None or self._attending.done():
            self._attending = asyncio.ensure_future(asyncio.to_thread(self._attend))
        if self._ledger is None:  # being opened again: `degrade` says so
            return
        log = self._ledger.log
        failure = log.publish_failure
        self._metrics.ledger_unpublished.labels(self.name).set(log.size - log.checkpoint.size)
        self._metrics.ledger_publish_failed.labels(self.name).set(failure is not None)
        self._tell(log.checkpoint)
        if failure is None:
            self._checkpoints.set(ok=True)
        else:
            self._checkpoints.set(
                ok=False, message=f"no new checkpoint; entries are durable without it: {failure}"
            )

    def _tell(self, checkpoint: Checkpoint) -> None:
        """Tell of a checkpoint once."""
        if checkpoint.note and checkpoint.note != self._told:
            self._told = checkpoint.note
            tell_checkpoint(checkpoint)

    async def take(self, records: Sequence[IntakeRecord]) -> None:
        """Project a batch and append it; return when it is durable in the ledger."""
        contents: list[Content] = []
        entries, failed = await asyncio.to_thread(self._project_all, records, contents)
        if contents and self._vault is not None:
            await self._keep(self._vault, contents)
        for record, reason in failed:
            await self.set_aside(record, reason)
            entries.append((_gap(record, reason, requests=1), record))
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
            entries = self._project(record.signal, record.body, self._resources).entries
            results = ledger.append_entries(entries) if entries else []
        except (EntryTooLarge, MalformedError, ProjectionError):  # the request was set aside under this name
            return stamp(record.signal, record.body, {})
        places = {
            record_id(entry): Place(ledger.log.origin, result.index, digest)
            for entry, result in zip(entries, results, strict=True)
            if entry.span_id and result.status != "conflict"  # what is there under its key is another record
            if (digest := _recorded(ledger, entry, result)) is not None
        }
        return stamp(record.signal, record.body, places)

    async def stop(self) -> None:
        """Stop after what is being done now, publish a checkpoint, and close the ledger."""
        await super().stop()
        if self._attending is not None:
            await self._attending
        await asyncio.to_thread(self._lifecycle.close)
        if self._ledger is not None:
            ledger, self._ledger = self._ledger, None
            await asyncio.to_thread(self._publish_and_close, ledger)

    def _publish_and_close(self, ledger: Ledger) -> None:
        try:
            self._tell(ledger.publish())
        except (LedgerError, OSError) as error:
            _log.warning("%s: no last checkpoint: %s", self.name, error)
        try:
            ledger.close()
        except (LedgerError, OSError, sqlite3.Error) as error:
            _log.warning("%s: did not close cleanly: %s", self.name, error)

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "entries": self._entries}

    def _project_all(
        self, records: Sequence[IntakeRecord], contents: list[Content]
    ) -> tuple[list[_Origin], list[tuple[IntakeRecord, str]]]:
        """Make the entries of a batch, each with the request it is of, and what they commit to; say of which requests none can be made."""
        entries: list[_Origin] = []
        failed: list[tuple[IntakeRecord, str]] = []
        for record in records:
            try:
                projected = self._project(record.signal, record.body, self._resources)
            except ProjectionError:
                failed.append((record, "no entries can be made of it"))
                continue
            except Exception as error:  # noqa: BLE001 - one record must not stop the ledger
                failed.append((record, f"no entries can be made of it ({type(error).__name__})"))
                continue
            contents += projected.contents
            entries += ((entry, record) for entry in projected.entries)
            for reason, number in projected.skipped.items():
                self._metrics.ledger_skipped.labels(self.name, reason).inc(number)
                entries.append((_gap(record, reason, records=number), record))
        return entries, failed

    async def _keep(self, vault: Vault, contents: Sequence[Content]) -> None:
        """Have the vault keep what entries commit to, before they are appended."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await asyncio.to_thread(vault.keep, contents)
            except (LedgerError, OSError) as error:
                self.degrade(f"the vault takes nothing: {error}; its entries wait in the intake log")
                await self.pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                return

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
                    entry, record = entries[0]
                    self._metrics.ledger_skipped.labels(self.name, "entry too large").inc()
                    await self.set_aside(record, "an entry of it is too large")
                    gap = _gap(record, "an entry of it is too large", records=1)
                    await self._append([(replace(gap, run=entry.run, source=entry.source), record)])
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
            results = self._append_with_statements(self._ledger, [entry for entry, _ in entries])
        except LedgerStopped:
            ledger, self._ledger = self._ledger, None
            self._publish_and_close(ledger)
            raise
        self._remember(entry for entry, _ in entries)
        for result in results:
            self._metrics.ledger_appended.labels(self.name, result.status).inc()
        self._entries = max(self._entries, *(result.index + 1 for result in results))
        self._metrics.ledger_entries.labels(self.name).set(self._entries)

    # -- what the ledger states of its own ------------------------------------------------------------------------

    def _append_with_statements(self, ledger: Ledger, entries: list[Entry]) -> list[Appended]:
        """Append entries, and behind them what the ledger states of them; after a crash both come again, and change nothing."""
        results = ledger.append_entries(entries)
        records = [
            Record(result.index, entry)
            for entry, result in zip(entries, results, strict=True)
            if result.status != "conflict"
        ]
        statements = self._lifecycle.observe(records)
        stated = ledger.append_entries(statements) if statements else []
        origin = ledger.log.origin
        tell_entries(origin, zip([*entries, *statements], [*results, *stated], strict=True))
        return results + stated

    def _attend(self) -> None:
        """State which runs nobody closed, erase what other writers erased, and do what operators ask; if not now, then the next time."""
        ledger = self._ledger
        if ledger is None:
            return
        try:
            now = time.monotonic()
            if now >= self._look_again:
                settle(ledger)
                self._look_again = now + _LOOK_SECONDS
            if self._retention and now >= self._expire_again:
                expire(ledger, self._retention)
                self._expire_again = now + _EXPIRE_SECONDS
            statements = self._lifecycle.abandoned()
            if statements:
                self._append_with_statements(ledger, statements)
            size = ledger.log.size
            if carry_out_requests(ledger) or self._pruner.attend(ledger):
                tell_since(ledger.log, size)
        except (LedgerError, OSError, sqlite3.Error) as error:
            _log.debug("%s: can't attend to the ledger now: %s", self.name, type(error).__name__)

    def _remember(self, entries: Iterable[Entry]) -> None:
        """Remember resources that are in the ledger, so that they need not be made again; the oldest are forgotten."""
        for entry in entries:
            if entry.kind == Kind.RESOURCE:
                self._resources[entry.run, entry.origin.resource] = None
        while len(self._resources) > _MAX_RESOURCES:
            self._resources.popitem(last=False)

    def _records_of(self, run: str, without: Container[int]) -> list[Record]:
        if self._ledger is None:
            raise LedgerStopped("the ledger is being opened again", "wait")
        return self._ledger.records_of(run, without=without)

    def _runs_since(self, index: int) -> set[str]:
        """Return the runs with an entry from an index on; all that were not closed, if it is the first."""
        ledger = self._ledger
        assert ledger is not None
        if not index:
            return {each.run for each in ledger.each_run(RunQuery(outcomes=("open", "waiting")))}
        found: set[str] = set()
        for start in range(index, ledger.log.size, _CHUNK):
            for _, leaf in ledger.log.kept(start, min(start + _CHUNK, ledger.log.size)):
                with contextlib.suppress(MalformedError):
                    found.add(Entry.parse(leaf).run)
        return found - {""}


def _recorded(ledger: Ledger, entry: Entry, result: Appended) -> bytes | None:
    """Return the hash of the leaf that is there for an entry; None if it was pruned."""
    if ERASED not in entry.truncated or result.status == "new":
        return leaf_hash(entry.leaf())
    try:  # what was recorded before the run was erased has its content still
        return leaf_hash(ledger.log.leaf(result.index))
    except Pruned:
        return None


def _or_gap(wanted: Callable[[IntakeRecord], bool]) -> Callable[[IntakeRecord], bool]:
    return lambda record: wanted(record) or any(name == GAP_HEADER for name, _ in record.headers)


def _gap(record: IntakeRecord, reason: str, **counts: int) -> Entry:
    """State that a request, or records of it, could not be sealed; the same request gives the same statement."""
    return Entry(
        kind=Kind.GAP,
        start=record.received_unix_nano,
        end=record.received_unix_nano,
        detail={
            "reason": reason,
            "request": hashlib.sha256(record.body).hexdigest(),
            **{name: str(number) for name, number in counts.items()},
        },
    )
