# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Somebody edits the index of runs, which nobody signs: a reader shows what the entries say, or less, never anything else."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import pytest

from runrecord.ledger import LedgerError, NoteSigner
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.run_index import RunIndex

RUNS = ("run-0001", "run-0002")


class Indexed:
    """A ledger of two runs, and what a reader is told of it."""

    def __init__(self, path, builders):
        self.path = path / "ledger"
        with Ledger(self.path, signer=NoteSigner("l", bytes(32)), checkpoint_interval=None) as ledger:
            for run in RUNS:
                ledger.append_entries(builders.approved_refund(run).entries[:6])
        self.index = self.path / ".state" / "index.sqlite"
        self.kept = path / "index.sqlite"
        shutil.copy(self.index, self.kept)
        self.listed, self.records = self.read()

    def read(self):
        """Return the lines of all runs, and the records of each; nothing where a reader is refused."""
        listed, records = [], {}
        with Ledger(self.path, read_only=True) as ledger:
            with contextlib.suppress(LedgerError):
                listed = ledger.runs()
            for run in RUNS:
                with contextlib.suppress(LedgerError):
                    records[run] = [(each.index, each.entry) for each in ledger.run(run).records]
        return listed, records

    def require_true(self, how):
        """Return whether anything is missing."""
        listed, records = self.read()
        assert all(line in self.listed for line in listed), how
        assert all(records[run] == self.records[run] for run in records), how
        return listed != self.listed or records != self.records

    def cells(self):
        """Yield each cell: its table, its row, its column and its value."""
        with contextlib.closing(sqlite3.connect(self.kept)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                columns = [row[1:6:4] for row in connection.execute(f"PRAGMA table_info({table})")]
                keys = [name for name, is_key in columns if is_key] or [name for name, _ in columns]
                for row in connection.execute(f"SELECT * FROM {table}").fetchall():
                    values = dict(zip((name for name, _ in columns), row, strict=True))
                    where = {key: values[key] for key in keys}
                    for name, value in values.items():
                        yield table, where, name, value

    def edit(self, statement, values):
        """Make one edit of the original."""
        shutil.copy(self.kept, self.index)
        connection = sqlite3.connect(self.index, isolation_level=None)
        with contextlib.closing(connection), contextlib.suppress(sqlite3.IntegrityError):
            connection.execute(statement, values)


@pytest.fixture
def indexed(memory, builders):
    return Indexed(memory, builders)


def other_values(value):
    if isinstance(value, int):
        return [value + 1, value - 1, 0, None]
    if isinstance(value, str):
        return [f"{value}0", "", RUNS[0], RUNS[1], None]
    return [1, "x"]


def test_every_cell(indexed):
    count = 0
    for table, where, name, value in indexed.cells():
        rows = " AND ".join(f'"{key}" IS ?' for key in where)
        indexed.edit(f"DELETE FROM {table} WHERE {rows}", [*where.values()])
        indexed.require_true(f"{table} {where} removed")
        for other in other_values(value):
            if other != value:
                count += 1
                indexed.edit(f'UPDATE {table} SET "{name}" = ? WHERE {rows}', [other, *where.values()])
                indexed.require_true(f"{table} {where}: {name} is {other!r}")
    assert count > 200


def test_every_byte(indexed, rounds):
    data = indexed.kept.read_bytes()
    used = [at for at, byte in enumerate(data) if byte] if not rounds.full else range(len(data))
    for at in used[:: 1 if rounds.full else 17]:
        indexed.index.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        indexed.require_true(f"byte {at}")


def test_every_cut(indexed):
    data = indexed.kept.read_bytes()
    for end in range(0, len(data), 512):
        indexed.index.write_bytes(data[:end])
        assert not indexed.require_true(f"cut at {end}") or end % 4096


def test_a_reader_that_believes_the_index_is_found(indexed, monkeypatch):
    indexed.edit("UPDATE runs SET entries = entries - 1 WHERE run = ?", [RUNS[0]])
    indexed.edit("DELETE FROM entries WHERE idx = 3", [])
    assert not indexed.require_true("as it is")
    shutil.copy(indexed.kept, indexed.index)
    monkeypatch.setattr(RunIndex, "indices", lambda *_: [0, 1])
    with pytest.raises(AssertionError):
        indexed.require_true("believed")
