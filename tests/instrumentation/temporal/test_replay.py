# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Nothing of ours changes a workflow: histories replay with us and without, and results are the same."""

import inspect
from typing import Any

import pytest
import temporal_program as program
from temporal_program import (
    Answer,
    ByHandWorkflow,
    ChainWorkflow,
    ParentWorkflow,
    PlainWorkflow,
    RefundWorkflow,
)
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, Worker

from runrecord.instrumentation.temporal import TemporalInstrumentor

pytestmark = [pytest.mark.sdk]


async def stories(t: Any, until: Any) -> tuple[list[Any], list[WorkflowHistory]]:
    """Run everything that is deterministic, and return results and histories."""
    results, handles = [], []

    async def done(handle: Any) -> None:
        results.append(await handle.result())
        handles.append(handle)

    async with t.worker():
        handle = await t.start(RefundWorkflow.run, "bob")
        while not await handle.query(RefundWorkflow.is_asked):
            pass
        await handle.execute_update(RefundWorkflow.decide, Answer("approve", amount=60.0))
        await done(handle)
        handle = await t.start(PlainWorkflow.run, "random")
        await handle.execute_update(PlainWorkflow.set_go, True)
        await handle.result()
        handles.append(handle)
        handle = await t.start(ByHandWorkflow.run)
        await handle.signal(ByHandWorkflow.proceed)
        await handle.result()
        handles.append(handle)
        for run, argument in (
            (PlainWorkflow.run, "steps"),
            (PlainWorkflow.run, "flaky"),
            (ParentWorkflow.run, "x"),
            (ChainWorkflow.run, 1),
        ):
            await done(await t.start(run, argument))
    return results, [await handle.fetch_history() for handle in handles]


@pytest.mark.parametrize("recorded_with_us", [True, False])
@pytest.mark.parametrize("replayed_with_us", [True, False])
def test_histories_replay_with_us_and_without(
    telemetry: Any,
    recorder: Any,
    temporal: Any,
    until: Any,
    *,
    recorded_with_us: bool,
    replayed_with_us: bool,
) -> None:
    instrumentor = TemporalInstrumentor()
    if recorded_with_us:
        instrumentor.instrument(recorder=recorder)
    try:
        results, histories = temporal.run(lambda t: stories(t, until))
    finally:
        if recorded_with_us:
            instrumentor.uninstrument()
    assert results == ["paid 60.0", "sent planted-4111-secret", "planted-4111-secret", "child", "done"]
    assert bool(telemetry.spans) is recorded_with_us
    recorded = len(telemetry.spans)
    if replayed_with_us:
        instrumentor.instrument(recorder=recorder)
    try:

        async def replay(t: Any) -> None:
            replayer = Replayer(workflows=program.WORKFLOWS)
            for history in histories:
                await replayer.replay_workflow(history)

        temporal.run(replay)
    finally:
        if replayed_with_us:
            instrumentor.uninstrument()
    assert len(telemetry.spans) == recorded  # a replayer records nothing


@pytest.mark.parametrize("first_with_us", [True, False])
def test_a_workflow_goes_on_in_a_worker_with_us_or_without(
    telemetry: Any, recorder: Any, temporal: Any, *, first_with_us: bool
) -> None:
    """The second worker replays what the first did; its random numbers must be the same."""
    instrumentor = TemporalInstrumentor()
    handle: Any = None

    async def main(t: Any) -> str:
        nonlocal handle
        for ours in (first_with_us, not first_with_us):
            if ours:
                instrumentor.instrument(recorder=recorder)
            try:
                t.client = await type(t.client).connect(t.server)
                async with t.worker(max_cached_workflows=0):
                    if handle is None:
                        handle = await t.start(PlainWorkflow.run, "random")
                        await handle.query("__stack_trace")
                    else:
                        await handle.execute_update(PlainWorkflow.set_go, True)
                        return await handle.result()
            finally:
                if ours:
                    instrumentor.uninstrument()
        return ""

    assert len(temporal.run(main).split()) == 3
    assert telemetry.named("invoke_workflow")
    telemetry.check_counters()


def test_it_can_be_switched_off_and_on(telemetry: Any, recorder: Any, temporal: Any) -> None:
    instrumentor = TemporalInstrumentor()
    before = inspect.signature(Worker.__init__), Worker.__init__
    for _ in range(2):
        instrumentor.instrument(recorder=recorder)
        instrumentor.uninstrument()
    assert (inspect.signature(Worker.__init__), Worker.__init__) == before

    async def main(t: Any) -> str:
        async with t.worker():
            return await (await t.start(PlainWorkflow.run, "x")).result()

    assert temporal.run(main) == "x"
    assert not telemetry.spans


def test_a_client_that_is_rebuilt_from_its_configuration_records_once(
    telemetry: Any, recorder: Any, temporal: Any
) -> None:
    instrumentor = TemporalInstrumentor()
    instrumentor.instrument(recorder=recorder)

    async def main(t: Any) -> str:
        t.client = type(t.client)(**{**t.client.config(), "namespace": t.client.namespace})
        async with t.worker():
            return await (await t.start(PlainWorkflow.run, "flaky")).result()

    try:
        temporal.run(main)
    finally:
        instrumentor.uninstrument()
    assert telemetry.one("invoke_workflow")
    assert len(telemetry.named("execute_tool")) == 3
    telemetry.check_counters()
