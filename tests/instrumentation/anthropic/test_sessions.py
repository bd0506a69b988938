# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Sessions of Managed Agents: turns as runs, permission policies, and confirmations, perhaps of another process."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runrecord.instrumentation.anthropic import AnthropicInstrumentor, approval_key

pytestmark = [pytest.mark.sdk]

SESSION = "sesn_1"
HELLO: Any = {"type": "user.message", "content": [{"type": "text", "text": "secret-content"}]}


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def elsewhere(telemetry: Any) -> AnthropicInstrumentor:
    """As in another process: another recorder, of which only the store is the same."""
    instrumentor = AnthropicInstrumentor()
    instrumentor.instrument(recorder=telemetry.recorder())
    return instrumentor


def answer(asked: dict[str, Any], result: str = "allow") -> Any:
    return {"type": "user.tool_confirmation", "tool_use_id": asked["id"], "result": result}


def result_of(server: Any, asked: dict[str, Any], **fields: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": "secret-content"}]
    found: dict[str, Any] = server.event(
        "agent.tool_result", tool_use_id=asked["id"], content=content, **fields
    )
    return found


def read(client: Any, *send: Any, until: str = "session.status_idle", **options: Any) -> list[str]:
    """Send events, and read what follows until the session is idle; return the types."""
    seen: list[str] = []
    with client.beta.sessions.events.stream(SESSION) as stream:
        if send:
            client.beta.sessions.events.send(SESSION, events=list(send), **options)
        for event in stream:
            seen.append(event.type)
            if event.type == until:
                break
    return seen


def goes_on(server: Any, asked: dict[str, Any], result: str = "allow") -> list[dict[str, Any]]:
    """What follows a confirmation."""
    ran = result_of(server, asked, is_error=result == "deny")
    return [server.event("session.status_running"), ran, *server.running()[1:], server.idle()]


@pytest.mark.usefixtures("instrumented")
def test_a_turn_with_allowed_and_denied_tools(telemetry: Any, server: Any, client: Any) -> None:
    allowed, denied = server.wants("read", "allow"), server.wants("bash", "deny")
    denied["evaluation"] = {
        "type": "auto",
        "evaluated_permission": {"type": "deny", "reason_code": "high_risk"},
    }
    mcp = server.event(
        "agent.mcp_tool_use", name="search", mcp_server_name="docs", input={}, evaluated_permission="allow"
    )
    server.turns = [
        [
            *server.running(),
            allowed,
            result_of(server, allowed),
            denied,
            result_of(server, denied, is_error=True),
            server.event("span.model_request_start"),
            mcp,
            server.event("agent.mcp_tool_result", mcp_tool_use_id=mcp["id"], is_error=True),
            server.idle(),
        ]
    ]
    client.beta.sessions.create(agent="agent_1", environment_id="env_1")
    read(client, HELLO)
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    policy_decision permission_policy",
        "    execute_tool read",
        "    policy_decision permission_policy",
        "  agent_step act",
        "    policy_decision permission_policy",
        "    execute_tool search",
    ]
    decisions = telemetry.named("policy_decision")
    assert [
        facts(one, "decision.outcome", "policy.rule.id", "decision.reason_code") for one in decisions
    ] == [
        ["allow", "always_allow", None],
        ["deny", "auto", "high_risk"],
        ["allow", None, None],
    ]
    tool, search = telemetry.named("execute_tool")
    assert facts(tool, "arguments.digest") == facts(decisions[0], "subject.digest")
    assert "runrecord.result.digest" in tool.attributes
    assert facts(search, "side_effect.target") == ["docs"]
    assert search.attributes["error.type"] == "tool_error"
    run = telemetry.one("invoke_agent")
    assert facts(run, "run.outcome") == ["denied"]
    assert run.attributes["gen_ai.conversation.id"] == SESSION
    assert "secret-content" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("result", ["allow", "deny"])
def test_asked_in_one_process_and_confirmed_in_another(
    telemetry: Any, server: Any, client: Any, result: str
) -> None:
    asked = server.wants()
    server.turns = [
        [*server.running(), asked, server.idle("requires_action", event_ids=[asked["id"]])],
        goes_on(server, asked, result),
    ]
    instrumentor = elsewhere(telemetry)
    client.beta.sessions.create(agent="agent_1", environment_id="env_1")
    read(client, HELLO)
    instrumentor.uninstrument()
    telemetry.now += 60
    instrumentor = elsewhere(telemetry)
    assert len(list(client.beta.sessions.events.list(SESSION))) == len(server.history)
    read(client, answer(asked, result), extra_headers={"runrecord.approval.actor.ref": "u-17"})
    instrumentor.uninstrument()
    first, second = telemetry.named("invoke_agent")
    assert facts(first, "run.segment", "run.state", "run.stop_reason") == [0, "suspended", "approval"]
    assert facts(second, "run.segment", "run.state", "run.outcome") == [
        1,
        "completed",
        "success" if result == "allow" else "denied",
    ]
    assert facts(first, "run.id") == facts(second, "run.id")
    assert first.context.trace_id == second.context.trace_id
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert [link.context.span_id for link in decision.links][:1] == [request.context.span_id]
    assert facts(decision, "approval.status", "approval.actor.type", "approval.actor.ref") == [
        "approved" if result == "allow" else "denied",
        "human",
        "u-17",
    ]
    assert facts(decision, "approval.wait_seconds") == [60.0]
    digests = {*facts(request, "approval.subject.digest"), *facts(decision, "approval.subject.digest")}
    tools = telemetry.named("execute_tool")
    assert len(tools) == (1 if result == "allow" else 0)
    for tool in tools:
        digests.update(facts(tool, "arguments.digest"))
        assert facts(tool, "approval.id") == facts(request, "approval.id")
        assert tool.attributes["gen_ai.tool.call.id"] == asked["id"]
    assert len(digests) == 1
    assert telemetry.store.get(approval_key(SESSION, asked["id"])) is not None
    assert "secret-content" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_confirmed_while_the_stream_is_read(telemetry: Any, server: Any, client: Any) -> None:
    asked = server.wants()
    server.turns = [
        [*server.running(), asked, server.idle("requires_action", event_ids=[asked["id"]])],
        goes_on(server, asked),
    ]
    events = client.beta.sessions.events
    with events.stream(SESSION) as stream:
        events.send(SESSION, events=[HELLO])
        for event in stream:
            if event.type == "session.status_idle":
                if event.stop_reason.type == "end_turn":
                    break
                events.send(SESSION, events=[answer(asked)])
    assert telemetry.tree() == [
        "invoke_agent",
        "  agent_step act",
        "    policy_decision permission_policy",
        "    request_approval create_refund",
        "  approval_decision create_refund",
        "  invoke_agent",
        "    agent_step act",
        "      execute_tool create_refund",
        "    agent_step act",
    ]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_confirmed_asynchronously(telemetry: Any, server: Any, async_client: Any) -> None:
    asked = server.wants()
    server.turns = [
        [*server.running(), asked, server.idle("requires_action", event_ids=[asked["id"]])],
        goes_on(server, asked),
    ]

    async def main() -> None:
        async with async_client() as client:
            events = client.beta.sessions.events
            async with await events.stream(SESSION) as stream:
                await events.send(SESSION, events=[HELLO])
                async for event in stream:
                    if event.type == "session.status_idle":
                        break
            assert len([event async for event in events.list(SESSION)]) == len(server.history)
            async with await events.stream(SESSION) as stream:
                await events.send(SESSION, events=[answer(asked)])
                async for event in stream:
                    if event.type == "session.status_idle":
                        break

    asyncio.run(main())
    first, second = telemetry.named("invoke_agent")
    assert facts(first, "run.state") == ["suspended"]
    assert facts(second, "run.state", "run.outcome", "run.id") == [
        "completed",
        "success",
        *facts(first, "run.id"),
    ]
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert [link.context.span_id for link in decision.links][:1] == [request.context.span_id]
    assert facts(telemetry.one("execute_tool"), "arguments.digest") == facts(
        request, "approval.subject.digest"
    )
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_ten_sessions_at_once(telemetry: Any, server: Any, client: Any) -> None:
    barrier = threading.Barrier(10)
    sessions = [f"sesn_{number}" for number in range(10, 20)]
    for session in sessions:
        asked = server.wants(name=f"refund_{session}")
        waits = server.idle("requires_action", event_ids=[asked["id"]])
        server.scripts[session] = [[*server.running(), asked, waits], goes_on(server, asked)]

    def one(session: str) -> None:
        asked: Any = None
        events = client.beta.sessions.events
        with events.stream(session) as stream:
            events.send(session, events=[HELLO])
            for event in stream:
                asked = event if event.type == "agent.tool_use" else asked
                if event.type == "session.status_idle" and event.stop_reason.type == "end_turn":
                    break
                if event.type == "session.status_idle":
                    barrier.wait(30)
                    result = "allow" if int(session[-1]) % 2 else "deny"
                    events.send(session, events=[answer({"id": asked.id}, result)])

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(one, sessions))
    runs = {facts(run, "run.id")[0]: run for run in telemetry.named("invoke_agent")}
    assert {run.attributes["gen_ai.conversation.id"] for run in runs.values()} == {*sessions}
    for kind, count in (("request_approval", 10), ("approval_decision", 10), ("execute_tool", 5)):
        made = telemetry.named(kind)
        assert len(made) == count
        for span in made:
            run = runs[facts(span, "run.id")[0]]
            assert span.name == f"{kind} refund_{run.attributes['gen_ai.conversation.id']}"
            assert span.context.trace_id == run.context.trace_id
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_an_application_that_fails_while_it_reads(telemetry: Any, server: Any, client: Any) -> None:
    server.turns = [server.running()]

    def application() -> None:
        with client.beta.sessions.events.stream(SESSION) as stream:
            client.beta.sessions.events.send(SESSION, events=[HELLO])
            for event in stream:
                if event.type == "span.model_request_start":
                    raise LookupError("secret-content")

    with pytest.raises(LookupError):
        application()
    assert facts(telemetry.one("invoke_agent"), "run.state", "run.stop_reason") == ["suspended", "unobserved"]
    assert "secret-content" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_confirmed_at_once(telemetry: Any, server: Any, client: Any) -> None:
    asked = server.wants()
    server.turns = [[*server.running(), asked], [*goes_on(server, asked)[1:]]]
    events = client.beta.sessions.events
    with events.stream(SESSION) as stream:
        events.send(SESSION, events=[HELLO])
        for event in stream:
            if event.type == "agent.tool_use":
                events.send(SESSION, events=[answer(asked)])
            if event.type == "session.status_idle":
                break
    run = telemetry.one("invoke_agent")
    assert facts(run, "run.outcome", "run.segment") == ["success", 0]
    assert telemetry.one("execute_tool").attributes["runrecord.approval.id"]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_a_history_that_is_listed_again_and_again_asks_once(telemetry: Any, server: Any, client: Any) -> None:
    asked = server.wants()
    server.emit(*server.running(), asked, server.idle("requires_action", event_ids=[asked["id"]]))
    for _ in range(3):
        assert len(list(client.beta.sessions.events.list(SESSION))) == 4
    assert facts(telemetry.one("invoke_agent"), "run.state", "run.stop_reason") == ["suspended", "approval"]
    for _ in range(2):
        client.beta.sessions.events.send(SESSION, events=[answer(asked)])
        list(client.beta.sessions.events.list(SESSION))
    assert len(telemetry.named("request_approval")) == len(telemetry.named("approval_decision")) == 1
    telemetry.check_counters()


@pytest.mark.breaks("decision-without-request")
@pytest.mark.usefixtures("instrumented")
def test_an_answer_to_what_nobody_recorded(telemetry: Any, server: Any, client: Any) -> None:
    client.beta.sessions.events.send(SESSION, events=[answer({"id": "sevt_x"}, "deny")])
    assert facts(telemetry.one("approval_decision"), "approval.status") == ["denied"]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_an_answer_that_the_server_does_not_accept(telemetry: Any, server: Any, client: Any) -> None:
    server.refuses = (409, {"type": "error", "error": {"type": "conflict", "message": "no"}})
    with pytest.raises(Exception, match="409"):
        client.beta.sessions.events.send(SESSION, events=[answer({"id": "sevt_x"})])
    assert telemetry.spans == []


@pytest.mark.parametrize("end", ["user.interrupt", "session.status_terminated"])
@pytest.mark.usefixtures("instrumented")
def test_what_still_waits_is_withdrawn(telemetry: Any, server: Any, client: Any, end: str) -> None:
    asked = server.wants()
    server.turns = [[*server.running(), asked]]
    events = client.beta.sessions.events
    with events.stream(SESSION) as stream:
        events.send(SESSION, events=[HELLO])
        for event in stream:
            if event.type == "agent.tool_use":
                server.emit(server.event(end), server.idle())
            if event.type == "session.status_idle":
                break
    assert facts(telemetry.one("approval_decision"), "approval.status") == ["cancelled"]
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["cancelled"]
    telemetry.check_counters()


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("refusal", "denied"), ("budget_reached", "budget_exceeded"), ("retries_exhausted", "failure")],
)
@pytest.mark.usefixtures("instrumented")
def test_how_a_turn_ends(telemetry: Any, server: Any, client: Any, reason: str, outcome: str) -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "secret-content"}
    error = server.event(
        "session.error",
        error={
            "type": "model_overloaded_error",
            "message": "secret-content",
            "retry_status": {"type": "exhausted"},
        },
    )
    more = {"stop_details": details} if reason == "refusal" else {}
    between = [error] if reason == "retries_exhausted" else []
    server.turns = [[*server.running(), *between, server.idle(reason, **more)]]
    read(client, HELLO)
    run = telemetry.one("invoke_agent")
    assert facts(run, "run.outcome") == [outcome]
    if reason == "refusal":
        assert facts(telemetry.one("policy_decision refusal"), "decision.reason_code") == ["bio"]
    if reason == "retries_exhausted":
        assert run.attributes["error.type"] == "model_overloaded_error"
    assert "secret-content" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_an_outcome_that_is_evaluated(telemetry: Any, server: Any, client: Any) -> None:
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }
    evaluated = server.event(
        "span.outcome_evaluation_end",
        result="satisfied",
        explanation="secret-content",
        iteration=0,
        outcome_evaluation_start_id="sevt_0",
        outcome_id="outc_1",
        usage=usage,
    )
    server.turns = [[*server.running(), evaluated, server.idle()]]
    read(client, HELLO)
    assert facts(telemetry.one("verify outcome"), "verification.outcome") == ["pass"]


@pytest.mark.usefixtures("instrumented")
def test_nobody_reads_to_the_end_and_somebody_else_goes_on(telemetry: Any, server: Any, client: Any) -> None:
    server.turns = [server.running()]
    read(client, HELLO, until="span.model_request_start")
    server.turns = [[server.idle()]]
    with client.beta.sessions.events.stream(SESSION) as stream:
        server.emit(*server.running(), server.idle())
        for event in stream:
            if event.type == "session.status_idle":
                break
    first, second = telemetry.named("invoke_agent")
    assert facts(first, "run.state", "run.stop_reason") == ["suspended", "unobserved"]
    assert facts(second, "run.segment", "run.outcome", "run.id") == [1, "success", *facts(first, "run.id")]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_two_turns_are_two_runs(telemetry: Any, server: Any, client: Any) -> None:
    server.turns = [[*server.running(), server.idle()], [*server.running(), server.idle()]]
    read(client, HELLO)
    read(client, HELLO)
    assert len({run.attributes["runrecord.run.id"] for run in telemetry.named("invoke_agent")}) == 2
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_a_custom_tool_that_the_application_calls(telemetry: Any, server: Any, async_client: Any) -> None:
    called = server.event("agent.custom_tool_use", name="lookup", input={"order": "o-1"})
    server.turns = [
        [*server.running(), called, server.idle("requires_action", event_ids=[called["id"]])],
        [*server.running(), server.idle()],
    ]

    async def main() -> None:
        async with async_client() as client:
            events = client.beta.sessions.events
            async with await events.stream(SESSION) as stream:
                await events.send(SESSION, events=[HELLO])
                async for event in stream:
                    if event.type == "session.status_idle":
                        if event.stop_reason.type == "end_turn":
                            break
                        found: Any = {"type": "user.custom_tool_result", "custom_tool_use_id": called["id"]}
                        await events.send(SESSION, events=[found])

    asyncio.run(main())
    first, second = telemetry.named("invoke_agent")
    assert facts(first, "run.state", "run.stop_reason") == ["suspended", "tool_calls"]
    assert facts(second, "run.segment", "run.outcome") == [1, "success"]
    assert telemetry.one("execute_tool lookup").attributes["gen_ai.tool.call.id"] == called["id"]
    telemetry.check_counters()
