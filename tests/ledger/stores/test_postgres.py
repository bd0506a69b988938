# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What only a log in PostgreSQL must stand: lost connections, a server that dies, foreign hands in the tables, passwords."""

from __future__ import annotations

import threading

import psycopg
import pytest
from postgres_server import PASSWORD, USER

from runrecord.ledger import LedgerError, LedgerReadOnly, LedgerStopped, RolledBack, fsck
from runrecord.ledger.stores.location import open_store
from runrecord.ledger.stores.postgres import PostgresStore

pytestmark = pytest.mark.postgres

END_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def test_a_writer_whose_connection_died_appends_nothing_more(postgres_place, open_log, items):
    log = open_log(postgres_place.location)
    log.append(items(0, 3))
    postgres_place.execute(END_OTHERS)
    for _ in range(2):
        with pytest.raises(LedgerStopped) as caught:
            log.append(items(3, 5))
    assert "open the ledger again" in caught.value.diagnostics()
    with pytest.raises(LedgerStopped):
        log.publish()
    with pytest.raises(LedgerStopped):
        log.append(items(0, 1))
    log.close()
    log = open_log(postgres_place.location)
    assert log.size == 3
    assert log.append(items(0, 5))[-1].index == 4


def test_a_writer_that_hangs_in_its_turn_is_passed_and_can_not_commit_later(postgres_place, open_log, items):
    """As if its machine stood still between taking the row and committing: the server ends its session."""
    slow, fast = open_log(postgres_place.location), open_log(postgres_place.location)
    slow.append(items(0, 2))
    turned, passed = threading.Event(), threading.Event()
    journal = slow._recovered.writer.journal
    append = journal.append

    def stand_still(*group):
        turned.set()
        passed.wait(60)
        append(*group)

    journal.append = stand_still
    failures = []

    def work():
        try:
            slow.append(items(2, 4))
        except LedgerError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert turned.wait(60)
    # what idle_in_transaction_session_timeout does after 30 s
    postgres_place.execute(f"{END_OTHERS} AND state = 'idle in transaction'")
    assert [each.index for each in fast.append(items(10, 12))] == [2, 3]
    passed.set()
    thread.join(60)
    assert isinstance(failures[0], LedgerStopped)
    assert [leaf for _, leaf in (*items(0, 2), *items(10, 12))] == list(fast.leaves())
    assert fast.publish().size == 4
    assert fsck(postgres_place.location).ok


def test_the_session_has_a_limit_on_standing_still_and_commits_are_durable(postgres):
    location = postgres.database("careless")
    with psycopg.connect(location, autocommit=True) as connection:
        connection.execute("ALTER DATABASE careless SET synchronous_commit = off")
    connection = PostgresStore(location).connect()
    settings = {
        name: connection.execute(f"SHOW {name}").fetchone()[0]
        for name in (
            "idle_in_transaction_session_timeout",
            "lock_timeout",
            "synchronous_commit",
            "default_transaction_isolation",
        )
    }
    connection.close()
    assert settings == {
        "idle_in_transaction_session_timeout": "30s",
        "lock_timeout": "30s",
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
    }


def test_a_server_that_crashes_stops_the_log_and_keeps_what_was_acknowledged(
    postgres, postgres_place, open_log, items
):
    log, reader_options = open_log(postgres_place.location), {"read_only": True}
    log.append(items(0, 300))
    log.publish()
    log.append(items(300, 320))
    reader = open_log(postgres_place.location, **reader_options)
    postgres.kill()
    try:
        with pytest.raises(LedgerStopped):
            log.append(items(320, 330))
        with pytest.raises(LedgerError, match="can't be reached") as caught:
            open_log(postgres_place.location)
        assert "check that the server runs" in caught.value.diagnostics()
    finally:
        postgres.start()
    assert reader.leaf(299) == items(299, 300)[0][1]  # on a new connection
    log.close()
    log = open_log(postgres_place.location)
    assert log.size == 320
    assert [each.status for each in log.append(items(310, 330))] == ["duplicate"] * 10 + ["new"] * 10
    assert log.publish().size == 330
    assert fsck(postgres_place.location).ok


def test_the_head_that_goes_back_stops_a_writer(postgres_place, open_log, items):
    """A standby that had not received everything takes the primary's place."""
    log = open_log(postgres_place.location)
    log.append(items(0, 5))
    postgres_place.execute("DELETE FROM runrecord_journal")
    postgres_place.execute("UPDATE runrecord_log SET size = 2")
    with pytest.raises(RolledBack, match="has 2 entries; this writer knows 5"):
        log.append(items(5, 6))
    with pytest.raises(LedgerStopped):
        log.append(items(6, 7))
    with pytest.raises(LedgerStopped):
        log.publish()


def test_entries_that_are_gone_from_the_journal_are_missed(postgres_place, open_log, items):
    log = open_log(postgres_place.location)
    log.append(items(0, 5))
    log.append(items(5, 7))
    log._publisher.publish = lambda: None
    log.close()
    postgres_place.execute("DELETE FROM runrecord_journal WHERE first = 0")
    with pytest.raises(RolledBack, match="entries 0 to 5 of the ledger"):
        open_log(postgres_place.location)


def test_a_key_that_is_there_already_is_not_let_in_twice(postgres_place, open_log, items):
    """The primary key holds even where a writer's own look-up does not: as if it had a bug."""
    log = open_log(postgres_place.location)
    log.append(items(0, 2))
    log._sequencer._recent.clear()
    log._sequencer._keys.find = lambda digests: {}
    with pytest.raises(LedgerStopped, match="UniqueViolation"):
        log.append(items(1, 2))
    assert postgres_place.execute("SELECT size FROM runrecord_log") == [(2,)]


def test_several_logs_in_a_database_do_not_know_each_other(postgres_place, open_log, items):
    one, two = (open_log(f"{postgres_place.location}&log={name}") for name in ("one", "two"))
    one.append(items(0, 3))
    assert [each.status for each in two.append(items(1, 3))] == ["new"] * 2
    assert (one.publish().size, two.publish().size) == (3, 2)
    assert "(log one)" in repr(one)
    assert one.path != two.path


def test_a_user_who_may_only_read_reads(postgres_place, open_log, items):
    log = open_log(postgres_place.location)
    log.append(items(0, 3))
    log.publish()
    postgres_place.execute("DROP ROLE IF EXISTS looker")
    postgres_place.execute("CREATE ROLE looker LOGIN PASSWORD 'look'")
    (schema,) = postgres_place.execute("SELECT current_schema()")
    postgres_place.execute(f'GRANT USAGE ON SCHEMA "{schema[0]}" TO looker')
    postgres_place.execute("GRANT SELECT ON runrecord_log, runrecord_object TO looker")
    location = postgres_place.location.replace(
        postgres_place.location.split("//")[1].split("@")[0], "looker:look"
    )
    assert open_log(location, read_only=True).size == 3
    with pytest.raises(LedgerReadOnly, match="can't be written"):
        open_log(location)
    postgres_place.execute("DROP OWNED BY looker")
    postgres_place.execute("DROP ROLE looker")


def test_no_password_and_no_content_is_in_messages(postgres_place, open_log, items, caplog):
    log = open_log(postgres_place.location)
    shown = [repr(log), repr(open_store(postgres_place.location)), log.where, repr(log.objects)]
    secret = postgres_place.location.split("@")[0].rsplit(":", 1)[1]
    wrong = postgres_place.location.replace(secret, "not+the+password")
    broken = postgres_place.location.replace("127.0.0.1", f"127.0.0.1 {PASSWORD}").replace("@", " ")
    for location in (wrong, broken, f"postgresql://{USER}:{PASSWORD}@127.0.0.1:1/x", "postgresql://%zz"):
        with pytest.raises(LedgerError) as caught:
            open_log(location)
        shown.append(caught.value.diagnostics())
    log._sequencer._keys.find = lambda digests: {}
    log.append([(b"the card number", b"the card number")])
    log._sequencer._recent.clear()
    with pytest.raises(LedgerStopped) as caught:
        log.append([(b"the card number", b"the card number")])
    shown += [caught.value.diagnostics(), caplog.text]
    assert caught.value.__cause__ is None or not isinstance(caught.value.__cause__, psycopg.Error)
    for text in shown:
        for word in (secret, PASSWORD, "not+the+password", "not the password", "card", USER + ":"):
            assert word not in text


def test_an_address_that_is_none_says_what_one_is():
    with pytest.raises(LedgerError, match="begins with postgresql://"):
        open_store("mysql://root:secret@host/db")
