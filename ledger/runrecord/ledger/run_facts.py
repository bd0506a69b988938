# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a list of runs says about a run, worked out entry by entry, in the order of the log.

The index keeps these facts, and a reader works them out again from the leaves of each run that it shows: both go through here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from runrecord.ledger.calls import ToolCall
from runrecord.ledger.completeness import CLOSES
from runrecord.ledger.entry import DONE_TO_RUNS, SCHEMA, Entry, Kind
from runrecord.ledger.records import Record
from runrecord.semconv import attributes as names

NANO: Final = 1_000_000_000
"""Amounts of money are whole billionths, so that a sum does not depend on its order."""
AGENT: Final = "agent"
TOOL: Final = "tool"
POLICY: Final = "policy"
APPROVER: Final = "approver"

_load: Callable[[bytes], Any]
try:
    from orjson import loads as _load
except ImportError:  # none for this Python; it takes three times as long
    _load = json.loads
_PARTS: Final = frozenset({Kind.TOOL_RESULT, Kind.TOOL_INTENT, Kind.POLICY_DECISION, Kind.APPROVAL_DECISION})
_GRANTED: Final = frozenset({"approved", "modified"})
_READ_ONLY: Final = (None, "", "none", "read")
_MAX: Final = 2**63 - 1
_MAX_MONEY: Final = 10**18
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NO_RANK: Final = (9, 0)
_NO_SEGMENT: Final = -1
_NOTHING: Final[Mapping[str, Any]] = {}
HOLD_PLACED: Final = "placed"
"""``action`` in the detail of an entry that places a legal hold."""

Basis: TypeAlias = tuple[int, str, str, str, int, int]


class Row(NamedTuple):
    """What the facts about a run take from one entry; times are nanoseconds since the Unix epoch.

    Attributes:
        idx: Its log index.
        run: Its run; empty for a leaf that belongs to none, or is no entry.
        tenant: Its tenant.
        kind: Its kind.
        start: When it started.
        end: When it ended.
        segment: Of a run span or its announcement, the segment.
        outcome: Of a run span, the outcome.
        agents: Names of agents, each with its rank: the lowest of a run names it.
        facets: What it can be found by: kind and text.
        cost: What it says that it cost, in billionths; None if it says nothing.
        currency: In what.
        effects: How many changes it made.
        granted: How many approvals it granted.
        held: Whether it places a legal hold.
    """

    idx: int
    run: str
    tenant: str
    kind: str
    start: int
    end: int
    segment: int = 0
    outcome: str = ""
    agents: tuple[tuple[int, str], ...] = ()
    facets: tuple[tuple[str, str], ...] = ()
    cost: int | None = None
    currency: str = ""
    effects: int = 0
    granted: int = 0
    held: bool = False


@dataclass(frozen=True)
class RunSummary:
    """One line about a run.

    Attributes:
        run: Run id.
        tenant: Tenant id, or empty.
        agent: Name of the agent or workflow, or empty.
        outcome: As the run's close states it; ``abandoned``, ``waiting`` while it is suspended, ``open`` without any close.
        entries: Number of its entries.
        first_index: Log index of the first one.
        start: First start, nanoseconds since the Unix epoch, 0 if unknown.
        end: Last end, the same.
        spend: What it cost as far as its records say, by currency: the sum that its segments state, else that of its parts.
        effects: How many tool calls changed something.
        approvals: How many approvals were granted.
        marks: ``erased`` (some of its keys are destroyed), ``held`` (under a legal hold), ``pruned`` (entries of it are deleted).
    """

    run: str
    tenant: str
    agent: str
    outcome: str
    entries: int
    first_index: int
    start: int
    end: int
    spend: Mapping[str, float] = field(default_factory=dict[str, float])
    effects: int = 0
    approvals: int = 0
    marks: tuple[str, ...] = ()


@dataclass(slots=True)
class RunFacts:
    """The facts about one run; ``add`` its rows in the order of the log.

    Attributes:
        run: Run id.
        number: By what the index knows it: the index of the first entry that was ever added.
        facets: What it can be found by, as far as it was added to this object: kind and text. No part of a comparison.
        pruned: Whether entries of it are deleted. No part of a comparison.
    """

    run: str
    number: int
    tenant: str = ""
    agent: str = ""
    rank: tuple[int, int] = _NO_RANK
    final: str = ""
    final_segment: int = _NO_SEGMENT
    ended: bool = False
    abandoned: bool = False
    erased: bool = False
    held: bool = False
    entries: int = 0
    first: int = -1
    last: int = -1
    start: int = 0
    end: int = 0
    effects: int = 0
    granted: int = 0
    stated: dict[str, int] = field(default_factory=dict[str, int])
    parts: dict[str, int] = field(default_factory=dict[str, int])
    pruned: bool = field(default=False, compare=False)
    facets: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]], compare=False)

    def add(self, row: Row) -> None:
        """Take the next entry of the run in."""
        if not self.entries:
            self.first = row.idx
        self.entries += 1
        self.last = row.idx
        self.tenant = max(self.tenant, row.tenant)
        if row.start and (row.start < self.start or not self.start):
            self.start = row.start
        self.end = max(self.end, row.end)
        if row.kind in _PARTS:
            self.effects += row.effects
            self.granted += row.granted
            self.facets.update(row.facets)
            _pay(self.parts, row)
        elif row.kind in CLOSES:
            self._close(row)
        elif row.kind == Kind.RUN_OPEN:
            self._name(row)
        elif row.kind == Kind.RUN_ABANDONED:
            self.abandoned = True
        elif row.kind == Kind.ERASURE:
            self.erased = True
        elif row.kind == Kind.LEGAL_HOLD:
            self.held = row.held

    def _close(self, row: Row) -> None:
        self.ended = True
        if row.kind == Kind.RUN_CLOSE and row.segment >= self.final_segment:
            self.final, self.final_segment = row.outcome or "completed", row.segment
        self._name(row)
        _pay(self.stated, row)

    def _name(self, row: Row) -> None:
        for rank, name in row.agents:
            self.facets.add((AGENT, name))
            if (rank, row.segment) < self.rank:
                self.rank, self.agent = (rank, row.segment), name

    @property
    def outcome(self) -> str:
        """The outcome as :attr:`runrecord.ledger.runs.RunView.outcome` has it."""
        if self.final_segment != _NO_SEGMENT:
            return self.final
        if self.abandoned:
            return "abandoned"
        return "waiting" if self.ended else "open"

    @property
    def money(self) -> Mapping[str, int]:
        """What it cost by currency, in billionths."""
        return self.stated or self.parts

    @property
    def spend(self) -> tuple[int, str] | None:
        """The largest amount and its currency, by which it is found; None if its records say nothing."""
        most = max(((amount, currency) for currency, amount in self.money.items()), default=None)
        return most and (max(min(most[0], _MAX), -_MAX), most[1])

    @property
    def summary(self) -> RunSummary:
        """The line about the run."""
        marks = {"erased": self.erased, "held": self.held, "pruned": self.pruned}
        return RunSummary(
            run=self.run,
            tenant=self.tenant,
            agent=self.agent,
            outcome=self.outcome,
            entries=self.entries,
            first_index=self.first,
            start=self.start,
            end=self.end,
            spend={currency: amount / NANO for currency, amount in sorted(self.money.items())},
            effects=self.effects,
            approvals=self.granted,
            marks=tuple(mark for mark, is_so in marks.items() if is_so),
        )


def facts_of(run: str, number: int, rows: Iterable[Row]) -> RunFacts:
    """Return the facts about a run from the rows of its entries, in the order of the log."""
    facts = RunFacts(run, number)
    for row in rows:
        facts.add(row)
    return facts


def row_of_entry(index: int, entry: Entry) -> Row:
    """Return the row of an entry that was just appended."""
    return _row(index, entry)


def row_of(index: int, leaf: bytes) -> Row:
    """Return the row of a leaf; one that is not an entry of this schema belongs to no run. Nothing is verified."""
    try:
        members: Any = _members(leaf)
        if members["schema"] != SCHEMA:
            return _nobody(index)
        return _row(
            index,
            Entry(
                kind=str(members["kind"]),
                run=str(members.get("run", "")),
                tenant=str(members.get("tenant", "")),
                name=str(members.get("name", "")),
                start=int(members["start"]),
                end=int(members["end"]),
                status=members.get("status", "unset"),
                attributes=members.get("attributes", _NOTHING),
                detail=members.get("detail", _NOTHING),
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _nobody(index)


def _members(leaf: bytes) -> Any:
    try:
        return _load(leaf)
    except ValueError:  # the fast one refuses lone surrogates
        return json.loads(leaf)


def _nobody(index: int) -> Row:
    return Row(index, "", "", "", 0, 0)


def _row(index: int, entry: Entry) -> Row:
    """Return a row that SQLite can hold: integers of 63 bits, text without lone surrogates, as in the leaf."""
    kind = entry.kind
    run = clean(entry.run)
    start, end = (0, 0) if kind in DONE_TO_RUNS else (min(entry.start, _MAX), min(entry.end, _MAX))
    basis = (index, run, clean(entry.tenant), kind, start, end)
    if not run or kind not in _READ:
        return Row(*basis)
    return _READ[kind](basis, entry)


def _of_close(basis: Basis, entry: Entry) -> Row:
    segment = min(max(entry.integer(names.RUN_SEGMENT) or 0, 0), _MAX)
    named = ((0, entry.text(names.GEN_AI_AGENT_NAME)), (1, entry.text(names.GEN_AI_WORKFLOW_NAME)))
    agents = tuple((rank, clean(name)) for rank, name in named if name)
    outcome = clean(entry.text(names.RUN_OUTCOME))
    return Row(*basis, segment, outcome, agents, (), *_cost(entry))


def _of_open(basis: Basis, entry: Entry) -> Row:
    segment = min(max(entry.integer(names.RUN_SEGMENT) or 0, 0), _MAX)
    name = clean(entry.text(names.SUBJECT_NAME))
    return Row(*basis, segment, "", ((2, name),) if name else ())


def _of_call(basis: Basis, entry: Entry) -> Row:
    attributes = entry.attributes
    tool, effects = attributes.get(names.GEN_AI_TOOL_NAME), 0
    if tool.__class__ is not str or entry.kind != Kind.TOOL_RESULT or _may_state_effect(attributes):
        record = Record(basis[0], entry)
        call = ToolCall(record, None) if entry.kind == Kind.TOOL_RESULT else ToolCall(None, record)
        tool, effects = call.tool, int(call.changes_something and call.took_effect)
    facets = ((TOOL, clean(tool)),) if isinstance(tool, str) and tool else ()
    return Row(*basis, 0, "", (), facets, *_cost(entry), effects)


def _may_state_effect(attributes: Mapping[str, Any]) -> bool:
    """Return whether it is worth asking what a call changed; most calls say nothing of it, or that they only read."""
    return (
        attributes.get(names.SIDE_EFFECT_TYPE) not in _READ_ONLY
        or names.TOOL_DESTRUCTIVE in attributes
        or names.SIDE_EFFECT_COMMITTED in attributes
    )


def _of_decision(basis: Basis, entry: Entry) -> Row:
    policies = {clean(entry.text(names.POLICY_ID)), clean(entry.text(names.POLICY_NAME))} - {""}
    return Row(*basis, 0, "", (), tuple((POLICY, each) for each in sorted(policies)))


def _of_answer(basis: Basis, entry: Entry) -> Row:
    actor = clean(entry.text(names.APPROVAL_ACTOR_REF))
    granted = int(entry.text(names.APPROVAL_STATUS) in _GRANTED)
    facets = ((APPROVER, actor),) if actor else ()
    return Row(*basis, 0, "", (), facets, None, "", 0, granted)


def _of_hold(basis: Basis, entry: Entry) -> Row:
    return Row(*basis, held=entry.detail.get("action") == HOLD_PLACED)


def _cost(entry: Entry) -> tuple[int | None, str]:
    amount = entry.number(names.COST_AMOUNT) if names.COST_AMOUNT in entry.attributes else None
    if amount is None or not math.isfinite(amount):
        return None, ""
    billionths = round(max(min(amount * NANO, _MAX_MONEY), -_MAX_MONEY))
    return billionths, clean(entry.text(names.COST_CURRENCY))


def _pay(sums: dict[str, int], row: Row) -> None:
    if row.cost is not None:
        sums[row.currency] = sums.get(row.currency, 0) + row.cost


def clean(text: str) -> str:
    """Return text without lone surrogates, as the canonical JSON of a leaf has it."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


_READ: Final[dict[str, Callable[[Basis, Entry], Row]]] = {
    Kind.RUN_CLOSE: _of_close,
    Kind.SOURCE_CLOSE: _of_close,
    Kind.RUN_OPEN: _of_open,
    Kind.TOOL_RESULT: _of_call,
    Kind.TOOL_INTENT: _of_call,
    Kind.POLICY_DECISION: _of_decision,
    Kind.APPROVAL_DECISION: _of_answer,
    Kind.LEGAL_HOLD: _of_hold,
}
