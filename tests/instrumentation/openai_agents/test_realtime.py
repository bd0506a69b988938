# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Realtime sessions, over the SDK's own scripted transport: approvals, tools, guardrails and handoffs while they go on."""

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    OutputGuardrail,
    Runner,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    function_tool,
)
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession
from agents.realtime.model_events import (
    RealtimeModelExceptionEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from agents.realtime.testing import ScriptedRealtimeModel
from agents.testing import ScriptedModel, assistant_message, function_call
from opentelemetry import trace as otel

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


async def over_50(context: Any, arguments: dict[str, Any], call_id: str) -> bool:
    return bool(arguments["amount"] > 50)


over_50.policy_id = "refunds"  # type: ignore[attr-defined]


@function_tool(needs_approval=over_50)
def refund(amount: float) -> str:
    """Pay back."""
    return "planted-1"


@function_tool(failure_error_function=None)
def failing() -> str:
    """Fail."""
    raise ValueError("planted-2")


def call(amount: float, call_id: str) -> Any:
    return RealtimeModelToolCallEvent("refund", call_id, json.dumps({"amount": float(amount)}))


def agent(**kwargs: Any) -> RealtimeAgent[Any]:
    return RealtimeAgent(name="voice-agent", **{"tools": [refund, failing], **kwargs})


class Talk:
    """A session, its transport, and its events as they come."""

    def __init__(self, session: RealtimeSession, model: ScriptedRealtimeModel) -> None:
        self.session, self.model, self.events = session, model, []  # type: ignore[var-annotated]
        self.changed = asyncio.Event()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.session:
            self.events.append(event.type)
            self.changed.set()

    async def until(self, kind: str, times: int = 1) -> None:
        """Wait for an event of the session."""
        while self.events.count(kind) < times:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 10)


def talk(steps: Callable[[Talk], Any], starting: Any = None, **config: Any) -> list[str]:
    """Run a session with ``steps`` inside, and return its events."""

    async def main() -> list[str]:
        model = ScriptedRealtimeModel(strict=False)
        runner = RealtimeRunner(starting or agent(), model=model, config=config or None)  # type: ignore[arg-type]
        async with await runner.run() as session:
            talk = Talk(session, model)
            assert otel.get_current_span() is otel.INVALID_SPAN
            await steps(talk)
        await asyncio.gather(talk.reading, return_exceptions=True)
        return talk.events

    return asyncio.run(main())


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("approve", [True, False])
def test_a_call_that_is_asked_about(telemetry: Any, approve: bool, background: bool) -> None:
    async def steps(talk: Talk) -> None:
        await talk.model.emit(RealtimeModelTurnStartedEvent(), call(80, "c1"))
        await talk.until("tool_approval_required")
        await talk.model.emit(RealtimeModelTurnEndedEvent())
        telemetry.now += 60
        decide = talk.session.approve_tool_call if approve else talk.session.reject_tool_call
        await decide("c1")
        await talk.until("tool_end")

    tracing = {"group_id": "thread-7", "metadata": {"runrecord.approval.actor.ref": "u-17"}}
    talk(steps, async_tool_calls=background, model_settings={"tracing": tracing})
    request, decision = telemetry.one("request_approval refund"), telemetry.one("approval_decision refund")
    policy, run = telemetry.one("policy_decision refunds"), telemetry.one("invoke_agent voice-agent")
    assert run.attributes["gen_ai.conversation.id"] == "thread-7"
    assert facts(run, "run.outcome", "run.state") == ["success" if approve else "denied", "completed"]
    assert facts(policy, "decision.outcome", "subject.id") == ["require_approval", "c1"]
    status = ["approved" if approve else "denied", "human", "u-17", "once", 60.0]
    names = ("status", "actor.type", "actor.ref", "scope", "wait_seconds")
    assert facts(decision, *(f"approval.{name}" for name in names)) == status
    assert decision.links[0].context.span_id == request.context.span_id
    digests = {*facts(request, "approval.subject.digest"), *facts(decision, "approval.subject.digest")}
    if approve:
        tool = telemetry.one("execute_tool refund")
        assert facts(tool, "approval.id") == facts(request, "approval.id")
        digests.update(facts(tool, "arguments.digest"))
    else:
        assert not telemetry.named("execute_tool")
    assert digests == {*facts(policy, "subject.digest")}
    assert {span.attributes["runrecord.run.id"] for span in telemetry.spans} == {"id-1"}
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()


def test_calls_below_the_limit_and_an_answer_for_always(telemetry: Any) -> None:
    async def steps(talk: Talk) -> None:
        await talk.model.emit(call(20, "c1"))
        await talk.until("tool_end")
        await talk.model.emit(call(80, "c2"))
        await talk.until("tool_approval_required")
        await talk.model.emit(call(80, "c2"))  # the transport says it again
        await talk.session.approve_tool_call("c2", always=True)
        await talk.until("tool_end", 2)
        await talk.model.emit(call(90, "c3"))
        await talk.until("tool_end", 3)

    talk(steps)
    decided = [
        facts(span, "subject.id", "decision.outcome", "decision.reason_code")
        for span in telemetry.named("policy_decision")
    ]
    assert decided == [
        ["c1", "allow", None],
        ["c2", "require_approval", None],
        ["c3", "allow", "always_approved"],
    ]
    assert telemetry.one("request_approval")
    assert facts(telemetry.one("approval_decision"), "approval.scope") == ["session"]
    assert len(telemetry.named("execute_tool")) == 3
    telemetry.check_counters()


def test_what_nobody_answered_is_withdrawn_when_the_session_ends(telemetry: Any) -> None:
    async def steps(talk: Talk) -> None:
        await talk.model.emit(call(80, "c1"))
        await talk.until("tool_approval_required")

    talk(steps)
    decision = telemetry.one("approval_decision refund")
    assert facts(decision, "approval.status", "approval.reason_code") == ["cancelled", "session_closed"]
    telemetry.check_counters()


def test_turns_and_handoffs_are_steps(telemetry: Any) -> None:
    async def steps(talk: Talk) -> None:
        await talk.model.emit(RealtimeModelTurnStartedEvent())
        await talk.model.emit(RealtimeModelToolCallEvent("transfer_to_biller", "h", "{}"))
        await talk.until("handoff")
        await talk.model.emit(RealtimeModelTurnEndedEvent(), RealtimeModelTurnStartedEvent())
        await talk.model.emit(call(1, "c1"))
        await talk.until("tool_end")
        await talk.model.emit(RealtimeModelTurnEndedEvent())

    biller = RealtimeAgent(name="biller", tools=[refund])
    talk(steps, agent(handoffs=[biller]))
    assert telemetry.tree() == [
        "invoke_agent voice-agent",
        "  agent_step act",
        "    agent_step handoff",
        "  agent_step act",
        "    policy_decision refunds",
        "    execute_tool refund",
    ]
    telemetry.check_counters()


def test_guardrails(telemetry: Any) -> None:
    async def steps(talk: Talk) -> None:
        await talk.model.emit(RealtimeModelTurnStartedEvent(), call(1, "c1"))
        await talk.until("tool_end")
        await talk.model.emit(RealtimeModelTranscriptDeltaEvent("i", "planted-3", "r"))
        await talk.until("guardrail_tripped")

    rejecting = function_tool(
        lambda amount: "paid",
        name_override="refund",
        description_override="Pay back.",
        strict_mode=False,
        tool_input_guardrails=[
            ToolInputGuardrail(lambda _: ToolGuardrailFunctionOutput.reject_content("no"), name="limit")
        ],
    )
    tone = OutputGuardrail(
        lambda *_: GuardrailFunctionOutput(output_info=None, tripwire_triggered=True), name="tone"
    )
    talk(
        steps,
        agent(tools=[rejecting], output_guardrails=[tone]),
        guardrails_settings={"debounce_text_length": 1},
    )
    assert [
        facts(span, "policy.id", "subject.type", "decision.outcome", "decision.action")
        for span in telemetry.named("policy_decision")
    ] == [["limit", "tool_call", "deny", "block"], ["tone", "model_output", "deny", "block"]]
    assert not telemetry.named("execute_tool")
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("what", ["tool", "transport"])
def test_a_session_that_fails(telemetry: Any, what: str) -> None:
    async def steps(talk: Talk) -> None:
        if what == "tool":
            await talk.model.emit(RealtimeModelToolCallEvent("failing", "c1", "{}"))
        else:
            await talk.model.emit(RealtimeModelExceptionEvent(ConnectionError("planted-4")))
        await asyncio.wait([talk.reading], timeout=10)

    talk(steps)
    run = telemetry.one("invoke_agent")
    assert facts(run, "run.outcome") == ["failure"]
    assert run.status.status_code is otel.StatusCode.ERROR
    assert len(telemetry.named("execute_tool")) == (what == "tool")
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_session_that_could_not_connect(telemetry: Any) -> None:
    async def main() -> None:
        model = ScriptedRealtimeModel(connect_error=ConnectionError("planted-5"))
        with pytest.raises(ConnectionError):
            await (await RealtimeRunner(agent(), model=model).run()).enter()

    asyncio.run(main())
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["failure"]
    assert "planted" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_session_that_is_forgotten_is_abandoned(telemetry: Any) -> None:
    async def main() -> None:
        model = ScriptedRealtimeModel(strict=False)
        session = await (await RealtimeRunner(agent(), model=model).run()).enter()
        model.remove_listener(session)

    asyncio.run(main())
    gc.collect()
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["abandoned"]
    telemetry.check_counters()


def test_a_session_inside_of_a_run_works_and_is_not_recorded(
    telemetry: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @function_tool
    async def speak() -> str:
        """Speak."""
        async with await RealtimeRunner(agent(), model=ScriptedRealtimeModel(strict=False)).run():
            return "spoken"

    said = [[function_call("speak", "{}", call_id="c1")], [assistant_message("Done.")]]
    Runner.run_sync(Agent(name="a", model=ScriptedModel(said), tools=[speak]), "hi")
    assert telemetry.one("invoke_agent").name == "invoke_agent a"
    assert "a realtime session that a run opens is not recorded" in caplog.text
    telemetry.check_counters()


def test_ten_sessions_at_once_do_not_mix(telemetry: Any) -> None:
    async def one(number: int) -> None:
        model = ScriptedRealtimeModel(strict=False)
        async with await RealtimeRunner(agent(), model=model).run() as session:
            talk = Talk(session, model)
            await model.emit(RealtimeModelTurnStartedEvent(), call(80 + number, f"c{number}"))
            await talk.until("tool_approval_required")
            await session.approve_tool_call(f"c{number}")
            await talk.until("tool_end")
        await talk.reading

    async def main() -> None:
        await asyncio.gather(*(one(number) for number in range(10)))

    asyncio.run(main())
    by_id = {span.context.span_id: span for span in telemetry.spans}
    assert len(telemetry.named("invoke_agent")) == len(telemetry.named("execute_tool")) == 10
    for tool in telemetry.named("execute_tool"):
        step = by_id[tool.parent.span_id]
        run = by_id[step.parent.span_id]
        assert facts(tool, "run.id") == facts(step, "run.id") == facts(run, "run.id")
    telemetry.check_counters()


def test_the_session_does_the_same_without_us(instrumented: Any) -> None:
    async def steps(talk: Talk) -> None:
        await talk.model.emit(RealtimeModelTurnStartedEvent(), call(80, "c1"), call(90, "c2"))
        await talk.until("tool_approval_required", 2)
        await talk.session.approve_tool_call("c1")
        await talk.session.reject_tool_call("c2")
        await talk.until("tool_end", 2)

    with_us = talk(steps, async_tool_calls=False)
    before = RealtimeSession.__dict__["close"]
    instrumented.uninstrument()
    assert RealtimeSession.__dict__["close"] is not before
    assert talk(steps, async_tool_calls=False) == with_us
