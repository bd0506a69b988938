# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Threads, pools, timers, tasks and generators of one process are in the run they were started in."""

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from runrecord.instrumentation import propagation
from runrecord.instrumentation import recorder as api


@pytest.fixture
def _threading() -> Generator[None, None, None]:
    instrumentor = ThreadingInstrumentor()
    instrumentor.instrument()
    yield
    instrumentor.uninstrument()


def _here() -> tuple[str, int | None] | None:
    carrier: dict[str, str] = {}
    propagation.inject_trusted(carrier)
    run = propagation.remote_run(propagation.extract_trusted(carrier))
    return None if run is None else (run.run_id, run.step_index)


@pytest.mark.usefixtures("_threading")
def test_threads_timers_and_pools(recorder: Any) -> None:
    found: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # the worker is older than the run
        with recorder.run("agent", run_id="run-1") as run, run.step(index=3):
            thread = threading.Thread(target=lambda: found.append(_here()))
            timer = threading.Timer(0, lambda: found.append(_here()))
            for one in (thread, timer):
                one.start()
                one.join()
            found.append(pool.submit(_here).result())
            found += pool.map(lambda _: _here(), [1])
        found.append(pool.submit(_here).result())
    assert found == [("run-1", 3)] * 4 + [None]


@pytest.mark.usefixtures("_threading")
def test_a_record_of_a_thread_is_in_its_step(recorder: Any, telemetry: Any) -> None:
    def work() -> None:
        scope = api.current()
        assert scope is not None
        with scope.tool("in_thread"):
            pass

    with recorder.run("agent") as run, run.step(index=3) as step:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    span = telemetry.one("execute_tool")
    assert span.parent.span_id == step.span_context.span_id
    assert span.attributes["runrecord.step.index"] == 3
    telemetry.check_counters()


@pytest.mark.usefixtures("_threading")
def test_tasks_and_threads_of_asyncio(recorder: Any) -> None:
    async def here() -> Any:
        await asyncio.sleep(0)
        return _here()

    async def agent(number: int) -> list[Any]:
        with recorder.run("agent", run_id=f"run-{number}") as run, run.step(index=number):
            loop = asyncio.get_running_loop()
            task = asyncio.create_task(here())
            return [
                await here(),
                await task,
                await asyncio.to_thread(_here),
                await loop.run_in_executor(None, _here),
                *await asyncio.gather(here(), here()),
            ]

    async def main() -> list[list[Any]]:
        return await asyncio.gather(*(agent(number) for number in range(5)))

    for number, found in enumerate(asyncio.run(main())):
        assert found == [(f"run-{number}", number)] * 6


def test_a_generator_is_where_its_consumer_is(recorder: Any) -> None:
    def numbers() -> Iterator[Any]:
        while True:
            yield _here()

    generator = numbers()
    assert next(generator) is None
    with recorder.run("agent", run_id="run-1") as run:
        assert next(generator) == ("run-1", None)
        with run.step(index=3):
            assert next(generator) == ("run-1", 3)
    assert next(generator) is None
    generator.close()


def test_an_async_generator_is_where_its_consumer_is(recorder: Any) -> None:
    async def numbers() -> AsyncIterator[Any]:
        while True:
            await asyncio.sleep(0)
            yield _here()

    async def main() -> list[Any]:
        generator = numbers()
        found = [await anext(generator)]
        with recorder.run("agent", run_id="run-1") as run, run.step(index=3):
            found.append(await anext(generator))
        found.append(await anext(generator))
        await generator.aclose()  # type: ignore[attr-defined]
        return found

    assert asyncio.run(main()) == [None, ("run-1", 3), None]
