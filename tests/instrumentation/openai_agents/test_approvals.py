# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Requests and decisions: joined by key and digest, each once, over segments and processes."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, CustomTool, RunConfig, Runner, RunState, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from openai.types.responses.response_custom_tool_call import ResponseCustomToolCall

from runrecord.instrumentation import MemoryContextStore
from runrecord.instrumentation.openai_agents import extract

pytestmark = [pytest.mark.sdk]

DONE = [assistant_message("Done.")]


def over_50(context: Any, arguments: dict[str, Any], call_id: str) -> bool:
    return bool(arguments["amount"] > 50)


over_50.policy_id = "refunds"  # type: ignore[attr-defined]
over_50.policy_version = "14"  # type: ignore[attr-defined]
over_50.policy_rule = "over_50_usd"  # type: ignore[attr-defined]


@function_tool(needs_approval=over_50)
def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


@function_tool(needs_approval=True)
def close_account(account: str) -> str:
    """Close."""
    return "closed"


def agent(*steps: Any) -> Agent[Any]:
    return Agent(name="refund-agent", model=ScriptedModel(steps), tools=[refund, close_account])


def call(amount: float, call_id: str = "call_1") -> Any:
    return function_call("refund", json.dumps({"amount": float(amount)}), call_id=call_id)


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def by_start(spans: list[Any]) -> list[Any]:
    return sorted(spans, key=lambda span: span.start_time)


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("approve", [True, False])
def test_a_run_that_waits_and_goes_on(telemetry: Any, approve: bool, streamed: bool) -> None:
    async def run(given: Any) -> Any:
        if not streamed:
            return await Runner.run(program, given, run_config=config)
        result = Runner.run_streamed(program, given, run_config=config)
        async for _ in result.stream_events():
            pass
        return result

    async def main() -> Any:
        first = await run("hi")
        telemetry.now += 60
        state = first.to_state()
        if approve:
            state.approve(first.interruptions[0])
        else:
            state.reject(first.interruptions[0])
        return await run(state)

    config = RunConfig(group_id="thread-7", trace_metadata={"runrecord.approval.actor.ref": "u-17"})
    program = agent([call(80)], DONE)
    assert asyncio.run(main()).final_output == "Done."
    executed = ["      execute_tool refund"] if approve else []
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    policy_decision refunds",
        "    request_approval refund",
        "  invoke_agent refund-agent",
        "    agent_step act",
        "      approval_decision refund",
        *executed,
        "    agent_step act",
    ]
    waiting, going_on = by_start(telemetry.named("invoke_agent"))
    assert facts(waiting, "run.segment", "run.state", "run.outcome") == [0, "suspended", None]
    assert facts(going_on, "run.segment", "run.state", "run.outcome") == [
        1,
        "completed",
        "success" if approve else "denied",
    ]
    assert waiting.attributes["runrecord.run.id"] == going_on.attributes["runrecord.run.id"]
    assert going_on.links[0].context.span_id == waiting.context.span_id
    policy = telemetry.one("policy_decision")
    assert facts(policy, "policy.version", "policy.rule.id", "policy.engine", "decision.outcome") == [
        "14",
        "over_50_usd",
        "sdk",
        "require_approval",
    ]
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert decision.links[0].context.span_id == request.context.span_id
    assert facts(
        decision, "approval.status", "approval.actor.type", "approval.actor.ref", "approval.scope"
    ) == [
        "approved" if approve else "denied",
        "human",
        "u-17",
        "once",
    ]
    assert facts(decision, "approval.wait_seconds", "approval.id") == [60.0, *facts(request, "approval.id")]
    digests = {
        *facts(policy, "subject.digest"),
        *facts(request, "approval.subject.digest"),
        *facts(decision, "approval.subject.digest"),
    }
    if approve:
        tool = telemetry.one("execute_tool")
        digests.update(facts(tool, "arguments.digest"))
        assert facts(tool, "approval.id") == facts(request, "approval.id")
    assert len(digests) == 1
    first_step, resumed_step, _ = by_start(telemetry.named("agent_step"))
    assert facts(first_step, "step.index", "step.attempt") == [0, None]
    assert facts(resumed_step, "step.index", "step.attempt") == [0, 2]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_below_the_limit_the_policy_allows_and_nobody_is_asked(telemetry: Any) -> None:
    Runner.run_sync(agent([call(20)], DONE), "hi")
    assert facts(telemetry.one("policy_decision refunds"), "decision.outcome", "subject.id") == [
        "allow",
        "call_1",
    ]
    assert not telemetry.named("request_approval")
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_two_requests_answered_one_after_the_other(telemetry: Any) -> None:
    program = agent([call(80), function_call("close_account", '{"account": "a"}', call_id="call_2")], DONE)
    first = Runner.run_sync(program, "hi")
    assert len(first.interruptions) == 2
    state = first.to_state()
    state.approve(first.interruptions[0])
    second = Runner.run_sync(program, state)
    assert [item.tool_name for item in second.interruptions] == ["close_account"]
    state = second.to_state()
    state.reject(second.interruptions[0])
    assert Runner.run_sync(program, state).final_output == "Done."
    assert len(telemetry.named("request_approval")) == len(telemetry.named("approval_decision")) == 2
    assert [
        facts(span, "run.segment", "run.state") for span in by_start(telemetry.named("invoke_agent"))
    ] == [
        [0, "suspended"],
        [1, "suspended"],
        [2, "completed"],
    ]
    assert telemetry.one("policy_decision needs_approval")
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_a_state_that_is_run_again_without_an_answer_asks_once(telemetry: Any) -> None:
    program = agent([call(80)], DONE)
    first = Runner.run_sync(program, "hi")
    second = Runner.run_sync(program, first.to_state())
    state = second.to_state()
    state.approve(second.interruptions[0])
    Runner.run_sync(program, state)
    assert telemetry.one("request_approval")
    assert telemetry.one("approval_decision")
    assert sorted(facts(span, "run.segment")[0] for span in telemetry.named("invoke_agent")) == [0, 1, 2]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_an_answer_given_by_a_process_that_is_not_instrumented_is_read_from_the_state(telemetry: Any) -> None:
    async def main() -> Any:
        program = agent([call(80)], DONE)
        first = await Runner.run(program, "hi")
        state = first.to_state()
        approve: Any = type(state._context).approve_tool
        approve.__wrapped__(state._context, first.interruptions[0], always_approve=True)
        text = json.dumps(state.to_json())
        return await Runner.run(program, await RunState.from_json(program, json.loads(text)))

    assert asyncio.run(main()).final_output == "Done."
    decision = telemetry.one("approval_decision")
    assert facts(decision, "approval.status", "approval.scope") == ["approved", "session"]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_an_agent_inside_of_a_tool_asks_through_the_run(telemetry: Any) -> None:
    inner = Agent(name="inner", model=ScriptedModel([[call(80)], DONE]), tools=[refund])
    outer = Agent(
        name="outer",
        model=ScriptedModel([[function_call("ask", '{"input": "x"}', call_id="a")], DONE]),
        tools=[inner.as_tool("ask", "Ask.")],
    )
    first = Runner.run_sync(outer, "hi")
    state = first.to_state()
    state.approve(first.interruptions[0])
    assert Runner.run_sync(outer, state).final_output == "Done."
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert facts(request, "approval.id") == facts(decision, "approval.id")
    assert facts(telemetry.one("execute_tool refund"), "approval.id") == facts(request, "approval.id")
    unfinished, finished = by_start(telemetry.named("execute_tool ask"))
    assert facts(unfinished, "result.digest") == [None]
    assert facts(finished, "result.digest") != [None]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("group", [None, "thread-7"])
def test_with_the_sdks_tracing_off_a_run_goes_on_too(telemetry: Any, group: str | None) -> None:
    config = RunConfig(tracing_disabled=True, group_id=group)
    program = agent([call(80)], DONE)
    first = Runner.run_sync(program, "hi", run_config=config)
    state = first.to_state()
    state.approve(first.interruptions[0])
    Runner.run_sync(program, state, run_config=config)
    assert len({span.attributes["runrecord.run.id"] for span in telemetry.spans}) == 1
    assert telemetry.one("approval_decision").links
    telemetry.check_counters()


def test_without_the_stored_context_the_run_id_the_trace_and_the_digest_still_agree(
    telemetry: Any, instrumented: Any, recorder: Any
) -> None:
    program = agent([call(80)], DONE)
    first = Runner.run_sync(program, "hi")
    state = first.to_state()
    state.approve(first.interruptions[0])
    instrumented.uninstrument()
    instrumented.instrument(recorder=telemetry.recorder(store=MemoryContextStore()))
    Runner.run_sync(program, state)
    assert len({span.attributes["runrecord.run.id"] for span in telemetry.spans}) == 1
    assert {span.context.trace_id for span in telemetry.spans} == {1}
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert facts(request, "approval.id", "approval.subject.digest") == facts(
        decision, "approval.id", "approval.subject.digest"
    )
    assert facts(telemetry.named("invoke_agent")[1], "run.segment") == [1]


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("approve", [True, False])
def test_a_callback_that_answers_at_once_is_a_policy_not_a_person(telemetry: Any, approve: bool) -> None:
    async def search(context: Any, text: str) -> str:
        return f"found {text}"

    async def on_approval(context: Any, item: Any) -> Any:
        return {"approve": approve}

    tool = CustomTool("grep", "Search.", search, needs_approval=True, on_approval=on_approval)
    asked = ResponseCustomToolCall(
        call_id="k", id="k", name="grep", input="planted-1", type="custom_tool_call"
    )
    model = ScriptedModel([[asked], DONE])
    assert Runner.run_sync(Agent(name="a", model=model, tools=[tool]), "hi").final_output == "Done."
    request, decision = telemetry.one("request_approval grep"), telemetry.one("approval_decision grep")
    assert facts(decision, "approval.status", "approval.actor.type") == [
        "approved" if approve else "denied",
        "policy",
    ]
    digests = {*facts(request, "approval.subject.digest"), *facts(decision, "approval.subject.digest")}
    for span in telemetry.named("execute_tool grep"):
        digests.update(facts(span, "arguments.digest"))
    assert len(digests) == 1
    assert len(telemetry.named("execute_tool")) == approve
    assert "planted-1" not in telemetry.exported_text()
    telemetry.check_counters()


PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from agents import Agent, Runner, RunState, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda s: s.to_json(indent=None) + "\\n")))
trace.set_tracer_provider(provider)
OpenAIAgentsInstrumentor().instrument()

@function_tool(needs_approval=True)
def refund(amount: float) -> str:
    return "paid"

async def main(action, path):
    steps = [[function_call("refund", '{"amount": 80.0}', call_id="call_1")]] if action == "start" else []
    agent = Agent(name="refund-agent", model=ScriptedModel([*steps, [assistant_message("Done.")]]), tools=[refund])
    if action == "start":
        result = await Runner.run(agent, "hi")
        path.write_text(json.dumps(result.to_state().to_json()))
    else:
        state = await RunState.from_json(agent, json.loads(path.read_text()))
        for item in state.get_interruptions():
            state.approve(item) if action == "approve" else state.reject(item)
        result = await Runner.run(agent, state)
        assert result.final_output == "Done."

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


@pytest.mark.parametrize("action", ["approve", "reject"])
def test_resume_in_another_process(tmp_path: Path, action: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "RUNRECORD_STATE_DIR": str(tmp_path / "state")}
    environment.pop("PYTEST_CURRENT_TEST", None)

    def process(what: str) -> list[dict[str, Any]]:
        command = [sys.executable, "program.py", what, "state.json"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert "runrecord" not in done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    before, after = process("start"), process(action)
    stored = json.loads((tmp_path / "state.json").read_text())["trace"]["id"]
    spans = [*before, *after]
    assert {span["attributes"]["runrecord.run.id"] for span in spans} == {extract.run_id(stored)}
    assert {span["context"]["trace_id"] for span in spans} == {f"0x{stored[len('trace_') :]}"}
    assert len({span["attributes"]["runrecord.source.id"] for span in spans}) == 2
    (root,) = [span for span in before if span["name"].startswith("invoke_agent")]
    (again,) = [span for span in after if span["name"].startswith("invoke_agent")]
    assert again["parent_id"] == root["context"]["span_id"]
    assert again["attributes"]["runrecord.run.segment"] == 1
    (request,) = [span for span in before if span["name"] == "request_approval refund"]
    (decision,) = [span for span in after if span["name"] == "approval_decision refund"]
    assert decision["links"][0]["context"]["span_id"] == request["context"]["span_id"]
    assert decision["attributes"]["runrecord.approval.request.span_id"] == request["context"]["span_id"][2:]
    tools = [span for span in after if span["name"] == "execute_tool refund"]
    digests = [request["attributes"]["runrecord.approval.subject.digest"]]
    if action == "approve":
        assert [span["attributes"]["runrecord.arguments.digest"] for span in tools] == digests
    else:
        assert not tools
