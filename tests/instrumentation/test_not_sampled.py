# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is sampled out costs next to nothing, and loses nothing that is recorded after all."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult

from runrecord.instrumentation import MemoryContextStore, Recorder
from runrecord.semconv.commitment import TenantKey

KEY = TenantKey(bytes(32))
ARGUMENTS = {"amount": 80}


class OnlyTools(Sampler):
    """Keeps the tool calls of runs that it does not keep."""

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, *rest: Any, **kw: Any
    ) -> SamplingResult:
        keep = name.startswith("execute_tool")
        attributes = kw.get("attributes") or (rest[1] if len(rest) > 1 else None)
        return SamplingResult(Decision.RECORD_AND_SAMPLE if keep else Decision.DROP, attributes)

    def get_description(self) -> str:
        return "OnlyTools"


@pytest.fixture
def recording() -> Callable[..., tuple[Recorder, InMemorySpanExporter]]:
    def make(sampler: Sampler, tenant_key: TenantKey | None = KEY) -> tuple[Recorder, InMemorySpanExporter]:
        provider, exporter = TracerProvider(sampler=sampler), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return Recorder(tracer_provider=provider, store=MemoryContextStore(), tenant_key=tenant_key), exporter

    return make


def test_nothing_is_committed_to_in_a_run_that_is_not_recorded(
    recording: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that can't be loaded would say so, under pytest with an exception."""
    monkeypatch.setenv("RUNRECORD_KEY", "no key at all")
    recorder, exporter = recording(ALWAYS_OFF, None)
    with recorder.run("agent") as run, run.step(), run.tool("pay", arguments=ARGUMENTS) as call:
        call.result({"paid": True})
    assert not exporter.get_finished_spans()


def test_a_tool_call_that_is_recorded_by_itself_has_its_commitments(recording: Any) -> None:
    recorder, exporter = recording(OnlyTools())
    with recorder.run("agent") as run, run.step(), run.tool("pay", arguments=ARGUMENTS) as call:
        call.result({"paid": True})
    (span,) = exporter.get_finished_spans()
    key = KEY.run_key(run.run_id)
    assert span.attributes["runrecord.arguments.digest"] == key.commit("tool.arguments", ARGUMENTS)
    assert span.attributes["runrecord.result.digest"] == key.commit("tool.result", {"paid": True})
