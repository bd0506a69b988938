# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a witness must never forget: its key, and for each log the largest checkpoint that it has cosigned.

Both are in one SQLite database, on purpose: a witness that has lost its memory has lost its key too, and can't cosign a second
history under its old name. A copy that is put back from a backup is such a loss; make a new witness instead.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from runrecord.ledger.errors import LedgerCorrupt, LedgerError, LedgerReadOnly
from runrecord.ledger.files import sync_directory
from runrecord.ledger.note import CosignatureSigner

FILE = "witness.sqlite"
_SCHEMA = """
CREATE TABLE key (one INTEGER PRIMARY KEY CHECK (one = 1), private TEXT NOT NULL);
CREATE TABLE log (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL, time INTEGER NOT NULL);
CREATE TABLE evidence (origin TEXT NOT NULL, why TEXT NOT NULL, time INTEGER NOT NULL, request BLOB NOT NULL,
                       UNIQUE (origin, request));
PRAGMA user_version = 1;
"""
_VERSION = 1
_MOST_EVIDENCE = 1000


@dataclass(frozen=True)
class Seen:
    """The largest checkpoint of a log that was cosigned.

    Attributes:
        size: Its size.
        root: Its root hash.
        note: The checkpoint with the signature of the log and ours.
        time: When it was cosigned, in seconds since the epoch.
    """

    size: int
    root: bytes
    note: bytes
    time: int


class WitnessState:
    """The durable memory of one witness; thread-safe, and safe to share between processes.

    Args:
        directory: Where it is; `create` makes it.

    Raises:
        LedgerError: There is none, or it can't be used.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory) / FILE
        if not self.path.exists():
            raise LedgerError(
                f"there is no witness in {Path(directory)}",
                "make one with 'runrecord witness init'; if there was one here, its name and key are lost: make one with a new name",
            )
        self._lock = threading.Lock()
        try:
            self._database = _connect(self.path)
            [version] = self._database.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                raise LedgerError(
                    f"{self.path} is of version {version}, not {_VERSION}", "use the release that made it"
                )
            [private] = self._database.execute("SELECT private FROM key").fetchone()
        except (sqlite3.Error, TypeError) as error:
            raise LedgerCorrupt(
                f"{self.path} is not the memory of a witness ({type(error).__name__})",
                "make a witness with a new name; this one may have forgotten what it cosigned",
            ) from error
        self.signer = CosignatureSigner.parse(private)

    @classmethod
    def create(cls, directory: str | os.PathLike[str], name: str) -> WitnessState:
        """Make a witness with a new key, in a directory and a file that only this user can read.

        Args:
            directory: Where; it must not hold one.
            name: Of its key, by convention a URL without its scheme, such as ``witness.example.com/w1``.

        Raises:
            MalformedNote: No key may have this name.
            LedgerError: There is one already, or the directory can't be written.
        """
        signer = CosignatureSigner.generate(name)
        home = Path(directory)
        scratch = home / f".{FILE}.{os.getpid()}"
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            scratch.unlink(missing_ok=True)
            scratch.touch(mode=0o600)
            with contextlib.closing(sqlite3.connect(scratch)) as database:
                database.executescript(_SCHEMA)
                database.execute("INSERT INTO key VALUES (1, ?)", (signer.private_text(),))
                database.commit()
            try:
                os.link(scratch, home / FILE)  # unlike rename, fails if there is one
            except FileExistsError:
                raise LedgerError(f"there is a witness in {home} already", "name another directory") from None
            finally:
                scratch.unlink()
            sync_directory(home)
        except (OSError, sqlite3.Error) as error:
            raise LedgerReadOnly(
                f"no witness can be made in {home} ({type(error).__name__})",
                "name a directory that you can write",
            ) from error
        return cls(home)

    def __repr__(self) -> str:
        """Return the place and the public key."""
        return f"WitnessState({str(self.path)!r}, {self.signer.vkey!r})"

    def seen(self, origin: str) -> Seen | None:
        """Return the largest checkpoint of a log that was cosigned."""
        with self._lock:
            return self._seen(origin)

    @contextlib.contextmanager
    def deciding(self, origin: str) -> Generator[tuple[Seen | None, list[Seen]], None, None]:
        """Look at what was cosigned, and replace it: nobody else does either meanwhile.

        Yields:
            What was cosigned last, and a list: what the block puts there is durable when the block has ended.
        """
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                put: list[Seen] = []
                yield self._seen(origin), put
                for seen in put:
                    self._database.execute(
                        "INSERT INTO log VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET "
                        "size = excluded.size, root = excluded.root, note = excluded.note, time = excluded.time",
                        (origin, seen.size, seen.root, seen.note, seen.time),
                    )
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise

    def keep_evidence(self, origin: str, why: str, time: int, request: bytes) -> None:
        """Keep a request that a log signed and that contradicts what was cosigned; up to a thousand."""
        with self._lock:
            self._database.execute(
                "INSERT OR IGNORE INTO evidence SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM evidence) < ?",
                (origin, why, time, request, _MOST_EVIDENCE),
            )

    def evidence(self) -> list[tuple[str, str, int, bytes]]:
        """Return what was kept: origin, why, time in seconds since the epoch, and the request."""
        with self._lock:
            return self._database.execute(
                "SELECT origin, why, time, request FROM evidence ORDER BY time"
            ).fetchall()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def _seen(self, origin: str) -> Seen | None:
        row = self._database.execute(
            "SELECT size, root, note, time FROM log WHERE origin = ?", (origin,)
        ).fetchone()
        return Seen(*row) if row else None


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")  # durable when COMMIT returns
    return database
