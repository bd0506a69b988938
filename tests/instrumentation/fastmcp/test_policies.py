# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Middleware and authorization as policy decisions."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from fastmcp import Client, FastMCP
from fastmcp.exceptions import AuthorizationError, InsufficientScopeError, ToolError
from fastmcp.server.auth import require_scopes
from fastmcp.server.middleware import AuthMiddleware, Middleware
from fastmcp.server.middleware.caching import ResponseCachingMiddleware
from fastmcp.server.middleware.error_handling import ErrorHandlingMiddleware
from fastmcp.server.middleware.rate_limiting import RateLimitingMiddleware
from fastmcp.tools import ToolResult
from mcp import MCPError
from mcp_types import TextContent

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


class Limit(Middleware):
    """A middleware that says which policy it is."""

    policy_id, policy_version, policy_rule = "refunds", "14", "over_50_usd"

    async def on_call_tool(self, context: Any, call_next: Any) -> Any:
        if context.message.arguments.get("amount", 0) > 50:
            raise ToolError("too much")
        return await call_next(context)


class Refusing(Middleware):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def on_call_tool(self, context: Any, call_next: Any) -> Any:
        raise self.error


class Answering(Middleware):
    async def on_call_tool(self, context: Any, call_next: Any) -> Any:
        return ToolResult(content=[TextContent(type="text", text="no")], is_error=True)


class Halving(Middleware):
    async def on_call_tool(self, context: Any, call_next: Any) -> Any:
        arguments = {"amount": context.message.arguments["amount"] / 2}
        return await call_next(
            context.copy(message=context.message.model_copy(update={"arguments": arguments}))
        )


def shop(*middleware: Any, auth: Any = None) -> FastMCP:
    server = FastMCP("shop", middleware=list(middleware))

    @server.tool(auth=auth)
    async def look(amount: float) -> str:
        return f"looked {amount}"

    return server


def call(server: FastMCP, amount: float = 1.0, *, era: str = "auto", times: int = 1) -> list[Any]:
    async def main() -> list[Any]:
        async with Client(server, mode=era) as client:
            return [
                await client.call_tool("look", {"amount": amount}, raise_on_error=False) for _ in range(times)
            ]

    return asyncio.run(main())


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def tools(telemetry: Any) -> list[Any]:
    named = [*telemetry.named("tools/call"), *telemetry.named("execute_tool")]
    return [span for span in named if "runrecord.record.seq" in span.attributes]


@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize("agent", [True, False])
def test_middleware_that_names_its_policy(telemetry: Any, recorder: Any, era: str, agent: bool) -> None:
    async def main() -> None:
        async with Client(shop(Limit()), mode=era) as client:
            await client.call_tool("look", {"amount": 1.0})
            with pytest.raises(ToolError, match="too much"):
                await client.call_tool("look", {"amount": 80.0})

    async def agents() -> None:
        with recorder.run(agent="agent"):
            await main()

    asyncio.run(agents() if agent else main())
    allowed, denied = telemetry.named("policy_decision refunds")
    names = (
        "policy.version",
        "policy.rule.id",
        "policy.engine",
        "decision.outcome",
        "decision.action",
        "subject.name",
    )
    assert facts(allowed, *names) == ["14", "over_50_usd", "sdk", "allow", "none", "look"]
    assert facts(denied, *names) == ["14", "over_50_usd", "sdk", "deny", "block", "look"]
    assert allowed.attributes["runrecord.subject.id"] != denied.attributes["runrecord.subject.id"]
    went = tools(telemetry)[0]
    assert facts(allowed, "subject.digest") == facts(went, "arguments.digest")
    assert allowed.attributes["runrecord.subject.id"] == went.attributes["gen_ai.tool.call.id"]
    if agent:
        # The agent made a second call, which the policy stopped.
        assert (
            denied.attributes["runrecord.subject.id"] == tools(telemetry)[1].attributes["gen_ai.tool.call.id"]
        )
        assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["denied"]
    else:
        assert len(tools(telemetry)) == 1
        assert [facts(run, "run.outcome")[0] for run in telemetry.named("invoke_workflow")] == [
            "success",
            "denied",
        ]
    telemetry.check_counters()


REFUSALS = [
    (AuthorizationError("no"), "unauthorized"),
    (InsufficientScopeError(["refunds:write"]), "insufficient_scope"),
    (ToolError("no"), None),
]


@pytest.mark.parametrize(("error", "reason"), REFUSALS)
@pytest.mark.parametrize("handled", [True, False])
def test_middleware_that_refuses(telemetry: Any, error: Exception, reason: str | None, handled: bool) -> None:
    before = [ErrorHandlingMiddleware()] if handled else []
    with pytest.raises(MCPError) if handled else nullcontext():
        call(shop(*before, Refusing(error)))
    decision = telemetry.one("policy_decision Refusing")
    assert facts(decision, "decision.outcome", "decision.reason_code", "subject.name") == [
        "deny",
        reason,
        "look",
    ]
    assert not tools(telemetry)
    assert facts(telemetry.one("invoke_workflow"), "run.outcome") == ["denied"]
    telemetry.check_counters()


def test_middleware_with_a_defect_is_a_failure(telemetry: Any) -> None:
    with pytest.raises(MCPError):
        call(shop(Refusing(RuntimeError("a defect is no refusal"))))
    assert not telemetry.named("policy_decision")
    assert facts(telemetry.one("invoke_workflow"), "run.outcome") == ["failure"]
    telemetry.check_counters()


def test_scopes_that_the_middleware_asks_for(telemetry: Any) -> None:
    (result,) = call(shop(AuthMiddleware(auth=require_scopes("refunds:write"))))
    assert result.is_error
    assert facts(telemetry.one("policy_decision AuthMiddleware"), "decision.outcome") == ["deny"]
    assert not tools(telemetry)
    telemetry.check_counters()


def test_a_check_that_lets_through(telemetry: Any) -> None:
    call(shop(AuthMiddleware(auth=lambda context: True)))
    assert facts(telemetry.one("policy_decision AuthMiddleware"), "decision.outcome") == ["allow"]
    assert len(tools(telemetry)) == 1
    telemetry.check_counters()


def test_a_rate_limit(telemetry: Any) -> None:
    # The handshake and the call take a token each; a rate so low gives none back.
    with pytest.raises(MCPError):
        call(shop(RateLimitingMiddleware(max_requests_per_second=0.0001, burst_capacity=3)), times=9)
    *allowed, denied = telemetry.named("policy_decision RateLimitingMiddleware")
    assert {facts(span, "decision.outcome")[0] for span in allowed} == {"allow"}
    assert facts(denied, "decision.outcome", "decision.reason_code") == ["deny", "rate_limited"]
    telemetry.check_counters()


def test_middleware_that_answers_with_an_error(telemetry: Any) -> None:
    call(shop(Answering()))
    assert facts(telemetry.one("policy_decision"), "decision.outcome") == ["deny"]
    assert not tools(telemetry)
    telemetry.check_counters()


def test_middleware_that_changes_the_arguments(telemetry: Any, recorder: Any) -> None:
    (result,) = call(shop(Halving()), 8.0)
    assert result.data == "looked 4.0"
    decision, (tool,) = telemetry.one("policy_decision"), tools(telemetry)
    assert facts(decision, "decision.outcome", "decision.action") == ["allow", "modify"]
    assert facts(decision, "subject.digest") != facts(tool, "arguments.digest")
    telemetry.check_counters()


def test_an_answer_from_the_cache_is_no_second_effect(telemetry: Any) -> None:
    first, second = call(shop(ResponseCachingMiddleware()), times=2)
    assert first.data == second.data
    assert len(tools(telemetry)) == 2
    assert "runrecord.side_effect.committed" not in tools(telemetry)[1].attributes
    telemetry.check_counters()


def test_a_tool_that_asks_for_scopes_itself(telemetry: Any) -> None:
    (result,) = call(shop(auth=require_scopes("refunds:write")))
    assert result.is_error
    decision = telemetry.one("policy_decision authorization")
    assert facts(decision, "decision.outcome", "decision.reason_code") == ["deny", "unauthorized"]
    assert facts(telemetry.one("invoke_workflow"), "run.outcome") == ["denied"]
    telemetry.check_counters()
