# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The durable index from an entry's key to its place in the log, so that a resent entry is not logged twice.

It holds a 16-byte digest per key, never the key. The first four bytes of a key stay in front: keys of one trace begin alike, come at about
the same time, and so lie in the same pages, however large the index is. Keys of entries that are not in here yet lie in the write-ahead log; a lost index is
rebuilt from the leaves by a function that works a leaf's key out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from runrecord.ledger.errors import LedgerCorrupt, LedgerError, LedgerFull, Pruned, RolledBack
from runrecord.ledger.stores.base import Opened
from runrecord.ledger.tiles import TILE_WIDTH
from runrecord.ledger.tlog import RootStack, leaf_hash
from runrecord.ledger.wal import DIGEST_SIZE

REBUILD_CHUNK = 16_384
_NEAR = 4  # bytes
_CHUNK = 500
_LOOK_UP = f"SELECT digest, leaf FROM keys WHERE digest IN ({','.join('?' * _CHUNK)}) AND leaf < ?"  # noqa: S608 - placeholders only
_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (digest BLOB PRIMARY KEY, leaf INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, root BLOB NOT NULL);
"""


def key_digest(key: bytes) -> bytes:
    """Return the digest that stands for a key in the index, 16 bytes; it begins as the key does."""
    return key[:_NEAR].ljust(_NEAR, b"\x00") + sha256(key).digest()[: DIGEST_SIZE - _NEAR]


def conflict_key(key: bytes, leaf_hash: bytes) -> bytes:
    """Return the key of the entry that says: another leaf came under a key that was taken.

    Args:
        key: The key that was taken.
        leaf_hash: The hash of the leaf that came second; the same one again is a duplicate of the same conflict.
    """
    return b"conflict\x00" + sha256(key).digest() + leaf_hash


def rebuild_chunk(
    opened: Opened, first: int, key_of: Callable[[bytes], bytes]
) -> tuple[int, list[bytes], list[bytes], int]:
    """Return some leaves' first index, the digests of their keys (none if they were pruned), their hashes, and the index behind them."""
    size = opened.checkpoint.size
    try:
        end = min(first + REBUILD_CHUNK, size)
        leaves = list(opened.leaves(first, end))
    except Pruned:
        end = min((first // TILE_WIDTH + 1) * TILE_WIDTH, size)
        try:
            leaves = list(opened.leaves(first, end))
        except Pruned:
            return first, [], [opened.node(0, index) for index in range(first, end)], end
    return first, [key_digest(key_of(leaf)) for leaf in leaves], list(map(leaf_hash, leaves)), end


class KeyIndex:
    """The index of one ledger, in SQLite.

    One thread may read while another writes.

    Args:
        path: The database file; made when missing.

    Raises:
        LedgerCorrupt: If the file is not a database of this form.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections: list[sqlite3.Connection] = []
        try:
            self._writer = self._connect()
            self._writer.executescript(_SCHEMA)
            self._reader = self._connect()
            row = self._writer.execute("SELECT size, root FROM state").fetchone()
        except sqlite3.Error as error:
            self.close()
            raise self._explain(error) from error
        self.size: int = row[0] if row else 0
        """How many leaves of the log the index covers."""
        self.root: bytes = row[1] if row else b""
        """The root of the tree of that size; empty for a new index."""

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connections.append(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "PRAGMA synchronous = FULL"
        )  # write-ahead segments are freed on the strength of a commit
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection

    def _explain(self, error: sqlite3.Error) -> LedgerError:
        name = getattr(error, "sqlite_errorname", "") or str(error)
        if "FULL" in name or "full" in name:
            return LedgerFull(
                f"no room to write {self._path}", "free some space or raise the quota; then retry"
            )
        if isinstance(error, sqlite3.OperationalError):
            return LedgerError(
                f"can't use the key index {self._path}: {name}", "check the path and its file system"
            )
        return LedgerCorrupt(
            f"the key index {self._path} is damaged: {name}",
            "move the file away; opening the ledger rebuilds it from the leaves",
        )

    def find(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        """Return the leaf index of each digest that is in the index; not of leaves that only another process has indexed."""
        found: dict[bytes, int] = {}
        if not self.size:
            return found
        try:
            for start in range(0, len(digests), _CHUNK):
                chunk = digests[start : start + _CHUNK]
                padded = [*chunk, *[chunk[-1]] * (_CHUNK - len(chunk))]
                found.update(self._reader.execute(_LOOK_UP, [*padded, self.size]))
        except sqlite3.Error as error:
            raise self._explain(error) from error
        return found

    def add(self, first: int, digests: Iterable[bytes], size: int, root: bytes) -> None:
        """Add the keys of consecutive leaves and what the tree is with them; durable on return.

        Args:
            first: The index of the first leaf.
            digests: The digest of each leaf's key; of equal ones the first stays.
            size: The size of the tree after them.
            root: Its root.
        """
        rows = sorted(
            (digest, leaf) for leaf, digest in enumerate(digests, first)
        )  # in order: fewer pages are touched
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._writer.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", rows)
                self._writer.execute("INSERT OR REPLACE INTO state VALUES (0, ?, ?)", (size, root))
                self._writer.execute("COMMIT")
            except sqlite3.Error:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._explain(error) from error
        self.size, self.root = size, root

    def complete(self, opened: Opened) -> None:
        """Index the keys of the leaves under a checkpoint that a lost or older index lacks.

        Raises:
            LedgerCorrupt: If there is no function that works them out of the leaves.
            RolledBack: If the leaves are not those that were signed.
        """
        signed = opened.checkpoint
        if self.size >= signed.size:
            return
        if opened.key_of is None:
            raise LedgerCorrupt(
                f"the key index covers {self.size} of {signed.size} entries, so duplicates could not be told",
                "put .state/keys.sqlite back from a copy; in Python, a function key_of= that gives the key of a leaf rebuilds it",
            )
        tree = RootStack.of(self.size, opened.node)
        while self.size < signed.size:
            first, digests, hashes, _ = rebuild_chunk(opened, self.size, opened.key_of)
            for each in hashes:
                tree.push(each)
            if tree.size == signed.size and tree.root() != signed.root:
                raise RolledBack(
                    "the entries do not add up to the root that was signed",
                    "compare the ledger with a copy",
                )
            self.add(first, digests, tree.size, tree.root())

    def close(self) -> None:
        """Close the database."""
        for each in self._connections:
            each.close()
        self._connections.clear()
