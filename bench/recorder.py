# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a governed span costs by itself, in a loop with nothing around it: the recorder beside bare spans, recorded and sampled out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench import agents

TITLES = (
    "bare span, 3 attributes",
    "bare span, as many attributes",
    "governed span",
    "bare span, sampled out",
    "governed span, sampled out",
)


class _Kept:
    """A span exporter's place that notes how many attributes each span has, at its start and at its end."""

    def __init__(self) -> None:
        self.first: list[int] = []
        self.attributes: list[int] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.first.append(len(span.attributes))

    def on_end(self, span: Any) -> None:
        self.attributes.append(len(span.attributes))

    def _on_ending(self, span: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def measure(rounds: int) -> dict[str, float]:
    """CPU microseconds a span: the median over interleaved rounds of a run with 10 steps and 20 tool calls each."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

    from runrecord.instrumentation import MemoryContextStore, Recorder

    with _providers(TracerProvider, ALWAYS_ON, ALWAYS_OFF) as (on, off):
        kept = _Kept()
        on.add_span_processor(kept)
        kept_by = Recorder(tracer_provider=on, store=MemoryContextStore())
        dropped_by = Recorder(tracer_provider=off, store=MemoryContextStore())
        _run(kept_by)
        spans = len(kept.attributes)
        few = {"a": 1, "b": "text", "c": True}
        many = {f"some.name.{number}": "text" for number in range(round(statistics.mean(kept.first)))}
        late = sum(kept.attributes) - sum(kept.first)  # such as of results, which are not known before
        programs: list[Callable[[], None]] = [
            lambda: _bare(on.get_tracer("bench"), spans, few, 0),
            lambda: _bare(on.get_tracer("bench"), spans, many, late),
            lambda: _run(kept_by),
            lambda: _bare(off.get_tracer("bench"), spans, many, 0),
            lambda: _run(dropped_by),
        ]
        found: list[list[float]] = [[] for _ in programs]
        for _ in range(rounds):
            for program, spent in zip(programs, found, strict=True):
                before = time.process_time()
                program()
                spent.append((time.process_time() - before) / spans * 1e6)
    return {title: statistics.median(spent) for title, spent in zip(TITLES, found, strict=True)}


@contextmanager
def _providers(make: Any, *samplers: Any) -> Iterator[list[Any]]:
    made = [make(sampler=sampler) for sampler in samplers]
    yield made
    for provider in made:
        provider.shutdown()


def _run(recorder: Any) -> None:
    with recorder.run(agents.NAME) as run:
        for step in range(agents.STEPS):
            with run.step("act"):
                for number in range(agents.CALLS_PER_STEP):
                    call_id, arguments = f"call-{step}-{number}", {"query": "q"}
                    with run.tool("search", call_id=call_id, arguments=arguments) as call:
                        call.result("nothing about q")


def _bare(tracer: Any, spans: int, attributes: dict[str, object], late: int) -> None:
    for number in range(spans):
        with tracer.start_as_current_span("span", attributes=attributes) as span:
            if number < late:
                span.set_attribute("some.late.name", "text")
