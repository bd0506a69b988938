# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Hooks, validators, filters and limits are policy decisions; a denial is not an error."""

import asyncio
from typing import Any

import pytest
from opentelemetry import trace as otel
from pydantic_ai import Agent, ModelRetry, Tool, UsageLimits
from pydantic_ai.capabilities import AbstractCapability, Hooks
from pydantic_ai.exceptions import (
    ContentFilterError,
    SkipToolExecution,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
)
from pydantic_ai.messages import ModelResponse, TextPart

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]

SECRET = "planted-1"


def refund(amount: float) -> str:
    """Pay back."""
    return "paid"


def agent(model: Any, *capabilities: Any, **options: Any) -> Agent[Any, Any]:
    options = {"tools": [refund], **options}
    return Agent(model, name="refund-agent", capabilities=[*capabilities], **options)


def outcome(span: Any) -> list[Any]:
    names = (
        "policy.id",
        "policy.engine",
        "subject.type",
        "decision.outcome",
        "decision.action",
        "decision.reason_code",
    )
    assert span.status.status_code is otel.StatusCode.UNSET
    return [span.attributes.get(f"runrecord.{name}") for name in names]


async def no_large_refunds(ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
    if args["amount"] > 50:
        raise SkipToolExecution(SECRET)
    return args


no_large_refunds.policy_id = "refunds"  # type: ignore[attr-defined]
no_large_refunds.policy_version = "14"  # type: ignore[attr-defined]
no_large_refunds.policy_rule = "over_50_usd"  # type: ignore[attr-defined]


async def cached(ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
    raise SkipToolExecution("from the cache")


cached.policy_id = None  # type: ignore[attr-defined]


class Chargeback(AbstractCapability[Any]):
    """A capability that answers in the tool's place."""

    policy_version = "3"

    async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
        if args["amount"] > 50:
            return SECRET
        return await handler(args)


def test_a_hook_that_keeps_a_tool_from_running(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    hooks: Any = Hooks(before_tool_execute=no_large_refunds)
    model = scripted([call("refund", amount=80)], "Done.")
    assert agent(model, hooks).run_sync("hi").output == "Done."
    decision = telemetry.one("policy_decision refunds")
    assert outcome(decision)[1:] == ["custom", "tool_call", "deny", "block", "skip_tool_execution"]
    assert decision.attributes["runrecord.policy.version"] == "14"
    assert decision.attributes["runrecord.policy.rule.id"] == "over_50_usd"
    assert decision.attributes["runrecord.subject.id"] == "call_1"
    assert "runrecord.subject.digest" in decision.attributes
    assert not telemetry.named("execute_tool")
    assert ended() == ["denied", None, "UNSET"]
    assert SECRET not in telemetry.exported_text()


def test_a_hook_that_is_a_cache_denies_nothing(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    hooks: Any = Hooks(before_tool_execute=cached)
    agent(scripted([call("refund", amount=80)], "Done."), hooks).run_sync("hi")
    assert telemetry.tree() == ["invoke_agent refund-agent", "  agent_step act", "  agent_step act"]
    assert ended() == ["success", None, "UNSET"]


@pytest.mark.parametrize("several", [False, True])
def test_a_capability_that_answers_in_a_tools_place(
    telemetry: Any, scripted: Any, call: Any, ended: Any, several: bool
) -> None:
    class Another(Chargeback):
        pass

    capabilities = [Chargeback(), Another()] if several else [Chargeback()]
    agent(scripted([call("refund", amount=80)], "Done."), *capabilities).run_sync("hi")
    assert outcome(telemetry.one("policy_decision")) == [
        "wrap_tool_execute" if several else "Chargeback",
        "custom",
        "tool_call",
        "deny",
        "block",
        "answered_by_hook",
    ]
    assert not telemetry.named("execute_tool")
    assert ended() == ["denied", None, "UNSET"]
    assert SECRET not in telemetry.exported_text()


def test_a_call_that_hooks_let_through(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    hooks: Any = Hooks(before_tool_execute=no_large_refunds)
    agent(scripted([call("refund", amount=20)], "Done."), hooks, Chargeback()).run_sync("hi")
    assert not telemetry.named("policy_decision")  # of a hook that says nothing nobody knows that it judged
    assert telemetry.one("execute_tool refund")
    assert ended() == ["success", None, "UNSET"]


async def again(ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
    if args["amount"] > 50:
        raise ModelRetry(SECRET)
    return args


async def withhold(ctx: Any, *, call: Any, tool_def: Any, args: Any, result: Any) -> Any:
    if args["amount"] > 50:
        raise ModelRetry(SECRET)
    return result


@pytest.mark.parametrize(
    ("hook", "action"), [("before_tool_execute", "block"), ("after_tool_execute", "modify")]
)
def test_a_hook_that_asks_the_model_to_try_again(
    telemetry: Any, *, scripted: Any, call: Any, ended: Any, hook: str, action: str
) -> None:
    function = again if action == "block" else withhold
    hooks: Any = Hooks(**{hook: function})  # type: ignore[arg-type]
    model = scripted([call("refund", amount=80)], [call("refund", "call_2", amount=20)], "Done.")
    agent(model, hooks).run_sync("hi")
    decision = telemetry.one("policy_decision")
    assert outcome(decision) == [function.__name__, "custom", "tool_call", "deny", action, "model_retry"]
    assert len(telemetry.named("execute_tool")) == (1 if action == "block" else 2)
    assert ended() == ["success", None, "UNSET"]
    assert SECRET not in telemetry.exported_text()


def at_most_50(ctx: Any, amount: float) -> None:
    if amount > 50:
        raise ModelRetry(SECRET)


def test_an_arguments_validator(telemetry: Any, scripted: Any, call: Any, ended: Any) -> None:
    model = scripted([call("refund", amount=80)], [call("refund", "call_2", amount=20)], "Done.")
    tool = Tool(refund, args_validator=at_most_50)
    assert agent(model, tools=[tool]).run_sync("hi").output == "Done."
    decision = telemetry.one("policy_decision")
    assert outcome(decision) == ["at_most_50", "custom", "tool_call", "deny", "block", "model_retry"]
    assert telemetry.one("execute_tool").attributes["gen_ai.tool.call.id"] == "call_2"
    assert ended() == ["success", None, "UNSET"]
    assert SECRET not in telemetry.exported_text()


def test_arguments_that_do_not_fit_the_schema_are_no_policy(
    telemetry: Any, scripted: Any, call: Any, ended: Any
) -> None:
    model = scripted([call("refund", amount="much")], [call("refund", "call_2", amount=20)], "Done.")
    agent(model).run_sync("hi")
    assert not telemetry.named("policy_decision")
    assert len(telemetry.named("execute_tool")) == 1
    assert ended() == ["success", None, "UNSET"]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_output_validator(telemetry: Any, scripted: Any, facts: Any, streamed: bool) -> None:
    program = agent(scripted("Rude.", "Kind."))

    @program.output_validator
    def tone(output: str) -> str:
        if "Rude" in output:
            raise ModelRetry(SECRET)
        return output

    async def main() -> None:
        if not streamed:
            assert (await program.run("hi")).output == "Kind."
            return
        with pytest.raises(UnexpectedModelBehavior):  # a stream can't be taken back
            async with program.run_stream("hi") as result:
                await result.get_output()

    asyncio.run(main())
    assert outcome(telemetry.one("policy_decision")) == [
        "tone",
        "custom",
        "model_output",
        "deny",
        "block",
        "model_retry",
    ]
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["failure" if streamed else "success"]
    assert SECRET not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("empty", [True, False])
def test_a_response_that_the_provider_filtered(
    telemetry: Any, scripted: Any, ended: Any, empty: bool
) -> None:
    filtered = ModelResponse([] if empty else [TextPart("Half an")], finish_reason="content_filter")
    if empty:
        with pytest.raises(ContentFilterError):
            agent(scripted(filtered)).run_sync("hi")
    else:
        agent(scripted(filtered)).run_sync("hi")
    assert outcome(telemetry.one("policy_decision content_filter")) == [
        "content_filter",
        "guardrail",
        "model_output",
        "deny",
        "block",
        "content_filter",
    ]
    assert ended() == (["denied", "content_filter", "UNSET"] if empty else ["success", None, "UNSET"])


@pytest.mark.parametrize(
    ("limits", "rule", "dimension", "limit"),
    [
        (UsageLimits(request_limit=1), "request_limit", "model_calls", 1.0),
        (UsageLimits(tool_calls_limit=0), "tool_calls_limit", "tool_calls", 0.0),
        (UsageLimits(output_tokens_limit=1), "output_tokens_limit", "tokens", 1.0),
    ],
)
def test_a_limit_that_is_exceeded(
    telemetry: Any,
    *,
    scripted: Any,
    call: Any,
    ended: Any,
    facts: Any,
    limits: Any,
    rule: str,
    dimension: str,
    limit: float,
) -> None:
    with pytest.raises(UsageLimitExceeded):
        agent(scripted([call("refund", amount=80)], "Done.")).run_sync("hi", usage_limits=limits)
    decision, run = telemetry.one("policy_decision"), telemetry.one("invoke_agent")
    assert outcome(decision) == ["usage_limits", "sdk", "run", "deny", "terminate", rule]
    for span in (decision, run):
        assert facts(
            span, "budget.id", "budget.dimension", "budget.limit", "budget.exceeded", "budget.action"
        ) == [
            rule,
            dimension,
            limit,
            True,
            "stop",
        ]
        assert facts(span, "budget.consumed")[0] is not None
    assert ended() == ["budget_exceeded", rule, "UNSET"]


def test_a_limit_that_an_inner_agent_exceeds_is_one_decision(
    telemetry: Any, scripted: Any, call: Any, facts: Any
) -> None:
    inner = Agent(scripted([call("refund", amount=20)], "Done."), name="inner", tools=[refund])

    async def ask() -> str:
        """Ask another agent."""
        return (await inner.run("please", usage_limits=UsageLimits(request_limit=1))).output

    with pytest.raises(UsageLimitExceeded):
        agent(scripted([call("ask")], "Done."), tools=[ask]).run_sync("hi")
    assert telemetry.one("policy_decision")
    assert facts(telemetry.one("invoke_agent refund-agent"), "run.outcome") == ["budget_exceeded"]


@pytest.mark.newest
def test_a_run_that_takes_too_long(telemetry: Any, ended: Any, facts: Any) -> None:
    from pydantic_ai import exceptions
    from pydantic_ai.models.function import FunctionModel

    timed_out = getattr(exceptions, "RunTimedOut", None)
    if timed_out is None:
        pytest.skip("this release has no timeout of a run")

    async def stuck(*_: Any) -> Any:
        await asyncio.Event().wait()

    with pytest.raises(timed_out):
        agent(FunctionModel(stuck)).run_sync("hi", timeout=0.01)
    assert facts(telemetry.one("policy_decision"), "budget.dimension", "budget.limit") == ["seconds", 0.01]
    assert ended() == ["budget_exceeded", "timeout", "UNSET"]
