# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real SDK with its scripted model, instrumented with a recorder in memory."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
from agents import Trace, add_trace_processor, set_tracing_disabled
from agents.tracing import TracingProcessor

from runrecord.instrumentation.openai_agents import OpenAIAgentsInstrumentor


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    """The SDK's own exporter stays registered and has no key to send anything with."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    yield
    set_tracing_disabled(disabled=False)


class _Traces(TracingProcessor):
    """A processor of the application, which notes the SDK's trace ids."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def on_trace_start(self, trace: Trace) -> None:
        self.ids.append(trace.trace_id)

    def on_trace_end(self, trace: Trace) -> None: ...
    def on_span_start(self, span: Any) -> None: ...
    def on_span_end(self, span: Any) -> None: ...
    def shutdown(self) -> None: ...
    def force_flush(self) -> None: ...


_traces = _Traces()
add_trace_processor(_traces)


@pytest.fixture
def sdk_traces() -> list[str]:
    """Ids of the SDK's traces, as they start."""
    _traces.ids = []
    return _traces.ids


@pytest.fixture
def instrumented(recorder: Any) -> Generator[OpenAIAgentsInstrumentor, None, None]:
    instrumentor = OpenAIAgentsInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    instrumentor.uninstrument()


@pytest.fixture(autouse=True)
def _event_loop() -> Generator[None, None, None]:
    """``Runner.run_sync`` takes the thread's event loop and leaves it open, so each test brings one and closes it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()
    asyncio.set_event_loop(None)
