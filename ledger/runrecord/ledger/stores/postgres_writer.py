# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Writing a log in PostgreSQL: turns at the row of its size, and publications at the row of its checkpoint."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from psycopg import Connection, Error, sql

from runrecord.ledger.dedup import rebuild_chunk
from runrecord.ledger.errors import LedgerError, LedgerStopped
from runrecord.ledger.files import disk_errors, make_directory
from runrecord.ledger.stores.base import CHECKPOINT, Head, HeadMoved, Opened
from runrecord.ledger.stores.last_seen import LastSeen
from runrecord.ledger.stores.postgres import after, errors
from runrecord.ledger.tiles import decode_bundle
from runrecord.ledger.wal import DIGEST_SIZE, Frame

if TYPE_CHECKING:
    from runrecord.ledger.stores.postgres import PostgresStore

_SCHEMA: Final = """
SELECT pg_advisory_xact_lock(hashtext('runrecord_log'));
CREATE TABLE IF NOT EXISTS runrecord_log (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, size bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS runrecord_journal (
    log integer NOT NULL REFERENCES runrecord_log, first bigint NOT NULL, count integer NOT NULL,
    digests bytea NOT NULL, payload bytea NOT NULL, PRIMARY KEY (log, first)
);
CREATE TABLE IF NOT EXISTS runrecord_key (
    log integer NOT NULL REFERENCES runrecord_log, digest bytea NOT NULL, leaf bigint NOT NULL,
    PRIMARY KEY (log, digest)
);
CREATE TABLE IF NOT EXISTS runrecord_object (
    log integer NOT NULL REFERENCES runrecord_log, name text COLLATE "C" NOT NULL, data bytea NOT NULL,
    PRIMARY KEY (log, name)
);
ALTER TABLE runrecord_journal ALTER payload SET STORAGE EXTERNAL;
ALTER TABLE runrecord_object ALTER data SET STORAGE EXTERNAL
"""
_FOUND: Final = "SELECT to_regclass('runrecord_object') IS NOT NULL"
_LOG: Final = "INSERT INTO runrecord_log (name) VALUES (%s) ON CONFLICT DO NOTHING"
_ID: Final = "SELECT id FROM runrecord_log WHERE name = %s"
_FIRST: Final = "INSERT INTO runrecord_object VALUES (%s, 'checkpoint', '') ON CONFLICT DO NOTHING"
_BEGIN: Final = "BEGIN; SELECT size FROM runrecord_log WHERE id = {} FOR UPDATE"
_FRAMES: Final = """
SELECT first, count, digests, payload FROM runrecord_journal WHERE log = %s AND first >= %s ORDER BY first
"""
_FIND: Final = "SELECT digest, leaf FROM runrecord_key WHERE log = %s AND digest = ANY(%b)"
_APPEND: Final = """
WITH keys AS (
    INSERT INTO runrecord_key SELECT %(log)s, digest, %(first)s + place - 1
    FROM unnest(%(keys)b::bytea[]) WITH ORDINALITY AS keys (digest, place)
), journal AS (
    INSERT INTO runrecord_journal VALUES (%(log)s, %(first)s, %(count)s, %(digests)b, %(payload)b)
)
UPDATE runrecord_log SET size = %(size)s WHERE id = %(log)s
"""
_SIZE: Final = "SELECT size FROM runrecord_log WHERE id = %s FOR UPDATE"
_KEYS: Final = """
INSERT INTO runrecord_key SELECT %s, digest, %s + place - 1 FROM unnest(%b::bytea[]) WITH ORDINALITY AS keys (digest, place)
ON CONFLICT DO NOTHING
"""
_RELEASE: Final = "DELETE FROM runrecord_journal WHERE log = %s AND first + count <= %s"
_PUT: Final = """
INSERT INTO runrecord_object VALUES (%s, %s, %b) ON CONFLICT (log, name) DO UPDATE SET data = excluded.data
"""
_REMOVE: Final = "DELETE FROM runrecord_object WHERE log = %s AND name > %s AND name < %s"
_REMOVE_THESE: Final = "DELETE FROM runrecord_object WHERE log = %s AND name = ANY(%s)"
_CHECKPOINT: Final = "SELECT data FROM runrecord_object WHERE log = %s AND name = 'checkpoint' FOR UPDATE"


@final
class PostgresWriter:
    """Two connections that write (a :class:`runrecord.ledger.stores.base.Writer`): one appends, one publishes.

    Args:
        store: Where; the tables and the log are made if they are not there.
    """

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._pid = os.getpid()
        with disk_errors(store.path):
            make_directory(store.path / ".state", 0o700)
        self._last = LastSeen(store.path / ".state" / "checkpoint", store.where)
        self._lock = threading.Lock()  # over the connection that publishes
        self._connection = store.connect()
        try:
            self._log = self._prepare()
            self.journal = PostgresJournal(store.connect(), self._log, store.where, self._release)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> int:
        with errors(self._store.where):
            connection, name = self._connection, self._store.log
            found = connection.execute(_FOUND).fetchone()
            if not found or not found[0]:
                with connection.transaction():
                    connection.execute(_SCHEMA)
            connection.execute(_LOG, (name,))
            row = connection.execute(_ID, (name,)).fetchone()
            assert row is not None  # it was just made
            connection.execute(_FIRST, row)
            return int(row[0])

    @property
    def held(self) -> bool:
        """Whether this process made the connections."""
        return os.getpid() == self._pid

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        with self._lock, errors(self._store.where):
            self._connection.execute(_PUT, (self._log, name, data))

    def remove(self, names: Sequence[str]) -> list[str]:
        """Remove objects."""
        with self._lock, errors(self._store.where):
            self._connection.execute(_REMOVE_THESE, (self._log, list(names)))
        return []

    def open_keys(self, opened: Opened) -> PostgresKeys:
        """Return the index, which is a table: whole at any time."""
        self._last.check(opened.checkpoint, opened.node)
        return PostgresKeys(self.journal)

    def restore(self, opened: Opened) -> None:
        """Write the keys and the size, in one transaction."""
        size, key_of = opened.checkpoint.size, opened.key_of
        if key_of is None:
            raise LedgerError(
                "the keys of the entries are not known, so duplicates could not be told",
                "in Python, pass a function key_of= that gives the key of a leaf",
            )
        with self._lock, errors(self._store.where), self._connection.transaction():
            row = self._connection.execute(_SIZE, (self._log,)).fetchone()
            first = int(row[0]) if row else 0
            while first < size:
                first, digests, _, end = rebuild_chunk(opened, first, key_of)
                if digests:
                    self._connection.execute(_KEYS, (self._log, first, digests))
                first = end
            self._connection.execute("UPDATE runrecord_log SET size = %s WHERE id = %s", (first, self._log))
            if first != size:
                raise HeadMoved

    @contextlib.contextmanager
    def publication(self) -> Generator[PostgresPublication]:
        """Begin to publish: a transaction."""
        with self._lock, errors(self._store.where):
            with self._connection.transaction():
                publication = PostgresPublication(self._connection, self._log)
                yield publication
            if publication.note:
                self._last.write(publication.note)

    def _release(self, below: int) -> None:
        with self._lock, errors(self._store.where):
            self._connection.execute(_RELEASE, (self._log, below))

    def close(self, *, remove_journal: bool) -> None:
        """Close the connections; a fork leaves those of its parent alone."""
        del remove_journal  # its rows were released one by one
        if self.held:
            self.journal.close()
            self._connection.close()


@final
class PostgresJournal:
    """The journal's table (a :class:`runrecord.ledger.stores.base.Journal`); its transactions are the turns."""

    def __init__(
        self, connection: Connection[Any], log: int, where: str, release: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._log = log
        self._where = where
        self._begin = sql.SQL(_BEGIN).format(log)
        self._open = False
        self._release = release
        self.size = 0
        """How many entries the log had when it was last looked at."""

    def recover(self) -> Iterator[Frame]:
        """Yield all groups."""
        with errors(self._where):
            return iter(self._frames(0))

    @contextlib.contextmanager
    def turn(self, size: int) -> Generator[Head]:
        """Lock the log's row; other writers wait until the block ends."""
        with errors(self._where):
            self._open = True
            try:
                cursor = self._connection.execute(self._begin)
                cursor.nextset()
                row = cursor.fetchone()
                assert row is not None  # a log is never removed
                self.size = int(row[0])
                yield Head(self.size, self._frames(size) if self.size > size else ())
            finally:
                if self._open:
                    self._open = False
                    with contextlib.suppress(Error):
                        self._connection.execute("ROLLBACK")

    def append(self, first: int, digests: Sequence[bytes], framed: Sequence[bytes]) -> None:
        """Append a group, and commit."""
        size = first + len(framed)
        values = {
            "log": self._log,
            "first": first,
            "count": len(framed),
            "size": size,
            "keys": list(digests),
            "digests": b"".join(digests),
            "payload": b"".join(framed),
        }
        with errors(self._where):
            self._connection.execute(_APPEND, values)
            self._open = False
            done = self._connection.execute("COMMIT").statusmessage
        if done != "COMMIT":
            raise LedgerStopped(f"the ledger in {self._where} did not commit", "open the ledger again")
        self.size = size

    def find(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        """Return the places of keys."""
        with errors(self._where):
            rows = self._connection.execute(_FIND, (self._log, list(digests)), binary=True)
            return {bytes(digest): leaf for digest, leaf in rows}

    def release(self, below: int) -> None:
        """Delete groups; the other connection does it."""
        self._release(below)

    def _frames(self, size: int) -> list[Frame]:
        rows = self._connection.execute(_FRAMES, (self._log, size), binary=True)
        return [
            _frame(first, count, bytes(digests), bytes(payload)) for first, count, digests, payload in rows
        ]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@final
class PostgresKeys:
    """The table of keys (a :class:`runrecord.ledger.stores.base.Keys`), written with each append."""

    def __init__(self, journal: PostgresJournal) -> None:
        self._journal = journal

    @property
    def size(self) -> int:
        """All that is durable."""
        return self._journal.size

    def find(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        """Return the place of each digest that is in the table."""
        return self._journal.find(digests) if digests else {}

    def add(self, first: int, digests: Sequence[bytes], size: int, root: bytes) -> None:
        """They are there."""

    def complete(self, opened: Opened) -> None:
        """They are there."""

    def close(self) -> None:
        """The journal has the connection."""


@final
class PostgresPublication:
    """A transaction that publishes (a :class:`runrecord.ledger.stores.base.Publication`)."""

    def __init__(self, connection: Connection[Any], log: int) -> None:
        self._connection = connection
        self._log = log
        self._objects: list[tuple[int, str, bytes]] = []
        self.note = b""
        """The checkpoint that was written."""

    def newest(self) -> bytes | None:
        """Lock the checkpoint, and return it."""
        row = self._connection.execute(_CHECKPOINT, (self._log,), binary=True).fetchone()
        return bytes(row[0]) or None if row else None

    def write(self, name: str, data: bytes) -> None:
        """Write an object, no later than `settle`."""
        self._objects.append((self._log, name, data))

    def settle(self) -> None:
        """Send what was written; it is durable with the checkpoint."""
        if self._objects:
            self._connection.cursor().executemany(_PUT, self._objects)
            self._objects = []

    def remove(self, directories: Sequence[str]) -> None:
        """Remove partial tiles."""
        if directories:
            borders = [(self._log, f"{each}/", after(f"{each}/")) for each in directories]
            self._connection.cursor().executemany(_REMOVE, borders)

    def checkpoint(self, note: bytes) -> None:
        """Write the checkpoint; its row is locked."""
        self._connection.execute(_PUT, (self._log, CHECKPOINT, note))
        self.note = note


def _frame(first: int, count: int, digests: bytes, payload: bytes) -> Frame:
    split = range(0, len(digests), DIGEST_SIZE)
    return Frame(first, [digests[i : i + DIGEST_SIZE] for i in split], decode_bundle(payload, count))
