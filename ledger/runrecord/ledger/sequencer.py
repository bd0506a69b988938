# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Group commit: gives entries their index, settles duplicates, and returns when they are durable.

Threads that append at the same time share one write and one sync: whoever gets the lock first commits for all who wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from runrecord.ledger.dedup import conflict_key, key_digest
from runrecord.ledger.errors import LedgerError, LedgerStopped, RolledBack
from runrecord.ledger.pending import Pending
from runrecord.ledger.stores.base import Head, HeadMoved, Journal, Keys
from runrecord.ledger.tiles import frame_entry
from runrecord.ledger.tlog import leaf_hash
from runrecord.ledger.wal import Frame

RECENT_KEYS = 65_536
"""Key digests kept in memory, about 12 MB; older ones are looked up in the index."""
PENDING_BYTES = 64 * 1024 * 1024
"""Bytes of entries that may wait for their tiles; beyond, an append publishes first."""
_TURNS = 5  # in which a store may seem behind, since another thread has read a newer checkpoint meanwhile

_IN_DOUBT = LedgerStopped(
    "an append was interrupted while it was being written, so it may or may not be in the ledger",
    "open the ledger again and append the same entries: those that are in it are not logged twice",
)

ConflictFactory = Callable[[bytes, int, bytes], "bytes | None"]
"""``on_conflict(key, old_index, leaf)`` returns the entry that states the conflict; None if it is a duplicate after all."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one entry.

    Attributes:
        index: Its index in the log; of a duplicate, the index it already had; of a conflict, that of the entry that states it.
        status: ``new``, ``duplicate`` (same key, same leaf, or one that says the same), or ``conflict`` (same key, another leaf).
    """

    index: int
    status: Literal["new", "duplicate", "conflict"]


class _Prepared(NamedTuple):
    digest: bytes
    leaf_hash: bytes
    framed: bytes


class _Batch:
    """What one call of append brought, and its outcome."""

    __slots__ = ("done", "error", "items", "on_conflict", "prepared", "results")

    def __init__(self, items: Sequence[tuple[bytes, bytes]], on_conflict: ConflictFactory | None) -> None:
        self.items = items
        self.on_conflict = on_conflict
        self.prepared = [_prepare(key, leaf) for key, leaf in items]
        self.results: list[Appended] = []
        self.error: BaseException | None = None
        self.done = False


def _prepare(key: bytes, leaf: bytes) -> _Prepared:
    return _Prepared(key_digest(key), leaf_hash(leaf), frame_entry(leaf))


class _Group:
    """The entries of one commit, in order."""

    __slots__ = ("digests", "first", "framed", "hashes", "staged")

    def __init__(self, first: int) -> None:
        self.first = first
        self.digests: list[bytes] = []
        self.hashes: list[bytes] = []
        self.framed: list[bytes] = []
        self.staged: dict[bytes, int] = {}

    def add(self, entry: _Prepared) -> int:
        index = self.first + len(self.digests)
        self.digests.append(entry.digest)
        self.hashes.append(entry.leaf_hash)
        self.framed.append(entry.framed)
        self.staged[entry.digest] = index
        return index

    def truncate(self, length: int) -> None:
        for digest in self.digests[length:]:
            del self.staged[digest]
        del self.digests[length:], self.hashes[length:], self.framed[length:]


class Sequencer:
    """The one place where an entry gets its index.

    Args:
        journal: Where a group becomes durable.
        keys: The index of the keys of all leaves below ``pending.first``.
        pending: What the journal holds beyond the tiles.
        hash_at: Returns the hash of a leaf below ``pending.first``.
        make_room: Called when too much is pending; moves it into tiles.
        take_checkpoint: Called when another writer has moved entries into tiles that this one does not know.
    """

    def __init__(
        self,
        journal: Journal,
        keys: Keys,
        pending: Pending,
        hash_at: Callable[[int], bytes],
        *,
        make_room: Callable[[], object],
        take_checkpoint: Callable[[], object],
    ) -> None:
        self._journal = journal
        self._keys = keys
        self._hash_at = hash_at
        self._make_room = make_room
        self._take_checkpoint = take_checkpoint
        self._queue: list[_Batch] = []
        self._commit_lock = threading.Lock()
        self._state_lock = threading.Lock()  # over the pending entries; held for list operations only
        self._pending = pending
        self._pending_bytes = sum(map(len, pending.framed))
        self._recent = {digest: i for i, digest in reversed(list(enumerate(pending.digests, pending.first)))}
        self.size = pending.first + len(pending.framed)
        """How many entries are durable."""
        self._stopped: LedgerStopped | None = None
        self._astray = 0  # turns in a row in which the store had not what this writer knows

    def append(
        self, items: Sequence[tuple[bytes, bytes]], on_conflict: ConflictFactory | None
    ) -> list[Appended]:
        """Append ``(key, leaf)`` pairs and return when they are durable (see :meth:`Log.append`)."""
        batch = _Batch(items, on_conflict)
        self._queue.append(batch)  # atomic; the leader below takes the list from its front
        with self._commit_lock:
            if not batch.done:
                self._commit_queue()
        if batch.error is not None:
            raise batch.error
        return batch.results

    def indices_of(self, keys: Sequence[bytes]) -> list[int | None]:
        """Return the index of the entry that was appended under each key, None where there is none."""
        digests = list(map(key_digest, keys))
        with self._commit_lock:
            self.check()
            while True:
                with self._journal.turn(self.size) as head:
                    if head is None or self._follow(head):
                        indexed = self._keys.find(digests)
                        return [self._recent.get(each, indexed.get(each)) for each in digests]

    def stop(self, error: LedgerStopped) -> None:
        """Refuse every later append with this error."""
        self._stopped = self._stopped or error

    def close(self, error: LedgerStopped) -> None:
        """Wait for the commit under way, then refuse every later append."""
        with self._commit_lock:
            self.stop(error)

    def check(self) -> None:
        """Raise the error that stopped the log, if one did."""
        if self._stopped is not None:
            raise LedgerStopped(self._stopped.message, self._stopped.next_step) from self._stopped

    def _commit_queue(self) -> None:
        batches = self._queue[:]
        del self._queue[: len(batches)]
        try:
            self._commit(batches)
        except Exception as error:  # noqa: BLE001 - it is raised again, in every thread that waits
            for each in batches:
                each.error = each.error or error
        except BaseException:  # an interrupt is for this thread; what the others had in the group is in doubt
            for each in batches:
                each.error = each.error or _IN_DOUBT
            raise
        finally:
            for each in batches:
                each.done = True

    def _commit(self, batches: list[_Batch]) -> None:
        self.check()
        if self._pending_bytes > PENDING_BYTES:
            self._make_room()
        try:
            while not self._commit_once(batches):
                pass
        except LedgerStopped as error:
            self.stop(error)
            raise
        except RolledBack as error:
            self.stop(LedgerStopped(error.message, error.next_step))
            raise

    def _commit_once(self, batches: list[_Batch]) -> bool:
        """Give the batches their indices and make them durable; return False if another writer was faster."""
        with self._journal.turn(self.size) as head:
            if head is not None and not self._follow(head):
                return False
            recent = self._recent
            unknown = [
                entry.digest for batch in batches for entry in batch.prepared if entry.digest not in recent
            ]
            indexed = self._keys.find(unknown)
            group = _Group(self.size)
            for batch in batches:
                length = len(group.digests)
                batch.error = None
                try:
                    batch.results = self._sequence(batch, group, indexed)
                except Exception as error:  # noqa: BLE001 - the caller's own function may raise anything; only its batch fails
                    group.truncate(length)
                    batch.error = error
            return not group.digests or self._append(group)

    def _append(self, group: _Group) -> bool:
        try:
            self._journal.append(group.first, group.digests, group.framed)
            self._accept(group)
        except HeadMoved:
            return False
        except LedgerError:  # nothing of the group was kept, or the log stops
            raise
        except BaseException:
            self.stop(_IN_DOUBT)
            raise
        return True

    def _follow(self, head: Head) -> bool:
        """Take in what other writers have appended; return False if they went on meanwhile.

        Raises:
            RolledBack: If the store has less than it once had, or not what leads there.
        """
        for _ in range(2):
            for frame in head.frames:
                self._take(frame)
            if self.size >= head.size:
                break
            self._take_checkpoint()  # they are in tiles
        if self.size == head.size:
            self._astray = 0
            return True
        self._astray += 1
        if self._astray < _TURNS:
            return False
        raise RolledBack(
            f"the ledger has {head.size} entries; this writer knows {self.size} that were durable, and can't read what follows",
            "restore the newest copy of the store; keep this one as evidence",
        )

    def _take(self, frame: Frame) -> None:
        known = self.size - frame.first
        if not 0 <= known < len(frame.leaves):
            return  # known, or there are others in between that are in tiles
        group = _Group(self.size)
        for digest, leaf in zip(frame.digests[known:], frame.leaves[known:], strict=True):
            group.add(_Prepared(digest, leaf_hash(leaf), frame_entry(leaf)))
        self._accept(group)

    def _sequence(self, batch: _Batch, group: _Group, indexed: dict[bytes, int]) -> list[Appended]:
        staged, recent = group.staged, self._recent
        results: list[Appended] = []
        for position, entry in enumerate(batch.prepared):
            digest = entry.digest
            old = staged.get(digest)
            if old is None:
                old = recent.get(digest)
                if old is None:
                    old = indexed.get(digest)
                    if old is None:
                        results.append(Appended(group.add(entry), "new"))
                        continue
            if self._leaf_hash(old, group) == entry.leaf_hash:
                results.append(Appended(old, "duplicate"))
            else:
                results.append(self._conflict(batch, position, old, group))
        return results

    def _conflict(self, batch: _Batch, position: int, old: int, group: _Group) -> Appended:
        key, leaf = batch.items[position]
        entry = batch.prepared[position]
        digest = key_digest(conflict_key(key, entry.leaf_hash))
        known = group.staged.get(digest, self._recent.get(digest))
        if known is None:
            known = self._keys.find([digest]).get(digest)
        if known is None:
            stated = batch.on_conflict(key, old, leaf) if batch.on_conflict else leaf
            if stated is None:
                return Appended(old, "duplicate")
            known = group.add(_Prepared(digest, leaf_hash(stated), frame_entry(stated)))
        return Appended(known, "conflict")

    def _leaf_hash(self, index: int, group: _Group) -> bytes:
        if index >= group.first:
            return group.hashes[index - group.first]
        with self._state_lock:
            if index >= self._pending.first:
                return self._pending.hashes[index - self._pending.first]
        return self._hash_at(index)

    def _accept(self, group: _Group) -> None:
        with self._state_lock:
            covered = self.size - group.first  # by a checkpoint that another writer has published meanwhile
            framed = group.framed[covered:] if covered else group.framed
            self._pending.framed.extend(framed)
            self._pending.hashes.extend(group.hashes[covered:] if covered else group.hashes)
            self._pending.digests.extend(group.digests[covered:] if covered else group.digests)
            self._pending_bytes += sum(map(len, framed))
            self.size = max(self.size, group.first + len(group.digests))
        recent = self._recent
        recent.update(group.staged)
        surplus = len(recent) - RECENT_KEYS
        if surplus > 0:
            indexed = self._keys.size
            oldest = [
                digest for digest, _ in zip(recent, range(surplus), strict=False) if recent[digest] < indexed
            ]
            for digest in oldest:
                del recent[digest]

    def pending(self) -> Pending:
        """Return a copy of what is durable and in no tile yet."""
        with self._state_lock:
            now = self._pending
            return Pending(now.first, now.framed[:], now.hashes[:], now.digests[:])

    def pending_leaf(self, index: int) -> bytes | None:
        """Return a leaf that is in no tile yet, None if it is in one."""
        with self._state_lock:
            if index < self._pending.first:
                return None
            return self._pending.framed[index - self._pending.first][2:]

    def drop_pending(self, below: int) -> None:
        """Forget the pending entries under an index: their tiles are durable and their keys indexed.

        Entries that only another writer knew until now are counted as durable from then on.
        """
        with self._state_lock:
            now = self._pending
            count = below - now.first
            if count <= 0:
                return
            self.size = max(self.size, below)
            self._pending_bytes -= sum(map(len, now.framed[:count]))
            del now.framed[:count], now.hashes[:count], now.digests[:count]
            self._pending = Pending(now.first + count, now.framed, now.hashes, now.digests)
