# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Hosted MCP approvals: asked in one call, answered in another, perhaps of another process, and bound to what then ran."""

from typing import Any

import pytest

from runrecord.instrumentation.openai import OpenAIInstrumentor, approval_key

pytestmark = [pytest.mark.sdk]


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def elsewhere(telemetry: Any) -> OpenAIInstrumentor:
    """As in another process: another recorder, of which only the store is the same."""
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(recorder=telemetry.recorder())
    return instrumentor


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("approve", [True, False])
def test_asked_in_one_process_and_answered_in_another(
    telemetry: Any,
    server: Any,
    client: Any,
    approve: bool,
    history: bool,
) -> None:
    server.script(
        server.response(server.ASKS), server.response(*([server.RAN] if approve else []), server.message())
    )
    instrumentor = elsewhere(telemetry)
    first = client.responses.create(model="m", input="Refund it.", tools=[server.MCP])
    instrumentor.uninstrument()
    telemetry.now += 60
    instrumentor = elsewhere(telemetry)
    answer = {**server.YES, "approve": approve}
    who = {"runrecord.approval.actor.ref": "u-17"}
    if history:
        asked = [item.to_dict() for item in first.output]
        given: Any = [{"role": "user", "content": "Refund it."}, *asked, answer]
        client.responses.create(model="m", input=given, tools=[server.MCP], metadata=who)
    else:
        client.responses.create(
            model="m", input=[answer], previous_response_id=first.id, tools=[server.MCP], metadata=who
        )
    instrumentor.uninstrument()
    assert [line.strip() for line in telemetry.tree()] == [
        "invoke_agent",
        "agent_step act",
        "policy_decision require_approval",
        "request_approval create_refund",
        "invoke_agent",
        "agent_step act",
        "approval_decision create_refund",
        *(["execute_tool create_refund"] if approve else []),
    ]
    first_run, second_run = telemetry.named("invoke_agent")
    assert facts(first_run, "run.segment", "run.state", "run.stop_reason") == [0, "suspended", "approval"]
    assert facts(second_run, "run.segment", "run.state", "run.outcome") == [
        1,
        "completed",
        "success" if approve else "denied",
    ]
    assert facts(first_run, "run.id") == facts(second_run, "run.id")
    assert first_run.context.trace_id == second_run.context.trace_id
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert [link.context.span_id for link in decision.links] == [request.context.span_id]
    assert facts(decision, "approval.status", "approval.actor.type", "approval.actor.ref") == [
        "approved" if approve else "denied",
        "human",
        "u-17",
    ]
    assert facts(decision, "approval.wait_seconds", "step.index") == [60.0, 1]
    digests = {*facts(request, "approval.subject.digest"), *facts(decision, "approval.subject.digest")}
    if approve:
        tool = telemetry.one("execute_tool")
        digests.update(facts(tool, "arguments.digest"))
        assert facts(tool, "approval.id") == facts(request, "approval.id")
        assert tool.attributes["gen_ai.tool.call.id"] == facts(request, "subject.id")[0] == "mcpr_1"
    assert len(digests) == 1
    telemetry.check_counters()


@pytest.mark.breaks("subject-digest-differs")
@pytest.mark.usefixtures("instrumented")
def test_what_ran_is_not_what_was_shown(telemetry: Any, server: Any, client: Any) -> None:
    changed = {**server.RAN, "arguments": '{"invoice": "i-1", "amount": 8000.0}'}
    server.script(server.response(server.ASKS), server.response(changed, server.message()))
    first = client.responses.create(model="m", input="hi", tools=[server.MCP])
    client.responses.create(model="m", input=[server.YES], previous_response_id=first.id, tools=[server.MCP])
    shown = facts(telemetry.one("request_approval"), "approval.subject.digest")
    assert facts(telemetry.one("execute_tool"), "arguments.digest") != shown


@pytest.mark.usefixtures("instrumented")
def test_a_history_that_is_sent_again_and_again_has_one_request_and_one_decision(
    telemetry: Any, server: Any, client: Any
) -> None:
    server.script(
        server.response(server.ASKS),
        server.response(server.RAN, server.message()),
        server.response(server.message()),
    )
    history: list[Any] = [{"role": "user", "content": "hi"}]
    for more in (
        [server.YES],
        [{"role": "user", "content": "Thanks."}],
        [{"role": "user", "content": "Bye."}],
    ):
        response = client.responses.create(model="m", input=history, tools=[server.MCP])
        history += [item.to_dict() for item in response.output]
        history += more
    assert len(telemetry.named("request_approval")) == len(telemetry.named("approval_decision")) == 1
    assert len(telemetry.named("execute_tool")) == 1
    # A new message of the user is a new run.
    assert [facts(span, "run.segment")[0] for span in telemetry.named("invoke_agent")] == [0, 1, 0]
    assert len({facts(span, "run.id")[0] for span in telemetry.named("invoke_agent")}) == 2
    telemetry.check_counters()


@pytest.mark.breaks("decision-without-request")
def test_an_answer_to_a_request_that_nothing_is_known_of(
    telemetry: Any, recorder: Any, server: Any, client: Any
) -> None:
    """The process that asked was not instrumented, or its store is gone."""
    server.script(server.response(server.RAN, server.message()))
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(recorder=recorder)
    client.responses.create(model="m", input=[server.ASKS, server.YES], tools=[server.MCP])
    instrumentor.uninstrument()
    assert [line.strip() for line in telemetry.tree()] == [
        "invoke_agent",
        "agent_step act",
        "approval_decision create_refund",
        "execute_tool create_refund",
    ]
    assert facts(telemetry.one("invoke_agent"), "run.segment") == [1]
    assert facts(telemetry.one("approval_decision"), "approval.subject.digest") == facts(
        telemetry.one("execute_tool"), "arguments.digest"
    )
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_within_a_run_by_hand_the_facts_are_that_runs(
    telemetry: Any, recorder: Any, server: Any, client: Any
) -> None:
    server.script(server.response(server.ASKS), server.response(server.RAN, server.message()))
    with recorder.run(agent="refund-agent") as run:
        with run.step(kind="act"):
            client.responses.create(model="m", input="hi", tools=[server.MCP])
        run.suspend()
    with recorder.resume(approval_key("mcpr_1")) as run, run.step(kind="act"):
        client.responses.create(model="m", input=[server.ASKS, server.YES], tools=[server.MCP])
    assert [line.strip() for line in telemetry.tree()] == [
        "invoke_agent refund-agent",
        "agent_step act",
        "policy_decision require_approval",
        "request_approval create_refund",
        "invoke_agent refund-agent",
        "agent_step act",
        "approval_decision create_refund",
        "execute_tool create_refund",
    ]
    assert len({facts(span, "run.id")[0] for span in telemetry.spans}) == 1
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_an_answer_that_another_run_brings_is_the_asking_runs(
    telemetry: Any, recorder: Any, server: Any, client: Any
) -> None:
    server.script(server.response(server.ASKS), server.response(server.RAN, server.message()))
    with recorder.run(agent="a"):
        client.responses.create(model="m", input="hi", tools=[server.MCP])
    with recorder.run(agent="b"):
        client.responses.create(model="m", input=[server.ASKS, server.YES], tools=[server.MCP])
    asking, other = telemetry.named("invoke_agent")
    decision = telemetry.one("approval_decision")
    assert facts(decision, "run.id") == facts(asking, "run.id") != facts(other, "run.id")
    assert decision.context.trace_id == asking.context.trace_id
    assert facts(telemetry.one("execute_tool"), "approval.id") == facts(decision, "approval.id")


@pytest.mark.usefixtures("instrumented")
def test_a_hosted_tool_that_fails(telemetry: Any, server: Any, client: Any) -> None:
    error = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "secret-1"}]}
    listed = {
        "id": "mcpl_1",
        "type": "mcp_list_tools",
        "server_label": "payments",
        "tools": [
            {
                "name": "create_refund",
                "input_schema": {},
                "description": None,
                "annotations": {"readOnlyHint": False, "destructiveHint": True},
            }
        ],
    }
    failed = {**server.RAN, "approval_request_id": None, "output": None, "error": error, "status": "failed"}
    server.script(server.response(listed, failed, server.message()))
    client.responses.create(model="m", input="hi", tools=[{**server.MCP, "require_approval": "never"}])
    tool = telemetry.one("execute_tool")
    assert tool.status.status_code.name == "ERROR"
    assert facts(tool, "tool.read_only", "tool.destructive") == [False, True]
    assert "secret-1" not in telemetry.exported_text()
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["success"]
    telemetry.check_counters()
