# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the run used: steps, calls, tokens and money, beside the budgets that were set."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Final

from runrecord.ledger.completeness import CLOSES
from runrecord.ledger.records import Record
from runrecord.ledger.report import html
from runrecord.ledger.runs import RunView
from runrecord.semconv import attributes as names

_INPUT: Final = "gen_ai.usage.input_tokens"
_OUTPUT: Final = "gen_ai.usage.output_tokens"


def usage(view: RunView) -> str:
    """Return the counts, and a table of the budgets."""
    rows = [
        ("Steps", f"{len([step for step in view.steps if step.index is not None]):,}"),
        ("Tool calls", f"{len(view.calls):,}"),
        ("Tokens", _tokens(view)),
        ("Cost", _costs(view)),
    ]
    newest: dict[tuple[str, str], Record] = {}
    for record in view.records:
        if record.entry.number(names.BUDGET_LIMIT) is not None:
            newest[record.entry.text(names.BUDGET_ID), record.entry.text(names.BUDGET_DIMENSION)] = record
    budgets = [_budget(view, record) for record in newest.values()]
    heads = ("Budget", "Used, as last stated", "Limit", "Within?", "Entry")
    return html.facts(rows) + (
        html.table("Budgets", heads, budgets, kind="budgets")
        if budgets
        else '<p class="note">No budget is recorded.</p>'
    )


def _tokens(view: RunView) -> str:
    """Sum what calls state; a segment that states its own sum is taken only if no call does."""
    counted: Counter[str] = Counter()
    parts = [r for r in view.records if r.entry.kind not in CLOSES]
    for records in (parts, view.closes):
        for record in records:
            for name in (_INPUT, _OUTPUT):
                counted[name] += record.entry.integer(name) or 0
        if counted.total():
            return f"{counted[_INPUT]:,} in, {counted[_OUTPUT]:,} out, as the records state"
    return "not recorded in the ledger"


def _costs(view: RunView) -> str:
    sums: Counter[str] = Counter()
    for record in view.records:
        amount = record.entry.number(names.COST_AMOUNT)
        if amount is not None:
            sums[record.entry.text(names.COST_CURRENCY)] += Decimal(repr(amount))  # type: ignore[assignment]
    said = [
        f"{amount:f} {html.text(currency or '(no currency stated)')}"
        for currency, amount in sorted(sums.items())
    ]
    return ", ".join(said) or "not recorded in the ledger"


def _budget(view: RunView, record: Record) -> tuple[str, ...]:
    entry = record.entry
    limit, consumed = entry.number(names.BUDGET_LIMIT) or 0.0, entry.number(names.BUDGET_CONSUMED)
    over = entry.flag(names.BUDGET_EXCEEDED) or (consumed is not None and consumed > limit)
    unit = entry.text(names.BUDGET_DIMENSION)
    if unit == "cost" and entry.text(names.COST_CURRENCY):
        unit = entry.text(names.COST_CURRENCY)
    stop = "; the run stopped" if over and view.outcome == "budget_exceeded" else ""
    return (
        html.text(entry.text(names.BUDGET_ID) or "budget"),
        "not stated" if consumed is None else html.text(f"{consumed:g} {unit}"),
        html.text(f"{limit:g} {unit}"),
        html.badge("bad", f"exceeded{stop}") if over else html.badge("good", "within"),
        html.entry(record),
    )
