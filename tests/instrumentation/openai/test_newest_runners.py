# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The SDK's own tool runners: runs with a step a turn, tool calls, approvals and policies, without a change of what they do."""

import asyncio
import contextlib
import json
import threading
from typing import Any

import pytest

pytest.importorskip("openai.lib.responses_tool_runner", reason="this release has no tool runners")

from openai.lib.decisions_tool_runner import AsyncDecisionsToolRunner, DecisionsToolRunner
from openai.lib.responses_tool_runner import (
    AsyncRegisteredFunction,
    AsyncResponsesToolRunner,
    RegisteredFunction,
    ResponsesToolLedger,
    ResponsesToolRunner,
    ToolRunnerCancelledError,
    ToolRunnerError,
)
from opentelemetry import trace as otel

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

DECLARED: Any = {
    "type": "function",
    "name": "lookup",
    "description": "Look up.",
    "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
    "strict": None,
}


def call(order: str = "o-1", call_id: str = "call_1") -> dict[str, Any]:
    return {
        "id": f"fc_{call_id}",
        "type": "function_call",
        "call_id": call_id,
        "name": "lookup",
        "arguments": json.dumps({"order": order}),
        "status": "completed",
    }


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def lookup(arguments: dict[str, object]) -> str:
    with otel.get_tracer_provider().get_tracer("app").start_as_current_span("in the tool"):
        return f"found {arguments['order']}"


async def alookup(arguments: dict[str, object]) -> str:
    await asyncio.sleep(0)
    return lookup(arguments)


def runner(execute: Any = lookup, **kwargs: Any) -> ResponsesToolRunner:
    return ResponsesToolRunner(functions=[RegisteredFunction(DECLARED, execute, **kwargs)])


def params(**more: Any) -> Any:
    return {"model": "m", "input": "hi", "metadata": {"gen_ai.agent.name": "refund-agent"}, **more}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_with_a_tool_call(  # noqa: PLR0917
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool, stream: bool
) -> None:
    server.script(server.response(call()), server.response(server.message()))

    async def main() -> Any:
        async with async_client() as made:
            functions = [AsyncRegisteredFunction(DECLARED, alookup)]
            return await AsyncResponsesToolRunner(functions=functions).run(made, params(), stream=stream)

    lookup.metadata = {"readOnlyHint": True}  # type: ignore[attr-defined]
    alookup.metadata = lookup.metadata  # type: ignore[attr-defined]
    result = asyncio.run(main()) if asynchronous else runner().run(client, params(), stream=stream)
    assert result.output_text == "Done."
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    execute_tool lookup",
        "  agent_step act",
    ]
    tool = telemetry.one("execute_tool")
    assert facts(tool, "tool.read_only", "side_effect.type", "step.index") == [True, "read", 0]
    assert "runrecord.result.digest" in tool.attributes
    run = telemetry.one("invoke_agent")
    assert facts(run, "run.state", "run.outcome", "run.records") == ["completed", "success", 4]
    telemetry.check_counters()


@pytest.mark.parametrize("approve", [True, False])
def test_approve_mcp_is_asked_once_and_recorded(
    telemetry: Any, server: Any, client: Any, approve: bool
) -> None:
    server.script(
        server.response(server.ASKS),
        server.response(*([server.RAN] if approve else []), server.message()),
    )
    asked: list[str] = []

    def approve_mcp(item: Any) -> bool:
        asked.append(item.id)
        return approve

    ResponsesToolRunner().run(client, params(tools=[server.MCP]), approve_mcp=approve_mcp)
    assert asked == ["mcpr_1"]
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    policy_decision require_approval",
        "    request_approval create_refund",
        "    approval_decision create_refund",
        "  agent_step act",
        *(["    execute_tool create_refund"] if approve else []),
    ]
    decision = telemetry.one("approval_decision")
    assert facts(decision, "approval.status", "approval.actor.type") == [
        "approved" if approve else "denied",
        "policy",
    ]
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["success" if approve else "denied"]
    telemetry.check_counters()


def test_no_callback_is_added_where_its_absence_has_a_meaning(
    telemetry: Any, server: Any, client: Any
) -> None:
    server.script(server.response(server.ASKS))
    with pytest.raises(ToolRunnerError, match="requires an application callback"):
        ResponsesToolRunner().run(client, params(tools=[server.MCP]))
    assert telemetry.named("request_approval")
    assert not telemetry.named("approval_decision")
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["failure"]
    telemetry.check_counters()


def test_the_applications_observer_still_hears_everything(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(call()), server.response(server.message()))
    heard: list[Any] = []
    runner().run(client, params(), on_diagnostic=heard.append)
    assert [said["stage"] for said in heard] == ["request", "action", "request"]


def test_a_tool_that_fails(telemetry: Any, server: Any, client: Any) -> None:
    def failing(arguments: dict[str, object]) -> str:
        raise ValueError(f"secret-1 {arguments}")

    server.script(server.response(call()))
    with pytest.raises(ToolRunnerError):
        runner(failing).run(client, params())
    tool = telemetry.one("execute_tool")
    assert [tool.status.status_code.name, tool.attributes["error.type"]] == ["ERROR", "ValueError"]
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["failure"]
    assert "secret-1" not in telemetry.exported_text()
    telemetry.check_counters()


def test_arguments_that_do_not_parse(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response({**call(), "arguments": "{"}))
    with pytest.raises(ToolRunnerError):
        runner().run(client, params())
    assert telemetry.one("execute_tool").attributes["error.type"] == "invalid_arguments"
    telemetry.check_counters()


def test_out_of_steps(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(call()))
    with pytest.raises(ToolRunnerError, match="max_steps"):
        runner().run(client, params(), max_steps=1)
    assert facts(telemetry.one("invoke_agent"), "run.outcome", "run.stop_reason") == [
        "budget_exceeded",
        "max_steps",
    ]
    telemetry.check_counters()


def test_cancelled_by_the_application(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(call()), server.response(server.message()))
    answers = iter([False, False, True])
    with pytest.raises(ToolRunnerError, match="cancelled"):
        runner().run(client, params(), cancelled=lambda: next(answers))
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["cancelled"]
    telemetry.check_counters()


def test_a_cancelled_task(telemetry: Any, server: Any, async_client: Any) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def waits(arguments: dict[str, object]) -> str:
            started.set()
            await asyncio.Event().wait()
            return str(arguments)

        async with async_client() as made:
            functions = [AsyncRegisteredFunction(DECLARED, waits)]
            task = asyncio.create_task(AsyncResponsesToolRunner(functions=functions).run(made, params()))
            await started.wait()
            task.cancel()
            with pytest.raises(ToolRunnerCancelledError):
                await task

    server.script(server.response(call()))
    asyncio.run(main())
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["cancelled"]
    assert telemetry.one("execute_tool").status.status_code.name == "UNSET"
    telemetry.check_counters()


def test_turns_that_are_left(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(call()))
    with contextlib.closing(runner().iterate(client, params())) as turns:
        turn = next(turns)
        assert otel.get_current_span() is otel.INVALID_SPAN  # nothing of ours is current in the application
        assert not turn.final
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["abandoned"]
    assert not telemetry.named("execute_tool")
    telemetry.check_counters()


def test_left_while_a_person_is_asked_and_gone_on_with_by_another_runner(
    telemetry: Any, server: Any, client: Any
) -> None:
    server.script(server.response(server.ASKS), server.response(server.RAN, server.message()))
    with contextlib.closing(ResponsesToolRunner().iterate(client, params(tools=[server.MCP]))) as turns:
        asked = [item.to_dict() for item in next(turns).response.output]
    history = [{"role": "user", "content": "hi"}, *asked, server.YES]
    ResponsesToolRunner().run(
        client, params(input=history, tools=[server.MCP]), approve_mcp=lambda item: item.id == "mcpr_1"
    )
    first, second = telemetry.named("invoke_agent")
    assert facts(first, "run.state", "run.stop_reason") == ["suspended", "approval"]
    assert facts(second, "run.id", "run.segment") == [*facts(first, "run.id"), 1]
    assert len(telemetry.named("request_approval")) == len(telemetry.named("approval_decision")) == 1
    assert facts(telemetry.one("execute_tool"), "approval.id") == facts(
        telemetry.one("request_approval"), "approval.id"
    )
    telemetry.check_counters()


def test_a_runner_that_a_ledger_restores(telemetry: Any, server: Any, client: Any) -> None:
    saved: list[Any] = []
    server.script(
        server.response(call()), (500, {"error": {"message": "gone"}}), server.response(server.message())
    )
    with pytest.raises(ToolRunnerError):
        runner().run(client, params(), ledger=ResponsesToolLedger("job-7", saved.append))
    boundary = [state for state in saved if state["phase"] == "boundary"][-1]
    runner().run(
        client,
        params(input=[{"role": "user", "content": "Go on."}]),
        ledger=ResponsesToolLedger("job-7", saved.append, resume_from=boundary),
    )
    first, second = telemetry.named("invoke_agent")
    assert facts(first, "run.id", "run.segment") == [*facts(second, "run.id"), 0]
    assert facts(second, "run.segment", "run.outcome") == [1, "success"]
    assert first.context.trace_id == second.context.trace_id
    telemetry.check_counters()


def test_tools_in_threads_keep_their_parent(telemetry: Any, server: Any, client: Any) -> None:
    barrier = threading.Barrier(2, timeout=10)

    def meets(arguments: dict[str, object]) -> str:
        barrier.wait()
        return lookup(arguments)

    server.script(
        server.response(call(), call("o-2", "call_2")),
        server.response(server.message()),
    )
    runner(meets, independent=True).run(client, params(), stream=True, eager=True)
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    execute_tool lookup",
        "    execute_tool lookup",
        "  agent_step act",
    ]
    telemetry.check_counters()


def test_ten_at_once_with_no_crossed_ids(telemetry: Any, server: Any, async_client: Any) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if any(item.get("type") == "function_call_output" for item in request["input"]):
            return dict(server.response(server.message()))
        name = request["metadata"]["gen_ai.agent.name"]
        return dict(server.response(call(name, f"call-{name}")))

    async def main() -> None:
        async with async_client() as made:
            await asyncio.gather(
                *(
                    AsyncResponsesToolRunner(functions=[AsyncRegisteredFunction(DECLARED, alookup)]).run(
                        made, params(metadata={"gen_ai.agent.name": f"agent-{number}"})
                    )
                    for number in range(10)
                )
            )

    server.script(answer)
    asyncio.run(main())
    runs = {facts(span, "run.id")[0]: span for span in telemetry.named("invoke_agent")}
    assert len(runs) == 10
    for tool in telemetry.named("execute_tool"):
        run = runs.pop(facts(tool, "run.id")[0])
        assert tool.attributes["gen_ai.tool.call.id"] == f"call-{run.attributes['gen_ai.agent.name']}"
        assert tool.context.trace_id == run.context.trace_id
    assert not runs
    telemetry.check_counters()


def test_within_a_run_by_hand_there_is_no_other_run(
    telemetry: Any, recorder: Any, server: Any, client: Any
) -> None:
    server.script(server.response(call()), server.response(server.message()))
    with recorder.run(agent="outer"):
        runner().run(client, params())
    assert telemetry.tree() == [
        "invoke_agent outer",
        "  agent_step act",
        "    execute_tool lookup",
        "  agent_step act",
    ]
    telemetry.check_counters()


def decided(choice: str) -> dict[str, Any]:
    details = {"cache_write_tokens": 0, "cached_tokens": 0}
    return {
        "id": f"dec_{choice}",
        "object": "decision",
        "created_at": 1_800_000_000,
        "model": "m",
        "answers": [
            {"type": "refusal", "name": "next_action", "refusal": "no"}
            if choice == "refusal"
            else {
                "type": "choice",
                "name": "next_action",
                "choice": choice,
                "confidence": 0.9,
                "probabilities": [],
            }
        ],
        "usage": {
            "input_tokens": 1,
            "output_tokens": 1,
            "total_tokens": 2,
            "input_tokens_details": details,
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


@pytest.mark.parametrize("asynchronous", [False, True])
def test_actions_that_a_decision_selects(
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool
) -> None:
    server.script(decided("refund"), decided("done"))
    done: list[str] = []
    choices: Any = [
        {"id": "refund", "description": "Pay back.", "execute": lambda: done.append("paid")},
        {"id": "done", "description": "Over.", "done": True},
    ]

    async def execute() -> None:
        done.append("paid")

    async def observe() -> str:
        return "seen"

    async def offered(_: Any) -> Any:
        return [{**choices[0], "execute": execute}, choices[1]]

    async def verify(_: Any) -> bool:
        return True

    async def main() -> Any:
        async with async_client() as made:
            made_runner = AsyncDecisionsToolRunner(observe=observe, candidates=offered, verify=verify)
            return await made_runner.run(made, {"model": "m", "input": "hi"})

    if asynchronous:
        result = asyncio.run(main())
    else:
        result = DecisionsToolRunner(
            observe=lambda: "seen", candidates=lambda _: choices, verify=lambda _: True
        ).run(client, {"model": "m", "input": "hi"})
    assert result["status"] == "verified"
    assert done == ["paid"]
    assert telemetry.tree() == [
        "invoke_agent",
        "  agent_step act",
        "    execute_tool refund",
        "  agent_step act",
        "    verify verify",
    ]
    assert facts(telemetry.one("verify"), "verification.outcome") == ["pass"]
    telemetry.check_counters()


def test_a_decision_that_the_model_refuses(telemetry: Any, server: Any, client: Any) -> None:
    server.script(decided("refusal"))
    choices: Any = [
        {"id": "refund", "description": "Pay back.", "execute": lambda: None},
        {"id": "done", "description": "Over.", "done": True},
    ]
    made = DecisionsToolRunner(observe=lambda: "seen", candidates=lambda _: choices)
    assert made.run(client, {"model": "m", "input": "hi"})["status"] == "refused"
    assert facts(telemetry.one("policy_decision refusal"), "decision.outcome") == ["deny"]
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["denied"]
    telemetry.check_counters()
