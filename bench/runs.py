# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How long a search for runs takes in a large ledger.

Each search is asked of a ledger that was just opened to read, so nothing but the page cache is warm; what is returned is checked
against the signed checkpoint, as in ``runrecord runs``.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from runrecord.ledger import Effects, Entry, Ledger, Order, RunQuery
from runrecord.ledger.values import wrap

_SEARCHES: dict[str, RunQuery] = {
    "the newest": RunQuery(),
    "that failed (1 in 50)": RunQuery(outcomes=("failure",)),
    "with a rare tool (1 call in 1,000)": RunQuery(tools=("wire_transfer",)),
    "that cost most": RunQuery(order=Order.SPEND),
    "that failed and cost 5 or less, by cost": RunQuery(outcomes=("failure",), at_most=5, order=Order.SPEND),
    "that changed something unapproved": RunQuery(effects=Effects.UNAPPROVED),
    "of a tenant that is not there": RunQuery(tenants=("nobody",)),
}


def varied(entry: Entry, chance: random.Random) -> Entry:
    """Return an entry of which, now and then, the run failed, cost money, or called a rare tool."""
    more: dict[str, Any] = {}
    if entry.kind == "run_close":
        if chance.random() < 0.02:
            more["runrecord.run.outcome"] = "failure"
        if chance.random() < 0.5:
            more |= {
                "runrecord.cost.amount": wrap(round(chance.random() * 10, 4)),
                "runrecord.cost.currency": "USD",
            }
    elif entry.kind == "tool_result" and chance.random() < 0.001:
        more["gen_ai.tool.name"] = "wire_transfer"
    return replace(entry, attributes={**entry.attributes, **more}) if more else entry


def measure(place: Path) -> dict[str, tuple[float, float]]:
    """Return seconds of wall and of CPU, medians of nine."""

    def taken(ask: Callable[[Ledger], object]) -> tuple[float, float]:
        times: list[tuple[float, float]] = []
        for _ in range(9):
            with Ledger(place, read_only=True) as ledger:
                began, spent = time.perf_counter(), time.process_time()
                ask(ledger)
                times.append((time.perf_counter() - began, time.process_time() - spent))
        wall, cpu = (statistics.median(each) for each in zip(*times, strict=True))
        return wall, cpu

    found = {"opening the ledger": taken(lambda _: Ledger(place, read_only=True).close())}
    for name, query in _SEARCHES.items():
        found[f"50 runs {name}"] = taken(partial(Ledger.search, query=query))
    with Ledger(place, read_only=True) as ledger:
        run = ledger.search().runs[-1].run
    found["one run, all its entries"] = taken(partial(Ledger.run, run=run))
    return found
