# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Elicitations of both eras as requests and decisions, each once, for the call that they are about."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    ListToolsResult,
    TextContent,
)
from pydantic import BaseModel

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

ERAS = ["auto", "legacy"]


class Agree(BaseModel):
    agree: bool


def shop() -> MCPServer:
    server = MCPServer("shop")

    async def ask(amount: float) -> Elicit[Agree]:
        return Elicit(f"Refund {amount}?", Agree)

    @server.tool()
    def refund(amount: float, agreed: Annotated[Agree, Resolve(ask)]) -> str:
        return "paid" if agreed.agree else "kept"

    @server.tool()
    async def open_page(amount: float, ctx: Context) -> str:
        answer = await ctx.elicit_url("Pay there", "https://pay.example/1", "elicit-1")
        return answer.action

    @server.tool()
    async def must_open(amount: float) -> str:
        asked = ElicitRequestURLParams(
            message="Sign in", url="https://pay.example/2", elicitation_id="elicit-2"
        )
        raise UrlElicitationRequiredError([asked])

    return server


async def nothing(ctx: Any, params: Any) -> ListToolsResult:
    return ListToolsResult(tools=[])


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


@pytest.fixture
def run(recorder: Any) -> Callable[..., Any]:
    """Run ``work(client)`` in an agent's run with a client that answers as ``answer`` says."""

    def start(work: Any, answer: Any, *, era: str = "auto", server: Any = None) -> Any:
        async def callback(context: Any, params: Any) -> Any:
            return answer(params) if callable(answer) else answer

        async def main() -> Any:
            with recorder.run(agent="agent"):
                async with Client(server or shop(), mode=era, elicitation_callback=callback) as client:
                    return await work(client)

        return asyncio.run(main())

    return start


def refund(client: Client) -> Any:
    return client.call_tool("refund", {"amount": 80.0})


YES = ElicitResult(action="accept", content={"agree": True})
ANSWERS = {
    "accept": (YES, "approved", "accept", "success"),
    "no": (ElicitResult(action="accept", content={"agree": False}), "denied", "answered_no", "success"),
    "decline": (ElicitResult(action="decline"), "denied", "decline", "denied"),
    "cancel": (ElicitResult(action="cancel"), "cancelled", "cancel", "denied"),
    "unable": (ErrorData(code=-32600, message="nobody here"), "cancelled", "not_asked", "denied"),
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("name", list(ANSWERS))
def test_an_answer(telemetry: Any, run: Any, era: str, name: str) -> None:
    answer, status, reason, outcome = ANSWERS[name]

    async def work(client: Client) -> Any:
        try:
            return await refund(client)
        except MCPError as error:
            return error

    result = run(work, answer, era=era)
    request, decision = telemetry.one("request_approval refund"), telemetry.one("approval_decision refund")
    tool = telemetry.one("execute_tool refund")
    assert facts(decision, "approval.status", "approval.reason_code") == [status, reason]
    assert facts(request, "approval.channel", "approval.status") == ["mcp_elicitation_form", "pending"]
    assert decision.links[0].context.span_id == request.context.span_id
    assert facts(decision, "approval.id", "subject.id") == facts(request, "approval.id", "subject.id")
    assert request.attributes["runrecord.subject.id"] == tool.attributes["gen_ai.tool.call.id"]
    digests = {*facts(request, "approval.subject.digest"), *facts(decision, "approval.subject.digest")}
    assert digests == set(facts(tool, "arguments.digest"))
    assert facts(tool, "approval.id") == (facts(request, "approval.id") if status == "approved" else [None])
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == [outcome]
    if name in {"accept", "no"}:
        assert result.structured_content == {"result": "paid" if name == "accept" else "kept"}
    names = [event for event, _ in telemetry.events if "approval" in event]
    assert names == ["runrecord.approval.requested", "runrecord.approval.decided"]
    telemetry.check_counters()


def test_who_answered_is_what_the_client_says(telemetry: Any, run: Any) -> None:
    meta = {"runrecord.approval.actor.ref": "u-17", "runrecord.approval.actor.type": "delegate"}
    run(refund, ElicitResult(action="accept", content={"agree": True}, _meta=meta))
    decision = telemetry.one("approval_decision")
    assert facts(decision, "approval.actor.type", "approval.actor.ref") == ["delegate", "u-17"]


@pytest.mark.parametrize("era", ERAS)
def test_a_question_that_nobody_answers(telemetry: Any, recorder: Any, era: str) -> None:
    """The application gives up while the person has the form open."""
    opened = anyio.Event

    async def main() -> None:
        shown = opened()

        async def callback(context: Any, params: Any) -> Any:
            shown.set()
            await anyio.sleep(3600)

        async def call(client: Client, scope: anyio.CancelScope) -> None:
            with scope:
                await refund(client)

        with recorder.run(agent="agent"):
            async with Client(shop(), mode=era, elicitation_callback=callback) as client:
                scope = anyio.CancelScope()
                async with anyio.create_task_group() as group:
                    group.start_soon(call, client, scope)
                    await shown.wait()
                    scope.cancel()

    asyncio.run(main())
    assert facts(telemetry.one("approval_decision"), "approval.status", "approval.reason_code") == [
        "cancelled",
        "no_answer",
    ]
    assert telemetry.one("execute_tool refund").attributes["error.type"] == "cancelled"
    telemetry.check_counters()


@pytest.mark.breaks(
    "official-missing-conditional"
)  # the SDK's span of a request that timed out has no error.type
def test_a_question_that_expires(telemetry: Any) -> None:
    async def on_call(ctx: Any, params: Any) -> CallToolResult:
        asked = ElicitRequestFormParams(message="?", requested_schema={"type": "object", "properties": {}})
        with pytest.raises(MCPError):
            await ctx.session.send_request(
                ElicitRequest(params=asked), ElicitResult, request_read_timeout_seconds=0.01
            )
        return CallToolResult(content=[TextContent(type="text", text="kept")], is_error=True)

    async def main() -> None:
        async def callback(context: Any, params: Any) -> Any:
            await anyio.sleep(3600)

        async with Client(server, mode="legacy", elicitation_callback=callback) as client:
            await client.call_tool("refund", {"amount": 80.0})

    server = Server("bare", on_call_tool=on_call, on_list_tools=nothing)
    # Without a run at the client, the server records: it is the one that waited for so long.
    asyncio.run(main())
    assert facts(telemetry.one("approval_decision"), "approval.status") == ["expired"]
    assert facts(telemetry.one("invoke_workflow bare"), "run.outcome") == ["denied"]
    telemetry.check_counters()


def test_a_url_is_opened_or_not(telemetry: Any, run: Any) -> None:
    result = run(
        lambda client: client.call_tool("open_page", {"amount": 1.0}),
        ElicitResult(action="decline"),
        era="legacy",
    )
    assert result.structured_content == {"result": "decline"}
    request = telemetry.one("request_approval open_page")
    assert facts(request, "approval.channel") == ["mcp_elicitation_url"]
    assert telemetry.store.get(("mcp", "elicitation", "elicit-1")) is not None
    assert facts(telemetry.one("approval_decision"), "approval.status") == ["denied"]
    telemetry.check_counters()


def test_an_error_that_asks_for_a_url(telemetry: Any, run: Any) -> None:
    async def work(client: Client) -> None:
        for _ in range(2):  # a retry before the page was visited asks the same
            with pytest.raises(MCPError):
                await client.call_tool("must_open", {"amount": 1.0})

    run(work, YES, era="legacy")
    known = telemetry.store.get(("mcp", "elicitation", "elicit-2"))
    assert [item.decided for item in known.approvals] == [False] * len(known.approvals)
    assert {
        span.attributes["runrecord.approval.channel"] for span in telemetry.named("request_approval")
    } == {"mcp_elicitation_url"}
    telemetry.check_counters()


@pytest.mark.parametrize("era", ERAS)
def test_ten_questions_at_once(telemetry: Any, run: Any, era: str) -> None:
    async def work(client: Client) -> Any:
        return await asyncio.gather(*(client.call_tool("refund", {"amount": float(n)}) for n in range(10)))

    def answer(params: Any) -> ElicitResult:
        odd = float(params.message.split()[1].rstrip("?")) % 2
        return ElicitResult(action="decline") if odd else YES

    results = run(work, answer, era=era)
    assert [result.is_error for result in results] == [bool(n % 2) for n in range(10)]
    tools = {span.attributes["gen_ai.tool.call.id"]: span for span in telemetry.named("execute_tool")}
    assert len(tools) == 10
    for decision in telemetry.named("approval_decision"):
        call = tools[decision.attributes["runrecord.subject.id"]]
        assert facts(decision, "approval.subject.digest") == facts(call, "arguments.digest")
        denied = facts(decision, "approval.status") == ["denied"]
        assert (call.status.status_code.name == "ERROR") is denied
    assert len(telemetry.named("request_approval")) == len(telemetry.named("approval_decision")) == 10
    telemetry.check_counters()


# rounds that the application drives


def unsealed() -> Server:
    """A server that keeps no secret: the same state for every call."""

    async def on_call(ctx: Any, params: Any) -> Any:
        if params.input_responses is None:
            asked = ElicitRequestFormParams(
                message="Sure?", requested_schema={"type": "object", "properties": {}}
            )
            return InputRequiredResult(
                input_requests={"sure": ElicitRequest(params=asked)}, request_state="waiting"
            )
        return CallToolResult(content=[TextContent(type="text", text=params.input_responses["sure"].action)])

    return Server("bare", on_call_tool=on_call, on_list_tools=nothing)


async def by_hand(client: Client, amount: float, *, retry: float | None = None, times: int = 1) -> Any:
    first = await client.session.call_tool("refund", {"amount": amount}, allow_input_required=True)
    for _ in range(times):
        last = await client.session.call_tool(
            "refund",
            {"amount": amount if retry is None else retry},
            input_responses={"sure": ElicitResult(action="accept", content={})},
            request_state=first.request_state,
            allow_input_required=True,
        )
    return last


def test_a_retry_that_is_sent_again_is_one_decision(telemetry: Any, run: Any) -> None:
    run(lambda client: by_hand(client, 80.0, times=3), YES, server=unsealed())
    assert len(telemetry.named("request_approval")) == len(telemetry.named("approval_decision")) == 1
    ids = {span.attributes["gen_ai.tool.call.id"] for span in telemetry.named("execute_tool")}
    assert ids == {telemetry.one("request_approval").attributes["runrecord.subject.id"]}
    telemetry.check_counters()


def test_arguments_that_differ_from_what_was_shown(telemetry: Any, run: Any) -> None:
    run(lambda client: by_hand(client, 80.0, retry=50.0), YES, server=unsealed())
    decision, request = telemetry.one("approval_decision"), telemetry.one("request_approval")
    shown, ran = sorted(telemetry.named("execute_tool"), key=lambda span: span.start_time)
    assert facts(decision, "approval.status") == ["modified"]
    assert facts(decision, "approval.subject.modified_digest") == facts(ran, "arguments.digest")
    assert facts(request, "approval.subject.digest") == facts(shown, "arguments.digest")
    assert facts(ran, "arguments.digest") != facts(shown, "arguments.digest")


def test_calls_with_the_same_state_are_different_calls(telemetry: Any, run: Any) -> None:
    async def work(client: Client) -> None:
        for amount in (1.0, 2.0, 3.0):
            await by_hand(client, amount)

    run(work, YES, server=unsealed())
    for kind in ("request_approval", "approval_decision"):
        spans = telemetry.named(kind)
        assert len({span.attributes["runrecord.approval.id"] for span in spans}) == len(spans) == 3
        assert len({span.attributes["runrecord.approval.subject.digest"] for span in spans}) == 3
    telemetry.check_counters()


@pytest.mark.parametrize("action", ["accept", "decline"])
def test_a_round_that_goes_on_in_another_process(tmp_path: Path, action: str) -> None:
    script = Path(__file__).with_name("approval_process.py")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment = {**kept, "RUNRECORD_STATE_DIR": str(tmp_path / "state")}
    spans: list[dict[str, Any]] = []
    for step in ("ask", action):
        done = subprocess.run(
            [sys.executable, str(script), step, str(tmp_path / "round.json")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        spans += [json.loads(line) for line in done.stdout.splitlines()]
    ours = [span for span in spans if "runrecord.run.id" in span["attributes"]]
    outcome = "success" if action == "accept" else "denied"
    agent = [span for span in ours if span["process"] == "client"]
    assert len({span["attributes"]["runrecord.run.id"] for span in agent}) == 1
    segments = [span["attributes"] for span in agent if span["name"] == "invoke_agent agent"]
    assert [(s["runrecord.run.state"], s.get("runrecord.run.outcome")) for s in segments] == [
        ("suspended", None),
        ("completed", outcome),
    ]
    (request,) = [span for span in agent if span["name"].startswith("request_approval")]
    (decision,) = [span for span in agent if span["name"].startswith("approval_decision")]
    assert decision["attributes"]["runrecord.approval.id"] == request["attributes"]["runrecord.approval.id"]
    assert decision["attributes"]["runrecord.approval.status"] == (
        "approved" if action == "accept" else "denied"
    )
    assert decision["links"] == [request["span"]]
    assert len({span["trace"] for span in agent}) == 1
