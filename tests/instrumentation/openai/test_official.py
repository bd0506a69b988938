# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside opentelemetry-instrumentation-genai-openai, its spans say which run and step they are of, and none is doubled."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

official = pytest.importorskip("opentelemetry.instrumentation.genai.openai")

from runrecord.instrumentation.openai import OpenAIInstrumentor  # noqa: E402  # after the check

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("both")]

MESSAGES: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture(params=["ours first", "theirs first"])
def both(request: Any, telemetry: Any, recorder: Any) -> Generator[None, None, None]:
    ours, theirs = OpenAIInstrumentor(), official.OpenAIInstrumentor()
    if request.param == "ours first":
        ours.instrument(recorder=recorder)
    theirs.instrument(tracer_provider=telemetry.tracer_provider, logger_provider=telemetry.logger_provider)
    if request.param == "theirs first":
        ours.instrument(recorder=recorder)
    yield
    theirs.uninstrument()
    ours.uninstrument()


def inferences(telemetry: Any) -> list[Any]:
    spans = [span for span in telemetry.spans if "gen_ai.usage.input_tokens" in span.attributes]
    assert all(span.name.startswith("chat") for span in spans)
    assert all(span.attributes["gen_ai.usage.input_tokens"] == 11 for span in spans)
    return sorted(spans, key=lambda span: span.start_time)


@pytest.mark.parametrize("stream", [False, True])
def test_in_a_run_by_hand(telemetry: Any, recorder: Any, server: Any, client: Any, stream: bool) -> None:
    server.script(server.response(server.message()))
    with recorder.run(agent="a") as run:
        for _ in range(2):
            with run.step(kind="act"):
                result = client.responses.create(model="m", input="hi", stream=stream)
                if stream:
                    assert list(result)
    found = inferences(telemetry)
    assert [span.attributes["runrecord.step.index"] for span in found] == [0, 1]
    assert {span.attributes["runrecord.run.id"] for span in found} == {run.run_id}
    assert telemetry.tree() == [
        "invoke_agent a",
        "  agent_step act",
        "    chat m",
        "  agent_step act",
        "    chat m",
    ]
    telemetry.check_counters()


def test_a_chat_completion_in_a_run(telemetry: Any, recorder: Any, server: Any, async_client: Any) -> None:
    async def main() -> None:
        async with async_client() as made:
            with recorder.run(agent="a"):
                await made.chat.completions.create(model="m", messages=MESSAGES)

    server.script(server.completion())
    asyncio.run(main())
    (span,) = inferences(telemetry)
    assert "runrecord.run.id" in span.attributes
    assert "runrecord.record.seq" not in span.attributes  # it is no record of a ledger
    telemetry.check_counters()


def test_a_plain_call_is_theirs_alone(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.message()))
    client.responses.create(model="m", input="hi")
    assert telemetry.tree() == ["chat m"]
    assert "runrecord.run.id" not in telemetry.one("chat").attributes


def test_a_call_with_hosted_tools(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.ASKS))
    client.responses.create(model="m", input="hi", tools=[server.MCP])
    assert telemetry.tree() == [
        "chat m",
        "  invoke_agent",
        "    agent_step act",
        "      policy_decision require_approval",
        "      request_approval create_refund",
    ]
    (span,) = inferences(telemetry)
    run = telemetry.one("invoke_agent")
    assert span.attributes["runrecord.run.id"] == run.attributes["runrecord.run.id"]
    assert "gen_ai.usage.input_tokens" not in run.attributes
    telemetry.check_counters()


def test_a_policy_that_speaks_in_a_plain_call(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.response(server.message(type="refusal", refusal="no")))
    client.responses.create(model="m", input="hi")
    (span,) = inferences(telemetry)
    assert span.attributes["runrecord.run.id"]
    telemetry.check_counters()


def test_a_tool_runner(telemetry: Any, server: Any, client: Any) -> None:
    runners = pytest.importorskip("openai.lib.responses_tool_runner")
    function = {"type": "function", "name": "lookup", "parameters": {"type": "object"}, "strict": None}
    called = {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_1",
        "name": "lookup",
        "arguments": "{}",
        "status": "completed",
    }
    server.script(server.response(called), server.response(server.message()))
    runner = runners.ResponsesToolRunner(functions=[runners.RegisteredFunction(function, lambda _: "found")])
    runner.run(client, {"model": "m", "input": "hi"})
    assert sorted(telemetry.tree()) == sorted(
        [
            "invoke_agent",
            "  agent_step act",
            "  chat m",
            "    execute_tool lookup",
            "  agent_step act",
            "  chat m",
        ]
    )
    assert [span.attributes["runrecord.step.index"] for span in inferences(telemetry)] == [0, 1]
    telemetry.check_counters()
