# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Runs, turns, tool calls and handoffs of the real SDK become the spans of the conventions."""

import asyncio
import json
from typing import Any

import pytest
from agents import (
    Agent,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
    trace,
)
from agents.run import AgentRunner
from agents.testing import ScriptedModel, assistant_message, function_call
from inline_snapshot import snapshot
from opentelemetry import trace as otel

from runrecord.instrumentation.openai_agents import extract

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

PAID = {
    "readOnlyHint": False,
    "runrecord.side_effect.type": "pay",
    "runrecord.side_effect.target": "payments",
}


def refund(amount: float) -> str:
    """Pay back."""
    return json.dumps({"paid": amount})


refund.metadata = PAID  # type: ignore[attr-defined]


def failing(order: str) -> str:
    """Fail."""
    raise ValueError(order)


def refund_agent(*steps: Any, **kwargs: Any) -> Agent[Any]:
    tools = [function_tool(refund), function_tool(failing)]
    tools[0].metadata = PAID  # type: ignore[attr-defined]
    return Agent(name="refund-agent", model=ScriptedModel(steps), tools=[*tools], **kwargs)


CALL = [function_call("refund", '{"amount": 80}', call_id="call_1")]
DONE = [assistant_message("Done.")]


def test_a_run_with_one_tool_call(telemetry: Any) -> None:
    result = Runner.run_sync(
        refund_agent(CALL, DONE),
        "Please refund.",
        run_config=RunConfig(group_id="thread-7", trace_metadata={"runrecord.run.autonomy": "autonomous"}),
    )
    assert result.final_output == "Done."
    run_id = extract.run_id("trace_00000000000000000000000000000001")
    assert [telemetry.dump(span) for span in telemetry.spans] == snapshot(
        [
            {
                "name": "execute_tool refund",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 3,
                "parent": 2,
                "attributes": {
                    "gen_ai.agent.name": "refund-agent",
                    "gen_ai.conversation.id": "thread-7",
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.call.id": "call_1",
                    "gen_ai.tool.name": "refund",
                    "gen_ai.tool.type": "function",
                    "runrecord.arguments.digest": "hmac-sha256:32423379ecf0dff865e13d287da2e22e45d03cc3b64d1b9745d564ee9c844ca8",
                    "runrecord.record.seq": 2,
                    "runrecord.result.digest": "hmac-sha256:7f7d32179a3b209abf069367fcd1c9ed2d51a050a1779960a4b91ebd8909538e",
                    "runrecord.run.id": "ad7bf57b00d6e1009a36ad8533702d50",
                    "runrecord.side_effect.committed": True,
                    "runrecord.side_effect.target": "payments",
                    "runrecord.side_effect.type": "pay",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 0,
                    "runrecord.tool.read_only": False,
                },
            },
            {
                "name": "agent_step act",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 2,
                "parent": 1,
                "attributes": {
                    "runrecord.record.seq": 1,
                    "runrecord.run.id": "ad7bf57b00d6e1009a36ad8533702d50",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 0,
                    "runrecord.step.kind": "act",
                    "runrecord.step.name": "refund-agent",
                },
            },
            {
                "name": "agent_step act",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 4,
                "parent": 1,
                "attributes": {
                    "runrecord.record.seq": 3,
                    "runrecord.run.id": "ad7bf57b00d6e1009a36ad8533702d50",
                    "runrecord.source.id": "0000000000000001",
                    "runrecord.step.index": 1,
                    "runrecord.step.kind": "act",
                    "runrecord.step.name": "refund-agent",
                },
            },
            {
                "name": "invoke_agent refund-agent",
                "kind": "INTERNAL",
                "status": "UNSET",
                "trace": 1,
                "span": 1,
                "parent": None,
                "attributes": {
                    "gen_ai.agent.name": "refund-agent",
                    "gen_ai.conversation.id": "thread-7",
                    "gen_ai.operation.name": "invoke_agent",
                    "runrecord.record.seq": 0,
                    "runrecord.run.autonomy": "autonomous",
                    "runrecord.run.id": "ad7bf57b00d6e1009a36ad8533702d50",
                    "runrecord.run.outcome": "success",
                    "runrecord.run.records": 4,
                    "runrecord.run.segment": 0,
                    "runrecord.run.state": "completed",
                    "runrecord.source.id": "0000000000000001",
                },
            },
        ]
    )
    assert {span.attributes["runrecord.run.id"] for span in telemetry.spans} == {run_id}
    assert [name for name, _ in telemetry.events] == [
        "runrecord.run.opened",
        "runrecord.tool.intent",
        "runrecord.run.closed",
    ]
    telemetry.check_counters()


def test_the_run_id_follows_from_the_sdks_trace_id_which_is_the_opentelemetry_trace_id(
    telemetry: Any, sdk_traces: list[str]
) -> None:
    Runner.run_sync(refund_agent(DONE), "hi")
    (trace_id,) = sdk_traces
    span = telemetry.one("invoke_agent")
    assert extract.otel_trace_id(trace_id) == span.context.trace_id
    assert span.attributes["runrecord.run.id"] == extract.run_id(trace_id)
    assert span.parent is None


def test_below_a_span_of_the_application_the_trace_is_the_applications(
    telemetry: Any, sdk_traces: list[str]
) -> None:
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("POST /refunds"):
        Runner.run_sync(refund_agent(DONE), "hi")
        Runner.run_sync(refund_agent(DONE), "hi")
    assert telemetry.tree() == ["POST /refunds"] + 2 * ["  invoke_agent refund-agent", "    agent_step act"]
    runs = {span.attributes["runrecord.run.id"] for span in telemetry.named("invoke_agent")}
    assert runs == {extract.run_id(trace_id) for trace_id in sdk_traces}
    assert len(runs) == 2
    telemetry.check_counters()


def test_runs_in_one_trace_of_the_application_are_runs_of_their_own(telemetry: Any) -> None:
    with trace("workflow", group_id="thread-9") as workflow:
        Runner.run_sync(refund_agent(DONE), "hi")
        Runner.run_sync(refund_agent(DONE), "hi")
    runs = [span.attributes["runrecord.run.id"] for span in telemetry.named("invoke_agent")]
    assert runs == [extract.run_id(workflow.trace_id), extract.run_id(workflow.trace_id, 1)]
    assert telemetry.named("invoke_agent")[0].attributes["gen_ai.conversation.id"] == "thread-9"
    telemetry.check_counters()


@pytest.mark.parametrize("config", [RunConfig(trace_id="trace_" + "ab" * 16)])
def test_a_given_trace_id_is_kept(telemetry: Any, config: Any, sdk_traces: list[str]) -> None:
    Runner.run_sync(refund_agent(DONE), "hi", run_config=config)
    assert sdk_traces == ["trace_" + "ab" * 16]
    assert telemetry.one("invoke_agent").attributes["runrecord.run.id"] == extract.run_id(
        "trace_" + "ab" * 16
    )


def test_a_tool_that_fails_is_an_error_also_where_the_model_gets_an_answer(telemetry: Any) -> None:
    Runner.run_sync(
        refund_agent([function_call("failing", '{"order": "secret-1"}', call_id="c")], DONE), "hi"
    )
    span = telemetry.one("execute_tool failing")
    assert span.status.status_code is otel.StatusCode.ERROR
    assert span.attributes["error.type"] == "ValueError"
    assert "runrecord.side_effect.committed" not in span.attributes
    assert span.attributes["runrecord.result.digest"].startswith("hmac-sha256:")
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"
    telemetry.check_counters()


def test_a_tool_that_fails_the_run(telemetry: Any) -> None:
    tool = function_tool(failing, failure_error_function=None)
    agent = Agent(
        name="a",
        model=ScriptedModel([[function_call("failing", '{"order": "o"}', call_id="c")]]),
        tools=[tool],
    )
    with pytest.raises(Exception, match="Error running tool failing: o"):
        Runner.run_sync(agent, "hi")
    for name in ("execute_tool", "agent_step", "invoke_agent"):
        assert telemetry.one(name).status.status_code is otel.StatusCode.ERROR, name
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "failure"
    telemetry.check_counters()


def test_a_model_that_fails_inside_of_an_except_block_of_the_application(telemetry: Any) -> None:
    try:
        {}["earlier"]
    except KeyError:
        Runner.run_sync(refund_agent(DONE), "hi")
        with pytest.raises(ZeroDivisionError):
            Runner.run_sync(refund_agent(ZeroDivisionError("model")), "hi")
    good, bad = telemetry.named("agent_step")
    assert good.status.status_code is otel.StatusCode.UNSET
    assert bad.attributes["error.type"] == "ZeroDivisionError"
    telemetry.check_counters()


def test_cancellation(telemetry: Any) -> None:
    async def wait() -> str:
        """Wait for ever."""
        waiting.set()
        await asyncio.Event().wait()
        return ""

    async def main() -> None:
        agent = Agent(
            name="a",
            model=ScriptedModel([[function_call("wait", "{}", call_id="c")]]),
            tools=[function_tool(wait)],
        )
        task = asyncio.create_task(Runner.run(agent, "hi"))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    waiting = asyncio.Event()
    asyncio.run(main())
    span = telemetry.one("invoke_agent")
    assert span.attributes["runrecord.run.outcome"] == "cancelled"
    assert span.status.status_code is otel.StatusCode.UNSET
    telemetry.check_counters()


def test_a_handoff_is_a_step(telemetry: Any) -> None:
    biller = Agent(name="biller", model=ScriptedModel([DONE]))
    agent = refund_agent([function_call("transfer_to_biller", "{}", call_id="h")], handoffs=[biller])
    assert Runner.run_sync(agent, "hi").final_output == "Done."
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    agent_step handoff",
        "  agent_step act",
    ]
    steps = sorted(telemetry.named("agent_step"), key=lambda span: span.start_time)
    assert [(s.attributes["runrecord.step.index"], s.attributes["runrecord.step.name"]) for s in steps] == [
        (0, "refund-agent"),
        (1, "biller"),
        (2, "biller"),
    ]
    telemetry.check_counters()


def test_an_agent_as_a_tool_is_part_of_the_run(telemetry: Any) -> None:
    inner = Agent(name="inner", model=ScriptedModel([CALL, DONE]), tools=[function_tool(refund)])
    outer = Agent(
        name="outer",
        model=ScriptedModel([[function_call("ask", '{"input": "x"}', call_id="a")], DONE]),
        tools=[inner.as_tool("ask", "Ask.")],
    )
    Runner.run_sync(outer, "hi")
    assert telemetry.tree() == [
        "invoke_agent outer",
        "  agent_step act",
        "    execute_tool ask",
        "      invoke_agent inner",
        "        agent_step act",
        "          execute_tool refund",
        "        agent_step act",
        "  agent_step act",
    ]
    assert "runrecord.run.id" not in telemetry.one("invoke_agent inner").attributes
    telemetry.check_counters()


def test_spans_of_a_tool_are_below_its_span(telemetry: Any) -> None:
    def work() -> str:
        """Work."""
        with telemetry.tracer_provider.get_tracer("app").start_as_current_span("SELECT"):
            return "worked"

    agent = Agent(
        name="a",
        model=ScriptedModel([[function_call("work", "{}", call_id="c")], DONE]),
        tools=[function_tool(work)],
    )
    Runner.run_sync(agent, "hi")
    assert telemetry.tree()[:4] == [
        "invoke_agent a",
        "  agent_step act",
        "    execute_tool work",
        "      SELECT",
    ]


@pytest.mark.parametrize("how", ["config", "global", "no turn spans"])
def test_with_the_sdks_tracing_off_the_records_are_the_same(telemetry: Any, how: str) -> None:
    again = [function_call("refund", '{"amount": 5}', call_id="call_2")]
    biller = Agent(name="biller", model=ScriptedModel([again, DONE]), tools=[function_tool(refund)])
    agent = refund_agent(CALL, [function_call("transfer_to_biller", "{}", call_id="h")], handoffs=[biller])
    config = None
    if how == "config":
        config = RunConfig(tracing_disabled=True)
    elif how == "global":
        set_tracing_disabled(disabled=True)
    else:
        config = RunConfig(tracing={"include_task_and_turn_spans": False})
    Runner.run_sync(agent, "hi", run_config=config)
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    execute_tool refund",
        "  agent_step act",
        "    agent_step handoff",
        "  agent_step act",
        "    execute_tool refund",
        "  agent_step act",
    ]
    telemetry.check_counters()


def test_ten_runs_at_once_do_not_mix(telemetry: Any) -> None:
    async def main() -> list[Any]:
        agents = [
            refund_agent([function_call("refund", json.dumps({"amount": n}), call_id=f"c{n}")], DONE)
            for n in range(10)
        ]
        return await asyncio.gather(*(Runner.run(agent, "hi") for agent in agents))

    asyncio.run(main())
    by_id = {span.context.span_id: span for span in telemetry.spans}
    assert len(telemetry.named("invoke_agent")) == 10
    for call in telemetry.named("execute_tool"):
        step = by_id[call.parent.span_id]
        run = by_id[step.parent.span_id]
        assert {span.attributes["runrecord.run.id"] for span in (call, step, run)} == {
            run.attributes["runrecord.run.id"]
        }
    telemetry.check_counters()


def test_the_runner_called_with_keywords_only(telemetry: Any) -> None:
    async def main() -> Any:
        return await AgentRunner().run(starting_agent=refund_agent(DONE), input="hi")  # type: ignore[call-arg]

    assert asyncio.run(main()).final_output == "Done."
    assert telemetry.one("invoke_agent").name == "invoke_agent refund-agent"
