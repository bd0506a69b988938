# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Approvals that a handler answers inside of the run, and the run that goes on in another process."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import (
    Agent,
    ApprovalRequired,
    DeferredToolRequests,
    DeferredToolResults,
    Tool,
    ToolApproved,
    ToolDenied,
)
from pydantic_ai.capabilities import HandleDeferredToolCalls

pytestmark = [pytest.mark.sdk]


def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


def agent(model: Any, handler: Any, tool: Any = refund) -> Agent[Any, Any]:
    return Agent(
        model,
        name="refund-agent",
        tools=[Tool(tool, requires_approval=True)],
        output_type=[str, DeferredToolRequests],
        capabilities=[HandleDeferredToolCalls(handler=handler)],
    )


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    ("answer", "status"),
    [(True, "approved"), (ToolDenied(), "denied"), (ToolApproved(override_args={"amount": 40}), "modified")],
)
def test_a_handler_that_answers_at_once_is_a_policy_not_a_person(
    telemetry: Any, *, scripted: Any, call: Any, facts: Any, answer: Any, status: str
) -> None:
    def handle(context: Any, requests: Any) -> Any:
        return DeferredToolResults(approvals={"call_1": answer})

    program = agent(scripted([call("refund", amount=80)], "Done."), handle)
    assert program.run_sync("hi").output == "Done."
    executed = [] if status == "denied" else ["    execute_tool refund"]
    assert telemetry.tree() == [
        "invoke_agent refund-agent",
        "  agent_step act",
        "    policy_decision requires_approval",
        "    request_approval refund",
        "    approval_decision refund",
        *executed,
        "  agent_step act",
    ]
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert facts(decision, "approval.status", "approval.actor.type") == [status, "policy"]
    assert facts(request, "approval.id") == facts(decision, "approval.id")
    for tool in telemetry.named("execute_tool"):
        shown = "approval.subject.modified_digest" if status == "modified" else "approval.subject.digest"
        assert facts(decision, shown) == facts(tool, "arguments.digest")
        assert facts(tool, "approval.id") == facts(request, "approval.id")
    ended = "denied" if status == "denied" else "success"
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == [ended]
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_a_handler_that_asks_a_person_says_so(telemetry: Any, scripted: Any, call: Any, facts: Any) -> None:
    async def handle(context: Any, requests: Any) -> Any:
        said = {"runrecord.approval.actor.type": "human", "runrecord.approval.actor.ref": "u-17"}
        return DeferredToolResults(approvals={"call_1": True}, metadata={"call_1": said})

    agent(scripted([call("refund", amount=80)], "Done."), handle).run_sync("hi")
    decision = telemetry.one("approval_decision")
    assert facts(decision, "approval.actor.type", "approval.actor.ref") == ["human", "u-17"]


@pytest.mark.usefixtures("instrumented")
def test_what_a_handler_leaves_open_is_one_request(
    telemetry: Any, scripted: Any, call: Any, facts: Any
) -> None:
    def handle(context: Any, requests: Any) -> Any:
        return DeferredToolResults(approvals={"a": True})

    model = scripted([call("refund", "a", amount=80), call("refund", "b", amount=90)], "Done.")
    program = agent(model, handle)
    first = program.run_sync("hi")
    assert [waiting.tool_call_id for waiting in first.output.approvals] == ["b"]
    assert len(telemetry.named("request_approval")) == 2
    program.run_sync(
        message_history=first.all_messages(),
        deferred_tool_results=DeferredToolResults(approvals={"b": True}),
    )
    assert len(telemetry.named("request_approval")) == len(telemetry.named("approval_decision")) == 2
    assert len(telemetry.named("policy_decision")) == 2
    assert len({span.attributes["runrecord.run.id"] for span in telemetry.spans}) == 1
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_an_approved_tool_that_asks_again_is_another_request(
    telemetry: Any, scripted: Any, call: Any, facts: Any
) -> None:
    def stubborn(amount: float) -> str:
        """Never run."""
        raise ApprovalRequired

    def handle(context: Any, requests: Any) -> Any:
        return DeferredToolResults(approvals={"call_1": True})

    program = agent(scripted([call("stubborn", amount=80)], "Done."), handle, stubborn)
    assert program.run_sync("hi").output.approvals
    first, second = telemetry.named("request_approval")
    assert facts(first, "approval.id") != facts(second, "approval.id")
    assert facts(telemetry.one("approval_decision"), "approval.id") == facts(first, "approval.id")
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_a_handler_that_gets_no_answer(
    telemetry: Any, scripted: Any, call: Any, facts: Any, how: str
) -> None:
    there = asyncio.Event()

    async def handle(context: Any, requests: Any) -> Any:
        if how == "expired":
            raise asyncio.TimeoutError
        there.set()
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(agent(scripted([call("refund", amount=80)], "Done."), handle).run("hi"))
        if how == "cancelled":
            await there.wait()
            task.cancel()
        with pytest.raises((asyncio.CancelledError, asyncio.TimeoutError)):
            await task

    asyncio.run(main())
    assert facts(telemetry.one("approval_decision"), "approval.status", "approval.actor.type") == [how, None]
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == [
        "cancelled" if how == "cancelled" else "failure"
    ]
    telemetry.check_counters()


PROGRAM = """
import sys
from pathlib import Path
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ModelMessagesTypeAdapter, models
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel
from runrecord.instrumentation.pydantic_ai import PydanticAIInstrumentor

models.ALLOW_MODEL_REQUESTS = False
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda s: s.to_json(indent=None) + "\\n")))
trace.set_tracer_provider(provider)
PydanticAIInstrumentor().instrument()
if sys.argv[3] == "native":
    Agent.instrument_all(InstrumentationSettings(include_content=False))

agent = Agent(TestModel(), name="refund-agent", output_type=[str, DeferredToolRequests])

@agent.tool_plain(requires_approval=True)
def refund(amount: float) -> str:
    return "paid"

action, path = sys.argv[1], Path(sys.argv[2])
if action == "start":
    path.write_bytes(agent.run_sync("hi").all_messages_json())
else:
    history = ModelMessagesTypeAdapter.validate_json(path.read_bytes())
    (call,) = history[-1].tool_calls
    results = DeferredToolResults(approvals={call.tool_call_id: action == "approve"})
    assert agent.run_sync(message_history=history, deferred_tool_results=results).output
"""


@pytest.mark.parametrize("native", ["native", "plain"])
@pytest.mark.parametrize("action", ["approve", "reject"])
def test_resume_in_another_process(tmp_path: Path, action: str, native: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "RUNRECORD_STATE_DIR": str(tmp_path / "state")}
    environment.pop("PYTEST_CURRENT_TEST", None)

    def process(what: str) -> list[dict[str, Any]]:
        command = [sys.executable, "program.py", what, "history.json", native]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert "runrecord" not in done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    before, after = process("start"), process(action)
    governed = [span for span in [*before, *after] if "runrecord.run.id" in span["attributes"]]
    assert len({span["attributes"]["runrecord.run.id"] for span in governed}) == 1
    assert len({span["context"]["trace_id"] for span in [*before, *after]}) == 1
    assert len({span["attributes"]["runrecord.source.id"] for span in governed}) == 2
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
