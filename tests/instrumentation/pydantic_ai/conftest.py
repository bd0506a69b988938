# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real SDK with a model that follows a script, instrumented with a recorder in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import pytest
from pydantic_ai import models
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

from runrecord.instrumentation.pydantic_ai import PydanticAIInstrumentor

models.ALLOW_MODEL_REQUESTS = False


class Script:
    """A model that says one thing a turn: a text, a list of tool calls, a whole response, or an exception that it raises.

    Its place in the script is the number of responses in the history, so that any process can go on.
    """

    def __init__(self, steps: tuple[Any, ...]) -> None:
        self.steps = steps
        self.streamed: list[bool] = []

    def model(self) -> FunctionModel:
        return FunctionModel(self.whole, stream_function=self.parts, model_name="scripted")

    def now(self, messages: list[Any], streamed: bool) -> Any:
        self.streamed.append(streamed)
        step = self.steps[sum(message.kind == "response" for message in messages)]
        if isinstance(step, BaseException):
            raise step
        return step

    def whole(self, messages: list[Any], info: Any) -> ModelResponse:
        step = self.now(messages, streamed=False)
        if isinstance(step, ModelResponse):
            return step
        return ModelResponse(parts=[TextPart(step)] if isinstance(step, str) else step)

    async def parts(self, messages: list[Any], info: Any) -> AsyncIterator[Any]:
        step = self.now(messages, streamed=True)
        if isinstance(step, str):
            for word in step.split(" "):
                yield word + " "
            return
        for index, part in enumerate(step):
            yield {
                index: DeltaToolCall(
                    name=part.tool_name, json_args=json.dumps(part.args), tool_call_id=part.tool_call_id
                )
            }


@pytest.fixture(autouse=True)
def _event_loop() -> Generator[None, None, None]:
    """``run_sync`` takes the thread's event loop and leaves it open, so each test brings one and closes it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def script() -> Callable[..., Script]:
    """``script(step, ...)`` of which ``.model()`` is the model."""
    return lambda *steps: Script(steps)


@pytest.fixture
def scripted() -> Callable[..., FunctionModel]:
    """``scripted(step, ...)`` is a model that follows the steps."""
    return lambda *steps: Script(steps).model()


@pytest.fixture
def call() -> Callable[..., ToolCallPart]:
    """``call(tool, id, **arguments)`` is a tool call of the model."""
    return lambda tool, call_id="call_1", **arguments: ToolCallPart(tool, arguments, call_id)


@pytest.fixture
def instrumented(recorder: Any) -> Generator[PydanticAIInstrumentor, None, None]:
    instrumentor = PydanticAIInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    instrumentor.uninstrument()


@pytest.fixture
def facts() -> Callable[..., list[Any]]:
    """``facts(span, name, ...)`` are the values of our attributes."""
    return lambda span, *names: [span.attributes.get(f"runrecord.{name}") for name in names]


@pytest.fixture
def ended(telemetry: Any, facts: Any) -> Callable[[], list[Any]]:
    """How the one run ended: outcome, stop reason, status."""

    def look() -> list[Any]:
        span = telemetry.one("invoke_agent")
        telemetry.check_counters()
        return [*facts(span, "run.outcome", "run.stop_reason"), span.status.status_code.name]

    return look
