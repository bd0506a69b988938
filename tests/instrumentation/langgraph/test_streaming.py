# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Streams: the same items, and one end of the run however they end."""

import asyncio
from typing import Any

import pytest
from langgraph.types import Command
from opentelemetry import trace

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_stream_is_the_same_and_nothing_is_current_between_its_items(
    telemetry: Any, on: Any, mode: str, graph: Any, mark: Any
) -> None:
    compiled = graph(one=mark("1"), two=mark("2")).compile(name="w")
    seen = []

    async def consume() -> None:
        async for item in compiled.astream({"seen": []}):
            assert trace.get_current_span() is trace.INVALID_SPAN
            seen.append(item)

    if mode == "sync":
        for item in compiled.stream({"seen": []}):
            assert trace.get_current_span() is trace.INVALID_SPAN
            seen.append(item)
    else:
        asyncio.run(consume())
    assert seen == [{"one": {"seen": ["1"]}}, {"two": {"seen": ["2"]}}]
    assert telemetry.one("invoke_workflow").attributes["runrecord.run.outcome"] == "success"
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_abandoned_stream_ends_the_run_once(
    telemetry: Any, on: Any, mode: str, graph: Any, mark: Any
) -> None:
    compiled = graph(one=mark("1"), two=mark("2")).compile(name="w")

    async def consume() -> None:
        stream = compiled.astream({"seen": []})
        async for _ in stream:
            break
        await stream.aclose()

    if mode == "sync":
        stream = compiled.stream({"seen": []})
        next(stream)
        stream.close()
    else:
        asyncio.run(consume())
    run = telemetry.one("invoke_workflow")
    assert run.attributes["runrecord.run.outcome"] == "abandoned"
    assert run.status.status_code is trace.StatusCode.UNSET
    telemetry.check_counters()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_failing_stream_fails_the_run(telemetry: Any, on: Any, mode: str, graph: Any, mark: Any) -> None:
    def fail(state: Any) -> Any:
        raise RuntimeError("secret-text")

    compiled = graph(one=mark("1"), two=fail).compile(name="w")
    seen = []

    async def consume() -> None:
        seen.extend([item async for item in compiled.astream({"seen": []})])

    def consume_all() -> None:
        if mode == "async":
            asyncio.run(consume())
        else:
            seen.extend(compiled.stream({"seen": []}))

    with pytest.raises(RuntimeError):
        consume_all()
    assert telemetry.one("invoke_workflow").attributes["runrecord.run.outcome"] == "failure"
    assert "secret-text" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_cancelled_run_is_no_error(telemetry: Any, on: Any, graph: Any) -> None:
    async def hang(state: Any) -> Any:
        started.set()
        await asyncio.Event().wait()

    started = asyncio.Event()

    async def run() -> None:
        task = asyncio.create_task(graph(hang=hang).compile(name="w").ainvoke({"seen": []}))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    span = telemetry.one("invoke_workflow")
    assert span.attributes["runrecord.run.outcome"] == "cancelled"
    assert span.status.status_code is trace.StatusCode.UNSET
    telemetry.check_counters()


# streams of events, where the SDK runs the graph in a task of its own


async def events(agent: Any, given: Any, config: Any, until: str | None = None) -> list[str]:
    seen: list[str] = []
    stream = agent.astream_events(given, config, version="v2")
    try:
        async for event in stream:
            assert trace.get_current_span() is trace.INVALID_SPAN
            seen.append(event["event"])
            if event["event"] == until:
                break
    finally:
        await stream.aclose()
    return seen


def test_a_stream_of_events_is_one_run(telemetry: Any, agents: Any, instrument: Any, lookup: Any) -> None:
    def agent() -> Any:
        return agents.make([agents.call("lookup", order="o-1")], "done", tools=[lookup])

    without = asyncio.run(events(agent(), agents.ask, agents.config()))
    instrument()
    assert asyncio.run(events(agent(), agents.ask, agents.config())) == without
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"
    telemetry.one("execute_tool lookup")
    telemetry.check_counters()


def test_an_abandoned_stream_of_events_ends_the_run(
    telemetry: Any, agents: Any, on: Any, lookup: Any
) -> None:
    agent = agents.make([agents.call("lookup", order="o-1")], "done", tools=[lookup])
    asyncio.run(events(agent, agents.ask, agents.config(), until="on_tool_start"))
    run = telemetry.one("invoke_agent")
    assert run.attributes["runrecord.run.outcome"] in {"abandoned", "cancelled"}
    assert run.status.status_code is trace.StatusCode.UNSET
    telemetry.check_counters()


def test_a_failing_stream_of_events_fails_the_run(telemetry: Any, agents: Any, on: Any, broken: Any) -> None:
    agent = agents.make([agents.call("broken", order="secret-text")], tools=[broken])
    with pytest.raises(LookupError):
        asyncio.run(events(agent, agents.ask, agents.config()))
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "failure"
    assert "secret-text" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("stream_mode", ["updates", "messages", "values"])
@pytest.mark.parametrize("mode", ["sync", "async", "events"])
def test_a_stream_that_pauses_and_goes_on(  # noqa: PLR0917
    telemetry: Any, agents: Any, on: Any, lookup: Any, mode: str, stream_mode: str
) -> None:
    agent = agents.make(
        [agents.call("lookup", order="o-1")],
        "done",
        tools=[lookup],
        middleware=[agents.review({"lookup": True}, "batched")],
        checkpointer=agents.saver(),
    )

    async def consume(given: Any) -> None:
        async for _ in agent.astream(given, agents.config(), stream_mode=stream_mode):
            assert trace.get_current_span() is trace.INVALID_SPAN

    for given in (agents.ask, Command(resume={"decisions": [{"type": "approve"}]})):
        if mode == "sync":
            list(agent.stream(given, agents.config(), stream_mode=stream_mode))
        else:
            asyncio.run(consume(given) if mode == "async" else events(agent, given, agents.config()))
    runs = telemetry.named("invoke_agent")
    assert [run.attributes["runrecord.run.state"] for run in runs] == ["suspended", "completed"]
    decided, ran = telemetry.one("approval_decision"), telemetry.one("execute_tool")
    assert ran.attributes["runrecord.approval.id"] == decided.attributes["runrecord.approval.id"]
    telemetry.one("request_approval")
    telemetry.check_counters()
