# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The program is the same with and without us, nothing of its content leaves, and we are switched off without a trace."""

import asyncio
import inspect
import json
from typing import Any

import openai
import pytest
from openai._base_client import AsyncAPIClient, SyncAPIClient

from runrecord.instrumentation import DependencyConflictError
from runrecord.instrumentation.capabilities import integrations
from runrecord.instrumentation.openai import CAPABILITIES, OpenAIInstrumentor

pytestmark = [pytest.mark.sdk]

PLANTED = "planted-7f3a"
PERSONAL = f"ada-{PLANTED}@mail.example.org"


def script(server: Any) -> None:
    arguments = json.dumps({"to": PERSONAL})
    asks, ran = (
        {**server.ASKS, "arguments": arguments},
        {**server.RAN, "arguments": arguments, "output": PERSONAL},
    )
    server._numbers = iter(range(1, 99))
    refused = server.message(type="refusal", refusal=f"No, {PERSONAL}")
    server.script(
        {**server.response(asks), "id": "resp_a"},
        {**server.response(ran, refused), "id": "resp_b"},
        {**server.response(server.message(PERSONAL)), "id": "resp_c"},
        server.completion(message={"role": "assistant", "content": PERSONAL, "refusal": None}),
        (400, {"error": {"message": PERSONAL, "code": "content_filter", "type": "x", "param": None}}),
    )


def requests(server: Any) -> list[dict[str, Any]]:
    answer = {**server.YES, "reason": PERSONAL}
    said = {"role": "user", "content": PERSONAL}
    return [
        {"input": [said], "tools": [server.MCP], "instructions": PERSONAL},
        {"input": [answer], "previous_response_id": "resp_a", "tools": [server.MCP]},
        {"input": [said], "stream": True, "tools": [server.MCP]},
    ]


def story(server: Any, client: Any) -> list[Any]:
    """Everything that an application can see, from the first call to the last."""
    seen: list[Any] = []
    for request in requests(server):
        result = client.responses.create(model="m", **request)
        found = [event.to_dict() for event in result] if request.get("stream") else result.to_dict()
        seen.append((type(result).__name__, found))
    completion = client.chat.completions.create(model="m", messages=[{"role": "user", "content": PERSONAL}])
    seen.append((type(completion).__name__, completion.to_dict()))
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="m", input=PERSONAL)
    seen.append((caught.type.__name__, str(caught.value), server.requests))
    server.requests = []
    return seen


async def async_story(server: Any, make: Any) -> list[Any]:
    seen: list[Any] = []
    async with make() as client:
        for request in requests(server):
            result = await client.responses.create(model="m", **request)
            found = [event.to_dict() async for event in result] if request.get("stream") else result.to_dict()
            seen.append((type(result).__name__, found))
        messages: Any = [{"role": "user", "content": PERSONAL}]
        seen.append((await client.chat.completions.create(model="m", messages=messages)).to_dict())
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model="m", input=PERSONAL)
        seen.append((caught.type.__name__, str(caught.value), server.requests))
    server.requests = []
    return seen


@pytest.mark.parametrize("asynchronous", [False, True])
def test_same_program_with_and_without_and_no_content_leaves(  # noqa: PLR0917
    telemetry: Any, recorder: Any, server: Any, client: Any, async_client: Any, asynchronous: bool
) -> None:
    def tell() -> list[Any]:
        script(server)
        return asyncio.run(async_story(server, async_client)) if asynchronous else story(server, client)

    without = tell()
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(recorder=recorder)
    try:
        with_us = tell()
    finally:
        instrumentor.uninstrument()
    assert json.dumps(with_us, sort_keys=True) == json.dumps(without, sort_keys=True)
    assert len(telemetry.spans) > 12
    assert PLANTED not in telemetry.exported_text()
    assert PLANTED not in "".join(entry.to_json() for entry in telemetry.store._entries.values())
    telemetry.check_counters()


def test_content_is_captured_where_the_standard_variable_says_so(
    telemetry: Any, instrumented: Any, server: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del instrumented
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    script(server)
    story(server, client)
    (call,) = telemetry.named("execute_tool create_refund")
    assert json.loads(call.attributes["gen_ai.tool.call.arguments"]) == {"to": PERSONAL}
    assert call.attributes["gen_ai.tool.call.result"] == PERSONAL
    first = telemetry.named("invoke_agent")[0]
    assert json.loads(first.attributes["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": PERSONAL}]}
    ]
    assert "gen_ai.output.messages" in first.attributes


def test_ten_at_once_with_no_crossed_ids(
    telemetry: Any, instrumented: Any, server: Any, async_client: Any
) -> None:
    del instrumented

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        name = request["metadata"]["gen_ai.agent.name"]
        if any(item.get("type") == "mcp_approval_response" for item in request["input"]):
            ran = {**server.RAN, "id": f"mcp_{name}", "approval_request_id": f"mcpr_{name}"}
            return dict(server.response(ran, server.message()))
        return dict(server.response({**server.ASKS, "id": f"mcpr_{name}"}))

    async def one(made: Any, name: str) -> None:
        asked = {"model": "m", "tools": [server.MCP], "metadata": {"gen_ai.agent.name": name}}
        await made.responses.create(input=[{"role": "user", "content": "hi"}], **asked)
        await made.responses.create(input=[{**server.YES, "approval_request_id": f"mcpr_{name}"}], **asked)

    async def main() -> None:
        async with async_client() as made:
            await asyncio.gather(*(one(made, f"agent-{number}") for number in range(10)))

    server.script(answer)
    asyncio.run(main())
    runs = telemetry.named("invoke_agent")
    assert len(runs) == 20
    by_run = {span.attributes["runrecord.run.id"]: span.attributes["gen_ai.agent.name"] for span in runs}
    assert len(by_run) == 10
    for tool in telemetry.named("execute_tool"):
        name = by_run.pop(tool.attributes["runrecord.run.id"])
        assert tool.attributes["gen_ai.tool.call.id"] == f"mcpr_{name}"
    assert not by_run
    telemetry.check_counters()


@pytest.mark.newest
def test_the_agents_sdk_has_its_own_integration_for_hosted_approvals(
    telemetry: Any, recorder: Any, instrumented: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request and no decision is there twice where both integrations see them."""
    agents = pytest.importorskip("agents", reason="the Agents SDK is not installed")
    from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    del instrumented
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.script(server.response(server.ASKS), server.response(server.RAN, server.message()))
    other = OpenAIAgentsInstrumentor()
    other.instrument(recorder=recorder)

    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=server.url, api_key="none") as made:
            model = agents.OpenAIResponsesModel(model="m", openai_client=made)
            tool = agents.HostedMCPTool(tool_config=server.MCP)
            agent = agents.Agent(name="a", model=model, tools=[tool])
            first = await agents.Runner.run(agent, "hi")
            state = first.to_state()
            state.approve(first.interruptions[0])
            assert (await agents.Runner.run(agent, state)).final_output == "Done."

    try:
        asyncio.run(main())
    finally:
        other.uninstrument()
    assert len(telemetry.named("request_approval")) == len(telemetry.named("approval_decision")) == 1
    assert len(telemetry.named("invoke_agent")) == 2
    assert telemetry.one("execute_tool create_refund")
    assert len({span.attributes["runrecord.run.id"] for span in telemetry.spans}) == 1
    telemetry.check_counters()


def _patched() -> list[Any]:
    from openai.lib.streaming.chat import AsyncChatCompletionStream, ChatCompletionStream
    from openai.lib.streaming.responses import AsyncResponseStream, ResponseStream

    helpers: list[Any] = [
        ChatCompletionStream,
        AsyncChatCompletionStream,
        ResponseStream,
        AsyncResponseStream,
    ]
    return [
        SyncAPIClient.__dict__["request"],
        AsyncAPIClient.__dict__["request"],
        *(helper.__dict__["close"] for helper in helpers),
    ]


def test_switched_off_the_sdk_is_what_it_was(telemetry: Any, recorder: Any, server: Any, client: Any) -> None:
    before = _patched()
    instrumentor = OpenAIInstrumentor()
    for _ in range(2):
        instrumentor.instrument(recorder=recorder)
        assert all(now is not then for now, then in zip(_patched(), before, strict=True))
        assert inspect.iscoroutinefunction(AsyncAPIClient.request)
        instrumentor.uninstrument()
    assert all(now is then for now, then in zip(_patched(), before, strict=True))
    server.script(server.response(server.ASKS))
    client.responses.create(model="m", input="hi", tools=[server.MCP])
    assert not telemetry.spans


def test_a_client_that_was_made_before(telemetry: Any, recorder: Any, server: Any, client: Any) -> None:
    """Its resources keep methods of their own."""
    server.script(server.response(server.ASKS))
    create = client.responses.create
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(recorder=recorder)
    create(model="m", input="hi", tools=[server.MCP])
    instrumentor.uninstrument()
    assert telemetry.one("request_approval")


def test_an_sdk_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenAIInstrumentor, "instrumentation_dependencies", lambda _: ("openai >= 99",))
    with pytest.raises(DependencyConflictError):
        OpenAIInstrumentor().instrument(raise_exception_on_conflict=True)


def test_the_table_names_this_integration() -> None:
    assert integrations()["openai"] is CAPABILITIES
