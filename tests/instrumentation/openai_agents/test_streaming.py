# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Streams: a run ends once, whether its stream is read to the end, given up, cancelled or fails."""

import asyncio
import gc
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from agents import Agent, MaxTurnsExceeded, Runner, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from opentelemetry import trace as otel

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

CALL = [function_call("refund", '{"amount": 80.0}', call_id="call_1")]
DONE = [assistant_message("Done.")]


@function_tool
def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


def agent(*steps: Any) -> Agent[Any]:
    return Agent(name="a", model=ScriptedModel(steps), tools=[refund])


def ended(telemetry: Any) -> list[Any]:
    span = telemetry.one("invoke_agent")
    telemetry.check_counters()
    return [span.attributes.get("runrecord.run.outcome"), span.status.status_code.name]


def test_a_stream_that_is_read_to_the_end(telemetry: Any) -> None:
    async def main() -> list[str]:
        result = Runner.run_streamed(agent(CALL, DONE), "hi")
        assert otel.get_current_span() is otel.INVALID_SPAN
        return [event.type async for event in result.stream_events()]

    assert asyncio.run(main())
    assert telemetry.tree() == [
        "invoke_agent a",
        "  agent_step act",
        "    execute_tool refund",
        "  agent_step act",
    ]
    assert ended(telemetry) == ["success", "UNSET"]


def test_the_run_is_over_for_who_has_read_its_stream(telemetry: Any) -> None:
    async def main() -> None:
        result = Runner.run_streamed(agent(DONE), "hi")
        async for _ in result.stream_events():
            pass
        assert ended(telemetry) == ["success", "UNSET"]

    asyncio.run(main())


def test_a_stream_that_is_given_up(telemetry: Any) -> None:
    async def main() -> None:
        result = Runner.run_streamed(agent(CALL, DONE), "hi")
        async for _ in result.stream_events():
            break

    asyncio.run(main())
    assert ended(telemetry)[0] in {"success", "cancelled"}


def test_a_stream_that_nobody_reads(telemetry: Any) -> None:
    async def main() -> None:
        await Runner.run_streamed(agent(CALL, DONE), "hi").run_loop_task  # type: ignore[misc]

    asyncio.run(main())
    assert ended(telemetry) == ["success", "UNSET"]


@pytest.mark.parametrize("mode", ["immediate", "after_turn"])
def test_a_stream_that_is_cancelled(telemetry: Any, mode: Any) -> None:
    async def main() -> None:
        result = Runner.run_streamed(agent(CALL, DONE), "hi")
        async for _ in result.stream_events():
            result.cancel(mode)

    asyncio.run(main())
    assert ended(telemetry) == ["cancelled", "UNSET"]


def test_a_stream_that_fails(telemetry: Any) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async for _ in Runner.run_streamed(
                agent(CALL, ZeroDivisionError("secret-1")), "hi"
            ).stream_events():
                pass

    asyncio.run(main())
    assert ended(telemetry) == ["failure", "ERROR"]
    assert "secret-1" not in telemetry.exported_text()


def test_a_stream_out_of_turns(telemetry: Any) -> None:
    async def main() -> None:
        with pytest.raises(MaxTurnsExceeded):
            async for _ in Runner.run_streamed(agent(CALL, DONE), "hi", max_turns=1).stream_events():
                pass

    asyncio.run(main())
    assert ended(telemetry) == ["budget_exceeded", "UNSET"]


def test_a_stream_that_could_not_start(telemetry: Any) -> None:
    async def main() -> None:
        with pytest.raises(TypeError):
            Runner.run_streamed(agent(DONE), "hi", hooks="no hooks")  # type: ignore[arg-type]

    asyncio.run(main())
    assert ended(telemetry) == ["failure", "ERROR"]


ABANDONING = """
import asyncio, os
from agents import Agent, Runner
from agents.testing import ScriptedModel, assistant_message
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda s: s.to_json(indent=None) + "\\n")))
trace.set_tracer_provider(provider)
OpenAIAgentsInstrumentor().instrument()

async def start():
    return Runner.run_streamed(Agent(name="a", model=ScriptedModel([[assistant_message("x")]])), "hi")

result = asyncio.new_event_loop().run_until_complete(start())
"""


def test_a_stream_whose_loop_never_ran_on_is_abandoned_when_the_program_ends() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    command = [sys.executable, "-c", ABANDONING]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    spans = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    (run,) = [span for span in spans if span["name"] == "invoke_agent a"]
    assert run["attributes"]["runrecord.run.outcome"] == "abandoned"


def test_asyncio_still_reports_an_exception_that_nobody_looked_at(telemetry: Any) -> None:
    reported: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        result = Runner.run_streamed(agent(ZeroDivisionError("x")), "hi")
        await asyncio.wait([result.run_loop_task])  # type: ignore[list-item]
        del result
        gc.collect()

    asyncio.run(main())
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]
    assert ended(telemetry) == ["failure", "ERROR"]


def test_ten_streams_at_once(telemetry: Any) -> None:
    async def read(number: int) -> None:
        call = [function_call("refund", '{"amount": 1.0}', call_id=f"c{number}")]
        async for _ in Runner.run_streamed(agent(call, DONE), "hi").stream_events():
            pass

    async def main() -> None:
        await asyncio.gather(*(read(number) for number in range(10)))

    asyncio.run(main())
    by_id = {span.context.span_id: span for span in telemetry.spans}
    for call in telemetry.named("execute_tool"):
        step = by_id[call.parent.span_id]
        assert (
            by_id[step.parent.span_id].attributes["runrecord.run.id"] == call.attributes["runrecord.run.id"]
        )
    assert len(telemetry.named("execute_tool")) == len(telemetry.named("invoke_agent")) == 10
    telemetry.check_counters()
