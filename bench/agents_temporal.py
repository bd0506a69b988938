# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The same agent as a Temporal workflow: model and tools are activities; the server is a process of its own.

A module by itself, since the sandbox imports it again for every run.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from bench import agents

QUEUE = "bench"
SOON = timedelta(seconds=60)
TURNS = agents.calls(lambda _, arguments: arguments["query"])


@activity.defn
def model(step: int) -> list[str]:
    """The model, which follows the script."""
    return TURNS[step] if step < len(TURNS) else []


@activity.defn
def search(query: str) -> str:
    """A tool, which our integration can tell by a plain attribute."""
    return agents.search(query)


search.metadata = {"readOnlyHint": True}  # type: ignore[attr-defined]


@workflow.defn
class BenchAgent:
    @workflow.run
    async def run(self) -> str:
        step = 0
        while queries := await workflow.execute_activity(model, step, start_to_close_timeout=SOON):
            calls = [
                workflow.execute_activity(search, query, start_to_close_timeout=SOON) for query in queries
            ]
            await asyncio.gather(*calls)
            step += 1
        return "done"


def agent(*, native: bool) -> Callable[[], object]:
    """A worker and a client in this process, with a server of their own; ``native`` adds the SDK's own interceptor."""
    from temporalio.client import Client
    from temporalio.contrib.opentelemetry import TracingInterceptor
    from temporalio.runtime import Runtime, TelemetryConfig
    from temporalio.testing import WorkflowEnvironment
    from temporalio.worker import Worker

    quiet = Runtime(telemetry=TelemetryConfig(logging=None))
    loop = asyncio.new_event_loop()
    path = str(Path(sys.executable).with_name("temporal-test-server"))
    starting = WorkflowEnvironment.start_time_skipping(test_server_existing_path=path)
    environment = loop.run_until_complete(starting)
    threads = ThreadPoolExecutor(agents.CALLS_PER_STEP)
    numbers = count()

    async def connect() -> tuple[Client, Worker]:
        address = environment.client.service_client.config.target_host
        interceptors = [TracingInterceptor()] if native else []
        client = await Client.connect(address, interceptors=interceptors, runtime=quiet)
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[BenchAgent],
            activities=[model, search],
            activity_executor=threads,
        )
        await worker.__aenter__()
        return client, worker

    client, worker = loop.run_until_complete(connect())

    async def stop() -> None:
        await worker.shutdown()
        await environment.shutdown()

    agents.afterwards.callback(lambda: loop.run_until_complete(stop()))

    async def once() -> Any:
        return await client.execute_workflow(BenchAgent.run, id=f"run-{next(numbers)}", task_queue=QUEUE)

    return lambda: loop.run_until_complete(once())
