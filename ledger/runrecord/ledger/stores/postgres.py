# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A log in PostgreSQL: several writers, which take turns at the row that holds the log's size.

Four tables; a database can hold several logs (shards), each under a name of its own::

    runrecord_log      one row per log: its size. Whoever appends locks it until the commit.
    runrecord_journal  groups of entries that are in no tile yet
    runrecord_key      the digest of each key and the place of its entry; the primary key lets no digest in twice
    runrecord_object   checkpoint, tiles and bundles by their names. Whoever publishes locks the checkpoint's row.

An append is one transaction, and so is a publication: a writer whose connection is lost has written all of it or nothing, and can't
write any more. What a commit acknowledged is as durable as the server makes it; ``synchronous_commit`` is never off here.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import parse_qsl, urlencode, urlsplit

from runrecord.ledger.errors import LedgerError, LedgerFull, LedgerReadOnly, LedgerStopped
from runrecord.ledger.stores.base import CHECKPOINT
from runrecord.ledger.stores.local_state import local_directory

if TYPE_CHECKING:
    import psycopg
    from typing_extensions import LiteralString

    from runrecord.ledger.stores.postgres_writer import PostgresWriter

SCHEMES: Final = ("postgresql", "postgres")
DEFAULT_LOG: Final = "ledger"
_PAGE: Final = 2_000
_PORT: Final = "5432"
_DEFAULTS: Final = {
    "application_name": "runrecord",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_SESSION: Final = """
SELECT set_config('idle_in_transaction_session_timeout', '30s', false), set_config('lock_timeout', '30s', false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
        ELSE current_setting('synchronous_commit') END, false)
"""
_OBJECT: Final = """
SELECT o.data FROM runrecord_object o JOIN runrecord_log l ON l.id = o.log WHERE l.name = %s AND o.name = %s
"""
_NAMES: Final = """
SELECT o.name FROM runrecord_object o JOIN runrecord_log l ON l.id = o.log
WHERE l.name = %s AND o.name > %s AND o.name < %s ORDER BY o.name LIMIT %s
"""


@final
class PostgresStore:
    """A log in a database (a :class:`runrecord.ledger.stores.base.Store`).

    Args:
        address: A libpq URL. Beside libpq's own parameters it may have ``log``, the name of the log in the database.

    Raises:
        LedgerError: It is no such address, or psycopg is not installed.
    """

    shared = True

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        options = parse_qsl(parts.query, keep_blank_values=True)
        self.log = dict(options).get("log") or DEFAULT_LOG
        query = urlencode([(name, value) for name, value in options if name != "log"])
        self._address = parts._replace(query=query).geturl()
        known = _parse(self._address)
        host, port = known.get("host") or known.get("hostaddr") or "", known.get("port") or _PORT
        self.where = f"postgresql://{host}:{port}/{known.get('dbname') or ''} (log {self.log})"
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def __repr__(self) -> str:
        """Return where it is, without the password."""
        return f"PostgresStore({self.where!r})"

    @property
    def path(self) -> Path:
        """The directory of what belongs to this machine."""
        return local_directory(self.where)

    def read(self, name: str) -> bytes | None:
        """Return an object."""
        row = next(iter(self._query(_OBJECT, (self.log, name))), None)
        return bytes(row[0]) if row and (row[0] or name != CHECKPOINT) else None

    def names(self, directory: str) -> Iterator[str]:
        """Yield the names below a directory, in order."""
        last, end = directory, after(directory)
        while rows := self._query(_NAMES, (self.log, last, end, _PAGE)):
            yield from (str(name) for (name,) in rows)
            last = rows[-1][0]

    def locate(self, name: str) -> str:
        """Return where an object is."""
        return f"{self.where} {name}"

    def leftovers(self) -> list[str]:
        """Nothing: a transaction leaves nothing half done."""
        return []

    def writer(self) -> PostgresWriter:
        """Make the tables and the log if they are not there, and connect to write."""
        from runrecord.ledger.stores.postgres_writer import PostgresWriter  # noqa: PLC0415 - psycopg is an extra

        return PostgresWriter(self)

    def connect(self) -> psycopg.Connection[Any]:
        """Return a new connection; whoever asks closes it.

        Raises:
            LedgerError: The server can't be reached, or refuses.
        """
        import psycopg  # noqa: PLC0415 - an extra

        try:
            connection = psycopg.connect(self._address, autocommit=True, **_missing(self._address))  # type: ignore[arg-type]
        except psycopg.Error as error:
            reason = str(error).strip().splitlines()
            raise LedgerError(
                f"the ledger in {self.where} can't be reached: {reason[0] if reason else type(error).__name__}",
                "check that the server runs, and the address, the user and the password",
            ) from None
        try:
            with errors(self.where):
                connection.execute(_SESSION)
        except BaseException:
            connection.close()
            raise
        return connection

    def _query(self, query: LiteralString, values: tuple[object, ...]) -> list[Any]:
        """Return the rows of a question; asked once more on a new connection where the old one was lost."""
        import psycopg  # noqa: PLC0415 - an extra

        with self._lock:
            fresh = self._connection is None
            if self._connection is None:
                self._connection = self.connect()
            try:
                with errors(self.where):
                    try:
                        return self._connection.execute(query, values, binary=True).fetchall()
                    except psycopg.errors.UndefinedTable:  # no ledger was made here yet
                        return []
            except LedgerStopped:
                self._connection.close()
                self._connection = None
                if fresh:
                    raise
        return self._query(query, values)

    def close(self) -> None:
        """Close the connection of reading."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def after(directory: str) -> str:
    """Return the text that follows all names below a directory, in the order of bytes."""
    return directory[:-1] + chr(ord(directory[-1]) + 1)


@contextlib.contextmanager
def errors(where: str) -> Generator[None]:
    """Turn errors of the server and of its connection into the ledger's own; none quotes what was sent."""
    import psycopg  # noqa: PLC0415 - an extra

    try:
        yield
    except psycopg.Error as error:
        raise _explain(error, where) from None


def _explain(error: psycopg.Error, where: str) -> LedgerError:
    from psycopg import errors as kinds  # noqa: PLC0415 - an extra

    reason = f"{type(error).__name__} {error.sqlstate}" if error.sqlstate else type(error).__name__
    if isinstance(error, (kinds.DiskFull, kinds.OutOfMemory)):
        return LedgerFull(f"no room in {where} ({reason})", "make room on the server; then retry")
    if isinstance(error, (kinds.InsufficientPrivilege, kinds.ReadOnlySqlTransaction)):
        return LedgerReadOnly(
            f"the ledger in {where} can't be written or read by this user ({reason})",
            "use the address of the primary server, and a user with the rights on the tables runrecord_*",
        )
    if isinstance(error, kinds.LockNotAvailable):
        return LedgerError(
            f"another writer has been appending to the ledger in {where} for more than 30 s", "try again"
        )
    return LedgerStopped(
        f"the ledger in {where} did not do what it was asked ({reason})",
        "check the server; then open the ledger again: it goes on from what is durable",
    )


def _parse(address: str) -> dict[str, Any]:
    try:
        from psycopg import ProgrammingError  # noqa: PLC0415 - an extra
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - an extra
    except ImportError:
        raise LedgerError(
            "a ledger in PostgreSQL needs psycopg", 'pip install "runrecord[postgres]"'
        ) from None
    try:
        return conninfo_to_dict(address)
    except ProgrammingError:  # its text quotes parts of the address
        raise LedgerError(
            "the address of the ledger is not one that PostgreSQL understands",
            "write postgresql://USER@HOST:PORT/DATABASE?log=NAME; in a password, write %25 for % and so on",
        ) from None


def _missing(address: str) -> dict[str, str]:
    known = _parse(address)
    return {name: value for name, value in _DEFAULTS.items() if name not in known}
