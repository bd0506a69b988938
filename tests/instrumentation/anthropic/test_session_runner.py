# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tool runner of a session: tools that are executed here, called by an agent that runs at the server."""

import asyncio
import warnings
from typing import Any

import pytest
from anthropic import beta_async_tool, beta_tool

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

SESSION = "sesn_1"


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def run(make: Any, tool: Any, *, send: Any = None, count: int = 1) -> list[Any]:
    async def main() -> list[Any]:
        calls: list[Any] = []
        async with make() as client:
            events = client.beta.sessions.events
            async for call in events.tool_runner(SESSION, tools=[tool], max_idle=0.05):
                calls.append(call)
                if send is not None:
                    await send(events, call)
        return calls

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the SDK's own memory streams
        return asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_custom_tool(
    telemetry: Any, server: Any, async_client: Any, asynchronous: bool, fails: bool
) -> None:
    def body(order: str) -> str:
        with telemetry.tracer_provider.get_tracer("app").start_as_current_span("in the tool"):
            found = f"found {order}"
        if fails:
            raise ValueError("secret-content")
        return found

    @beta_tool
    def lookup(order: str) -> str:
        """Look up an order."""
        return body(order)

    @beta_async_tool(name="lookup")
    async def alookup(order: str) -> str:
        """Look up an order."""
        await asyncio.sleep(0)
        return body(order)

    called = server.event("agent.custom_tool_use", name="lookup", input={"order": "o-1"})
    waits = server.idle("requires_action", event_ids=[called["id"]])
    server.emit(*server.running(), called, waits)
    server.turns = [[*server.running(), server.idle()]]
    (call,) = run(async_client, alookup if asynchronous else lookup)
    assert call.is_error is fails
    tool = telemetry.one("execute_tool lookup")
    assert tool.attributes["gen_ai.tool.call.id"] == called["id"]
    assert tool.attributes.get("error.type") == ("tool_error" if fails else None)
    assert telemetry.one("in the tool").parent.span_id == tool.context.span_id
    runs = telemetry.named("invoke_agent")
    assert facts(runs[-1], "run.outcome") == ["success"]
    assert {span.attributes["runrecord.run.id"] for span in runs} == {*facts(tool, "run.id")}
    assert "secret-content" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("result", ["allow", "deny"])
def test_a_tool_that_must_be_confirmed(
    telemetry: Any, server: Any, async_client: Any, client: Any, result: str
) -> None:
    @beta_tool
    def create_refund(invoice: str, amount: int) -> str:
        """Refund."""
        return f"refunded {invoice} {amount}"

    create_refund.func.metadata = {"runrecord.side_effect.type": "pay"}  # type: ignore[attr-defined]
    asked = server.wants()
    server.emit(*server.running(), asked, server.idle("requires_action", event_ids=[asked["id"]]))
    confirmation: Any = {"type": "user.tool_confirmation", "tool_use_id": asked["id"], "result": result}
    end = [*server.running(), server.idle()]
    server.turns = [[], end] if result == "allow" else [end]
    list(client.beta.sessions.events.list(SESSION))
    client.beta.sessions.events.send(SESSION, events=[confirmation])
    (call,) = run(async_client, create_refund)
    assert call.confirmation == result
    request, decision = telemetry.one("request_approval"), telemetry.one("approval_decision")
    assert facts(decision, "approval.status") == ["approved" if result == "allow" else "denied"]
    tools = telemetry.named("execute_tool")
    assert len(tools) == (1 if result == "allow" else 0)
    for tool in tools:
        assert facts(tool, "approval.id", "arguments.digest") == facts(
            request, "approval.id", "approval.subject.digest"
        )
        assert facts(tool, "side_effect.type", "side_effect.committed") == ["pay", True]
    if result == "allow":
        assert facts(telemetry.named("invoke_agent")[-1], "run.outcome") == ["success"]
    telemetry.check_counters()
