# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Streams: the same items, and one end of the run however they end."""

import asyncio
from typing import Any

import pytest
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
