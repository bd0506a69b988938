# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside the official instrumentation, and OpenInference's: their spans say which run and step they are of, none is doubled."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

official = pytest.importorskip("opentelemetry.instrumentation.genai.anthropic")
openinference = pytest.importorskip("openinference.instrumentation.anthropic")

from anthropic import beta_tool  # noqa: E402

from runrecord.instrumentation.anthropic import AnthropicInstrumentor  # noqa: E402

pytestmark = [pytest.mark.sdk]

PARAMS: Any = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(params=["ours first", "theirs first"])
def both(request: Any, telemetry: Any, recorder: Any) -> Generator[None, None, None]:
    ours, theirs = AnthropicInstrumentor(), official.AnthropicInstrumentor()
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
@pytest.mark.usefixtures("both")
def test_in_a_run_by_hand(telemetry: Any, recorder: Any, server: Any, client: Any, stream: bool) -> None:
    server.script(server.message())
    with recorder.run(agent="a") as run:
        for _ in range(2):
            with run.step(kind="act"):
                result = client.messages.create(**PARAMS, stream=stream)
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


@pytest.mark.usefixtures("both")
def test_asynchronously(telemetry: Any, recorder: Any, server: Any, async_client: Any) -> None:
    async def main() -> None:
        async with async_client() as made:
            with recorder.run(agent="a"):
                await made.messages.create(**PARAMS)

    server.script(server.message())
    asyncio.run(main())
    (span,) = inferences(telemetry)
    assert "runrecord.run.id" in span.attributes
    telemetry.check_counters()


@pytest.mark.usefixtures("both")
def test_a_plain_call_is_theirs_alone(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.message())
    client.messages.create(**PARAMS)
    assert telemetry.tree() == ["chat m"]
    assert "runrecord.run.id" not in telemetry.one("chat").attributes


@pytest.mark.usefixtures("both")
def test_a_refusal_in_a_plain_call(telemetry: Any, server: Any, client: Any) -> None:
    server.script(server.message(stop="refusal"))
    client.messages.create(**PARAMS)
    (span,) = inferences(telemetry)
    assert span.attributes["runrecord.run.id"] == telemetry.one("invoke_agent").attributes["runrecord.run.id"]
    telemetry.check_counters()


@beta_tool
def lookup(order: str) -> str:
    """Look up an order."""
    return f"found {order}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.usefixtures("both")
def test_a_tool_runner(telemetry: Any, server: Any, client: Any, stream: bool) -> None:
    server.script(server.calls(server.use()), server.message())
    client.beta.messages.tool_runner(**PARAMS, tools=[lookup], stream=stream).until_done()
    names = [name.strip() for name in telemetry.tree()]
    ours = ["invoke_agent", "agent_step act", "execute_tool lookup", "agent_step act"]
    assert sorted(name for name in names if not name.startswith("chat")) == sorted(ours)
    assert [span.attributes["runrecord.step.index"] for span in inferences(telemetry)] == [0, 1]
    telemetry.check_counters()


def test_beside_openinference(telemetry: Any, recorder: Any, server: Any, client: Any) -> None:
    ours, theirs = AnthropicInstrumentor(), openinference.AnthropicInstrumentor()
    theirs.instrument(tracer_provider=telemetry.tracer_provider)
    ours.instrument(recorder=recorder)
    try:
        server.script(server.calls(server.use()), server.message())
        client.beta.messages.tool_runner(**PARAMS, tools=[lookup]).until_done()
    finally:
        ours.uninstrument()
        theirs.uninstrument()
    assert len(telemetry.named("invoke_agent")) == len(telemetry.named("execute_tool")) == 1
    calls = telemetry.named("beta.messages.create")
    counted = [span for span in telemetry.spans if "llm.token_count.prompt" in span.attributes]
    assert counted == calls
    assert len(calls) == 2
    assert not any("gen_ai.usage.input_tokens" in span.attributes for span in telemetry.spans)
    telemetry.check_counters()
