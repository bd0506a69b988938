# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The index of runs, kept up with its log: rows wait in memory for a while, and whoever asks is answered over all of them."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from runrecord.ledger.errors import Pruned
from runrecord.ledger.files import disk_errors
from runrecord.ledger.log import Log
from runrecord.ledger.run_facts import Row, row_of
from runrecord.ledger.run_index import RunIndex, RunIndexError

T = TypeVar("T")

_log = logging.getLogger(__name__)

_WAITING: Final = 256
"""Rows that are written at once; a transaction for each costs more than the rows."""
_CHUNK: Final = 5_000


class KeptIndex:
    """The index of runs of an open log. Thread-safe.

    A writer keeps it in a file. A reader uses that file as far as it goes, and memory for what it does not cover or where it is wrong.

    Args:
        log: The log.
        read_only: Whether the log was opened to read.

    Raises:
        RunIndexError: The file of a writer can't be made.
    """

    def __init__(self, log: Log, *, read_only: bool) -> None:
        self._log = log
        self._read_only = read_only
        self._path = log.path / ".state" / "index.sqlite"
        self._waiting: dict[int, Row] = {}
        self._lock = threading.Lock()
        self._process = os.getpid()
        self.made_from_leaves = False
        """Whether all of it was read from the leaves, so that no file has to be believed."""
        self.index = self._open()

    def _open(self) -> RunIndex:
        log, path = self._log, self._path
        if not self._read_only:
            index = RunIndex.open(path, log.origin)
            if index.size > log.size and not log.shared:  # else another writer may be further than this one
                index.clear()
            return index
        if log.shared and not path.exists():  # the writer is on another machine: keep what this one has read
            with contextlib.suppress(RunIndexError):
                return RunIndex.open(path.with_name("read.sqlite"), log.origin)
        return RunIndex.beside(path, log.origin)

    def add(self, rows: Mapping[int, Row]) -> None:
        """Take the rows of leaves in that were appended; a file that can't be written loses nothing, it is only behind."""
        with self._lock:
            self._waiting.update(rows)
            waiting = len(self._waiting)
        if waiting >= _WAITING:
            self.flush()
        if len(self._waiting) > _CHUNK:  # behind the entries of other writers
            with contextlib.suppress(RunIndexError):
                self._catch_up()

    def flush(self) -> None:
        """Write what waits, so that readers find it in the file."""
        with self._lock:
            try:
                self._flush()
            except RunIndexError as error:  # the entries are durable; the index catches up when it is asked
                self._waiting.clear()
                _log.warning(
                    "the run index of the ledger in %s is behind: %s", self._log.where, error.message
                )

    def ask(self, question: Callable[[RunIndex], T]) -> T:
        """Return what the index answers; one of no use is made anew, by a reader in memory.

        It is never synced, so a power loss may leave anything of it.
        """
        try:
            self._catch_up()
            return question(self.index)
        except RunIndexError as error:
            if not self._read_only and isinstance(error.__cause__, sqlite3.OperationalError):
                raise  # no room, or another process is at it: a new one would not fare better
            _log.warning("the run index of the ledger in %s is made anew: %s", self._log.where, error.message)
        self.rebuild()
        return question(self.index)

    def forget(self, bundles: Iterable[int]) -> None:
        """Forget the entries of some bundles that were pruned."""
        self._catch_up()
        with self._lock:
            self.index.forget(bundles, self.leaf)

    def leaf(self, index: int) -> bytes:
        """Return a leaf; nothing where it was pruned."""
        try:
            return self._log.leaf(index)
        except Pruned:
            return b""

    def rebuild(self) -> None:
        """Make it anew from the leaves; opened to read, in memory."""
        with self._lock:
            self._waiting.clear()
            self.index.close()
            if self._read_only:
                self.index = RunIndex(None, self._log.origin)
            else:
                with disk_errors(self._path):
                    self._path.unlink(missing_ok=True)
                self.index = RunIndex.open(self._path, self._log.origin)
            self.made_from_leaves = True
        self._catch_up()

    def close(self) -> None:
        """Write what waits, and close the file; a forked child leaves the writing to its parent."""
        if not self._read_only and self._process == os.getpid():
            with contextlib.suppress(RunIndexError):
                self._catch_up()
        self.index.close()

    def _flush(self) -> None:
        """Write the rows that follow the index without a hole; threads may finish out of order."""
        rows: list[Row] = []
        while (row := self._waiting.pop(self.index.size + len(rows), None)) is not None:
            rows.append(row)
        if rows:
            self.index.add(rows)

    def _catch_up(self) -> None:
        """Index the leaves that the index does not cover yet."""
        with self._lock:
            self._flush()
            size = self._log.size
            if self.index.refresh() < size and not self.index.writable:
                self.index = self.index.in_memory()
            while (start := self.index.size) < size:
                end = min(start + _CHUNK, size)
                kept = dict(self._log.kept(start, end))  # an entry that was pruned belongs to no run any more
                self.index.add([row_of(i, kept.get(i, b"")) for i in range(start, end)])
            for index in [index for index in self._waiting if index < size]:
                del self._waiting[index]
