# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""``make bench ARGS="[gateway] [redaction] [check] [recorder] [instrumentation] [--quick]"``: print the tables.

``--sdk NAME`` measures the instrumentation of one SDK only, and ``--python PATH`` with the interpreter of another environment.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile

import psutil

from bench import (
    agents,
    check,
    corpus,
    gateway,
    gateways,
    instrumentation,
    ledger,
    ledgers,
    recorder,
    redaction,
    rules,
    variants,
)

TABLES = ("gateway", "redaction", "check", "recorder", "instrumentation")


def _gateway(rounds: int, requests: int, *, quick: bool) -> None:
    for few in (True, False):
        for dirty in (0.03,) if quick else (0.0, 0.03, 0.2):
            bodies = gateway.corpus(requests, dirty)
            rows = gateway.measure(gateways.contenders(few=few), bodies, rounds, latency=dirty == 0.03)
            _gateway_table(rows, bodies, dirty, len(rules.few_rules() if few else rules.default_rules()))


def _gateway_table(rows: list[gateway.Row], bodies: list[bytes], dirty: float, number: int) -> None:
    size = sum(map(len, bodies)) / len(bodies) / 1e6
    print(
        f"\nGateways: {len(bodies)} requests of {gateway.SPANS_PER_REQUEST} spans, {size:.1f} MB each, OTLP/gRPC to OTLP/HTTP; "
        f"{dirty:.0%} of the spans dirty, {number} rules"
    )
    print(
        f"{'':<54}{'spans per CPU-s':>16}{'MB per CPU-s':>14}{'of the limit':>14}{'p50 ms':>8}{'p99 ms':>8}{'memory MB':>11}"
    )
    limit = statistics.median(rows[0].spans_per_second)
    for row in rows:
        if row.missing:
            print(f"{row.contender.title:<54}not measured: {row.missing}")
            continue
        spans, megabytes = (
            statistics.median(each) for each in (row.spans_per_second, row.megabytes_per_second)
        )
        waits = [f"{statistics.median(each):.0f}" if each else "" for each in (row.p50, row.p99)]
        print(
            f"{row.contender.title:<54}{spans:>16,.0f}{megabytes:>14,.0f}{spans / limit:>14.1%}{waits[0]:>8}{waits[1]:>8}{row.memory:>11,.0f}"
        )


def _redaction(rounds: int, requests: int) -> None:
    size, rows = redaction.measure(rounds, requests)
    print(
        f"\nThe redactor by itself, one thread: requests of {corpus.SPANS_PER_REQUEST} spans, {size:.1f} MB each"
    )
    print(
        f"{'text':<18}{'dirty':>7}{'rules':>7}{'edits':>8}{'scan MB per CPU-s':>20}{'redact MB per CPU-s':>22}{'spans per CPU-s':>17}"
    )
    for row in rows:
        print(
            f"{row.traffic:<18}{row.dirty:>7.0%}{row.rules:>7}{row.edits:>8,}{row.scan:>20,.0f}{row.redact:>22,.0f}{row.spans:>17,.0f}"
        )


def _ledger(rounds: int, large: int) -> None:
    sample = ledger.entries(5_120)
    size = sum(len(entry.leaf()) for entry in sample) / len(sample)
    print(f"\nLedgers: entries of {size:.0f} bytes, durable when appended; one process, Python's own CPU")
    print(f"{'':<54}{'group':>7}{'entries/s':>12}{'µs CPU an entry':>17}{'bytes beside it':>17}")
    for row in ledger.measure(ledgers.LOGS, rounds, sample):
        if row.missing:
            print(f"{row.log.title:<54}not measured: {row.missing}")
            continue
        rate, cpu = statistics.median(row.rate), statistics.median(row.cpu)
        beside = f"{row.size:.0f}" if row.size else ""
        print(f"{row.log.title:<54}{row.group:>7}{rate:>12,.0f}{cpu:>17.1f}{beside:>17}")
    found = ledger.measure_large(large, sample)
    print(
        f"\nA ledger of {found.entries:,} entries in a directory; the index of runs has {found.index:.0f} bytes for an entry"
    )
    for count, cost in found.cost.items():
        print(f"{f'appending, at {count:,} entries':<54}{cost:>12.1f} µs CPU an entry")
    for name, seconds in found.figures.items():
        print(f"{name:<54}{seconds * 1000:>12,.2f} ms")


def _instrumentation(sdk: str, rounds: int, python: str) -> None:
    title = variants.SDKS[sdk].title
    if missing := instrumentation.missing(sdk, python):
        print(f"\nAn agent run: {title}, not measured: {missing}; docs/overhead.md says how to get it")
        return
    bare, rows = instrumentation.measure(sdk, rounds, python)
    calls = agents.STEPS * agents.CALLS_PER_STEP
    few, many = (row.cpu / row.spans for row in rows[-2:])
    print(
        f"\nAn agent run: {title}, {agents.STEPS} steps, {calls} tool calls, scripted model, {bare:,.0f} µs of CPU; spans counted, not exported"
    )
    print(
        f"{'added by':<42}{'µs a run':>10}{'of the run':>12}{'spans':>7}{'attributes':>12}{'µs a span':>11}"
        f"{'of bare spans':>15}{'of as many attr.':>18}{'peak MB':>9}"
    )
    for row in rows:
        per_span = f"{row.cpu / row.spans:.0f}" if row.spans else ""
        ratios = [f"{row.cpu / row.spans / base:.1f} x" if row.spans else "" for base in (few, many)]
        print(
            f"{row.variant:<42}{row.cpu:>10,.0f}{row.cpu / bare:>12.1%}{row.spans:>7.0f}{row.attributes:>12.0f}{per_span:>11}"
            f"{ratios[0]:>15}{ratios[1]:>18}{row.memory:>+9.0f}"
        )


def _recorder(rounds: int) -> None:
    figures = recorder.measure(rounds)
    bare = next(iter(figures.values()))
    print(
        "\nA governed span by itself, in a loop: a run with 10 steps and 20 tool calls with arguments and results"
    )
    print(f"{'span':<42}{'µs a span':>11}{'of a bare span':>16}")
    for title, cpu in figures.items():
        print(f"{title:<42}{cpu:>11.1f}{cpu / bare:>14.1f} x")


def _check(rounds: int, spans: int) -> None:
    figures = check.measure(rounds, spans)
    limit = next(iter(figures.rates.values()))
    print(
        f"\nThe check: {figures.spans:,} spans of {figures.bytes_per_span:.0f} bytes, two thirds of them governed, none wrong"
    )
    print(f"{'stage':<42}{'spans per CPU-s':>17}{'of the limit':>14}")
    for title, rate in figures.rates.items():
        print(f"{title:<42}{rate:>17,.0f}{rate / limit:>14.1%}")
    (few, memory_few), (many, memory_many) = figures.small, figures.large
    print(
        f"peak memory of the command: {memory_few:.0f} MB for {few:,} spans, {memory_many:.0f} MB for {many:,}, {memory_many / memory_few:.2f} x"
    )


def main() -> None:
    """Run what the command line names, or everything."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("tables", nargs="*", metavar="table", help=f"any of {', '.join((*TABLES, 'ledger'))}")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it works")
    parser.add_argument("--sdk", choices=variants.SDKS, action="append", help="for instrumentation")
    parser.add_argument("--rounds", type=int, help="for instrumentation")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the large ledger")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has the SDK")
    options = parser.parse_args()
    named, quick = options.tables or TABLES, options.quick
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {psutil.cpu_count()} cores; medians, all rows of a table in one run"
    )
    with tempfile.TemporaryDirectory(prefix="runrecord-bench-") as state:
        os.environ["RUNRECORD_STATE_DIR"] = state  # not the home directory of whoever measures
        if "gateway" in named:
            _gateway(rounds=1 if quick else 2, requests=6 if quick else 20, quick=quick)
        if "redaction" in named:
            _redaction(rounds=3 if quick else 9, requests=2 if quick else 5)
        if "ledger" in named:
            _ledger(rounds=1 if quick else 3, large=50_000 if quick else options.entries)
        if "check" in named:
            _check(rounds=1 if quick else 5, spans=20_480 if quick else 102_400)
        if "recorder" in named:
            _recorder(rounds=20 if quick else 500)
        if "instrumentation" in named:
            for sdk in options.sdk or variants.SDKS:
                _instrumentation(sdk, options.rounds or (3 if quick else 15), options.python)


if __name__ == "__main__":
    main()
