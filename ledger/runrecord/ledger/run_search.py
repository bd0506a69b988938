# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What to look for among the runs of a ledger, in which order, and where the next page begins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from runrecord.ledger.errors import LedgerError
from runrecord.ledger.run_facts import AGENT, APPROVER, NANO, POLICY, TOOL, RunFacts, RunSummary, clean

_MAX: Final = 2**63 - 1
_CURSOR: Final = re.compile(r"(\d{1,18})-(\d{1,18})(?:-(-?\d{1,19}))?")


class Order(str, Enum):
    """Which runs come first."""

    NEWEST = "newest"
    """Those whose first entry came last."""
    SPEND = "spend"
    """Those that cost most; runs that do not say what they cost are left out."""


class Effects(str, Enum):
    """What tool calls of a run changed."""

    ANY = "any"
    """At least one changed something."""
    APPROVED = "approved"
    """The same, and an approval was granted in the run."""
    UNAPPROVED = "unapproved"
    """The same, and none was."""
    NONE = "none"
    """None changed anything, as far as the records say."""


@dataclass(frozen=True)
class RunQuery:
    """What runs have to be like. Of each member one value has to match, and all members that are set.

    In a text, ``*`` stands for any characters.

    Attributes:
        outcomes: Outcomes, also ``open``, ``waiting`` and ``abandoned``.
        agents: Names of agents or workflows that took part.
        tools: Names of tools that were called or announced.
        policies: Ids or names of policies that decided.
        approvers: References to who answered, as recorded.
        tenants: Tenant ids.
        since: It ended at or after this time, nanoseconds since the Unix epoch.
        until: It started at or before this time.
        at_least: It cost at least this much.
        at_most: It cost at most this much. A run whose records do not say what it cost matches neither.
        currency: In this currency.
        effects: What its tool calls changed.
        marks: It has all of these marks: ``erased``, ``held``, ``pruned``.
        order: Which come first.
    """

    outcomes: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    since: int = 0
    until: int = _MAX
    at_least: float | None = None
    at_most: float | None = None
    currency: str = ""
    effects: Effects | None = None
    marks: tuple[str, ...] = ()
    order: Order = Order.NEWEST

    @property
    def facets(self) -> list[tuple[str, tuple[str, ...]]]:
        """The texts to be found by, by kind."""
        found = [
            (AGENT, self.agents),
            (TOOL, self.tools),
            (POLICY, self.policies),
            (APPROVER, self.approvers),
        ]
        return [(kind, texts) for kind, texts in found if texts]

    @property
    def amounts(self) -> tuple[int | None, int | None]:
        """The least and the most that it cost, in billionths."""
        low, high = (None if each is None else _billionths(each) for each in (self.at_least, self.at_most))
        return low, high

    def matches(self, facts: RunFacts) -> bool:
        """Return whether a run is like this; ``facts`` must hold all of its facets."""
        marks = facts.summary.marks
        return (
            (not self.outcomes or like_any(self.outcomes, facts.outcome))
            and (not self.tenants or like_any(self.tenants, facts.tenant))
            and facts.end >= self.since
            and facts.start <= self.until
            and all(mark in marks for mark in self.marks)
            and self._has_spent(facts)
            and (self.effects is None or self._has_effects(facts))
            and all(
                any(of == kind and like_any(texts, text) for of, text in facts.facets)
                for kind, texts in self.facets
            )
        )

    def _has_spent(self, facts: RunFacts) -> bool:
        low, high = self.amounts
        if facts.spend is None:
            return low is None and high is None and not self.currency and self.order is not Order.SPEND
        amount, currency = facts.spend
        return (
            (low is None or amount >= low)
            and (high is None or amount <= high)
            and self.currency in ("", currency)
        )

    def _has_effects(self, facts: RunFacts) -> bool:
        return bool(facts.effects) == (self.effects is not Effects.NONE) and (
            self.effects not in (Effects.APPROVED, Effects.UNAPPROVED)
            or bool(facts.granted) == (self.effects is Effects.APPROVED)
        )


class Place(NamedTuple):
    """Where a run stands in an order; a larger one comes first.

    Attributes:
        spend: What it cost in billionths, 0 in the order of time.
        number: The number by which the index knows it.
    """

    spend: int
    number: int


@dataclass(frozen=True)
class Cursor:
    """Where a page ends.

    All pages show the runs as they were when the first one was asked for, so nothing comes twice and nothing is left out while
    the log grows.

    Attributes:
        size: How many entries the log had then.
        place: Of the last run on the page.
    """

    size: int
    place: Place

    def __str__(self) -> str:
        """Return it as users pass it on."""
        spend = f"-{self.place.spend}" if self.place.spend else ""
        return f"{self.size}-{self.place.number}{spend}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read a cursor.

        Raises:
            LedgerError: It is none.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise LedgerError(f"{text!r} is no cursor", "take it from the page before, or begin without one")
        size, number, spend = match.groups()
        return cls(int(size), Place(min(int(spend or 0), _MAX), int(number)))


@dataclass(frozen=True)
class RunPage:
    """Some runs.

    Attributes:
        runs: They.
        cursor: Where the next page begins; None if there is none.
    """

    runs: tuple[RunSummary, ...]
    cursor: str | None


def place_of(facts: RunFacts, order: Order) -> Place:
    """Return where a run stands."""
    spend = facts.spend if order is Order.SPEND else None
    return Place(spend[0] if spend else 0, facts.number)


def like_any(patterns: Iterable[str], text: str) -> bool:
    """Return whether a text is like one of some, in which ``*`` stands for any characters."""
    return any(text == clean(each) if "*" not in each else like(each).fullmatch(text) for each in patterns)


def like(pattern: str) -> re.Pattern[str]:
    """Return a pattern in which ``*`` stands for any characters as a regular expression."""
    return re.compile(".*".join(re.escape(clean(part)) for part in pattern.split("*")), re.DOTALL)


def _billionths(amount: float) -> int:
    return round(max(min(amount * NANO, _MAX), -_MAX))
