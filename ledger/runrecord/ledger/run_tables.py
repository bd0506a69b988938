# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of the index of runs, and what a run and a search are in them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from typing import Any, Final

from runrecord.ledger.run_facts import RunFacts, clean
from runrecord.ledger.run_search import Effects, RunQuery, like

NO_RUN: Final = -1
_MAX: Final = 2**63 - 1
_ENDED, _ABANDONED, ERASED, _HELD, _PRUNED = (1 << bit for bit in range(5))
_MARKS: Final = {"erased": ERASED, "held": _HELD, "pruned": _PRUNED}
TABLES: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY, last INTEGER NOT NULL, "end" INTEGER NOT NULL, start INTEGER NOT NULL, marks INTEGER NOT NULL,
    outcome TEXT NOT NULL, spend INTEGER, currency TEXT NOT NULL, effects INTEGER NOT NULL, granted INTEGER NOT NULL,
    entries INTEGER NOT NULL, first INTEGER NOT NULL, rank INTEGER NOT NULL, rank_segment INTEGER NOT NULL,
    final_segment INTEGER NOT NULL, tenant TEXT NOT NULL, agent TEXT NOT NULL, final TEXT NOT NULL, money TEXT NOT NULL,
    run TEXT NOT NULL UNIQUE
);
CREATE INDEX IF NOT EXISTS runs_spend ON runs (spend, number) WHERE spend IS NOT NULL;
CREATE TABLE IF NOT EXISTS entries (number INTEGER, idx INTEGER, PRIMARY KEY (number, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (kind, text));
CREATE TABLE IF NOT EXISTS facets (name INTEGER, number INTEGER, PRIMARY KEY (name, number)) WITHOUT ROWID;
"""
COLUMNS: Final = (
    'number, last, "end", start, marks, outcome, spend, currency, effects, granted, entries, first, rank, rank_segment, '
    "final_segment, tenant, agent, final, money, run"
)
INSERT: Final = f"INSERT INTO runs ({COLUMNS}) VALUES ({', '.join('?' * 20)})"  # noqa: S608 - constants
UPDATE: Final = (
    'UPDATE runs SET last = ?, "end" = ?, start = ?, marks = ?, outcome = ?, spend = ?, currency = ?, effects = ?, granted = ?, '
    "entries = ?, first = ?, rank = ?, rank_segment = ?, final_segment = ?, tenant = ?, agent = ?, final = ?, money = ? "
    "WHERE number = ?"
)
OF_RUN: Final = f"SELECT {COLUMNS} FROM runs WHERE run = ?"  # noqa: S608 - constants


def count(connection: sqlite3.Connection) -> None:
    """Raise if there is not a row for each leaf, or not one for each run."""
    asked = (
        "SELECT COALESCE(MAX(value), '-1') FROM meta WHERE name = 'size'",
        "SELECT COUNT(*) FROM entries",
        f"SELECT (SELECT TOTAL(entries) FROM runs) + (SELECT COUNT(*) FROM entries WHERE number = {NO_RUN})",  # noqa: S608
    )
    connection.execute("BEGIN")
    counts = {int(connection.execute(each).fetchone()[0]) for each in asked}
    connection.execute("COMMIT")
    if len(counts) > 1:
        raise ValueError


def facts_in(row: tuple[Any, ...]) -> RunFacts:
    """Return the facts about a run, without its facets, from its ``COLUMNS``.

    Raises:
        sqlite3.DataError: They are not what was written there.
    """
    try:
        return _facts_in(row)
    except (TypeError, ValueError) as error:
        raise sqlite3.DataError("a row of the run index is not of its form") from error


def _facts_in(row: tuple[Any, ...]) -> RunFacts:
    number, last, end, start, marks, _, _, _, effects, granted = row[:10]
    entries, first, rank, rank_segment, final_segment = row[10:15]
    tenant, agent, final, money, run = row[15:]
    stated, parts = _money(money)
    return RunFacts(
        run=run, number=number, tenant=tenant, agent=agent, rank=(rank, rank_segment), final=final, final_segment=final_segment,
        ended=bool(marks & _ENDED), abandoned=bool(marks & _ABANDONED), erased=bool(marks & ERASED), held=bool(marks & _HELD),
        pruned=bool(marks & _PRUNED), entries=entries, first=first, last=last, start=start, end=end, effects=effects,
        granted=granted, stated=stated, parts=parts,
    )  # fmt: skip


def _money(text: str) -> tuple[dict[str, int], dict[str, int]]:
    if not text:
        return {}, {}
    stated, parts = json.loads(text)
    return stated, parts


def values_of(facts: RunFacts) -> tuple[Any, ...]:
    """Return the columns of a run but its number and its id."""
    marks = (
        facts.ended * _ENDED
        | facts.abandoned * _ABANDONED
        | facts.erased * ERASED
        | facts.held * _HELD
        | facts.pruned * _PRUNED
    )
    spend, currency = facts.spend or (None, "")
    money = json.dumps([facts.stated, facts.parts]) if facts.money else ""
    return (
        facts.last, facts.end, facts.start, marks, facts.outcome, spend, currency, facts.effects, facts.granted, facts.entries,
        facts.first, *facts.rank, facts.final_segment, facts.tenant, facts.agent, facts.final, money,
    )  # fmt: skip


def conditions(query: RunQuery) -> tuple[list[str], list[Any]]:
    """Return the conditions of a query on the table of runs, to be joined by AND, and their values."""
    conditions = ['"end" >= ?', "start <= ?"]
    values: list[Any] = [max(min(query.since, _MAX), 0), max(min(query.until, _MAX), 0)]
    for column, patterns in (("outcome", query.outcomes), ("tenant", query.tenants)):
        if patterns:
            conditions.append(_like(column, patterns))
            values += _patterns(patterns)
    for kind, patterns in query.facets:
        named = f"SELECT id FROM names WHERE kind = ? AND {_like('text', patterns)}"  # noqa: S608 - constants
        conditions.append(f"number IN (SELECT number FROM facets WHERE name IN ({named}))")  # noqa: S608
        values += (kind, *_patterns(patterns))
    for sign, amount in zip((">=", "<="), query.amounts, strict=True):
        if amount is not None:
            conditions.append(f"spend {sign} ?")
            values.append(amount)
    if query.currency:
        conditions.append("currency = ? AND spend IS NOT NULL")
        values.append(query.currency)
    for mark in query.marks:
        conditions.append("marks & ?")
        values.append(_MARKS.get(mark, 0))
    if query.effects is not None:
        conditions.append("effects = 0" if query.effects is Effects.NONE else "effects > 0")
    if query.effects in (Effects.APPROVED, Effects.UNAPPROVED):
        conditions.append("granted > 0" if query.effects is Effects.APPROVED else "granted = 0")
    return conditions, values


def _like(column: str, patterns: Iterable[str]) -> str:
    """Return the condition that a text is like one of some patterns; see :func:`_patterns`."""
    exact, starred = _split(patterns)
    conditions = [f"{column} IN ({', '.join('?' * len(exact))})"] if exact else []
    return f"({' OR '.join([*conditions, *[f'{column} REGEXP ?'] * len(starred)])})"


def _patterns(patterns: Iterable[str]) -> list[str]:
    exact, starred = _split(patterns)
    return [*map(clean, exact), *(like(each).pattern for each in starred)]


def _split(patterns: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return those that stand for themselves, and those with ``*``."""
    exact, starred = list[str](), list[str]()
    for each in patterns:
        (starred if "*" in each else exact).append(each)
    return exact, starred


def matches_pattern(pattern: str, text: str) -> bool:
    """The function REGEXP of SQL, for patterns with ``*``."""
    return re.fullmatch(pattern, text, re.DOTALL) is not None
