# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Several logs read as one: each receiver writes its own, and consumers take turns among them, with a cursor in each."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Protocol

from runrecord.exporters.intake.frame import IntakeRecord
from runrecord.exporters.intake.log import IntakeLog
from runrecord.exporters.intake.reader import Consumer

_log = logging.getLogger(__name__)


class ConsumedLog(Protocol):
    """One of several logs: an `IntakeLog` of this process, or a `FollowedLog`."""

    @property
    def next_sequence(self) -> int:
        """The sequence number after the last durable record."""
        ...

    def consumer(self, name: str) -> Consumer:
        """Return the way of a consumer through it."""
        ...

    def set_consumers(self, names: Iterable[str]) -> None:
        """Change who reads."""
        ...


@dataclass(frozen=True)
class _Part:
    partition: int
    consumer: Consumer


class MergedIntake:
    """Several logs. A log that nobody writes any more is read to its end and then removed."""

    def __init__(
        self, logs: Mapping[int, ConsumedLog], *, former: Mapping[int, IntakeLog], consumers: Iterable[str]
    ) -> None:
        """Join logs; this object closes and removes the former ones.

        Args:
            logs: Those that are written to, by partition.
            former: Those that are not, by partition; no partition is in both.
            consumers: Everyone who reads them; each log was opened with the same.
        """
        self._logs = dict(logs)
        self._former = dict(former)
        self._consumers = tuple(consumers)
        self._lock = threading.Lock()
        self.retire()

    @property
    def former(self) -> tuple[int, ...]:
        """The partitions that nobody writes and that are not read to their end yet."""
        return tuple(self._former)

    def consumer(self, name: str) -> MergedSource:
        """Return the way of a consumer through all of them."""
        logs = {**self._logs, **self._former}
        return MergedSource(self, name, [_Part(number, log.consumer(name)) for number, log in logs.items()])

    def set_consumers(self, names: Iterable[str]) -> None:
        """Change who reads; see `IntakeLog.set_consumers`."""
        with self._lock:
            self._consumers = tuple(names)
            for log in (*self._logs.values(), *self._former.values()):
                log.set_consumers(self._consumers)

    def alive(self, partition: int) -> bool:
        """Say whether a partition may hold something to read."""
        return partition in self._logs or partition in self._former

    def retire(self) -> None:
        """Remove former logs of which every consumer took everything."""
        with self._lock:
            for number, log in list(self._former.items()):
                if not self._consumers or any(
                    log.committed(name) < log.next_sequence for name in self._consumers
                ):
                    continue
                del self._former[number]
                log.close()
                _remove(log.directory)

    def close(self) -> None:
        """Close the former logs that are left."""
        with self._lock:
            for log in self._former.values():
                log.close()


def _remove(directory: Path) -> None:
    try:
        shutil.rmtree(directory)
    except OSError as error:
        _log.warning("%s is read to its end, but can't be removed (%s)", directory, error.strerror)
    else:
        _log.info("%s is read to its end and removed", directory)


class MergedSource:
    """The way of one consumer through several logs. Implements `IntakeSource`.

    Attributes:
        name: The name of its cursor in each.
    """

    def __init__(self, owner: MergedIntake, name: str, parts: list[_Part]) -> None:
        """Use `MergedIntake.consumer`."""
        self.name = name
        self._owner = owner
        self._all = {part.partition: part for part in parts}
        self._turn = 0

    @property
    def _parts(self) -> list[_Part]:
        return [part for part in self._all.values() if self._owner.alive(part.partition)]

    @property
    def position(self) -> int:
        """Grows with every record that was read or passed over."""
        return sum(part.consumer.position for part in self._all.values())

    @property
    def backlog_records(self) -> int:
        """How many durable records are not committed yet."""
        return sum(part.consumer.backlog_records for part in self._parts)

    @property
    def backlog_bytes(self) -> int:
        """About how many durable bytes were not read yet."""
        return sum(part.consumer.backlog_bytes for part in self._parts)

    async def wait(self) -> None:
        """Return when there is something to read in one of them, or one of them has stopped."""
        parts = self._parts
        if any(part.consumer.unread for part in parts):
            return
        waiting = [asyncio.ensure_future(part.consumer.wait()) for part in parts if not self._is_former(part)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _is_former(self, part: _Part) -> bool:
        return part.partition in self._owner.former

    def read(
        self,
        *,
        max_records: int = 256,
        max_bytes: int = 8 << 20,
        wanted: Callable[[IntakeRecord], bool] | None = None,
    ) -> list[IntakeRecord]:
        """Read the next durable records without waiting, beginning with another log each time."""
        parts = self._parts
        self._turn += 1
        first = self._turn % max(1, len(parts))
        records: list[IntakeRecord] = []
        size = 0
        for part in (*parts[first:], *parts[:first]):
            if len(records) >= max_records or size >= max_bytes:
                break
            found = part.consumer.read(
                max_records=max_records - len(records), max_bytes=max_bytes - size, wanted=wanted
            )
            size += sum(len(record.body) for record in found)
            records += (replace(record, partition=part.partition) for record in found)
        return records

    def done(self, records: Iterable[IntakeRecord]) -> None:
        """Note that records that were read are done with, in any order."""
        for partition, group in groupby(records, key=lambda record: record.partition):
            self._all[partition].consumer.done(group)

    def commit(self) -> None:
        """Make durable, in each log, what need never be read again."""
        for part in self._parts:
            part.consumer.commit()
        self._owner.retire()

    def close(self) -> None:
        """Close the files that are being read."""
        for part in self._all.values():
            part.consumer.close()
