# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The key index of a log in an object store: on this machine, and in blocks beside the log for a machine that has none.

A block holds the digests of 4,096 consecutive entries, ``.state/keys/<n>``, and is put once. Without blocks a new machine would have to
read every entry. They save time and nothing else: one that is missing is worked out of the entries, and one that lies can't make a record
disappear, since a duplicate is one only if the leaf is the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runrecord.ledger.dedup import KeyIndex, key_digest
from runrecord.ledger.errors import LedgerError, Pruned
from runrecord.ledger.stores.base import Opened
from runrecord.ledger.stores.objects import errors
from runrecord.ledger.tlog import tree_root
from runrecord.ledger.wal import DIGEST_SIZE

if TYPE_CHECKING:
    from runrecord.ledger.stores.objects import ObjectStore

BLOCK: Final = 4_096
_PARALLEL: Final = 8
_AHEAD: Final = 32  # blocks that are read before the first of them is indexed


class ObjectKeys(KeyIndex):
    """The index on this machine, which puts and takes blocks.

    Args:
        store: Where the blocks are.
        path: The database file.
    """

    def __init__(self, store: ObjectStore, path: Path) -> None:
        super().__init__(path)
        self._store = store
        self._tail: list[bytes] = []  # the digests from the last border of a block on
        self._end = 0  # the index behind them; of no use before an entry that is not next

    def add(self, first: int, digests: Iterable[bytes], size: int, root: bytes) -> None:
        """Add keys, and put the blocks that are full with them."""
        kept = list(digests)
        super().add(first, kept, size, root)
        start = self._end - len(self._tail)
        if start <= first <= self._end:
            kept = self._tail[: first - start] + kept
        else:  # what is before the first is not known: begin at the next border
            skipped = -first % BLOCK
            start, kept = first + skipped, kept[skipped:]
            if size < start:
                return
        while len(kept) >= BLOCK:
            self._put(start // BLOCK, kept[:BLOCK])
            start, kept = start + BLOCK, kept[BLOCK:]
        self._tail, self._end = kept, start + len(kept)

    def _put(self, number: int, digests: list[bytes]) -> None:
        name = _name(number)
        with contextlib.suppress(LedgerError), errors(self._store.where, f"take {name}"):
            self._store.objects.put(name, b"".join(digests), mode="create", use_multipart=False)

    def complete(self, opened: Opened) -> None:
        """Index what is missing: from blocks, and the rest from the leaves."""
        size = opened.checkpoint.size
        if self.size < size:
            start = self.size // BLOCK
            for number, data in enumerate(self._blocks(start, size // BLOCK), start):
                if data is None or len(data) != BLOCK * DIGEST_SIZE:
                    break
                end = (number + 1) * BLOCK
                super().add(number * BLOCK, _split(data), end, tree_root(end, opened.node))
                self._tail, self._end = [], end
        super().complete(opened)
        self._remember(opened)

    def _blocks(self, start: int, end: int) -> Iterator[bytes | None]:
        if start >= end:
            return
        names = [_name(number) for number in range(start, end)]
        with ThreadPoolExecutor(_PARALLEL, "runrecord-ledger-keys") as pool:
            for at in range(0, len(names), _AHEAD):
                yield from pool.map(self._store.read, names[at : at + _AHEAD])

    def _remember(self, opened: Opened) -> None:
        """Work out the digests of the block that is not full, so that it can be put when it is."""
        if self._end == self.size or opened.key_of is None:
            return
        start, size = self.size // BLOCK * BLOCK, opened.checkpoint.size
        try:
            covered = list(opened.leaves(min(start, size), min(self.size, size)))
        except Pruned:
            return
        digests = [key_digest(opened.key_of(leaf)) for leaf in covered]
        first = opened.pending.first
        digests += opened.pending.digests[max(start - first, size - first, 0) : max(self.size - first, 0)]
        if len(digests) == self.size - start:
            self._tail, self._end = digests, self.size


def _name(number: int) -> str:
    return f".state/keys/{number:012d}"


def _split(data: bytes) -> list[bytes]:
    return [data[i : i + DIGEST_SIZE] for i in range(0, len(data), DIGEST_SIZE)]
