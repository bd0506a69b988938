# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Elicitation through FastMCP: ``ctx.elicit`` in the older era, a tool that returns what it needs to know in the newer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastmcp import Client, Context, FastMCP
from fastmcp.client.elicitation import ElicitResult
from fastmcp.exceptions import ToolError
from mcp_types import (
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
)

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

ERAS = ["auto", "legacy"]
FORM = {"type": "object", "properties": {"value": {"type": "boolean"}}, "required": ["value"]}


def shop() -> FastMCP:
    server = FastMCP("shop")

    @server.tool
    async def refund(amount: float, ctx: Context) -> str | InputRequiredResult:
        if ctx.request_context is not None and ctx.request_context.protocol_version < "2026":
            answer: Any = await ctx.elicit(f"Refund {amount}?", bool)
            agreed = answer.action == "accept" and answer.data
        elif ctx.input_responses is None:
            asked = ElicitRequestFormParams(message=f"Refund {amount}?", requested_schema=FORM)
            return InputRequiredResult(
                input_requests={"ok": ElicitRequest(params=asked)}, request_state="asked"
            )
        else:
            answer = ctx.input_responses["ok"]
            agreed = answer.action == "accept" and answer.content["value"]
        if not agreed:
            raise ToolError("kept")
        return "paid"

    return server


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def tools(telemetry: Any) -> list[Any]:
    found = [
        span for span in telemetry.named("tools/call refund") if "runrecord.record.seq" in span.attributes
    ]
    return sorted(found, key=lambda span: span.start_time)


@pytest.fixture
def run(recorder: Any) -> Callable[..., Any]:
    def start(answer: Any, amounts: list[float], *, era: str, agent: bool) -> list[bool]:
        async def handler(message: str, response_type: Any, params: Any, context: Any) -> Any:
            return answer(message) if callable(answer) else answer

        async def calls() -> list[bool]:
            async with Client(shop(), mode=era, elicitation_handler=handler) as client:
                results = await asyncio.gather(
                    *(
                        client.call_tool("refund", {"amount": amount}, raise_on_error=False)
                        for amount in amounts
                    )
                )
                return [not result.is_error for result in results]

        async def main() -> list[bool]:
            if not agent:
                return await calls()
            with recorder.run(agent="agent"):
                return await calls()

        return asyncio.run(main())

    return start


ANSWERS = {
    "accept": (ElicitResult(action="accept", content={"value": True}), "approved", "accept"),
    "no": (ElicitResult(action="accept", content={"value": False}), "denied", "answered_no"),
    "decline": (ElicitResult(action="decline"), "denied", "decline"),
    "cancel": (ElicitResult(action="cancel"), "cancelled", "cancel"),
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("agent", [True, False])
@pytest.mark.parametrize("name", list(ANSWERS))
def test_an_answer(telemetry: Any, run: Any, era: str, agent: bool, name: str) -> None:
    answer, status, reason = ANSWERS[name]
    assert run(answer, [80.0], era=era, agent=agent) == [status == "approved"]
    request, decision = telemetry.one("request_approval refund"), telemetry.one("approval_decision refund")
    assert facts(decision, "approval.status", "approval.reason_code") == [status, reason]
    assert decision.links[0].context.span_id == request.context.span_id
    last = tools(telemetry)[-1]
    assert facts(request, "approval.subject.digest") == facts(decision, "approval.subject.digest")
    assert facts(request, "approval.subject.digest") == facts(last, "arguments.digest")
    assert {tool.attributes["gen_ai.tool.call.id"] for tool in tools(telemetry)} == set(
        facts(request, "subject.id")
    )
    assert facts(last, "approval.id") == (facts(request, "approval.id") if status == "approved" else [None])
    runs = telemetry.named("invoke_agent" if agent else "invoke_workflow")
    runs.sort(key=lambda span: span.start_time)
    assert facts(runs[-1], "run.outcome") == ["success" if status == "approved" else "denied"]
    if not agent and era == "auto":
        assert facts(runs[0], "run.state") == ["suspended"]
        assert facts(runs[0], "run.id") == facts(runs[1], "run.id")
    telemetry.check_counters()


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("agent", [True, False])
def test_ten_questions_at_once(telemetry: Any, run: Any, era: str, agent: bool) -> None:
    def answer(message: str) -> ElicitResult:
        odd = float(message.split()[1].rstrip("?")) % 2
        return ElicitResult(action="accept", content={"value": not odd})

    assert run(answer, [float(n) for n in range(10)], era=era, agent=agent) == [n % 2 == 0 for n in range(10)]
    calls = {tool.attributes["gen_ai.tool.call.id"]: tool for tool in tools(telemetry)}
    decisions = telemetry.named("approval_decision")
    assert len(calls) == len(decisions) == len(telemetry.named("request_approval")) == 10
    for decision in decisions:
        call = calls[decision.attributes["runrecord.subject.id"]]
        assert facts(decision, "approval.subject.digest") == facts(call, "arguments.digest")
        assert (facts(decision, "approval.status") == ["denied"]) == (call.status.status_code.name == "ERROR")
    telemetry.check_counters()
