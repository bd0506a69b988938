# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Streams: a run ends once, whether its stream is read to the end, given up, cancelled or fails, and streams only if asked."""

import asyncio
from typing import Any

import pytest
from opentelemetry import trace as otel
from pydantic_ai import Agent

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


def agent(model: Any) -> Agent[Any, Any]:
    return Agent(model, name="refund-agent", tools=[refund])


def test_a_stream_that_is_read_to_the_end(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    program = agent(scripted([call("refund", amount=80)], "All is done."))

    async def main() -> list[str]:
        async with program.run_stream("hi") as result:
            return [text async for text in result.stream_text(delta=True, debounce_by=None)]

    assert asyncio.run(main()) == ["All ", "is ", "done. "]
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    execute_tool refund",
        "  agent_step act",
    ]
    assert ended() == ["success", None, "UNSET"]


@pytest.mark.parametrize("how", ["break", "return"])
def test_a_stream_that_is_given_up(telemetry: Any, scripted: Any, call: Any, facts: Any, how: str) -> None:
    program = agent(scripted([call("refund", amount=80)], "All is done."))

    async def main() -> None:
        async with program.run_stream("hi") as result:
            async for _ in result.stream_text(debounce_by=None):
                if how == "return":
                    return
                break

    asyncio.run(main())
    span = telemetry.one("invoke_agent")
    assert facts(span, "run.outcome")[0] in {"abandoned", "cancelled"}  # Python 3.10 can't tell
    assert span.status.status_code is otel.StatusCode.UNSET
    telemetry.check_counters()


def test_a_stream_that_nobody_reads(telemetry: Any, scripted: Any, facts: Any) -> None:
    async def main() -> None:
        async with agent(scripted("All is done.")).run_stream("hi"):
            pass

    asyncio.run(main())
    assert facts(telemetry.one("invoke_agent"), "run.outcome")[0] in {"abandoned", "cancelled", "success"}
    telemetry.check_counters()


def test_a_stream_that_fails(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    async def main() -> None:
        model = scripted([call("refund", amount=80)], ZeroDivisionError("planted-1"))
        with pytest.raises(ZeroDivisionError):
            async with agent(model).run_stream("hi") as result:
                await result.get_output()

    asyncio.run(main())
    assert ended() == ["failure", None, "ERROR"]
    assert "planted-1" not in telemetry.exported_text()


def test_a_reader_that_fails(telemetry: Any, scripted: Any, ended: Any) -> None:
    async def main() -> None:
        async with agent(scripted("All is done.")).run_stream("hi") as result:
            async for _ in result.stream_text(debounce_by=None):
                raise LookupError("planted-1")

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert ended() == ["failure", None, "ERROR"]
    assert "planted-1" not in telemetry.exported_text()


def test_a_stream_that_is_cancelled(telemetry: Any, scripted: Any, ended: Any) -> None:
    reading = asyncio.Event()

    async def read() -> None:
        async with agent(scripted("All is done.")).run_stream("hi"):
            reading.set()
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(read())
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended() == ["cancelled", None, "UNSET"]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_model_is_asked_in_the_way_that_the_program_chose(script: Any, call: Any, streamed: bool) -> None:
    said = script([call("refund", amount=80)], "Done.")

    async def main() -> None:
        if not streamed:
            await agent(said.model()).run("hi")
            return
        async with agent(said.model()).run_stream("hi") as result:
            await result.get_output()

    asyncio.run(main())
    assert said.streamed == [streamed, streamed]


def test_a_stream_read_in_another_task(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    program = agent(scripted([call("refund", amount=80)], "All is done."))

    async def main() -> None:
        async with program.run_stream("hi") as result:

            async def read() -> list[str]:
                return [text async for text in result.stream_text(delta=True, debounce_by=None)]

            assert await asyncio.create_task(read()) == ["All ", "is ", "done. "]
        assert otel.get_current_span() is otel.INVALID_SPAN

    asyncio.run(main())
    assert ended() == ["success", None, "UNSET"]


def test_a_handler_of_events_sees_the_events_that_it_saw_without_us(
    telemetry: Any, scripted: Any, call: Any, instrumented: Any, recorder: Any
) -> None:
    async def run() -> list[str]:
        seen: list[str] = []

        async def handle(context: Any, events: Any) -> None:
            seen.extend([type(event).__name__ async for event in events])

        program = agent(scripted([call("refund", amount=80)], "All is done."))
        await program.run("hi", event_stream_handler=handle)
        return seen

    with_us = asyncio.run(run())
    instrumented.uninstrument()
    assert asyncio.run(run()) == with_us
    instrumented.instrument(recorder=recorder)
    assert with_us
    assert len(telemetry.named("invoke_agent")) == 1
