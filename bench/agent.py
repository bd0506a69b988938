# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What instrumentation adds to an agent run: one scripted agent of each SDK, bare and instrumented, each in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

STEPS = 10
TOOL_CALLS_PER_STEP = 2
VARIANTS = ("bare", "runrecord", "bare SDK spans")
SDKS = ("LangGraph", "OpenAI Agents SDK")


def measure(sdk: str, rounds: int, runs: int) -> dict[str, tuple[float, float]]:
    """Variant to (CPU microseconds a run, spans a run): medians over interleaved rounds."""
    figures: dict[str, list[tuple[float, float]]] = {variant: [] for variant in VARIANTS}
    spans = 0.0
    for round_number in range(rounds):
        for variant in VARIANTS:
            print(
                f"\r  round {round_number + 1} of {rounds}: {variant:<30}",
                end="",
                file=sys.stderr,
                flush=True,
            )
            command = [sys.executable, "-m", "bench.agent", sdk, variant, str(runs), str(round(spans))]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            cpu, spans_here = json.loads(done.stdout)
            if variant == "runrecord":
                spans = spans_here
            figures[variant].append((cpu, spans_here))
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return {
        variant: (statistics.median(cpu for cpu, _ in found), statistics.median(count for _, count in found))
        for variant, found in figures.items()
    }


def _openai_agent() -> Callable[[], object]:
    from agents import Agent, Runner, function_tool
    from agents.testing import ScriptedModel, assistant_message, function_call

    @function_tool
    def search(query: str) -> str:
        """Search."""
        return f"nothing about {query}"

    def calls(step: int) -> list[Any]:
        return [
            function_call("search", json.dumps({"query": f"q{step}-{i}"}), call_id=f"call-{step}-{i}")
            for i in range(TOOL_CALLS_PER_STEP)
        ]

    def once() -> object:
        script = [*(calls(step) for step in range(STEPS)), [assistant_message("done")]]
        agent = Agent(name="bench-agent", model=ScriptedModel(script), tools=[search])
        return Runner.run_sync(agent, "go", max_turns=100)

    return once


def _langgraph_agent() -> Callable[[], object]:
    agent = _agent()
    question = {"messages": [{"role": "user", "content": "go"}]}
    return lambda: agent.invoke(question, {"recursion_limit": 100})


def _agent() -> Any:
    from langchain.agents import create_agent
    from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.tools import StructuredTool

    class Scripted(FakeMessagesListChatModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

    def search(query: str) -> str:
        """Search."""
        return f"nothing about {query}"

    def calls(step: int) -> AIMessage:
        made = [
            {"name": "search", "args": {"query": f"q{step}-{i}"}, "id": f"call-{step}-{i}"}
            for i in range(TOOL_CALLS_PER_STEP)
        ]
        return AIMessage("", tool_calls=made)

    script = [*(calls(step) for step in range(STEPS)), AIMessage("done")]
    return create_agent(
        Scripted(responses=script), [StructuredTool.from_function(search)], name="bench-agent"
    )


class _Counter:
    """A span exporter's place that only counts."""

    def __init__(self) -> None:
        self.spans = 0

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        pass

    def on_end(self, span: Any) -> None:
        self.spans += 1

    def _on_ending(self, span: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def _process(sdk: str, variant: str, runs: int, spans: int) -> None:
    """Time one variant and print ``[CPU microseconds a run, spans a run]``."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider, counter = TracerProvider(), _Counter()
    provider.add_span_processor(counter)  # type: ignore[arg-type]
    if variant == "runrecord":
        from runrecord.instrumentation.langgraph import LangGraphInstrumentor
        from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor

        trace.set_tracer_provider(provider)
        LangGraphInstrumentor().instrument()
        OpenAIAgentsInstrumentor().instrument()
    os.environ.pop(
        "OPENAI_API_KEY", None
    )  # the SDK's own exporter stays, and has nowhere to send anything to
    run = _langgraph_agent() if sdk == SDKS[0] else _openai_agent()
    tracer = provider.get_tracer("bench")

    def once() -> None:
        run()
        if variant == "bare SDK spans":
            for number in range(spans):
                with tracer.start_as_current_span("span", attributes={"a": number, "b": "text", "c": True}):
                    pass

    for _ in range(3):
        once()
    counter.spans = 0
    before = time.process_time()
    for _ in range(runs):
        once()
    cpu = (time.process_time() - before) / runs * 1e6
    print(json.dumps([cpu, counter.spans / runs]))


if __name__ == "__main__":
    _process(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
