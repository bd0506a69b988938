# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Threads and tasks: every record belongs to the call that made it."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.types import Command
from opentelemetry import trace

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_tools_in_a_thread_pool_keep_their_parent(telemetry: Any, agents: Any, on: Any, mode: str) -> None:
    barrier = threading.Barrier(4)
    tracer = telemetry.tracer_provider.get_tracer("app")

    @tool
    def slow(number: int) -> int:
        """Wait for the others."""
        with tracer.start_as_current_span(f"inside {number}"):
            barrier.wait(30)
        return number

    calls = [agents.call("slow", f"call_{number}", number=number) for number in range(4)]
    agent = agents.make(calls, "done", tools=[slow])
    agent.invoke(agents.ask) if mode == "sync" else asyncio.run(agent.ainvoke(agents.ask))
    by_id = {span.context.span_id: span for span in telemetry.spans}
    for inside in telemetry.named("inside"):
        call = by_id[inside.parent.span_id]
        assert call.attributes["gen_ai.tool.call.id"] == f"call_{inside.name.rpartition(' ')[2]}"
        assert by_id[call.parent.span_id].name == "agent_step act"
    assert len(telemetry.named("inside")) == 4
    telemetry.check_counters()


def test_ten_concurrent_runs_do_not_cross(telemetry: Any, agents: Any, on: Any) -> None:
    barrier = threading.Barrier(10)

    @tool
    def wait(number: int) -> int:
        """Wait for the others."""
        barrier.wait(30)
        return number

    def one(number: int) -> Any:
        agent = agents.make([agents.call("wait", f"call_{number}", number=number)], "done", tools=[wait])
        return agent.invoke(agents.ask, agents.config(f"thread-{number}"))

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(one, range(10)))
    runs = {run.attributes["runrecord.run.id"]: run for run in telemetry.named("invoke_agent")}
    assert len(runs) == 10
    for call in telemetry.named("execute_tool"):
        run = runs[call.attributes["runrecord.run.id"]]
        number = call.attributes["gen_ai.tool.call.id"].rpartition("_")[2]
        assert run.attributes["gen_ai.conversation.id"] == f"thread-{number}"
        assert call.context.trace_id == run.context.trace_id
    telemetry.check_counters()


def test_ten_concurrent_tasks_do_not_cross(telemetry: Any, agents: Any, on: Any) -> None:
    @tool
    async def wait(number: int) -> int:
        """Let the others run."""
        for _ in range(3):
            await asyncio.sleep(0)
        return number

    async def one(number: int) -> Any:
        agent = agents.make([agents.call("wait", f"call_{number}", number=number)], "done", tools=[wait])
        return await agent.ainvoke(agents.ask, agents.config(f"thread-{number}"))

    async def every() -> None:
        await asyncio.gather(*[one(number) for number in range(10)])
        assert trace.get_current_span() is trace.INVALID_SPAN

    asyncio.run(every())
    runs = {run.attributes["runrecord.run.id"]: run for run in telemetry.named("invoke_agent")}
    for call in telemetry.named("execute_tool"):
        number = call.attributes["gen_ai.tool.call.id"].rpartition("_")[2]
        run = runs[call.attributes["runrecord.run.id"]]
        assert run.attributes["gen_ai.conversation.id"] == f"thread-{number}"
    assert len(runs) == 10
    telemetry.check_counters()


@pytest.mark.parametrize("interrupt_mode", ["batched", "per_call"])
def test_ten_threads_wait_for_ten_answers(telemetry: Any, agents: Any, on: Any, interrupt_mode: str) -> None:
    saver = agents.saver()
    barrier = threading.Barrier(10)

    @tool
    def pay(number: int) -> int:
        """Pay."""
        barrier.wait(30)
        return number

    def agent(*turns: Any) -> Any:
        return agents.make(
            *turns,
            tools=[pay],
            middleware=[agents.review({"pay": True}, interrupt_mode)],
            checkpointer=saver,
        )

    def one(number: int) -> None:
        config = agents.config(f"thread-{number}")
        agent([agents.call("pay", f"call_{number}", number=number)]).invoke(agents.ask, config)
        said: dict[str, Any] = {"type": "approve"}
        answer = {"decisions": [said]} if interrupt_mode == "batched" else said
        agent("done").invoke(Command(resume=answer), config)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(one, range(10)))
    requests = {s.attributes["runrecord.approval.id"]: s for s in telemetry.named("request_approval")}
    calls = {s.attributes["runrecord.approval.id"]: s for s in telemetry.named("execute_tool")}
    decided = telemetry.named("approval_decision")
    assert len(requests) == len(calls) == len(decided) == 10
    for decision in decided:
        request = requests[decision.attributes["runrecord.approval.id"]]
        ran = calls[decision.attributes["runrecord.approval.id"]]
        assert [link.context.span_id for link in decision.links] == [request.context.span_id]
        run_ids = {item.attributes["runrecord.run.id"] for item in (decision, request, ran)}
        assert len(run_ids) == 1
        assert decision.attributes["runrecord.subject.id"] == ran.attributes["gen_ai.tool.call.id"]
        assert decision.context.trace_id == request.context.trace_id == ran.context.trace_id
    telemetry.check_counters()


def test_a_tool_that_is_cancelled_is_no_error(telemetry: Any, agents: Any, on: Any) -> None:
    started = asyncio.Event()

    @tool
    async def hang() -> str:
        """Hang."""
        started.set()
        await asyncio.Event().wait()
        return "never"

    async def run() -> None:
        agent = agents.make([agents.call("hang")], tools=[hang])
        task = asyncio.create_task(agent.ainvoke(agents.ask))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    call = telemetry.one("execute_tool hang")
    assert (call.attributes["error.type"], call.status.status_code.name) == ("CancelledError", "UNSET")
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "cancelled"
    assert telemetry.one("invoke_agent").status.status_code.name == "UNSET"
    telemetry.check_counters()
