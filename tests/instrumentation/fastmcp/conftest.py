# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real FastMCP, client and server, whose own spans go to the same exporter as ours."""

from collections.abc import Generator
from typing import Any

import fastmcp.telemetry
import pytest
from mcp.shared import _otel

from runrecord.instrumentation.fastmcp import FastMCPInstrumentor


@pytest.fixture(autouse=True)
def _native_spans(telemetry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracers come from the global provider; the tests have one each."""
    monkeypatch.setattr(_otel, "_tracer", telemetry.tracer_provider.get_tracer("mcp-python-sdk"))
    monkeypatch.setattr(fastmcp.telemetry, "otel_get_tracer", telemetry.tracer_provider.get_tracer)


@pytest.fixture
def instrumented(recorder: Any) -> Generator[FastMCPInstrumentor, None, None]:
    instrumentor = FastMCPInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    instrumentor.uninstrument()
