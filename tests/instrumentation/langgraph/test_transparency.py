# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The program does not notice, and no content leaves unless it is asked for."""

import json
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.types import Command, interrupt

pytestmark = pytest.mark.sdk


def program(agents: Any, graph: Any, mark: Any, lookup: Any, broken: Any) -> list[Any]:
    """A program that shows its results, its exception and its stream."""
    shown: list[Any] = []
    agent = agents.make([agents.call("lookup", order="o-1")], "done", tools=[lookup])
    shown.extend((m.type, m.content) for m in agent.invoke(agents.ask)["messages"])
    failing = agents.make([agents.call("broken", order="o-1")], tools=[broken])
    try:
        failing.invoke(agents.ask)
    except LookupError as error:
        shown.append(repr(error))
    compiled = graph(one=mark("1"), two=mark("2")).compile()
    shown.extend(compiled.stream({"seen": []}, stream_mode=["values", "updates"]))
    callbacks: list[Any] = []
    compiled.invoke({"seen": []}, {"callbacks": callbacks})
    shown.append(callbacks)
    return shown


def test_the_program_gives_the_same_with_and_without(  # noqa: PLR0917
    telemetry: Any, agents: Any, instrument: Any, graph: Any, mark: Any, lookup: Any, broken: Any
) -> None:
    without = program(agents, graph, mark, lookup, broken)
    instrumentor = instrument()
    assert program(agents, graph, mark, lookup, broken) == without
    assert len(telemetry.named("invoke_")) == 4
    instrumentor.uninstrument()
    assert program(agents, graph, mark, lookup, broken) == without
    assert len(telemetry.named("invoke_")) == 4


def test_no_content_leaves_with_capture_off(telemetry: Any, agents: Any, on: Any, broken: Any) -> None:
    @tool
    def echo(text: str) -> str:
        """Echo."""
        return f"result-secret {text}"

    agent = agents.make([agents.call("echo", text="argument-secret")], "answer-secret", tools=[echo])
    agent.invoke({"messages": [("user", "prompt-secret")]}, agents.config())
    failing = agents.make([agents.call("broken", order="argument-secret")], tools=[broken])
    with pytest.raises(LookupError):
        failing.invoke({"messages": [("user", "prompt-secret")]}, agents.config())
    assert len(telemetry.spans) > 8
    assert "secret" not in telemetry.exported_text()


def test_content_is_recorded_where_it_is_asked_for(
    telemetry: Any, agents: Any, on: Any, monkeypatch: pytest.MonkeyPatch, lookup: Any
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    agents.make([agents.call("lookup", order="o-1")], "done", tools=[lookup]).invoke(agents.ask)
    attributes = telemetry.one("execute_tool").attributes
    assert attributes["gen_ai.tool.call.arguments"] == '{"order": "o-1"}'
    assert attributes["gen_ai.tool.call.result"] == "order o-1"
    run = telemetry.one("invoke_agent").attributes
    assert json.loads(run["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "please"}]}
    ]
    assert json.loads(run["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "done"}], "finish_reason": "stop"}
    ]


def test_each_segment_has_its_own_content(
    telemetry: Any, agents: Any, on: Any, monkeypatch: pytest.MonkeyPatch, graph: Any
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    compiled = graph(ask=lambda state: {"seen": [interrupt("sure?")]}).compile(checkpointer=agents.saver())
    compiled.invoke({"seen": ["first"]}, agents.config())
    compiled.invoke(Command(resume="of course"), agents.config())
    first, second = (span.attributes for span in telemetry.named("invoke_workflow"))
    assert json.loads(first["gen_ai.input.messages"])[0]["parts"][0]["content"] == '{"seen": ["first"]}'
    assert json.loads(second["gen_ai.input.messages"])[0]["parts"][0]["content"] == "of course"
    said = json.loads(second["gen_ai.output.messages"])[0]["parts"][0]["content"]
    assert json.loads(said)["seen"] == ["first", "of course"]
