# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A server whose client brings no run: each call is a run of its own, with its policies, its questions and its rounds."""

import asyncio
from typing import Annotated, Any

import pytest
from mcp import Client, MCPError
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.server.request_state import RequestStateSecurity
from mcp_types import CallToolResult, ElicitResult, ListToolsResult, TextContent, ToolAnnotations
from pydantic import BaseModel

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

ERAS = ["auto", "legacy"]


class Agree(BaseModel):
    agree: bool


class Limit:
    """A middleware that says which policy it is."""

    policy_id, policy_version, policy_rule = "refunds", "14", "over_50_usd"

    async def __call__(self, ctx: Any, call_next: Any) -> Any:
        if ctx.method == "tools/call" and ctx.params["arguments"].get("amount", 0) > 500:
            raise MCPError(code=-32001 - 50, message="too much")
        return await call_next(ctx)


def shop(*middleware: Any, key: bytes = b"k" * 32) -> MCPServer:
    server = MCPServer(
        "shop", middleware=list(middleware), request_state_security=RequestStateSecurity(keys=[key])
    )

    async def ask(amount: float) -> Elicit[Agree]:
        return Elicit(f"Refund {amount}?", Agree)

    @server.tool(annotations=ToolAnnotations(destructive_hint=True))
    def refund(amount: float, agreed: Annotated[Agree, Resolve(ask)]) -> str:
        return "paid" if agreed.agree else "kept"

    @server.tool()
    async def look(amount: float) -> str:
        return f"looked {amount}"

    return server


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def call(server: Any, tool: str, amount: float, action: str = "accept", era: str = "auto") -> Any:
    async def callback(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action=action, content={"agree": True} if action == "accept" else None)

    async def main() -> Any:
        async with Client(server, mode=era, elicitation_callback=callback) as client:
            try:
                return await client.call_tool(tool, {"amount": amount})
            except MCPError as error:
                return error

    return asyncio.run(main())


@pytest.mark.parametrize("era", ERAS)
def test_a_call_is_a_run_whose_tool_is_the_native_span(telemetry: Any, era: str) -> None:
    call(shop(), "look", 1.0, era=era)
    run, tool = telemetry.one("invoke_workflow shop"), telemetry.one("tools/call look")
    assert facts(run, "run.state", "run.outcome", "run.records") == ["completed", "success", 2]
    assert tool.parent.span_id == run.context.span_id
    assert tool.instrumentation_scope.name == "mcp-python-sdk"
    assert tool.attributes["gen_ai.tool.call.id"] == "mcp_id-2"
    assert not telemetry.named("execute_tool")
    telemetry.check_counters()


@pytest.mark.parametrize("action", ["accept", "decline", "cancel"])
def test_rounds_are_segments_of_one_run(telemetry: Any, action: str) -> None:
    call(shop(), "refund", 80.0, action)
    waiting, going_on = sorted(telemetry.named("invoke_workflow"), key=lambda span: span.start_time)
    assert facts(waiting, "run.state", "run.segment") == ["suspended", 0]
    outcome = "success" if action == "accept" else "denied"
    assert facts(going_on, "run.state", "run.segment", "run.outcome") == ["completed", 1, outcome]
    assert facts(waiting, "run.id") == facts(going_on, "run.id")
    assert going_on.parent.span_id == waiting.context.span_id
    request, decision = telemetry.one("request_approval refund"), telemetry.one("approval_decision refund")
    assert decision.links[0].context.span_id == request.context.span_id
    first, second = telemetry.named("tools/call refund")
    assert first.attributes["gen_ai.tool.call.id"] == second.attributes["gen_ai.tool.call.id"]
    assert "runrecord.result.digest" not in first.attributes
    assert facts(request, "approval.subject.digest") == facts(second, "arguments.digest")
    telemetry.check_counters()


@pytest.mark.parametrize("action", ["accept", "decline"])
def test_a_question_inside_of_a_call(telemetry: Any, action: str) -> None:
    call(shop(), "refund", 80.0, action, era="legacy")
    outcome = "success" if action == "accept" else "denied"
    assert facts(telemetry.one("invoke_workflow"), "run.state", "run.outcome") == ["completed", outcome]
    status = "approved" if action == "accept" else "denied"
    assert facts(telemetry.one("approval_decision refund"), "approval.status") == [status]
    telemetry.check_counters()


@pytest.mark.parametrize("era", ERAS)
def test_middleware_that_names_its_policy(telemetry: Any, era: str) -> None:
    call(shop(Limit()), "look", 1.0, era=era)
    refused = call(shop(Limit()), "look", 900.0, era=era)
    assert refused.error.message == "too much"
    allowed, denied = telemetry.named("policy_decision refunds")
    names = ("policy.version", "policy.rule.id", "policy.engine", "decision.outcome", "decision.action")
    assert facts(allowed, *names) == ["14", "over_50_usd", "sdk", "allow", "none"]
    assert facts(denied, *names) == ["14", "over_50_usd", "sdk", "deny", "block"]
    went, stopped = telemetry.named("tools/call look")
    assert allowed.attributes["runrecord.subject.id"] == went.attributes["gen_ai.tool.call.id"]
    assert facts(allowed, "subject.digest") == facts(went, "arguments.digest")
    assert "runrecord.run.id" not in stopped.attributes
    assert [facts(run, "run.outcome")[0] for run in telemetry.named("invoke_workflow")] == [
        "success",
        "denied",
    ]
    telemetry.check_counters()


async def plain_veto(ctx: Any, call_next: Any) -> Any:
    if ctx.method == "tools/call":
        raise MCPError(code=-32099, message="no")
    return await call_next(ctx)


async def answering(ctx: Any, call_next: Any) -> Any:
    if ctx.method == "tools/call":
        return CallToolResult(content=[TextContent(type="text", text="no")], is_error=True)
    return await call_next(ctx)


async def cached(ctx: Any, call_next: Any) -> Any:
    if ctx.method == "tools/call":
        return CallToolResult(content=[], structured_content={"result": "looked 1.0"})
    return await call_next(ctx)


async def halving(ctx: Any, call_next: Any) -> Any:
    from dataclasses import replace

    if ctx.method == "tools/call":
        arguments = {"amount": ctx.params["arguments"]["amount"] / 2}
        ctx = replace(ctx, params={**ctx.params, "arguments": arguments})
    return await call_next(ctx)


async def crashing(ctx: Any, call_next: Any) -> Any:
    if ctx.method == "tools/call":
        raise RuntimeError("a defect is no refusal")
    return await call_next(ctx)


@pytest.mark.parametrize("middleware", [plain_veto, answering])
def test_middleware_that_refuses(telemetry: Any, middleware: Any) -> None:
    call(shop(middleware), "look", 1.0)
    name = "plain_veto" if middleware is plain_veto else "middleware"
    assert facts(telemetry.one(f"policy_decision {name}"), "decision.outcome", "subject.name") == [
        "deny",
        "look",
    ]
    assert facts(telemetry.one("invoke_workflow"), "run.outcome") == ["denied"]
    telemetry.check_counters()


def test_middleware_that_changes_the_arguments(telemetry: Any) -> None:
    result = call(shop(halving), "look", 8.0)
    assert result.structured_content == {"result": "looked 4.0"}
    decision, tool = telemetry.one("policy_decision"), telemetry.one("tools/call look")
    assert facts(decision, "decision.outcome", "decision.action") == ["allow", "modify"]
    assert facts(decision, "subject.digest") != facts(tool, "arguments.digest")
    telemetry.check_counters()


def test_middleware_that_answers_instead_of_the_tool(telemetry: Any) -> None:
    assert call(shop(cached), "look", 1.0).structured_content == {"result": "looked 1.0"}
    tool = telemetry.one("execute_tool look")
    assert "runrecord.result.digest" in tool.attributes
    assert "runrecord.side_effect.committed" not in tool.attributes
    telemetry.check_counters()


def test_middleware_with_a_defect_is_a_failure(telemetry: Any) -> None:
    call(shop(crashing), "look", 1.0)
    assert not telemetry.named("policy_decision")
    assert facts(telemetry.one("invoke_workflow"), "run.outcome") == ["failure"]
    telemetry.check_counters()


def test_a_request_state_of_somebody_else_is_refused(telemetry: Any, recorder: Any) -> None:
    async def retry(client: Client) -> Any:
        answer = {"x": ElicitResult(action="accept", content={"agree": True})}
        with pytest.raises(MCPError):
            await client.session.call_tool(
                "refund", {"amount": 1.0}, input_responses=answer, request_state="forged"
            )

    async def main(in_a_run: bool) -> None:
        async with Client(shop()) as client:
            if not in_a_run:
                await retry(client)
                return
            with recorder.run(agent="agent"):
                await retry(client)

    asyncio.run(main(False))
    denied = telemetry.one("policy_decision RequestStateBoundary")
    assert facts(denied, "decision.outcome", "decision.reason_code") == ["deny", "invalid_request_state"]
    assert facts(telemetry.one("invoke_workflow"), "run.outcome") == ["denied"]
    telemetry.span_exporter.clear()
    asyncio.run(main(True))
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["denied"]
    assert "invalid_request_state" in facts(telemetry.named("policy_decision")[0], "decision.reason_code")


def test_a_server_without_the_sdks_span_gets_ours(telemetry: Any) -> None:
    async def on_call(ctx: Any, params: Any) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text="x")])

    async def on_list(ctx: Any, params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[])

    server = Server("bare", on_call_tool=on_call, on_list_tools=on_list)
    server.middleware.clear()
    call(server, "look", 1.0)
    tool = telemetry.one("execute_tool look")
    assert tool.parent.span_id == telemetry.one("invoke_workflow bare").context.span_id
    telemetry.check_counters()
