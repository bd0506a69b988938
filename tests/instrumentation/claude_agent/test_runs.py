# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Runs, steps and tool calls of ``query`` and ``ClaudeSDKClient``."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from claude_agent_sdk import (
    AgentDefinition,
    ClaudeSDKClient,
    HookMatcher,
    PermissionResultAllow,
    ResultMessage,
    create_sdk_mcp_server,
    query,
    tool,
)
from claude_model import call, results, text, turns
from opentelemetry import trace

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

REFUND = "mcp__shop__create_refund"


async def allow(*_: Any) -> PermissionResultAllow:
    return PermissionResultAllow()


async def prompts(*texts: str) -> AsyncIterator[dict[str, Any]]:
    for said in texts:
        yield {"type": "user", "message": {"role": "user", "content": said}}


def test_steps_and_calls_of_a_query(telemetry: Any, model: Any, options: Any) -> None:
    async def main() -> list[Any]:
        given = options(
            allowed_tools=[REFUND, "Bash"],
            metadata={
                "gen_ai.agent.name": "refund-agent",
                "runrecord.run.autonomy": "draft",
                "runrecord.principal.ref": "u-1",
                "runrecord.principal.type": "user",
                "runrecord.version.agent": "v7",
            },
        )
        with telemetry.tracer_provider.get_tracer("app").start_as_current_span("request"):
            return [message async for message in query(prompt="planted prompt", options=given)]

    model.script = turns(
        [
            text("a"),
            call("toolu_1", REFUND, amount=80),
            call("toolu_2", "Bash", command="echo planted", description="d"),
        ],
        [call("toolu_3", REFUND, amount=-1)],
        [text("Done.")],
    )
    (result,) = [message for message in asyncio.run(main()) if isinstance(message, ResultMessage)]
    assert not result.is_error
    run = telemetry.one("invoke_agent refund-agent")
    assert run.parent.span_id == telemetry.one("request").context.span_id
    assert run.attributes["runrecord.run.outcome"] == "success"
    assert run.attributes["runrecord.run.autonomy"] == "draft"
    assert run.attributes["runrecord.principal.ref"] == "u-1"
    assert run.attributes["runrecord.version.agent"] == "v7"
    assert run.attributes["gen_ai.conversation.id"] == result.session_id
    steps = sorted(telemetry.named("agent_step"), key=lambda span: span.attributes["runrecord.step.index"])
    assert [span.attributes["runrecord.step.index"] for span in steps] == [0, 1, 2]
    tools = {span.attributes["gen_ai.tool.call.id"]: span for span in telemetry.named("execute_tool")}
    assert [tools[name].parent.span_id for name in ("toolu_1", "toolu_2", "toolu_3")] == [
        steps[0].context.span_id,
        steps[0].context.span_id,
        steps[1].context.span_id,
    ]
    assert tools["toolu_1"].status.status_code.name == "UNSET"
    assert tools["toolu_1"].attributes["gen_ai.tool.name"] == REFUND
    assert tools["toolu_2"].attributes["runrecord.side_effect.type"] == "execute"
    assert tools["toolu_3"].attributes["error.type"] == "tool_error"
    assert tools["toolu_3"].status.status_code.name == "ERROR"
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()


def test_each_prompt_of_a_client_is_a_run(telemetry: Any, options: Any) -> None:
    async def main() -> None:
        async with ClaudeSDKClient(options()) as client:
            for _ in range(2):
                await client.query("planted prompt")
                async for _ in client.receive_response():
                    pass

    asyncio.run(main())
    runs = telemetry.named("invoke_agent")
    assert [run.attributes["runrecord.run.outcome"] for run in runs] == ["success", "success"]
    assert len({run.attributes["runrecord.run.id"] for run in runs}) == 2
    assert len({run.attributes["gen_ai.conversation.id"] for run in runs}) == 1
    telemetry.check_counters()


def test_what_a_tool_of_the_program_does_is_below_its_call(telemetry: Any, model: Any, options: Any) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")
    pool = ThreadPoolExecutor(1)

    @tool("look", "Look.", {"what": str})
    async def look(arguments: dict[str, Any]) -> dict[str, Any]:
        def work() -> None:
            tracer.start_span(f"in a thread {arguments['what']}").end()

        context = contextvars.copy_context()
        await asyncio.get_running_loop().run_in_executor(pool, context.run, work)
        await asyncio.to_thread(work)
        tracer.start_span(f"directly {arguments['what']}").end()
        return {"content": [{"type": "text", "text": "planted result"}]}

    async def watch(*_: Any) -> dict[str, Any]:
        tracer.start_span("in a hook").end()
        return {}

    async def main() -> None:
        server = create_sdk_mcp_server("shop", tools=[look])
        hooks = {"PreToolUse": [HookMatcher(hooks=[watch])]}
        given = options(mcp_servers={"shop": server}, allowed_tools=["mcp__shop"], hooks=hooks)
        async for _ in query(prompt=prompts("planted prompt"), options=given):
            assert trace.get_current_span() is trace.INVALID_SPAN

    model.script = turns(
        [call("toolu_1", "mcp__shop__look", what="1"), call("toolu_2", "mcp__shop__look", what="2")]
    )
    asyncio.run(main())
    pool.shutdown()
    tools = {span.attributes["gen_ai.tool.call.id"]: span for span in telemetry.named("execute_tool")}
    for number in ("1", "2"):
        below = [span for span in telemetry.spans if span.name.endswith(f" {number}")]
        assert len(below) == 3
        assert {span.parent.span_id for span in below} == {tools[f"toolu_{number}"].context.span_id}
    step = telemetry.named("agent_step")[0]
    assert {span.parent.span_id for span in telemetry.named("in a hook")} == {step.context.span_id}


def test_a_sub_agent(telemetry: Any, model: Any, options: Any) -> None:
    def script(request: dict[str, Any]) -> list[Any]:
        if "You are the helper." in str(request["system"]):
            return [text("Helped.")] if results(request) else [call("toolu_in", REFUND, amount=80)]
        if results(request):
            return [text("Done.")]
        name = next(tool["name"] for tool in request["tools"] if tool["name"] in {"Agent", "Task"})
        return [
            call(
                "toolu_out",
                name,
                description="d",
                prompt="planted prompt",
                subagent_type="helper",
                run_in_background=False,
            )
        ]

    async def main() -> None:
        helper = AgentDefinition(description="Helps.", prompt="You are the helper.", background=False)
        given = options(agents={"helper": helper}, can_use_tool=allow)
        async for _ in query(prompt=prompts("planted prompt"), options=given):
            pass

    model.script = script
    asyncio.run(main())
    tools = {span.attributes["gen_ai.tool.call.id"]: span for span in telemetry.named("execute_tool")}
    assert set(tools) == {"toolu_in", "toolu_out"}
    inner = telemetry.one("invoke_agent helper")
    assert inner.parent.span_id == tools["toolu_out"].context.span_id
    assert "runrecord.run.id" not in inner.attributes
    steps = {span.context.span_id: span for span in telemetry.named("agent_step")}
    assert steps[tools["toolu_in"].parent.span_id].parent.span_id == inner.context.span_id
    request = telemetry.one("request_approval")
    assert request.parent.span_id in steps  # an older program asks before it shows what the sub-agent wants
    assert len(telemetry.named("invoke_agent claude-agent")) == 1
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()


def test_ten_runs_at_once(telemetry: Any, model: Any, options: Any) -> None:
    async def one(number: int) -> str:
        given = options(can_use_tool=allow, metadata={"gen_ai.agent.name": f"agent-{number}"})
        found = [m async for m in query(prompt=prompts(f"prompt-{number}."), options=given)]
        return next(m.session_id for m in found if isinstance(m, ResultMessage))

    def script(request: dict[str, Any]) -> list[Any]:
        number = str(request["messages"]).partition("prompt-")[2].partition(".")[0]
        return [text("Done.")] if results(request) else [call(f"toolu_{number}", REFUND, amount=int(number))]

    async def main() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(10)))

    model.script = script
    sessions = asyncio.run(main())
    for number, session in enumerate(sessions):
        run = telemetry.one(f"invoke_agent agent-{number}")
        assert run.attributes["gen_ai.conversation.id"] == session
        mine = [
            span
            for span in telemetry.spans
            if span.attributes["runrecord.run.id"] == run.attributes["runrecord.run.id"]
        ]
        assert {span.context.trace_id for span in mine} == {run.context.trace_id}
        about = {"policy_decision": 1, "request_approval": 1, "approval_decision": 1, "execute_tool": 1}
        kinds = [span.name.partition(" ")[0] for span in mine]
        assert {kind: kinds.count(kind) for kind in about} == about
        for span in mine:
            assert span.attributes.get("gen_ai.tool.call.id", f"toolu_{number}") == f"toolu_{number}"
    telemetry.check_counters()


def test_a_limit_on_the_turns(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])
    ask(options(max_turns=1, allowed_tools=[REFUND]))
    run = telemetry.one("invoke_agent").attributes
    assert run["runrecord.run.outcome"] == "budget_exceeded"
    assert run["runrecord.run.stop_reason"] == "max_turns"
    assert run["runrecord.budget.id"] == "max_turns"
    assert run["runrecord.budget.limit"] == 1.0
    assert run["runrecord.budget.exceeded"] is True


def test_a_limit_on_the_cost(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    model.script = turns([call("toolu_1", REFUND, amount=80)], [text("Done.")])
    ask(options(max_budget_usd=0.000001, allowed_tools=[REFUND]))
    run = telemetry.one("invoke_agent").attributes
    assert run["runrecord.run.outcome"] == "budget_exceeded"
    assert run["runrecord.budget.dimension"] == "cost"
    assert run["runrecord.budget.exceeded"] is True


def test_a_model_that_fails(telemetry: Any, model: Any, options: Any, ask: Any) -> None:
    def script(_: Any) -> Any:
        raise LookupError

    model.script = script
    assert ask(options()).is_error
    run = telemetry.one("invoke_agent")
    assert run.attributes["runrecord.run.outcome"] == "failure"
    assert run.attributes["error.type"] == "api_error"
    assert "planted" not in telemetry.exported_text()
