# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How long a search for runs takes in a large ledger: ``python -m bench.runs [--entries N] [--ledger DIR]``.

Each search is asked of a ledger that was just opened to read, so nothing but the page cache is warm; what is printed is checked
against the signed checkpoint, as in ``runrecord runs``.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.ledger import again, entries
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


def fill(place: Path, count: int) -> None:
    """Fill a ledger with entries of real spans, of which some failed, cost money or called a rare tool."""
    sample, chance, done, copy = entries(8_000), random.Random(1), 0, 0
    with Ledger(place, origin="bench.example/runs") as ledger:
        while done < count:
            copy += 1
            fresh = [_varied(entry, chance) for entry in again(sample, copy)]
            for at in range(0, len(fresh), 512):
                ledger.append_entries(fresh[at : at + 512])
            done += len(fresh)
            print(f"\r  {done:,} of {count:,} entries   ", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 50 + "\r", end="", file=sys.stderr)


def _varied(entry: Entry, chance: random.Random) -> Entry:
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


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--ledger", type=Path, help="keep it there, or measure the one that is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="runrecord-bench-") as directory:
        place = options.ledger or Path(directory) / "ledger"
        if not (place / "checkpoint").exists():
            fill(place, options.entries)
        with Ledger(place, read_only=True) as ledger:
            size, held = ledger.log.size, (place / ".state" / "index.sqlite").stat().st_size
        print(
            f"{size:,} entries, index of runs {held / size:.0f} bytes for an entry; load {os.getloadavg()[0]:.1f}"
        )
        for name, (wall, cpu) in measure(place).items():
            print(f"{name:<60} {wall * 1000:8.1f} ms, {cpu * 1000:6.1f} ms of CPU")


if __name__ == "__main__":
    main()
