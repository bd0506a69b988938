# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real SDK, client and server, whose own spans go to the same exporter as ours."""

from collections.abc import Generator
from typing import Any

import pytest
from mcp.shared import _otel

from runrecord.instrumentation.mcp import MCPInstrumentor


@pytest.fixture(autouse=True)
def _native_spans(telemetry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's tracer comes from the global provider; the tests have one each."""
    monkeypatch.setattr(_otel, "_tracer", telemetry.tracer_provider.get_tracer("mcp-python-sdk"))


@pytest.fixture
def instrumented(recorder: Any) -> Generator[MCPInstrumentor, None, None]:
    instrumentor = MCPInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    instrumentor.uninstrument()
