# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tools of every kind that runs here: their approvals, their spans, and the threads that they run in."""

import asyncio
import json
import threading
from typing import Any

import pytest
from agents import (
    Agent,
    ApplyPatchTool,
    CustomTool,
    MaxTurnsExceeded,
    Runner,
    RunState,
    ShellTool,
    SQLiteSession,
    function_tool,
)
from agents.run_error_handlers import RunErrorHandlerResult
from agents.testing import ScriptedModel, assistant_message, function_call
from openai.types.responses import ResponseApplyPatchToolCall
from openai.types.responses.response_apply_patch_tool_call import OperationCreateFile
from openai.types.responses.response_custom_tool_call import ResponseCustomToolCall
from openai.types.responses.response_function_shell_tool_call import Action, ResponseFunctionShellToolCall
from opentelemetry import trace as otel

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

DONE = [assistant_message("Done.")]
KINDS = ("custom", "shell", "apply_patch")


class Editor:
    """Accepts every patch and writes nothing."""

    def create_file(self, operation: Any) -> None: ...
    def update_file(self, operation: Any) -> None: ...
    def delete_file(self, operation: Any) -> None: ...


def made(kind: str, **approval: Any) -> tuple[Any, Any]:
    """A tool of a kind, and a call of it."""
    if kind == "shell":
        tool: Any = ShellTool(executor=lambda request: "planted-1", **approval)
        action = Action(commands=["echo planted-2"])
        call: Any = ResponseFunctionShellToolCall(
            id="k", call_id="k", action=action, status="completed", type="shell_call"
        )
    elif kind == "apply_patch":
        tool = ApplyPatchTool(editor=Editor(), **approval)
        operation = OperationCreateFile(diff="+planted-2\n", path="planted-3", type="create_file")
        call = ResponseApplyPatchToolCall(
            id="k", call_id="k", operation=operation, status="completed", type="apply_patch_call"
        )
    else:

        async def search(context: Any, text: str) -> str:
            return "planted-1"

        tool = CustomTool("grep", "Search.", search, **approval)
        call = ResponseCustomToolCall(
            id="k", call_id="k", name="grep", input="planted-2", type="custom_tool_call"
        )
    return tool, call


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("asked", ["callback", "person"])
def test_a_call_that_is_asked_about(telemetry: Any, kind: str, approve: bool, asked: str) -> None:
    async def on_approval(context: Any, item: Any) -> Any:
        return {"approve": approve, "reason": "planted-4"}

    callback = {"on_approval": on_approval} if asked == "callback" else {}
    tool, call = made(kind, needs_approval=True, **callback)
    agent = Agent(name="a", model=ScriptedModel([[call], DONE]), tools=[tool])
    result = Runner.run_sync(agent, "hi")
    if asked == "person":
        saved = json.loads(json.dumps(result.to_state().to_json()))
        state = asyncio.get_event_loop().run_until_complete(RunState.from_json(agent, saved))
        decide = state.approve if approve else state.reject
        decide(state.get_interruptions()[0])
        result = Runner.run_sync(agent, state)
    assert result.final_output == "Done."
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    policy = telemetry.one("policy_decision needs_approval")
    assert facts(policy, "decision.outcome") == ["require_approval"]
    assert facts(decision, "approval.status", "approval.actor.type") == [
        "approved" if approve else "denied",
        "policy" if asked == "callback" else "human",
    ]
    digests = {
        *facts(request, "approval.subject.digest"),
        *facts(decision, "approval.subject.digest"),
        *facts(policy, "subject.digest"),
    }
    assert None not in digests
    ran = telemetry.named("execute_tool")
    assert len(ran) == approve
    for span in ran:
        assert facts(span, "approval.id") == facts(request, "approval.id")
        digests.update(facts(span, "arguments.digest"))
    assert len(digests) == 1
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_that_lets_a_call_through(telemetry: Any, kind: str) -> None:
    async def never(*_: Any) -> bool:
        return False

    tool, call = made(kind, needs_approval=never)
    Runner.run_sync(Agent(name="a", model=ScriptedModel([[call], DONE]), tools=[tool]), "hi")
    policy = telemetry.one("policy_decision never")
    assert facts(policy, "decision.outcome", "subject.id") == ["allow", "k"]
    assert facts(policy, "subject.digest") == facts(telemetry.one("execute_tool"), "arguments.digest")
    telemetry.check_counters()


def test_tools_in_threads_keep_their_parent(telemetry: Any) -> None:
    threads: set[int] = set()
    barrier = threading.Barrier(5)

    def work(number: int) -> str:
        """Work in a thread."""
        barrier.wait(timeout=30)  # all five at once
        threads.add(threading.get_ident())
        with telemetry.tracer_provider.get_tracer("app").start_as_current_span(f"SELECT {number}"):
            return "worked"

    calls = [function_call("work", json.dumps({"number": n}), call_id=f"c{n}") for n in range(5)]
    agent = Agent(name="a", model=ScriptedModel([calls, DONE]), tools=[function_tool(work)])
    Runner.run_sync(agent, "hi")
    assert len(threads) == 5
    assert threading.get_ident() not in threads
    by_id = {span.context.span_id: span for span in telemetry.spans}
    for number in range(5):
        parent = by_id[telemetry.one(f"SELECT {number}").parent.span_id]
        assert parent.attributes["gen_ai.tool.call.id"] == f"c{number}"
    telemetry.check_counters()


def test_ten_runs_at_once_wait_and_go_on_without_mixing(telemetry: Any) -> None:
    @function_tool(needs_approval=True)
    def refund(amount: float) -> str:
        """Pay back."""
        return "paid"

    async def one(number: int) -> None:
        call = function_call("refund", json.dumps({"amount": float(number)}), call_id="same_id")
        agent = Agent(name=f"agent-{number}", model=ScriptedModel([[call], DONE]), tools=[refund])
        first = await Runner.run(agent, "hi")
        state = await RunState.from_json(agent, json.loads(json.dumps(first.to_state().to_json())))
        decide = state.approve if number % 2 else state.reject
        decide(state.get_interruptions()[0])
        await Runner.run(agent, state)

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(10)))

    asyncio.run(main())
    runs: dict[str, list[Any]] = {}
    for span in telemetry.spans:
        runs.setdefault(span.attributes["runrecord.run.id"], []).append(span)
    assert len(runs) == 10
    for spans in runs.values():
        (name,) = {span.name.split()[1] for span in spans if span.name.startswith("invoke_agent")}
        approved = int(name.removeprefix("agent-")) % 2
        (request,) = [span for span in spans if span.name.startswith("request_approval")]
        (decision,) = [span for span in spans if span.name.startswith("approval_decision")]
        assert facts(decision, "approval.status") == ["approved" if approved else "denied"]
        assert decision.links[0].context.span_id == request.context.span_id
        ran = [span for span in spans if span.name.startswith("execute_tool")]
        assert [facts(span, "arguments.digest") for span in ran] == (
            [facts(request, "approval.subject.digest")] if approved else []
        )
    telemetry.check_counters()


def test_an_approved_agent_that_asks_again_inside(telemetry: Any) -> None:
    @function_tool(needs_approval=True)
    def refund(amount: float) -> str:
        """Pay back."""
        return "paid"

    call = function_call("refund", '{"amount": 80.0}', call_id="inner_call")
    inner = Agent(name="inner", model=ScriptedModel([[call], DONE]), tools=[refund])
    outer_call = function_call("ask", '{"input": "x"}', call_id="outer_call")
    outer = Agent(
        name="outer",
        model=ScriptedModel([[outer_call], DONE]),
        tools=[inner.as_tool("ask", "Ask.", needs_approval=True)],
    )
    result = Runner.run_sync(outer, "hi")
    for _ in range(2):
        state = result.to_state()
        state.approve(result.interruptions[0])
        result = Runner.run_sync(outer, state)
    assert result.final_output == "Done."
    asked = {span.attributes["runrecord.subject.id"]: span for span in telemetry.named("request_approval")}
    assert sorted(asked) == ["inner_call", "outer_call"]
    assert len(telemetry.named("approval_decision")) == len(telemetry.named("request_approval")) == 2
    for span in telemetry.named("execute_tool"):
        request = asked[span.attributes["gen_ai.tool.call.id"]]
        assert facts(span, "approval.id") == facts(request, "approval.id")
    segments = sorted(
        facts(s, "run.segment")[0]
        for s in telemetry.named("invoke_agent outer")
        if facts(s, "run.segment") != [None]
    )
    assert segments == [0, 1, 2]
    telemetry.check_counters()


@pytest.mark.parametrize("handled", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
def test_the_limit_of_turns_is_a_budget(telemetry: Any, handled: bool, streamed: bool) -> None:
    @function_tool
    def look() -> str:
        """Look."""
        return "seen"

    async def main() -> None:
        handlers: Any = {"max_turns": lambda _: RunErrorHandlerResult(final_output="enough")}
        options: Any = {"max_turns": 2, **({"error_handlers": handlers} if handled else {})}
        if not streamed:
            await Runner.run(agent, "hi", **options)
            return
        async for _ in Runner.run_streamed(agent, "hi", **options).stream_events():
            pass

    calls = [[function_call("look", "{}", call_id=f"c{n}")] for n in range(3)]
    agent = Agent(name="a", model=ScriptedModel(calls), tools=[look])
    if handled:
        asyncio.run(main())
    else:
        with pytest.raises(MaxTurnsExceeded):
            asyncio.run(main())
    run = telemetry.one("invoke_agent")
    assert run.status.status_code is otel.StatusCode.UNSET
    if handled:
        assert facts(run, "run.outcome") == ["success"]  # the application's answer is the run's
        return
    assert facts(run, "run.outcome", "run.stop_reason") == ["budget_exceeded", "max_turns"]
    names = ("id", "dimension", "limit", "consumed", "exceeded", "action")
    assert facts(run, *(f"budget.{name}" for name in names)) == [
        "max_turns",
        "model_calls",
        2.0,
        2.0,
        True,
        "stop",
    ]
    telemetry.check_counters()


def test_runs_of_a_session_are_one_conversation(telemetry: Any) -> None:
    session = SQLiteSession("thread-7")
    for _ in range(2):
        Runner.run_sync(Agent(name="a", model=ScriptedModel([DONE])), "hi", session=session)
    session.close()
    runs = telemetry.named("invoke_agent")
    assert {span.attributes["gen_ai.conversation.id"] for span in runs} == {"thread-7"}
    assert len({span.attributes["runrecord.run.id"] for span in runs}) == 2
