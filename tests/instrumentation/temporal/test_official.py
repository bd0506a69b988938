# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside Temporal's own OpenTelemetry interceptor and plug-in: one step per attempt, everything in one trace, the same replays."""

from collections.abc import Generator
from typing import Any

import opentelemetry.trace
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.util._once import Once
from temporal_program import Answer, PlainWorkflow, RefundWorkflow
from temporalio.client import Client
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin, TracingInterceptor, create_tracer_provider

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


async def refund(t: Any, until: Any, telemetry: Any, **options: Any) -> Any:
    async with t.worker(**options):
        handle = await t.start(RefundWorkflow.run, "bob")
        await until(lambda: telemetry.named("request_approval"))
        await handle.execute_update(RefundWorkflow.decide, Answer("approve"))
        return await handle.result()


@pytest.mark.parametrize("cached", [0, 100])
def test_the_interceptor_s_span_of_an_activity_is_the_step(
    telemetry: Any, temporal: Any, until: Any, cached: int
) -> None:
    async def main(t: Any) -> Any:
        tracer = telemetry.tracer_provider.get_tracer("temporal")
        t.client = await Client.connect(t.server, interceptors=[TracingInterceptor(tracer)])
        return await refund(t, until, telemetry, max_cached_workflows=cached)

    assert temporal.run(main) == "paid 80.0"
    assert not telemetry.named("agent_step")
    steps = telemetry.named("RunActivity:")
    assert sorted(facts(span, "step.index", "step.name") for span in steps) == [
        [0, "lookup"],
        [1, "create_refund"],
    ]
    call = telemetry.one("execute_tool create_refund")
    assert call.parent.span_id in {span.context.span_id for span in steps}
    assert telemetry.one("request_approval")
    assert telemetry.one("approval_decision")
    # The client's update is a request of its own, whose trace Temporal's interceptor hands to the handler.
    run = telemetry.one("StartWorkflow:RefundWorkflow").context.trace_id
    governed = [span for span in telemetry.spans if facts(span, "run.id") != [None]]
    assert {
        span.context.trace_id for span in governed if not span.name.startswith("policy_decision decide")
    } == {run}
    telemetry.check_counters()


@pytest.fixture
def replay_safe(telemetry: Any, monkeypatch: pytest.MonkeyPatch) -> Generator[Any, None, None]:
    """The provider that the plug-in asks for, as the global one."""
    provider = create_tracer_provider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(telemetry.span_exporter))
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(opentelemetry.trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    yield provider
    provider.shutdown()


@pytest.mark.parametrize("ours_too", [True, False])
@pytest.mark.parametrize("cached", [0, 100])
def test_the_plug_in_keeps_its_spans_over_replays(
    telemetry: Any,
    temporal: Any,
    instrumented: Any,
    replay_safe: Any,
    cached: int,
    *,
    ours_too: bool,
) -> None:
    """Its span ids come from the workflow's random numbers in their order, which ours must not shift."""
    instrumented.uninstrument()
    if ours_too:
        instrumented.instrument(recorder=telemetry.recorder(tracer_provider=replay_safe))

    async def main(t: Any) -> Any:
        t.client = await Client.connect(t.server, plugins=[OpenTelemetryPlugin(add_temporal_spans=True)])
        async with t.worker(max_cached_workflows=cached):
            handle = await t.start(RefundWorkflow.run, "bob")
            while not await handle.query(RefundWorkflow.is_asked):
                pass
            await handle.execute_update(RefundWorkflow.decide, Answer("approve"))
            return await handle.result()

    assert temporal.run(main) == "paid 80.0"
    theirs = [
        span for span in telemetry.spans if facts(span, "run.id") == [None] and "Query" not in span.name
    ]
    known = {span.context.span_id for span in telemetry.spans}
    assert len(known) == len(telemetry.spans)
    assert {span.parent.span_id for span in theirs if span.parent} <= known
    if ours_too:
        assert telemetry.one("execute_tool create_refund")
        assert telemetry.one("approval_decision")
        telemetry.check_counters()


def test_without_it_there_is_one_step_of_ours(telemetry: Any, temporal: Any) -> None:
    async def main(t: Any) -> Any:
        async with t.worker():
            return await (await t.start(PlainWorkflow.run, "flaky")).result()

    temporal.run(main)
    assert len(telemetry.named("agent_step")) == 3
    assert isinstance(telemetry.tracer_provider, TracerProvider)
