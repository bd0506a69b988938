# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Requests and decisions over segments: joined by key and digest, each once, whoever answers and however it is asked."""

import asyncio
from typing import Any

import pytest
from pydantic_ai import (
    Agent,
    ApprovalRequired,
    CallDeferred,
    DeferredToolRequests,
    DeferredToolResults,
    ModelMessagesTypeAdapter,
    RunContext,
    Tool,
    ToolApproved,
    ToolDenied,
    UserError,
)
from pydantic_ai.toolsets import FunctionToolset

from runrecord.instrumentation import MemoryContextStore

pytestmark = [pytest.mark.sdk]

POLICY = {
    "runrecord.policy.id": "refunds",
    "runrecord.policy.version": "14",
    "runrecord.policy.rule.id": "all",
}
HAS_ANSWERED_BY = hasattr(DeferredToolResults(), "answered_by")


def refund(amount: float, currency: str = "USD") -> str:
    """Pay back."""
    return "paid"


def agent(model: Any, *tools: Any, **options: Any) -> Agent[Any, Any]:
    tools = tools or (Tool(refund, requires_approval=True, metadata=POLICY),)
    return Agent(model, name="refund-agent", tools=tools, output_type=[str, DeferredToolRequests], **options)


def by_start(spans: list[Any]) -> list[Any]:
    return sorted(spans, key=lambda span: span.start_time)


def history(result: Any) -> Any:
    """The message history as another process gets it."""
    return ModelMessagesTypeAdapter.validate_json(result.all_messages_json())


def go_on(program: Any, first: Any, answer: Any, **options: Any) -> Any:
    (waiting,) = first.output.approvals
    results = DeferredToolResults(approvals={waiting.tool_call_id: answer}, **options)
    return program.run_sync(message_history=history(first), deferred_tool_results=results)


def who(actor: str) -> dict[str, Any]:
    if HAS_ANSWERED_BY:
        return {"answered_by": {"call_1": actor}}
    return {"metadata": {"call_1": {"runrecord.approval.actor.ref": actor}}}


@pytest.fixture
def waiting_agent(scripted: Any, call: Any) -> Agent[Any, Any]:
    """An agent that waits for a refund of 80, and then is done."""
    return agent(scripted([call("refund", amount=80)], "Done."))


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("answer", [True, False])
def test_a_run_that_waits_and_goes_on(
    telemetry: Any, waiting_agent: Any, facts: Any, answer: bool, streamed: bool
) -> None:
    async def run(*given: Any, **options: Any) -> Any:
        if not streamed:
            return await program.run(*given, **options)
        async with program.run_stream(*given, **options) as result:
            result.output = await result.get_output()
            return result

    async def main() -> None:
        first = await run("hi", conversation_id="thread-7")
        telemetry.now += 60
        (waiting,) = first.output.approvals
        results = DeferredToolResults(approvals={waiting.tool_call_id: answer}, **who("u-17"))
        await run(message_history=history(first), deferred_tool_results=results)

    program = waiting_agent
    asyncio.run(main())
    executed = ["      execute_tool refund"] if answer else []
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
    assert facts(waiting, "run.segment", "run.state", "run.outcome", "run.stop_reason") == [
        0,
        "suspended",
        None,
        "approval",
    ]
    assert facts(going_on, "run.segment", "run.state", "run.outcome") == [
        1,
        "completed",
        "success" if answer else "denied",
    ]
    assert waiting.attributes["runrecord.run.id"] == going_on.attributes["runrecord.run.id"]
    assert going_on.links[0].context.span_id == waiting.context.span_id
    policy = telemetry.one("policy_decision")
    assert facts(policy, "policy.version", "policy.rule.id", "policy.engine", "decision.outcome") == [
        "14",
        "all",
        "sdk",
        "require_approval",
    ]
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert decision.links[0].context.span_id == request.context.span_id
    assert facts(
        decision, "approval.status", "approval.actor.type", "approval.actor.ref", "approval.scope"
    ) == [
        "approved" if answer else "denied",
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
    if answer:
        tool = telemetry.one("execute_tool")
        digests.update(facts(tool, "arguments.digest"))
        assert facts(tool, "approval.id") == facts(request, "approval.id")
    assert len(digests) == 1
    first_step, resumed_step, _ = by_start(telemetry.named("agent_step"))
    assert facts(first_step, "step.index", "step.attempt") == [0, None]
    assert facts(resumed_step, "step.index", "step.attempt") == [0, 2]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_an_answer_with_other_arguments_is_a_modification(
    telemetry: Any, scripted: Any, call: Any, facts: Any
) -> None:
    program = agent(scripted([call("refund", amount=80)], "Done."))
    go_on(program, program.run_sync("hi"), ToolApproved(override_args={"amount": 40}))
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    tool = telemetry.one("execute_tool")
    assert facts(decision, "approval.status", "approval.subject.digest") == [
        "modified",
        *facts(request, "approval.subject.digest"),
    ]
    assert facts(decision, "approval.subject.modified_digest") == facts(tool, "arguments.digest")
    assert facts(tool, "arguments.digest") != facts(request, "approval.subject.digest")
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_a_denial_with_a_message_leaves_the_message_out(
    telemetry: Any, scripted: Any, call: Any, facts: Any
) -> None:
    program = agent(scripted([call("refund", amount=80)], "Done."))
    metadata = {
        "call_1": {
            "runrecord.approval.actor.type": "delegate",
            "runrecord.approval.reason_code": "too_much",
            "runrecord.approval.channel": "chat",
            "runrecord.approval.scope": "session",
            "note": "planted-1",
        }
    }
    go_on(program, program.run_sync("hi"), ToolDenied("planted-1"), metadata=metadata)
    assert facts(
        telemetry.one("approval_decision"),
        "approval.status",
        "approval.actor.type",
        "approval.reason_code",
        "approval.channel",
        "approval.scope",
    ) == ["denied", "delegate", "too_much", "chat", "session"]
    assert "planted-1" not in telemetry.exported_text()


@pytest.mark.usefixtures("instrumented")
@pytest.mark.breaks("subject-digest-differs")  # which is how a reader sees it
@pytest.mark.parametrize("change", ["in place", "another"])
def test_a_hook_that_changes_what_was_approved_shows_in_the_digest(
    telemetry: Any, scripted: Any, call: Any, facts: Any, change: str
) -> None:
    from pydantic_ai.capabilities import Hooks

    def pay(order: dict[str, float]) -> str:
        """Pay."""
        return "paid"

    async def more(ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
        if change == "in place":
            args["order"]["amount"] = 8000.0
            return args
        return {"order": {"amount": 8000.0}}

    hooks: Any = Hooks(before_tool_execute=more)
    program = agent(
        scripted([call("pay", order={"amount": 80})], "Done."),
        Tool(pay, requires_approval=True),
        capabilities=[hooks],
    )
    go_on(program, program.run_sync("hi"), True)
    request, tool = telemetry.one("request_approval"), telemetry.one("execute_tool")
    assert facts(request, "approval.subject.digest") != facts(tool, "arguments.digest")
    assert facts(request, "approval.id") == facts(tool, "approval.id")


@pytest.mark.usefixtures("instrumented")
def test_a_tool_that_asks_for_approval_itself(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    def choosy(context: RunContext[Any], amount: float) -> str:
        """Pay back."""
        if amount > 50 and not context.tool_call_approved:
            raise ApprovalRequired(
                {
                    **POLICY,
                    "runrecord.approval.deadline": "2027-01-15T12:00:00Z",
                    "runrecord.approval.channel": "console",
                    "why": "planted-1",
                }
            )
        return "paid"

    program = agent(scripted([call("choosy", amount=80)], "Done."), choosy)
    go_on(program, program.run_sync("hi"), True)
    policy, request = telemetry.one("policy_decision"), telemetry.one("request_approval")
    assert facts(policy, "policy.id", "policy.engine", "decision.outcome") == [
        "refunds",
        "custom",
        "require_approval",
    ]
    assert facts(request, "approval.deadline", "approval.channel") == ["2027-01-15T12:00:00Z", "console"]
    asked, executed = by_start(telemetry.named("execute_tool"))
    assert facts(asked, "result.digest", "approval.id", "side_effect.committed") == [None, None, False]
    assert policy.parent.span_id == asked.context.span_id  # it was decided in there
    assert facts(executed, "approval.id") == facts(request, "approval.id")
    assert {*facts(request, "approval.subject.digest")} == {*facts(executed, "arguments.digest")}
    assert "planted-1" not in telemetry.exported_text()
    telemetry.check_counters()


def over_50(context: Any, definition: Any, arguments: dict[str, Any]) -> bool:
    return bool(arguments["amount"] > 50)


over_50.policy_id = "refunds"  # type: ignore[attr-defined]
over_50.policy_version = "14"  # type: ignore[attr-defined]
over_50.policy_rule = "over_50_usd"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("instrumented")
def test_a_toolset_with_a_rule_of_its_own(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    asked: list[float] = []

    def rule(context: Any, definition: Any, arguments: dict[str, Any]) -> bool:
        asked.append(arguments["amount"])
        return over_50(context, definition, arguments)

    vars(rule).update(vars(over_50))
    model = scripted([call("refund", "call_0", amount=20)], [call("refund", amount=80)], "Done.")
    program = Agent(
        model,
        name="refund-agent",
        toolsets=[FunctionToolset([refund]).approval_required(rule)],
        output_type=[str, DeferredToolRequests],
    )
    go_on(program, program.run_sync("hi"), True)
    assert asked == [20.0, 80.0]  # by the SDK, not by us
    allowed, needed = by_start(telemetry.named("policy_decision"))
    for policy, outcome, call_id in ((allowed, "allow", "call_0"), (needed, "require_approval", "call_1")):
        assert facts(policy, "policy.id", "policy.version", "policy.rule.id") == [
            "refunds",
            "14",
            "over_50_usd",
        ]
        assert facts(policy, "decision.outcome", "subject.id") == [outcome, call_id]
    ran, asked_for, ran_too = by_start(telemetry.named("execute_tool"))
    assert [facts(span, "side_effect.committed")[0] for span in (ran, asked_for, ran_too)] == [
        None,
        False,
        None,
    ]
    assert allowed.parent.span_id == ran.context.span_id
    assert needed.parent.span_id == asked_for.context.span_id
    assert facts(allowed, "subject.digest") == facts(ran, "arguments.digest")
    assert facts(needed, "subject.digest") == facts(ran_too, "arguments.digest")
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_two_requests_of_one_turn(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    def look_up() -> str:
        """Look up."""
        return "x"

    model = scripted(
        [call("refund", "a", amount=80), call("look_up", "b"), call("refund", "c", amount=90)], "Done."
    )
    program = agent(model, Tool(refund, requires_approval=True), look_up)
    first = program.run_sync("hi")
    assert [waiting.tool_call_id for waiting in first.output.approvals] == ["a", "c"]
    program.run_sync(
        message_history=history(first),
        deferred_tool_results=DeferredToolResults(approvals={"a": True, "c": False}),
    )
    assert len(telemetry.named("request_approval")) == 2
    status = {
        span.attributes["runrecord.subject.id"]: span.attributes["runrecord.approval.status"]
        for span in telemetry.named("approval_decision")
    }
    assert status == {"a": "approved", "c": "denied"}
    last = by_start(telemetry.named("invoke_agent"))[-1]
    assert facts(last, "run.outcome") == ["success"]  # the same tool did what it was asked for
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_answers_that_the_sdk_refuses_are_recorded_when_it_takes_them(
    telemetry: Any, scripted: Any, call: Any, facts: Any
) -> None:
    program = agent(scripted([call("refund", "a", amount=80), call("refund", "c", amount=90)], "Done."))
    first = program.run_sync("hi")

    def answered(**approvals: Any) -> Any:
        results = DeferredToolResults(approvals=approvals)
        return program.run_sync(message_history=history(first), deferred_tool_results=results)

    with pytest.raises(UserError):
        answered(a=True)
    assert not telemetry.named("approval_decision")
    answered(a=True, c=True)
    assert len(telemetry.named("approval_decision")) == 2
    assert len({span.attributes["runrecord.run.id"] for span in telemetry.named("invoke_agent")}) == 1
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_a_run_that_waits_twice(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    program = agent(scripted([call("refund", "a", amount=80)], [call("refund", "b", amount=90)], "Done."))
    second = go_on(program, program.run_sync("hi"), True)
    go_on(program, second, True)
    runs = by_start(telemetry.named("invoke_agent"))
    assert [facts(run, "run.segment", "run.state") for run in runs] == [
        [0, "suspended"],
        [1, "suspended"],
        [2, "completed"],
    ]
    assert len({span.attributes["runrecord.run.id"] for span in telemetry.spans}) == 1
    assert {span.context.trace_id for span in telemetry.spans} == {1}
    assert len(telemetry.named("approval_decision")) == 2
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_the_same_answer_twice_is_one_decision(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    program = agent(scripted([call("refund", amount=80)], "Done."))
    first = program.run_sync("hi")
    for _ in range(2):  # such as when the process that went on has crashed
        go_on(program, first, True)
    assert len(telemetry.named("request_approval")) == 1
    assert len(telemetry.named("approval_decision")) == 1
    assert len(telemetry.named("execute_tool")) == 2  # the SDK did call it twice
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_the_same_call_id_in_another_run_of_the_conversation_is_another_request(
    telemetry: Any, scripted: Any, call: Any, facts: Any
) -> None:
    for amount in (80, 90):
        program = agent(scripted([call("refund", amount=amount)], "Done."))
        go_on(program, program.run_sync("hi", conversation_id="thread-7"), True)
    requests, decisions = telemetry.named("request_approval"), telemetry.named("approval_decision")
    assert len({span.attributes["runrecord.approval.id"] for span in requests}) == 2
    assert [facts(span, "approval.id") for span in decisions] == [
        facts(span, "approval.id") for span in requests
    ]
    assert len({span.attributes["runrecord.run.id"] for span in telemetry.spans}) == 2
    telemetry.check_counters()


def test_without_the_stored_context_the_run_id_the_segment_and_the_digest_still_agree(
    telemetry: Any, instrumented: Any, scripted: Any, call: Any, facts: Any
) -> None:
    program = agent(scripted([call("refund", "a", amount=80)], [call("refund", "b", amount=90)], "Done."))
    first = program.run_sync("hi")
    second = go_on(program, first, True)
    instrumented.uninstrument()
    instrumented.instrument(recorder=telemetry.recorder(store=MemoryContextStore()))
    go_on(program, second, True)
    assert len({span.attributes["runrecord.run.id"] for span in telemetry.spans}) == 1
    assert [facts(span, "run.segment")[0] for span in by_start(telemetry.named("invoke_agent"))] == [0, 1, 2]
    request, decision = telemetry.named("request_approval")[1], telemetry.named("approval_decision")[1]
    assert facts(request, "approval.id", "approval.subject.digest") == facts(
        decision, "approval.id", "approval.subject.digest"
    )
    assert not decision.links


@pytest.mark.usefixtures("instrumented")
def test_a_call_that_another_system_makes_suspends_the_run(
    telemetry: Any, scripted: Any, call: Any, facts: Any
) -> None:
    def ship() -> str:
        """Ship, elsewhere."""
        raise CallDeferred

    program = agent(scripted([call("ship")], "Done."), ship)
    first = program.run_sync("hi")
    results = DeferredToolResults(calls={"call_1": "planted-1"})
    assert program.run_sync(message_history=history(first), deferred_tool_results=results).output == "Done."
    before, after = by_start(telemetry.named("invoke_agent"))
    assert facts(before, "run.state", "run.stop_reason") == ["suspended", "external"]
    assert facts(after, "run.state", "run.outcome", "run.segment") == ["completed", "success", 1]
    assert before.attributes["runrecord.run.id"] == after.attributes["runrecord.run.id"]
    assert after.parent.span_id == before.context.span_id
    assert not telemetry.named("request_approval")
    assert "planted-1" not in telemetry.exported_text()
    telemetry.check_counters()
