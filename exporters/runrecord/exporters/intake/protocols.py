# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What receiving and consuming need of an intake log: the only thing that joins them, whatever stores it.

`IntakeLog` (files of this process), a log that another process writes, several of them together, and Kafka are all used
through these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from runrecord.exporters.errors import IntakeError, IntakeFull
    from runrecord.exporters.intake.frame import IntakeRecord
    from runrecord.exporters.intake.log import IntakeLimits
    from runrecord.processors.signal import Signal


class IntakeWriter(Protocol):
    """Where receiving puts redacted requests; who is told that one is in it may acknowledge it."""

    @property
    def place(self) -> str:
        """Where it stores, in words, for messages."""
        ...

    @property
    def limits(self) -> IntakeLimits:
        """When it refuses."""
        ...

    @property
    def failure(self) -> IntakeError | None:
        """Why it accepts nothing more, or None."""
        ...

    @property
    def no_room(self) -> IntakeFull | None:
        """Why there was no room the last time, or None; the next request tries again all the same."""
        ...

    @property
    def no_room_groups(self) -> int:
        """How often there was no room since it was opened."""
        ...

    @property
    def stored_bytes(self) -> int:
        """Bytes that it holds."""
        ...

    async def append(self, signal: Signal, body: bytes, *, headers: tuple[tuple[str, str], ...] = ()) -> int:
        """Store a redacted request and return when it is durable; see `IntakeLog.append`."""
        ...

    def oldest_age_seconds(self) -> float:
        """Return the age of the oldest record that some consumer has not committed; 0 if there is none."""
        ...

    def close(self) -> None:
        """Write what is queued and stop."""
        ...


class IntakeSource(Protocol):
    """One consumer's way through a log, or through several. One task at a time.

    Sequence numbers are unique within a `partition` of a record only.
    """

    name: str

    @property
    def position(self) -> int:
        """Grows with every record that `read` returned or passed over; if it does not after `wait`, the log has stopped."""
        ...

    @property
    def backlog_records(self) -> int:
        """How many durable records are not committed yet."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """About how many durable bytes were not read yet."""
        ...

    async def wait(self) -> None:
        """Return when there is something to read, or the log has stopped."""
        ...

    def read(
        self,
        *,
        max_records: int = 256,
        max_bytes: int = 8 << 20,
        wanted: Callable[[IntakeRecord], bool] | None = None,
    ) -> list[IntakeRecord]:
        """Read the next durable records without waiting; those that are not wanted are passed over."""
        ...

    def done(self, records: Iterable[IntakeRecord]) -> None:
        """Note that records that were read are done with, in any order."""
        ...

    def commit(self) -> None:
        """Make durable that everything up to the first record that is not done need never be read again."""
        ...

    def close(self) -> None:
        """Give back what reading needs; what is not committed is read again by the next one of that name."""
        ...


class Intake(Protocol):
    """What consuming reads: a log whose consumers are known by name."""

    def consumer(self, name: str) -> IntakeSource:
        """Return the way of a consumer, from where it committed the last time; the oldest record for a new one."""
        ...

    def set_consumers(self, names: Iterable[str]) -> None:
        """Change who reads: what all of them took is deleted.

        Args:
            names: A new one starts where the slowest is now; one that is no longer named is forgotten.
        """
        ...
