# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""deepagents: file permissions, sub-agents that ask, and rubrics."""

import asyncio
from typing import Any

import pytest
from inline_snapshot import snapshot
from langchain_core.tools import tool
from langgraph.types import Command

deepagents = pytest.importorskip("deepagents")

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.filterwarnings("ignore:The middleware `RubricMiddleware` is in beta"),
]


@tool
def pay(amount: float) -> str:
    """Pay."""
    return "paid"


def run(agent: Any, given: Any, config: Any, mode: str) -> Any:
    return agent.invoke(given, config) if mode == "sync" else asyncio.run(agent.ainvoke(given, config))


def decisions(telemetry: Any, policy: str) -> dict[str, dict[str, Any]]:
    return {
        span.attributes["runrecord.subject.id"]: span.attributes
        for span in telemetry.named(f"policy_decision {policy}")
    }


def rules() -> list[Any]:
    return [
        deepagents.FilesystemPermission(operations=["read", "write"], paths=["/secret/**"], mode="deny"),
        deepagents.FilesystemPermission(operations=["write"], paths=["/ask/**"], mode="interrupt"),
    ]


def deep(agents: Any, *turns: Any, **kwargs: Any) -> Any:
    options = {"tools": [], "name": "deep", "checkpointer": agents.saver(), **kwargs}
    return deepagents.create_deep_agent(agents.model(*turns), **options)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_files_may_be_written(telemetry: Any, agents: Any, on: Any, mode: str) -> None:
    calls = [
        agents.call("write_file", "call_no", file_path="/secret/x", content="content-of-x"),
        agents.call("write_file", "call_yes", file_path="/open/x", content="content-of-x"),
        agents.call("write_file", "call_ask", file_path="/ask/x", content="content-of-x"),
    ]
    agent = deep(agents, calls, "done", permissions=rules())
    assert run(agent, agents.ask, agents.config(), mode)["__interrupt__"]
    run(agent, Command(resume={"decisions": [{"type": "approve"}]}), agents.config(), mode)
    said = decisions(telemetry, "FilesystemPermission")
    ran = {span.attributes["gen_ai.tool.call.id"]: span for span in telemetry.named("execute_tool")}
    assert {call: item["runrecord.decision.outcome"] for call, item in said.items()} == {
        "call_no": "deny",
        "call_yes": "allow",
        "call_ask": "allow",
    }
    for call, item in said.items():
        assert item["runrecord.subject.digest"] == ran[call].attributes["runrecord.arguments.digest"]
        assert item["runrecord.policy.rule.id"] == "write"
    assert said["call_no"]["runrecord.decision.reason_code"] == "permission_denied"
    assert said["call_no"]["runrecord.decision.action"] == "block"
    assert ran["call_no"].attributes["error.type"] == "tool_error"
    gate = decisions(telemetry, "HumanInTheLoopMiddleware")
    assert gate["call_ask"]["runrecord.decision.outcome"] == "require_approval"
    request, decided = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert request.attributes["runrecord.subject.id"] == "call_ask"
    assert (
        decided.attributes["runrecord.approval.subject.digest"]
        == (ran["call_ask"].attributes["runrecord.arguments.digest"])
    )
    text = telemetry.exported_text()
    assert "content-of-x" not in text
    assert "/secret" not in text
    telemetry.check_counters()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ls", {"path": "/secret/x"}),
        ("read_file", {"file_path": "/secret/x"}),
        ("edit_file", {"file_path": "/secret/x", "old_string": "a", "new_string": "b"}),
        ("delete", {"file_path": "/secret/x"}),
        ("glob", {"pattern": "*", "path": "/secret/x"}),
        ("grep", {"pattern": "a", "path": "/secret/x"}),
    ],
)
def test_each_file_tool_is_denied_once(
    telemetry: Any, agents: Any, on: Any, name: str, arguments: dict[str, Any]
) -> None:
    agent = deep(agents, [agents.call(name, **arguments)], "done", permissions=rules()[:1])
    agent.invoke(agents.ask, agents.config())
    decision = telemetry.one("policy_decision FilesystemPermission")
    assert decision.attributes["runrecord.decision.outcome"] == "deny"
    assert decision.attributes["runrecord.subject.name"] == name
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "denied"
    telemetry.check_counters()


@pytest.mark.parametrize("path", ["/", None])
def test_results_that_are_left_out_deny_nothing(telemetry: Any, agents: Any, on: Any, path: Any) -> None:
    calls = [
        agents.call("glob", "call_0", pattern="**/*", path="/"),
        agents.call("grep", "call_1", pattern="a", path=path),
        agents.call("ls", "call_2", path="/"),
    ]
    agent = deep(agents, calls, "done", permissions=rules()[:1])
    files = {name: {"content": "a", "encoding": "utf-8"} for name in ("/secret/x", "/open/x")}
    agent.invoke({**agents.ask, "files": files}, agents.config())
    said = decisions(telemetry, "FilesystemPermission")
    assert {item["runrecord.decision.outcome"] for item in said.values()} == {"allow"}
    assert {"call_0", "call_2"} <= set(said)


def test_without_permissions_nothing_is_decided(telemetry: Any, agents: Any, on: Any) -> None:
    deep(agents, [agents.call("ls", path="/")], "done").invoke(agents.ask, agents.config())
    assert telemetry.named("policy_decision") == []


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(("answer", "status"), [("approve", "approved"), ("reject", "denied")])
def test_a_sub_agent_asks_in_the_run_of_its_parent(  # noqa: PLR0917
    telemetry: Any, agents: Any, on: Any, mode: str, answer: str, status: str
) -> None:
    payer = {
        "name": "payer",
        "description": "Pays.",
        "system_prompt": "Pay.",
        "model": agents.model([agents.call("pay", "call_pay", amount=5.0)], "paid it"),
        "tools": [pay],
        "interrupt_on": {"pay": True},
    }
    task = agents.call("task", "call_task", description="pay 5", subagent_type="payer")
    agent = deep(agents, [task], "done", subagents=[payer])
    run(agent, agents.ask, agents.config(), mode)
    run(agent, Command(resume={"decisions": [{"type": answer}]}), agents.config(), mode)

    request, decided = telemetry.one("request_approval pay"), telemetry.one("approval_decision pay")
    assert decided.attributes["runrecord.approval.status"] == status
    assert [link.context.span_id for link in decided.links] == [request.context.span_id]
    assert len(telemetry.named("policy_decision HumanInTheLoopMiddleware")) == 1
    paused, ran = telemetry.named("execute_tool task")  # the SDK starts it again
    assert paused.attributes["gen_ai.tool.call.id"] == ran.attributes["gen_ai.tool.call.id"] == "call_task"
    assert "runrecord.result.digest" not in paused.attributes
    assert "runrecord.result.digest" in ran.attributes
    assert ran.attributes["gen_ai.agent.name"] == "deep"
    for call in telemetry.named("execute_tool pay"):
        assert call.attributes["gen_ai.agent.name"] == "payer"
        digest = decided.attributes["runrecord.approval.subject.digest"]
        assert call.attributes["runrecord.arguments.digest"] == digest
    assert len(telemetry.named("execute_tool pay")) == (status == "approved")
    runs = telemetry.named("invoke_agent")
    assert [span.attributes["runrecord.run.segment"] for span in runs] == [0, 1]
    assert {span.attributes["gen_ai.agent.name"] for span in runs} == {"deep"}
    assert {span.status.status_code.name for span in telemetry.spans} == {"UNSET"}
    telemetry.check_counters()


def test_a_task_that_is_started_again_is_counted_once(telemetry: Any, agents: Any, instrument: Any) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    instrument(recorder=telemetry.recorder(meter_provider=MeterProvider([reader], shutdown_on_exit=False)))
    payer = {
        "name": "payer",
        "description": "Pays.",
        "system_prompt": "Pay.",
        "model": agents.model([agents.call("pay", "call_pay", amount=5.0)], "paid it"),
        "tools": [pay],
        "interrupt_on": {"pay": True},
    }
    task = agents.call("task", "call_task", description="pay 5", subagent_type="payer")
    agent = deep(agents, [task], "done", subagents=[payer])
    agent.invoke(agents.ask, agents.config())
    agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), agents.config())
    data = reader.get_metrics_data()
    counts = {
        point.attributes["gen_ai.tool.name"]: point.count
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "gen_ai.execute_tool.duration"
        for point in metric.data.data_points
    }
    assert counts == {"task": 1, "pay": 1}


def graded(result: str, **criteria: bool) -> dict[str, Any]:
    every = [
        {"name": name, "passed": True} if passed else {"name": name, "passed": False, "gap": "secret-gap"}
        for name, passed in criteria.items()
    ]
    return {
        "name": "GraderResponse",
        "args": {"result": result, "explanation": "secret-explanation", "criteria": every},
        "id": "call_graded",
        "type": "tool_call",
    }


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_rubric_is_a_verification(telemetry: Any, agents: Any, on: Any, mode: str) -> None:
    grader = agents.model([graded("needs_revision", a=True, b=False)], [graded("satisfied", a=True, b=True)])
    rubric = deepagents.RubricMiddleware(model=grader)
    agent = deep(agents, "draft", "better", middleware=[rubric])
    run(agent, {**agents.ask, "rubric": "a and b"}, agents.config(), mode)
    checks = telemetry.named("verify RubricMiddleware")
    assert [check.attributes["runrecord.verification.outcome"] for check in checks] == ["fail", "pass"]
    assert {check.attributes["runrecord.verification.type"] for check in checks} == {"model"}
    assert {check.status.status_code.name for check in checks} == {"UNSET"}
    results = [facts for name, facts in telemetry.events if name == "gen_ai.evaluation.result"]
    assert [facts["gen_ai.evaluation.score.value"] for facts in results] == [0.5, 1.0]
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"
    assert "secret" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_grader_that_fails_could_not_tell(
    telemetry: Any, agents: Any, on: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rubric = deepagents.RubricMiddleware(model=agents.model())
    agent = deep(agents, "draft", middleware=[rubric])
    agent.invoke({**agents.ask, "rubric": "a and b"}, agents.config())
    check = telemetry.one("verify RubricMiddleware")
    assert check.attributes["runrecord.verification.outcome"] == "inconclusive"
    assert check.attributes["error.type"] == "grader_error"
    assert "grader failed" in caplog.text


def test_no_rubric_is_no_verification(telemetry: Any, agents: Any, on: Any) -> None:
    rubric = deepagents.RubricMiddleware(model=agents.model())
    deep(agents, "draft", middleware=[rubric]).invoke(agents.ask, agents.config())
    assert telemetry.named("verify") == []


def test_the_program_gives_the_same_with_and_without(telemetry: Any, agents: Any, instrument: Any) -> None:
    def program() -> list[Any]:
        calls = [
            agents.call("write_file", "call_0", file_path="/secret/x", content="a"),
            agents.call("write_file", "call_1", file_path="/open/x", content="a"),
        ]
        agent = deep(agents, calls, "done", permissions=rules())
        result = agent.invoke(agents.ask, agents.config())
        shown = [(message.type, message.content) for message in result["messages"]]
        grader = agents.model([graded("satisfied", a=True)])
        rubric = deepagents.RubricMiddleware(model=grader)
        result = deep(agents, "draft", middleware=[rubric]).invoke(
            {**agents.ask, "rubric": "a"}, agents.config()
        )
        return [*shown, *((message.type, message.content) for message in result["messages"])]

    without = program()
    instrumentor = instrument()
    assert program() == without
    assert len(telemetry.named("invoke_agent")) == 2
    instrumentor.uninstrument()
    assert program() == without
    assert len(telemetry.named("invoke_agent")) == 2


def test_the_tree_of_a_denied_call(telemetry: Any, agents: Any, on: Any) -> None:
    call = agents.call("write_file", file_path="/secret/x", content="a")
    deep(agents, [call], "done", permissions=rules()[:1]).invoke(agents.ask, agents.config())
    assert telemetry.tree() == snapshot(
        [
            "invoke_agent deep",
            "  agent_step route",
            "  agent_step plan",
            "  agent_step act",
            "    execute_tool write_file",
            "      policy_decision FilesystemPermission",
            "  agent_step plan",
            "  agent_step route",
        ]
    )


def test_two_sub_agents_ask_at_once(telemetry: Any, agents: Any, on: Any) -> None:
    def payer(name: str, amount: float) -> dict[str, Any]:
        call = agents.call("pay", f"call_{name}", amount=amount)
        model = agents.model([call], "paid it")
        facts = {"name": name, "description": "Pays.", "system_prompt": "Pay.", "model": model}
        return {**facts, "tools": [pay], "interrupt_on": {"pay": True}}

    tasks = [
        agents.call("task", f"call_task_{name}", description="pay 5", subagent_type=name)
        for name in ("first", "second")
    ]
    agent = deep(agents, tasks, "done", subagents=[payer("first", 5.0), payer("second", 7.0)])
    asked = agent.invoke(agents.ask, agents.config())["__interrupt__"]
    assert len(asked) == 2
    answers = {}
    for item in asked:
        (action,) = item.value["action_requests"]
        answers[item.id] = {"decisions": [{"type": "approve" if action["args"]["amount"] < 6 else "reject"}]}
    agent.invoke(Command(resume=answers), agents.config())
    decided = {
        span.attributes["runrecord.subject.id"]: span.attributes["runrecord.approval.status"]
        for span in telemetry.named("approval_decision")
    }
    assert decided == {"call_first": "approved", "call_second": "denied"}
    assert len(telemetry.named("request_approval")) == 2
    ran = telemetry.one("execute_tool pay").attributes
    assert (ran["gen_ai.tool.call.id"], ran["gen_ai.agent.name"]) == ("call_first", "first")
    telemetry.check_counters()
