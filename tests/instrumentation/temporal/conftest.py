# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Real Temporal servers on loopback: one for development, and one that skips time; workers in this process."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

BINARIES = Path(sys.executable).parent
pytest.importorskip("temporalio")
if not (BINARIES / "temporal").exists():
    pytest.skip("needs the servers of the group sdk-temporal", allow_module_level=True)

from temporalio.client import Client  # noqa: E402
from temporalio.testing import WorkflowEnvironment  # noqa: E402
from temporalio.worker import Worker  # noqa: E402

from runrecord.instrumentation.temporal import TemporalInstrumentor  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))  # the sandbox imports workflows by the name of their module
import temporal_program as program  # noqa: E402


@pytest.fixture(scope="session")
def server() -> Generator[str, None, None]:
    """The address of a development server."""

    async def start() -> WorkflowEnvironment:
        environment = await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(BINARIES / "temporal"), dev_server_log_level="never"
        )
        # On a busy machine it takes long until all of its services answer.
        warm = await environment.client.start_workflow("WarmUp", id="warm-up", task_queue="nobody")
        await warm.terminate()
        return environment

    loop = asyncio.new_event_loop()
    environment = loop.run_until_complete(start())
    yield environment.client.service_client.config.target_host
    loop.run_until_complete(environment.shutdown())
    loop.close()


@pytest.fixture
def instrumented(recorder: Any) -> Generator[TemporalInstrumentor, None, None]:
    instrumentor = TemporalInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


class Temporal:
    """A client, and workers for a task queue of the test's own."""

    def __init__(self, server: str | None) -> None:
        self.server = server
        self.queue = f"queue-{uuid4()}"
        self.client: Client = None  # type: ignore[assignment]

    @asynccontextmanager
    async def worker(self, **options: Any) -> AsyncIterator[Worker]:
        with ThreadPoolExecutor(5) as threads:
            async with Worker(
                options.pop("client", self.client),
                task_queue=self.queue,
                workflows=options.pop("workflows", program.WORKFLOWS),
                activities=program.ACTIVITIES,
                activity_executor=threads,
                **options,
            ) as worker:
                yield worker

    async def start(self, run: Any, *args: Any, **options: Any) -> Any:
        return await self.client.start_workflow(
            run, args=list(args), id=options.pop("id", f"w-{uuid4()}"), task_queue=self.queue, **options
        )

    def run(self, main: Callable[["Temporal"], Any], *, skip_time: bool = False) -> Any:
        """Run an async function with everything connected, for at most 80 seconds."""

        async def body() -> Any:
            if skip_time:
                path = str(BINARIES / "temporal-test-server")
                async with await WorkflowEnvironment.start_time_skipping(
                    test_server_existing_path=path
                ) as env:
                    self.client = env.client
                    return await main(self)
            self.client = await Client.connect(str(self.server))
            return await main(self)

        return asyncio.run(asyncio.wait_for(body(), 80))


@pytest.fixture
def temporal(server: str) -> Temporal:
    program.paid.clear()
    program.seen.clear()
    program.tokens.clear()
    return Temporal(server)


@pytest.fixture
def until() -> Callable[..., Any]:
    async def wait(condition: Callable[[], Any]) -> None:
        deadline = asyncio.get_running_loop().time() + 60
        while not condition():
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)

    return wait
