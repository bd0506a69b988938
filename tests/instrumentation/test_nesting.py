# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Who is whose parent: existing spans, the application's own spans, threads and concurrent runs."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from inline_snapshot import snapshot
from opentelemetry import baggage, trace

from runrecord.instrumentation import recorder as api


def test_existing_spans_are_enriched_and_not_doubled(telemetry: Any, recorder: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("official")
    agent = {"gen_ai.operation.name": "invoke_agent"}
    call = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "c"}
    with (
        tracer.start_as_current_span("invoke_agent x", attributes=agent),
        recorder.run("x") as run,
        tracer.start_as_current_span("execute_tool t", attributes=call),
    ):
        run.tool("t", call_id="c", arguments={}).stop()
        run.tool("t", call_id="other", arguments={}).stop()
    assert telemetry.tree() == snapshot(["invoke_agent x", "  execute_tool t", "    execute_tool t"])
    assert telemetry.one("invoke_agent").attributes["runrecord.run.state"] == "completed"
    telemetry.check_counters()


def test_children_keep_the_applications_own_spans_between(telemetry: Any, recorder: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")
    with recorder.run("a") as run:
        with run.step() as step, tracer.start_as_current_span("mine"):
            step.tool("inner").stop()
            run.decision("p").allow()
        step2 = run.step()
        step2.tool("not attached").stop()
        step2.stop()
    assert telemetry.tree() == snapshot(
        [
            "invoke_agent a",
            "  agent_step act",
            "    mine",
            "      execute_tool inner",
            "      policy_decision p",
            "  agent_step act",
            "    execute_tool not attached",
        ]
    )


def test_nothing_is_attached_without_with(telemetry: Any, recorder: Any) -> None:
    run = recorder.run("a")
    step = run.step()
    assert trace.get_current_span() is trace.INVALID_SPAN
    with ThreadPoolExecutor(4) as pool:
        for call in [pool.submit(step.tool, f"t{number}", context=step.context) for number in range(8)]:
            call.result().stop()
    step.stop()
    run.stop()
    parents = {span.parent.span_id for span in telemetry.named("execute_tool")}
    assert parents == {step.span_context.span_id}
    assert {span.attributes["runrecord.step.index"] for span in telemetry.named("execute_tool")} == {0}
    telemetry.check_counters()


def test_run_and_step_are_in_no_baggage_since_that_goes_to_every_host(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run, run.step(index=2) as step:
        assert not baggage.get_all()
        assert api.current() is step


def test_concurrent_runs_keep_their_ids(telemetry: Any, recorder: Any) -> None:
    barrier = threading.Barrier(10)

    def one(number: int) -> None:
        with recorder.run(f"agent-{number}", run_id=f"run-{number}") as run:
            barrier.wait(30)
            for _ in range(5):
                with run.step(), run.tool(f"tool-{number}"):
                    pass

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(one, range(10)))
    for span in telemetry.named("execute_tool"):
        number = span.name.rpartition("-")[2]
        assert span.attributes["runrecord.run.id"] == f"run-{number}"
    assert len({span.context.trace_id for span in telemetry.spans}) == 10
    telemetry.check_counters()
