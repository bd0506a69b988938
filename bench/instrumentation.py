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
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from bench import agents

RUNS_PER_TURN = 3
BARE, OURS = "bare", "runrecord"
OFFICIAL, OPENINFERENCE, HIDDEN = "official", "OpenInference", "OpenInference, content hidden"
NATIVE = "the SDK's own spans"
FEW, MANY = "as many bare spans, 3 attributes", "as many bare spans, as many attributes"

SDKS: dict[str, tuple[str, ...]] = {
    "LangGraph": (BARE, OURS, OFFICIAL, OPENINFERENCE, HIDDEN),
    "OpenAI Agents SDK": (BARE, OURS, OFFICIAL, OPENINFERENCE, HIDDEN),
    "Pydantic AI": (BARE, OURS, NATIVE, OPENINFERENCE),
    "MCP": (BARE, OURS, NATIVE, OPENINFERENCE),
}


@dataclass(frozen=True)
class Row:
    """One variant: CPU microseconds that it adds to a run, its spans and their attributes a run, MB that it adds to the peak."""

    variant: str
    cpu: float
    spans: float
    attributes: float
    memory: float


def measure(sdk: str, rounds: int) -> tuple[float, list[Row]]:
    """CPU microseconds of the bare run, and a row for each variant and for bare spans like ours."""
    variants = (*SDKS[sdk], FEW, MANY)
    with ExitStack() as stack:
        ours = stack.enter_context(_worker(sdk, OURS))
        made = _turn(ours, OURS)  # the number of their spans and attributes is what the bare ones have
        late = made["attributes"] - made["first"]
        each = {FEW: (made["spans"], 3.0, 0.0), MANY: (made["spans"], made["first"] / made["spans"], late)}
        workers = {
            variant: ours
            if variant == OURS
            else stack.enter_context(_worker(sdk, variant, *each.get(variant, ())))
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
    sdk: str, variant: str, spans: float = 0, attributes: float = 0, late: float = 0
) -> subprocess.Popen[str]:
    figures = [str(round(spans)), str(round(attributes)), str(round(late))]
    command = [sys.executable, "-m", "bench.instrumentation", sdk, variant, *figures]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


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


def _instrument(sdk: str, variant: str, provider: Any) -> Callable[[], object]:
    """Switch the variant on as its documentation says, and return the agent."""
    from opentelemetry import trace

    if variant not in {BARE, FEW, MANY}:
        trace.set_tracer_provider(provider)
    recorder = None
    if variant == OURS:
        recorder = _ours(sdk)
    elif variant == OFFICIAL:
        _official(sdk)
    elif variant in {OPENINFERENCE, HIDDEN}:
        _openinference(sdk, provider, hidden=variant == HIDDEN)
    elif variant == NATIVE and sdk == "Pydantic AI":
        _pydantic_native(provider)
    return {
        "LangGraph": agents.langgraph,
        "OpenAI Agents SDK": agents.openai_agents,
        "Pydantic AI": agents.pydantic_ai,
        "MCP": lambda: agents.mcp(recorder),
    }[sdk]()


def _ours(sdk: str) -> Any:
    from runrecord.instrumentation import recorder
    from runrecord.instrumentation.langgraph import LangGraphInstrumentor
    from runrecord.instrumentation.mcp import MCPInstrumentor
    from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor
    from runrecord.instrumentation.pydantic_ai import PydanticAIInstrumentor

    {
        "LangGraph": LangGraphInstrumentor,
        "OpenAI Agents SDK": OpenAIAgentsInstrumentor,
        "Pydantic AI": PydanticAIInstrumentor,
        "MCP": MCPInstrumentor,
    }[sdk]().instrument()
    return recorder


def _official(sdk: str) -> None:
    if sdk == "LangGraph":
        from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor as Official
    else:
        from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor as Official
    Official().instrument()


def _openinference(sdk: str, provider: Any, *, hidden: bool) -> None:
    from openinference.instrumentation import TraceConfig

    config = TraceConfig(hide_inputs=hidden, hide_outputs=hidden)
    if sdk == "LangGraph":
        from openinference.instrumentation.langchain import LangChainInstrumentor

        LangChainInstrumentor().instrument(config=config)
    elif sdk == "OpenAI Agents SDK":
        from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

        OpenAIAgentsInstrumentor().instrument(config=config)
    elif sdk == "MCP":
        from openinference.instrumentation.mcp import MCPInstrumentor

        MCPInstrumentor().instrument()
    else:  # it rewrites the SDK's own spans, in a processor before the exporter's
        from openinference.instrumentation.pydantic_ai import OpenInferenceSpanProcessor

        provider.add_span_processor(OpenInferenceSpanProcessor())
        _pydantic_native(provider)


def _pydantic_native(provider: Any) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))


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


def _process(sdk: str, variant: str, spans: int, attributes: int, late: int) -> None:
    """Take a turn for every line of the standard input, and print its figures."""
    from opentelemetry.sdk.trace import TracerProvider

    logging.disable(logging.CRITICAL)  # of every variant: warnings on a terminal are not what is measured
    provider, counter = TracerProvider(), _Counter()
    run = _instrument(sdk, variant, provider)
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
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(turn), flush=True)


if __name__ == "__main__":
    _process(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
