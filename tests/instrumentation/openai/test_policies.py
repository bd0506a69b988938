# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the provider's own policies say: moderation, content filters, refusals; within a run, and where there is none."""

import asyncio
from typing import Any

import openai
import pytest

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def moderated(**flagged: bool) -> dict[str, Any]:
    result = {
        "type": "moderation_result",
        "model": "omni-moderation",
        "flagged": False,
        "categories": {"violence": False},
        "category_applied_input_types": {},
        "category_scores": {"violence": 0.2, "hate": 0.9},
    }
    hit = {**result, "flagged": True, "categories": {"violence": True, "hate": True, "self-harm": False}}
    return {side: hit if flagged.get(side) else result for side in ("input", "output")}


def test_a_plain_call_leaves_nothing(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.message()), server.completion())
    client.responses.create(model="m", input="hi")
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert not telemetry.spans
    assert not telemetry.events


@pytest.mark.parametrize("mode", ["block", "score"])
def test_moderation_of_both_sides(telemetry: Any, server: Any, client: Any, mode: str) -> None:
    server.script(server.response(server.message(), moderation=moderated(output=True)))
    asked = {"model": "omni-moderation", "policy": {"output": {"mode": mode}, "input": {"mode": mode}}}
    client.responses.create(model="m", input="hi", extra_body={"moderation": asked})
    first, second = telemetry.named("policy_decision moderation")
    assert facts(first, "decision.outcome", "subject.type", "policy.version") == [
        "allow",
        "model_input",
        "omni-moderation",
    ]
    enforced = mode == "block"
    assert facts(second, "decision.outcome", "decision.reason_code", "decision.action", "policy.mode") == [
        "deny",
        "hate",
        "block" if enforced else "warn",
        "enforce" if enforced else "monitor",
    ]
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["denied" if enforced else "success"]
    telemetry.check_counters()


def test_moderation_that_failed(telemetry: Any, server: Any, client: Any) -> None:
    failed = {"type": "error", "code": "unavailable", "message": "secret-1"}
    server.script(server.response(server.message(), moderation={"input": failed, "output": failed}))
    client.responses.create(model="m", input="hi")
    for span in telemetry.named("policy_decision moderation"):
        assert [span.status.status_code.name, span.attributes["error.type"]] == ["ERROR", "unavailable"]
    assert "secret-1" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("what", ["filter", "refusal", "chat filter", "chat refusal"])
def test_filters_and_refusals(  # noqa: PLR0917
    telemetry: Any, server: Any, client: Any, async_client: Any, what: str, stream: bool, asynchronous: bool
) -> None:
    refused = {"type": "refusal", "refusal": "I can't, secret-1."}
    answer = {
        "filter": server.response(status="incomplete", incomplete_details={"reason": "content_filter"}),
        "refusal": server.response(server.message(**refused)),
        "chat filter": server.completion(finish_reason="content_filter"),
        "chat refusal": server.completion(
            message={"role": "assistant", "content": None, "refusal": "I can't, secret-1."}
        ),
    }[what]
    server.script(answer)
    asked: dict[str, Any] = {"model": "m", "stream": stream}
    messages = [{"role": "user", "content": "hi"}]

    async def main() -> None:
        async with async_client() as made:
            if what.startswith("chat"):
                result = await made.chat.completions.create(messages=messages, **asked)
            else:
                result = await made.responses.create(input="hi", **asked)
            if stream:
                assert [event async for event in result]

    if asynchronous:
        asyncio.run(main())
    else:
        chat = client.chat.completions
        result: Any = (
            chat.create(messages=messages, **asked)
            if what.startswith("chat")
            else client.responses.create(input="hi", **asked)
        )
        if stream:
            assert list(result)
    decision = telemetry.one("policy_decision")
    assert facts(decision, "policy.id", "decision.outcome", "decision.action", "subject.type") == [
        "refusal" if "refusal" in what else "content_filter",
        "deny",
        "block",
        "model_output",
    ]
    assert ("runrecord.subject.digest" in decision.attributes) == ("refusal" in what)
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["denied"]
    assert "secret-1" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("declares", [False, True])
def test_a_filter_that_refuses_the_prompt(telemetry: Any, server: Any, client: Any, declares: bool) -> None:
    server.script(
        (400, {"error": {"message": "secret-1", "code": "content_filter", "type": "x", "param": None}})
    )
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="m", input="hi", tools=[server.MCP] if declares else [])
    decision = telemetry.one("policy_decision content_filter")
    assert facts(decision, "decision.outcome", "subject.type") == ["deny", "model_input"]
    assert facts(telemetry.one("invoke_agent"), "run.outcome", "run.stop_reason") == [
        "denied",
        "content_filter",
    ]
    assert "secret-1" not in telemetry.exported_text()
    telemetry.check_counters()


def test_any_other_error_of_a_call_with_hosted_tools(telemetry: Any, server: Any, client: Any) -> None:
    server.script((500, {"error": {"message": "secret-1"}}))
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="m", input="hi", tools=[server.MCP])
    run = telemetry.one("invoke_agent")
    assert [*facts(run, "run.outcome"), run.attributes["error.type"]] == [
        "failure",
        "openai.InternalServerError",
    ]
    assert "secret-1" not in telemetry.exported_text()
    telemetry.check_counters()


def test_within_a_run_by_hand(telemetry: Any, recorder: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.message(type="refusal", refusal="no")))
    with recorder.run(agent="a") as run, run.step(kind="act"):
        client.responses.create(model="m", input="hi")
    assert telemetry.tree() == ["invoke_agent a", "  agent_step act", "    policy_decision refusal"]
    telemetry.check_counters()


def test_a_raw_response(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.message(type="refusal", refusal="no")))
    raw = client.responses.with_raw_response.create(model="m", input="hi")
    assert raw.parse() is raw.parse()
    assert telemetry.one("policy_decision refusal")
    telemetry.check_counters()


def test_a_prompt_that_is_refused_twice_in_a_run(
    telemetry: Any, recorder: Any, server: Any, client: Any
) -> None:
    server.script((400, {"error": {"message": "x", "code": "content_filter", "type": "x", "param": None}}))
    with recorder.run(agent="a"):
        for _ in range(2):
            with pytest.raises(openai.BadRequestError):
                client.responses.create(model="m", input="hi")
    assert len(telemetry.named("policy_decision content_filter")) == 2
    telemetry.check_counters()


def test_a_response_that_is_made_in_the_background(telemetry: Any, server: Any, client: Any) -> None:
    queued = server.response(status="queued", background=True)
    whole = {**server.response(server.ASKS), "id": queued["id"]}
    server.script(queued, {**queued, "status": "in_progress"}, whole, whole)
    made = client.responses.create(model="m", input="hi", tools=[server.MCP], background=True)
    for _ in range(3):
        client.responses.retrieve(made.id)
    first, second = telemetry.named("invoke_agent")
    assert facts(first, "run.state", "run.stop_reason") == ["suspended", "background"]
    assert facts(second, "run.id", "run.segment", "run.stop_reason") == [
        *facts(first, "run.id"),
        1,
        "approval",
    ]
    assert telemetry.one("request_approval")
    telemetry.check_counters()
