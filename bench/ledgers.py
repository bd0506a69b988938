# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Logs that say later whether they were changed: ours in its stores, the hash chain that people write, and what others publish.

Each appends groups of entries, and returns when a group survives a crash: with the same durability, or it says what it has instead.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from runrecord.ledger import Entry, Ledger

_PLUGINS = Path(__file__).parents[1] / "tests" / "plugins"
Append = Callable[[Sequence[Entry]], object]


class Missing(Exception):  # noqa: N818 - it is no error of the measurement
    """A contender can't run on this machine."""


@dataclass(frozen=True)
class Log:
    """One row.

    Attributes:
        title: What it is, with what it can and can't.
        open: Opens it in an empty directory.
        groups: Sizes of groups that it can append at once.
    """

    title: str
    open: Callable[[Path], Any]
    groups: tuple[int, ...] = (1, 64, 512)


@contextmanager
def _directory(place: Path) -> Generator[Append, None, None]:
    with Ledger(place / "ledger", origin="bench.example/log") as ledger:
        yield ledger.append_entries


@contextmanager
def _postgres(place: Path) -> Generator[Append, None, None]:
    sys.path.insert(0, str(_PLUGINS))
    try:
        from postgres_server import PostgresServer
    except ModuleNotFoundError as error:
        raise Missing(f"{error.name} is not installed") from None
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer.run())
        ledger = stack.enter_context(Ledger(server.database("bench"), origin="bench.example/log"))
        yield ledger.append_entries


@contextmanager
def _chain(place: Path) -> Generator[Append, None, None]:
    """Each row holds the hash of the one before: no tree, no proofs, no signature; whoever can write can write it anew."""
    database = sqlite3.connect(place / "chain.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, key BLOB UNIQUE, hash BLOB, body BLOB)")
    last = [bytes(32)]

    def append(entries: Sequence[Entry]) -> None:
        rows: list[tuple[bytes, bytes, bytes]] = []
        for entry in entries:
            body = entry.leaf()
            last[0] = sha256(last[0] + body).digest()
            rows.append((entry.key(), last[0], body))
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT OR IGNORE INTO entry (key, hash, body) VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")

    yield append
    database.close()


@contextmanager
def _witness_log(place: Path) -> Generator[Append, None, None]:
    try:
        import witness_log
    except ModuleNotFoundError:
        raise Missing("witness-log is not installed") from None
    log: Any = witness_log.open(str(place / "witness.jsonl"))

    def append(entries: Sequence[Entry]) -> None:
        for entry in entries:
            log.append_memory(entry.leaf())
        log.sync()

    yield append
    log.close()


@contextmanager
def _waxseal(place: Path) -> Generator[Append, None, None]:
    try:
        from waxseal import AuditLog
    except ModuleNotFoundError:
        raise Missing("waxseal is not installed") from None
    log: Any = AuditLog.open(place / "waxseal.db")

    def append(entries: Sequence[Entry]) -> None:
        for entry in entries:
            log.append(payload=entry.leaf(), payload_type="application/vnd.bench.entry+json")

    yield append


@contextmanager
def _tracekit(place: Path) -> Generator[Append, None, None]:
    try:
        from tracekit.ledger import Keys
        from tracekit.ledger import Ledger as Tracekit
    except ModuleNotFoundError:
        raise Missing("tracekit-ai is not installed") from None
    log: Any = Tracekit(str(place / "tracekit.jsonl"), Keys.load_or_create(str(place / "keys")))

    def append(entries: Sequence[Entry]) -> None:
        for entry in entries:
            log.append(entry.to_json())

    yield append
    log.close()


LOGS = (
    Log("runrecord, directory", _directory),
    Log("runrecord, PostgreSQL (its own CPU not counted)", _postgres),
    Log("hash chain in SQLite: no proofs, no signature", _chain),
    Log("witness-log, sync() a group: hashes, not the entries", _witness_log),
    Log("waxseal, SQLite: no groups", _waxseal, (1,)),
    Log("tracekit-ai, ledger: a signature and a sync for each record", _tracekit, (1,)),
)
