# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Plain calls of the Messages API: refusals, content filters, hosted tools, and what waits to be continued."""

import asyncio
from typing import Any

import pytest
from anthropic import BadRequestError

from runrecord.instrumentation.anthropic import AnthropicInstrumentor

pytestmark = [pytest.mark.sdk]

PARAMS: Any = {"model": "m", "max_tokens": 100}
HELLO: Any = {"role": "user", "content": "secret-content"}
SERVERS: Any = [{"type": "url", "name": "payments", "url": "https://mcp.example.org"}]
CALLED: dict[str, Any] = {
    "type": "mcp_tool_use",
    "id": "mcptoolu_1",
    "name": "create_refund",
    "server_name": "payments",
    "input": {"invoice": "i-1", "amount": 80},
}


def returned(call_id: str = "mcptoolu_1", *, is_error: bool = False) -> dict[str, Any]:
    content = [{"type": "text", "text": "secret-content"}]
    return {"type": "mcp_tool_result", "tool_use_id": call_id, "is_error": is_error, "content": content}


def facts(span: Any, *names: str) -> list[Any]:
    return [span.attributes.get(f"runrecord.{name}") for name in names]


def ask(client: Any, *messages: Any, stream: bool = False, **more: Any) -> Any:
    given = {**PARAMS, "messages": list(messages) or [HELLO], **more}
    if not stream:
        return client.beta.messages.create(**given)
    with client.beta.messages.stream(**given) as events:
        return events.get_final_message()


@pytest.mark.usefixtures("instrumented")
def test_a_plain_call_leaves_nothing(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.message())
    client.messages.create(**PARAMS, messages=[HELLO])
    assert ask(client, stream=True).content[0].text == "Done."
    assert telemetry.spans == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.usefixtures("instrumented")
def test_a_refusal(telemetry: Any, server: Any, client: Any, stream: bool) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "secret-content"}
    server.script(server.message(stop="refusal", stop_details=details))
    ask(client, stream=stream)
    assert telemetry.tree() == ["invoke_agent", "  agent_step act", "    policy_decision refusal"]
    decision = telemetry.one("policy_decision")
    assert facts(decision, "decision.outcome", "decision.reason_code", "subject.type") == [
        "deny",
        "cyber",
        "model_output",
    ]
    assert facts(telemetry.one("invoke_agent"), "run.outcome", "run.stop_reason") == ["denied", "refusal"]
    assert "secret-content" not in telemetry.exported_text()
    telemetry.check_counters()


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.usefixtures("instrumented")
def test_a_content_filter(
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool
) -> None:
    async def main() -> None:
        async with async_client() as made:
            await made.messages.create(**PARAMS, messages=[HELLO])

    said = "Output blocked by content filtering policy"
    server.script((400, {"type": "error", "error": {"type": "invalid_request_error", "message": said}}))
    with pytest.raises(BadRequestError):
        asyncio.run(main()) if asynchronous else ask(client)
    assert facts(telemetry.one("policy_decision content_filter"), "decision.outcome") == ["deny"]
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == ["denied"]
    telemetry.check_counters()


@pytest.mark.parametrize("is_error", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.usefixtures("instrumented")
def test_a_tool_of_an_mcp_server(
    telemetry: Any, server: Any, client: Any, stream: bool, is_error: bool
) -> None:
    server.script(server.message(CALLED, returned(is_error=is_error), {"type": "text", "text": "Done."}))
    ask(client, stream=stream, mcp_servers=SERVERS, metadata={"user_id": "u-1"})
    assert telemetry.tree() == ["invoke_agent", "  agent_step act", "    execute_tool create_refund"]
    tool = telemetry.one("execute_tool")
    assert tool.attributes["gen_ai.tool.call.id"] == "mcptoolu_1"
    assert facts(tool, "side_effect.target") == ["payments"]
    assert tool.status.status_code.name == ("ERROR" if is_error else "UNSET")
    assert facts(telemetry.one("invoke_agent"), "principal.ref", "principal.type") == ["u-1", "user"]
    assert "secret-content" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_stream_has_the_digest_of_a_message(
    telemetry: Any, recorder: Any, server: Any, client: Any
) -> None:
    instrumentor = AnthropicInstrumentor()
    instrumentor.instrument(recorder=recorder)
    again = {**CALLED, "id": "mcptoolu_2"}
    server.script(server.message(CALLED, returned()), server.message(again, returned("mcptoolu_2")))
    with recorder.run(agent="a"):  # digests are comparable within a run
        for stream in (False, True):
            ask(client, stream=stream, mcp_servers=SERVERS)
    instrumentor.uninstrument()
    one, other = (
        facts(span, "arguments.digest", "result.digest") for span in telemetry.named("execute_tool")
    )
    assert one == other
    assert None not in one


@pytest.mark.usefixtures("instrumented")
def test_a_hosted_tool_in_a_plain_call(telemetry: Any, server: Any, client: Any) -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    error = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": error}
    server.script(server.message(use, result))
    ask(client)
    tool = telemetry.one("execute_tool web_search")
    assert tool.attributes["error.type"] == "max_uses_exceeded"
    telemetry.check_counters()


def test_a_paused_turn_goes_on_in_another_process(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.message(CALLED, stop="pause_turn"), server.message(returned()))
    first = AnthropicInstrumentor()
    first.instrument(recorder=telemetry.recorder())
    paused = ask(client, mcp_servers=SERVERS)
    first.uninstrument()
    second = AnthropicInstrumentor()
    second.instrument(recorder=telemetry.recorder())
    history = [HELLO, {"role": "assistant", "content": [block.to_dict() for block in paused.content]}]
    ask(client, *history, mcp_servers=SERVERS)
    second.uninstrument()
    one, other = telemetry.named("invoke_agent")
    assert facts(one, "run.state", "run.stop_reason") == ["suspended", "pause_turn"]
    assert facts(other, "run.segment", "run.outcome", "run.id") == [1, "success", *facts(one, "run.id")]
    assert one.context.trace_id == other.context.trace_id
    assert telemetry.one("execute_tool").attributes["gen_ai.tool.call.id"] == "mcptoolu_1"
    telemetry.check_counters()


@pytest.mark.usefixtures("instrumented")
def test_a_call_of_the_application_between_two_calls_of_the_model(
    telemetry: Any, server: Any, client: Any
) -> None:
    server.script(server.calls(server.use()), server.message(), server.message())
    first = ask(client, mcp_servers=SERVERS)
    found = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "found"}
    history: list[Any] = [
        HELLO,
        {"role": "assistant", "content": [block.to_dict() for block in first.content]},
        {"role": "user", "content": [found]},
    ]
    ask(client, *history, mcp_servers=SERVERS)
    ask(client, *history, {"role": "assistant", "content": "Done."}, HELLO, mcp_servers=SERVERS)
    runs = telemetry.named("invoke_agent")
    assert [facts(run, "run.segment", "run.state")[0] for run in runs] == [0, 1, 0]
    assert len({run.attributes["runrecord.run.id"] for run in runs}) == 2
    telemetry.check_counters()


@pytest.mark.parametrize("end", ["finished", "abandoned", "failing"])
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.usefixtures("instrumented")
def test_how_a_stream_ends(  # noqa: PLR0917
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool, end: str
) -> None:
    server.script(server.message())
    server.cut = 2 if end == "failing" else 0
    given = {**PARAMS, "messages": [HELLO], "mcp_servers": SERVERS, "stream": True}

    def sync() -> None:
        with client.beta.messages.create(**given) as stream:
            for _ in stream:
                if end == "abandoned":
                    break

    async def main() -> None:
        async with async_client() as made, await made.beta.messages.create(**given) as stream:
            async for _ in stream:
                if end == "abandoned":
                    break

    def go() -> None:
        asyncio.run(main()) if asynchronous else sync()

    if end == "failing":
        with pytest.raises(Exception):  # noqa: B017  # of the HTTP library
            go()
    else:
        go()
    outcome = {"finished": "success", "abandoned": "abandoned", "failing": "failure"}[end]
    assert facts(telemetry.one("invoke_agent"), "run.outcome") == [outcome]
    telemetry.check_counters()


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.usefixtures("instrumented")
def test_a_raw_response(
    telemetry: Any, server: Any, client: Any, async_client: Any, asynchronous: bool
) -> None:
    async def main() -> Any:
        async with async_client() as made:
            raw = await made.messages.with_raw_response.create(**PARAMS, messages=[HELLO])
            return await raw.parse()

    server.script(server.message(stop="refusal"))
    if asynchronous:
        message = asyncio.run(main())
    else:
        message = client.messages.with_raw_response.create(**PARAMS, messages=[HELLO]).parse()
    assert message.stop_reason == "refusal"
    assert telemetry.one("policy_decision refusal")
    with client.messages.with_streaming_response.create(**PARAMS, messages=[HELLO]) as response:
        assert b"refusal" in b"".join(response.iter_bytes())
    assert len(telemetry.named("policy_decision")) == 1


@pytest.mark.usefixtures("instrumented")
def test_content_where_it_is_asked_for(
    telemetry: Any, server: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    server.script(server.message(CALLED, returned(), {"type": "text", "text": "Done."}))
    for stream in (False, True):
        ask(client, stream=stream, mcp_servers=SERVERS)
    for run in telemetry.named("invoke_agent"):
        assert "secret-content" in run.attributes["gen_ai.input.messages"]
        assert "Done." in run.attributes["gen_ai.output.messages"]
    assert "secret-content" in telemetry.named("execute_tool")[0].attributes["gen_ai.tool.call.result"]
