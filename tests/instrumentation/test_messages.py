# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The messages of a run in the shape of the GenAI conventions, whatever form they were given in."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runrecord.instrumentation import Recorder
from runrecord.instrumentation._messages import input_messages, output_messages

TEXT = {"type": "text", "content": "hi"}
CALL = {"type": "tool_call", "id": "c", "name": "pay", "arguments": {"amount": 1}}
ANSWER = {"type": "tool_call_response", "id": "c", "response": "paid"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hi", [("user", [TEXT])]),
        (("system", "hi"), [("system", [TEXT])]),
        ([("human", "hi"), ["hi"]], [("user", [TEXT]), ("user", [{**TEXT, "content": '["hi"]'}])]),
        ({"messages": [{"role": "user", "content": "hi"}], "other": 1}, [("user", [TEXT])]),
        (SimpleNamespace(messages=["hi"]), [("user", [TEXT])]),
        (SimpleNamespace(type="ai", content="", tool_calls=[{"id": "c", "name": "pay", "args": {"amount": 1}}]), [("assistant", [CALL])]),
        (
            [SimpleNamespace(type="ai", content=[TEXT | {"text": "hi"}, {"type": "tool_use", "id": "c"}], tool_calls=[{"id": "c", "name": "pay", "args": {"amount": 1}}])],
            [("assistant", [TEXT, CALL])],
        ),
        (SimpleNamespace(type="tool", content="paid", tool_call_id="c"), [("tool", [ANSWER])]),
        ([{"type": "function_call", "call_id": "c", "id": "fc", "name": "pay", "arguments": '{"amount": 1}'}], [("assistant", [CALL])]),
        ([{"type": "function_call_output", "call_id": "c", "output": "paid"}], [("tool", [ANSWER])]),
        (
            [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "pay", "arguments": '{"amount": 1}'}}]}],
            [("assistant", [CALL])],
        ),
        (
            [{"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "data:secret"}]}],
            [("user", [TEXT, {"type": "input_image"}])],
        ),
        (
            [{"role": "assistant", "content": [{"type": "thinking", "thinking": "well"}, "hi"]}],
            [("assistant", [{"type": "reasoning", "content": "well"}, TEXT])],
        ),
        ([{"type": "web_search_call", "id": "w"}], [("user", [{"type": "web_search_call"}])]),
        ({"order": 1}, [("user", [{**TEXT, "content": '{"order": 1}'}])]),
        (SimpleNamespace(model_dump_json=lambda: '{"a":1}'), [("user", [{**TEXT, "content": '{"a":1}'}])]),
        (None, None),
        ([], None),
        ({"messages": []}, None),
    ],
)  # fmt: skip
def test_messages_come_in_many_forms(value: Any, expected: Any) -> None:
    found = input_messages(value)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert [(message["role"], message["parts"]) for message in json.loads(found)] == expected


def test_the_output_is_the_last_message_and_says_why_it_ended() -> None:
    said = [{"role": "user", "content": "hi"}, SimpleNamespace(type="ai", content="hi")]
    assert json.loads(output_messages({"messages": said}) or "") == [
        {"role": "assistant", "parts": [TEXT], "finish_reason": "stop"}
    ]
    called = {"role": "assistant", "tool_calls": [{"id": "c", "name": "pay", "args": {"amount": 1}}]}
    assert json.loads(output_messages(called) or "") == [
        {"role": "assistant", "parts": [CALL], "finish_reason": "tool_call"}
    ]
    assert output_messages(None) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["role", "type", "content", "text", "tool_calls", "tool_call_id", "args", "function", "messages"]), inner),
    max_leaves=10,
)  # fmt: skip


@settings(deadline=None)
@given(_json)
def test_any_value_becomes_messages(value: Any) -> None:
    for found in (input_messages(value), output_messages(value)):
        for message in json.loads(found or "[]"):
            assert isinstance(message["role"], str)
            assert all(isinstance(part["type"], str) for part in message["parts"])


def test_what_another_instrumentation_said_stays(
    telemetry: Any, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    tracer = telemetry.tracer_provider.get_tracer("official")
    said = {"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": "theirs"}
    with tracer.start_as_current_span("invoke_agent a", attributes=said), recorder.run("a") as run:
        run.given("ours")
        run.answered("ours")
    attributes = telemetry.one("invoke_agent").attributes
    assert attributes["gen_ai.input.messages"] == "theirs"
    assert "ours" in attributes["gen_ai.output.messages"]


@pytest.mark.parametrize("value", ["", "NO_CONTENT", "EVENT_ONLY", "false"])
def test_no_message_is_recorded_where_it_is_not_asked_for(
    telemetry: Any, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    with recorder.run("a") as run:
        run.given("secret-text")
        run.answered("secret-text")
    assert "messages" not in telemetry.exported_text()
    assert "secret" not in telemetry.exported_text()
