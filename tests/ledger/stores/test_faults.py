# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A writer that dies, or hears no answer, at every single thing that it asks of a store: nothing acknowledged is lost, nothing forks."""

# ruff: noqa: PLR0917 - fixtures are arguments

from __future__ import annotations

import contextlib
import itertools

import psycopg
import pytest
from obstore.store import MemoryStore

from runrecord.ledger import LedgerError, Log, fsck, tlog
from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.stores.location import open_store
from runrecord.ledger.stores.objects import ObjectStore
from runrecord.ledger.stores.postgres import PostgresStore


class Death(BaseException):
    """The process is gone: whatever it would do afterwards does not happen."""


class Fate:
    """Of the ``moment``-th request: the process dies before it is made, or it is done and the answer never comes."""

    def __init__(self, moment, lost=None):
        self.left, self.lost, self.struck = moment, lost, False

    def ask(self, request, *arguments, **options):
        if self.struck and not self.lost:
            raise Death
        self.left -= 1
        if self.left:
            return request(*arguments, **options)
        self.struck = True
        if self.lost:
            request(*arguments, **options)
            raise self.lost
        raise Death


class MortalObjects:
    """A store of obstore whose writer dies."""

    def __init__(self, store, fate):
        self._store, self._fate = store, fate

    def __getattr__(self, name):
        real = getattr(self._store, name)
        return lambda *arguments, **options: self._fate.ask(real, *arguments, **options)


class MortalConnection(psycopg.Connection):
    """A connection of a writer that dies; the server then ends its transaction."""

    fate = Fate(0)

    def execute(self, *arguments, **options):
        try:
            return self.fate.ask(super().execute, *arguments, **options)
        except (Death, psycopg.OperationalError):
            self.close()
            raise


class MortalCursor(psycopg.Cursor):
    def executemany(self, *arguments, **options):
        try:
            return self.connection.fate.ask(super().executemany, *arguments, **options)
        except (Death, psycopg.OperationalError):
            self.connection.close()
            raise


class Told:
    """What a writer has told before it died."""

    def __init__(self):
        self.acknowledged, self.checkpoints = 0, []

    def workload(self, store, signer, items):
        """Make a log, cross the borders of tiles, publish and close."""
        log = Log.open(store, signer=signer, checkpoint_interval=None, key_of=key_of)
        try:
            for start, end in ((0, 3), (3, 300), (300, 302)):
                log.append(items(start, end))
                self.acknowledged = end
                self.checkpoints.append(log.publish())
            log.append(items(302, 305))
            self.acknowledged = 305
            log.close()
        except Death:
            log._recovered.keys.close()  # what a process that is gone does not hold either
            raise
        except LedgerError:
            with contextlib.suppress(LedgerError):
                log.close()
            raise


def key_of(leaf):
    return b"key " + leaf.split(b" ")[1]


def require_whole(location, open_log, items, told):
    """The successor finds what was acknowledged, logs nothing twice, and goes on from what was signed."""
    store = open_store(location)
    note = store.read("checkpoint")
    store.close()
    signed = [Checkpoint.parse(note)] if note else []
    log = open_log(location)
    assert log.size >= told.acknowledged
    assert list(log.leaves()) == [leaf for _, leaf in items(0, log.size)]
    before = log.size
    statuses = [each.status for each in log.append(items(0, 310))]
    assert statuses == ["duplicate"] * before + ["new"] * (310 - before)
    newest = log.publish()
    for old in (*told.checkpoints, *signed):
        proof = log.consistency_proof(old.size, newest.size)
        tlog.verify_consistency(old.size, old.root, newest.size, newest.root, proof)
    log.close()
    open_log(location).close()  # removes what nobody can come to use any more
    report = fsck(location)
    assert (report.ok, report.checkpoint.size, report.leftovers) == (True, 310, []), report.problems


@pytest.mark.parametrize("lost", [None, TimeoutError("no answer")], ids=["death", "no answer"])
def test_an_object_store(lost, open_log, items, signer, tmp_path, monkeypatch):
    for moment in itertools.count(1):
        monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / str(moment)))
        fate, told = Fate(moment, lost), Told()
        kept, name = MemoryStore(), f"memory://{moment}"
        mortal, successor = ObjectStore(MortalObjects(kept, fate), name), ObjectStore(kept, name)
        with contextlib.suppress(Death, LedgerError):
            told.workload(mortal, signer, items)
        if not fate.struck:
            break
        require_whole(successor, open_log, items, told)
    assert moment > 30


def over_mortal_connections(store, fate, monkeypatch, connections):
    """Let a store make connections that are struck."""
    connect = store.connect

    def mortal():
        with monkeypatch.context() as patch:
            patch.setattr(psycopg, "connect", MortalConnection.connect)
            connections.append(connect())
        connections[-1].fate = fate
        connections[-1].cursor_factory = MortalCursor
        return connections[-1]

    store.connect = mortal


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_postgres(postgres, open_log, items, signer, tmp_path, monkeypatch):
    """Every second time, the statement is done and its answer is lost with the connection."""
    connections = []
    for moment in itertools.count(1):
        monkeypatch.setenv("RUNRECORD_STATE_DIR", str(tmp_path / str(moment)))
        lost = psycopg.OperationalError("the connection is lost") if moment % 2 else None
        fate, told = Fate(moment, lost), Told()
        location = postgres.schema(f"faults_{moment}")
        mortal = PostgresStore(location)
        over_mortal_connections(mortal, fate, monkeypatch, connections)
        with contextlib.suppress(Death, LedgerError):
            told.workload(mortal, signer, items)
        while connections:
            connections.pop().close()
        if not fate.struck:
            break
        require_whole(location, open_log, items, told)
    assert moment > 30
