# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What instrumentation adds to an agent run: the same scripted agent, bare and under each instrumentation.

Every variant is a process of its own, which lives as long as the measurement; they take turns, a few runs each, and what a
variant adds is the median over the rounds of its difference to the bare agent in the same round. So a machine that gets slower
or faster meanwhile changes all of them. The bare spans are made in the tool calls, since
in a loop of their own they would cost half, and are timed there.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from bench import agents
from bench.variants import BARE, FEW, MANY, OURS, SDKS, switch_on

RUNS_PER_TURN = 3
_ROOT = Path(__file__).parents[1]
_TREE = os.pathsep.join(str(path.parent) for path in sorted(_ROOT.glob("*/runrecord")))
"""What is measured of ours is this tree, and not what another environment has installed."""


@dataclass(frozen=True)
class Row:
    """One variant: CPU microseconds that it adds to a run, its spans and their attributes a run, MB that it adds to the peak."""

    variant: str
    cpu: float
    spans: float
    attributes: float
    memory: float


def missing(sdk: str, python: str) -> str:
    """Why an SDK can't be measured with an interpreter, or nothing."""
    module = SDKS[sdk].module
    found = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
    return f"there is no module {module}" if found.returncode else ""


def measure(sdk: str, rounds: int, python: str) -> tuple[float, list[Row]]:
    """CPU microseconds of the bare run, and a row for each variant and for bare spans like ours, in processes of ``python``."""
    variants = (*SDKS[sdk].variants, FEW, MANY)
    with ExitStack() as stack:
        ours = stack.enter_context(_worker(python, sdk, OURS))
        made = _turn(ours, OURS)  # the number of their spans and attributes is what the bare ones have
        late = made["attributes"] - made["first"]
        each = {FEW: (made["spans"], 3.0, 0.0), MANY: (made["spans"], made["first"] / made["spans"], late)}
        workers = {
            variant: ours
            if variant == OURS
            else stack.enter_context(_worker(python, sdk, variant, each.get(variant, (0, 0, 0))))
            for variant in variants
        }
        turns: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
        for number in range(rounds):
            for variant, worker in workers.items():
                print(f"\r  {sdk}: round {number + 1} of {rounds}, {variant:<32}", end="", file=sys.stderr)
                turns[variant].append(_turn(worker, variant))
        print("\r" + " " * 90 + "\r", end="", file=sys.stderr)
    bare = turns[BARE]
    return statistics.median(turn["cpu"] for turn in bare), [
        Row(
            variant,
            statistics.median(
                mine["inside"] if variant in {FEW, MANY} else mine["cpu"] - base["cpu"]
                for mine, base in zip(found, bare, strict=True)
            ),
            found[-1]["spans"],
            found[-1]["attributes"],
            found[-1]["peak"] - bare[-1]["peak"],
        )
        for variant, found in turns.items()
        if variant != BARE
    ]


def _worker(
    python: str, sdk: str, variant: str, made: tuple[float, ...] = (0, 0, 0)
) -> subprocess.Popen[str]:
    figures = [str(round(number)) for number in made]
    command = [python, "-m", "bench.instrumentation", sdk, variant, *figures]
    environment = os.environ | {"PYTHONPATH": _TREE}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def _turn(worker: subprocess.Popen[str], variant: str) -> dict[str, float]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise SystemExit(f"the variant {variant!r} stopped; its error is above")
    found: dict[str, float] = json.loads(answer)
    return found


class _Counter:
    """A span exporter's place that only counts: spans, the attributes that they start with, and those at their end."""

    def __init__(self) -> None:
        self.spans = self.first = self.attributes = 0

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.first += len(span.attributes)

    def on_end(self, span: Any) -> None:
        self.spans += 1
        self.attributes += len(span.attributes)

    def _on_ending(self, span: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def _bare_spans(
    tracer: Any, spans: int, attributes: int, late: int, spent: list[float]
) -> Callable[[], None]:
    """What makes its part of ``spans`` spans in each tool call of a run, and adds its CPU seconds to ``spent``.

    Each starts with ``attributes`` attributes; ``late`` more, such as of results, are set in a run while spans are open.
    """
    calls = agents.STEPS * agents.CALLS_PER_STEP
    parts, later = _parts(spans, calls), _parts(late, spans)
    given = {f"some.name.{number}": "text" for number in range(attributes)}

    def make() -> None:
        before = time.thread_time()
        for _ in range(next(parts)):
            with tracer.start_as_current_span("span", attributes=given) as span:
                for number in range(next(later)):
                    span.set_attribute(f"some.late.name.{number}", "text")
        spent.append(time.thread_time() - before)

    return make


def _parts(whole: int, count: int) -> Iterator[int]:
    """Return the sizes of ``count`` parts of ``whole``, as equal as may be, again and again."""
    return cycle([(part + 1) * whole // count - part * whole // count for part in range(count)])


def _peak() -> float:
    """The most memory that this process had, in MB; what getrusage says is at least what its parent had."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(
        int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM")
    )


def _process(sdk: str, variant: str, spans: int, attributes: int, late: int) -> None:
    """Take a turn for every line of the standard input, and print its figures."""
    from opentelemetry.sdk.trace import TracerProvider

    figures = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a server below this process says is none of them
    logging.disable(logging.CRITICAL)  # of every variant: warnings on a terminal are not what is measured
    provider, counter = TracerProvider(), _Counter()
    run = switch_on(sdk, variant, provider)
    provider.add_span_processor(counter)  # type: ignore[arg-type]
    spent: list[float] = []
    if spans:
        agents.inside.append(_bare_spans(provider.get_tracer("bench"), spans, attributes, late, spent))
    for _ in range(3):
        run()
    for _ in sys.stdin:
        counter.spans = counter.first = counter.attributes = 0
        spent.clear()
        before = time.process_time()
        for _ in range(RUNS_PER_TURN):
            run()
        turn = {
            "cpu": (time.process_time() - before) / RUNS_PER_TURN * 1e6,
            "inside": sum(spent) / RUNS_PER_TURN * 1e6,
            "spans": counter.spans / RUNS_PER_TURN,
            "first": counter.first / RUNS_PER_TURN,
            "attributes": counter.attributes / RUNS_PER_TURN,
            "peak": _peak(),
        }
        print(json.dumps(turn), file=figures, flush=True)
    agents.afterwards.close()
    os._exit(0)  # threads that an SDK's native code started may call Python while it ends, which is an abort


if __name__ == "__main__":
    _process(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
