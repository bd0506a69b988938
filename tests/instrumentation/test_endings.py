# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How a record ends is what it says: outcomes, errors and content."""

import asyncio
from typing import Any

import pytest
from opentelemetry import trace

ARGUMENTS = {"order": "o-1", "amount": 80}


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        (ValueError("secret-text"), "failure", "ERROR"),
        (asyncio.CancelledError(), "cancelled", "UNSET"),
        (KeyboardInterrupt(), "cancelled", "UNSET"),
        (GeneratorExit(), "abandoned", "UNSET"),
    ],
)
def test_how_a_run_is_left_is_its_outcome(
    telemetry: Any, recorder: Any, error: BaseException, outcome: str, status: str
) -> None:
    with pytest.raises(type(error)), recorder.run("a"):
        raise error
    span = telemetry.one("invoke_agent")
    assert (span.attributes["runrecord.run.outcome"], span.status.status_code.name) == (outcome, status)
    assert "secret-text" not in telemetry.exported_text()


def test_what_the_caller_says_of_the_end_wins(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        run.finish("budget_exceeded", stop_reason="max_tokens")
        run.stop()
        run.fail(ValueError())
    attributes = telemetry.one("invoke_agent").attributes
    assert attributes["runrecord.run.outcome"] == "budget_exceeded"
    assert "error.type" not in attributes


def test_a_failed_tool_says_its_type_and_no_text(telemetry: Any, recorder: Any) -> None:
    with recorder.run("a") as run:
        call = run.tool("t", arguments={"a": "secret-text"})
        call.result("secret-text")
        call.fail(ValueError("secret-text"))
    span = telemetry.one("execute_tool")
    assert span.attributes["error.type"] == "ValueError"
    assert span.status.status_code is trace.StatusCode.ERROR
    assert "secret-text" not in telemetry.exported_text()


@pytest.mark.parametrize("value", ["SPAN_ONLY", "SPAN_AND_EVENT", "true", "span_only"])
def test_content_is_recorded_where_it_is_asked_for(
    telemetry: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    with recorder.run("a") as run:
        call = run.tool("t", arguments=ARGUMENTS)
        call.result({"refund": "r-1"})
        call.fail(ValueError("why"))
    span = telemetry.one("execute_tool")
    assert span.attributes["gen_ai.tool.call.arguments"] == '{"order": "o-1", "amount": 80}'
    assert span.attributes["gen_ai.tool.call.result"] == '{"refund": "r-1"}'
    assert span.status.description == "why"
