# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How far a consumer is done when it finishes records in another order than that of the log."""

from __future__ import annotations

import threading


class Progress:
    """Which records of one log, or of one partition, are under way; everything before the oldest of them can be committed.

    Thread-safe: what reads, what finishes and what commits need not be the same thread.

    Attributes:
        position: The number after the last record that was read or passed over.
    """

    def __init__(self, first: int) -> None:
        """Begin in front of a record.

        Args:
            first: Its sequence number.
        """
        self.position = first
        self._open: dict[int, None] = {}
        self._lock = threading.Lock()

    @property
    def finished(self) -> int:
        """The first sequence number that is not done: what a cursor may say."""
        with self._lock:
            return next(iter(self._open), self.position)

    def read(self, sequence: int) -> None:
        """Note that a record is under way. Records come in ascending order."""
        with self._lock:
            self._open[sequence] = None
            self.position = sequence + 1

    def passed(self, sequence: int) -> None:
        """Note that a record is of no interest."""
        with self._lock:
            self.position = sequence + 1

    def done(self, sequence: int) -> None:
        """Note that a record is done; one that is not under way changes nothing."""
        with self._lock:
            self._open.pop(sequence, None)
