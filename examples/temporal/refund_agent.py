# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The refund agent's processes: a worker, and the two commands that start a workflow and answer for a person.

They need a Temporal server, such as ``temporal server start-dev``::

    opentelemetry-instrument python refund_agent.py worker
    opentelemetry-instrument python refund_agent.py start  --thread refund-a --customer c-100
    opentelemetry-instrument python refund_agent.py decide --thread refund-a --decision approve --reviewer u-17

The worker may be killed and started again at any time, also while the workflow waits.
"""

import argparse
import asyncio
from concurrent.futures import ThreadPoolExecutor

from refund_workflow import ACTIVITIES, QUEUE, RefundAgent
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from runrecord.instrumentation.temporal import answering


async def work(client: Client) -> None:
    """Work until somebody stops this process."""
    with ThreadPoolExecutor(10) as threads:
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[RefundAgent],
            activities=ACTIVITIES,
            activity_executor=threads,
        )
        await worker.run()


async def start(client: Client, options: argparse.Namespace) -> None:
    """Start a workflow, and say how it ends or that it waits."""
    handle: WorkflowHandle[RefundAgent, str] = await client.start_workflow(
        RefundAgent.run,
        options.customer,
        id=options.thread,
        task_queue=QUEUE,
        # Temporal has no fields for these; a memo is kept with the workflow.
        memo={"runrecord.run.autonomy": "execute_with_approval"},
    )
    result = asyncio.ensure_future(handle.result())
    while not result.done():
        if await handle.query(RefundAgent.waiting):
            result.cancel()
            print("waits for a person")
            return
        await asyncio.wait([result], timeout=0.1)
    print(result.result())


async def decide(client: Client, options: argparse.Namespace) -> None:
    """Answer for a person."""
    handle = client.get_workflow_handle_for(RefundAgent.run, options.thread)
    with answering(options.reviewer):
        await handle.execute_update(RefundAgent.decide, options.decision == "approve")
    print(await handle.result())


async def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description="A refund agent.")
    parser.add_argument("action", choices=["worker", "start", "decide"])
    parser.add_argument("--address", default="localhost:7233", help="the Temporal server")
    parser.add_argument("--thread", help="the workflow's id")
    parser.add_argument("--customer")
    parser.add_argument("--decision", choices=["approve", "reject"], default="approve")
    parser.add_argument("--reviewer", default="u-17")
    options = parser.parse_args()
    client = await Client.connect(options.address)
    if options.action == "worker":
        await work(client)
    elif options.action == "start":
        await start(client, options)
    else:
        await decide(client, options)


if __name__ == "__main__":
    asyncio.run(main())
