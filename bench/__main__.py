# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m bench [gateway] [agent] [check] [--quick]``: print the tables."""

from __future__ import annotations

import os
import platform
import sys
import tempfile

import psutil

from bench import agent, check, gateway


def _gateway(rounds: int, requests: int) -> None:
    bodies = gateway.corpus(requests)
    size = sum(map(len, bodies)) / len(bodies)
    rows = gateway.measure(bodies, rounds)
    limit = rows[0][1]
    print(
        f"\nGateway, one process: {requests} requests of {gateway.SPANS_PER_REQUEST} spans, {size / 1e6:.1f} MB each, OTLP/gRPC"
    )
    print(f"{'stage':<42}{'spans per CPU-s':>17}{'MB per CPU-s':>15}{'of the limit':>14}")
    for title, spans, megabytes in rows:
        print(f"{title:<42}{spans:>17,.0f}{megabytes:>15,.0f}{spans / limit:>13.0%}")


def _agent(sdk: str, rounds: int, runs: int) -> None:
    figures = agent.measure(sdk, rounds, runs)
    bare, _ = figures["bare"]
    reference = figures["bare SDK spans"][0] - bare
    calls = agent.STEPS * agent.TOOL_CALLS_PER_STEP
    print(
        f"\nAn agent run: {sdk}, {agent.STEPS} steps, {calls} tool calls, scripted model; spans counted, not exported"
    )
    print(
        f"{'variant':<26}{'CPU µs a run':>14}{'added µs a run':>16}{'spans':>8}{'µs a span':>11}{'of bare spans':>15}"
    )
    for variant, (cpu, spans) in figures.items():
        added = cpu - bare
        per_span = f"{added / spans:.0f}" if spans else ""
        ratio = f"{added / reference:.1f} x" if spans and reference > 0 else ""
        print(f"{variant:<26}{cpu:>14,.0f}{added:>16,.0f}{spans:>8.0f}{per_span:>11}{ratio:>15}")


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
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    named = [argument for argument in arguments if not argument.startswith("--")] or [
        "gateway",
        "agent",
        "check",
    ]
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {psutil.cpu_count()} cores; medians, all rows of a table in one run"
    )
    with tempfile.TemporaryDirectory(prefix="runrecord-bench-") as state:
        os.environ["RUNRECORD_STATE_DIR"] = state  # not the home directory of whoever measures
        if "gateway" in named:
            _gateway(rounds=1 if quick else 5, requests=10 if quick else 40)
        if "check" in named:
            _check(rounds=1 if quick else 5, spans=20_480 if quick else 102_400)
        if "agent" in named:
            for sdk in agent.SDKS:
                _agent(sdk, rounds=1 if quick else 5, runs=5 if quick else 30)


if __name__ == "__main__":
    main()
