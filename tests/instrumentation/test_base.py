# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Instrumentors refuse what they don't support, and say in one table what they capture."""

from collections.abc import Collection
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from runrecord.instrumentation import DependencyConflictError, Recorder
from runrecord.instrumentation.base import Instrumentor
from runrecord.instrumentation.capabilities import Capabilities, integrations, markdown


class _Patching(Instrumentor):
    needs: Collection[str] = ()

    def instrumentation_dependencies(self) -> Collection[str]:
        return self.needs

    def _patch(self, recorder: Recorder, **kwargs: Any) -> None:
        self.seen = (recorder, kwargs)

    def _unpatch(self, **kwargs: Any) -> None:
        self.seen = (None, kwargs)


@pytest.mark.parametrize("needs", [["no-such-package >= 1"], ["pytest < 1"]])
def test_a_missing_or_unsupported_sdk_is_refused_even_if_the_loader_checks_nothing(needs: list[str]) -> None:
    instrumentor = type("Fresh", (_Patching,), {"needs": needs})()
    with pytest.raises(DependencyConflictError):
        instrumentor.instrument(skip_dep_check=True)
    assert not instrumentor.is_instrumented_by_opentelemetry


def test_a_recorder_is_taken_or_made(telemetry: Any) -> None:
    instrumentor = type("Fresh", (_Patching,), {"needs": ["pytest >= 1"]})()
    mine = telemetry.recorder()
    instrumentor.instrument(recorder=mine, other=1)
    assert instrumentor.seen == (mine, {"other": 1})
    instrumentor.uninstrument()
    reader = InMemoryMetricReader()
    instrumentor.instrument(
        tracer_provider=telemetry.tracer_provider,
        meter_provider=MeterProvider([reader], shutdown_on_exit=False),
        context_store=telemetry.store,
    )
    made, rest = instrumentor.seen
    assert rest == {}
    assert made.store is telemetry.store
    made.run("a").stop()
    [measured] = reader.get_metrics_data().resource_metrics
    assert measured.scope_metrics[0].scope.name == "runrecord.instrumentation"
    assert telemetry.one("invoke_agent").instrumentation_scope.name == "runrecord.instrumentation"
    instrumentor.uninstrument()


def test_every_integration_says_what_it_captures() -> None:
    table = integrations()
    assert {"langgraph", "openai_agents"} <= set(table)
    lines = markdown().splitlines()
    assert len(lines) == 2 + len(table)
    assert {line.count("|") for line in lines} == {10}


@pytest.mark.parametrize("value", ["", "maybe", "no", "no:", "no: "])
def test_a_no_must_say_why(value: str) -> None:
    with pytest.raises(ValueError, match="run must be"):
        Capabilities("sdk", "1", value, "yes", "yes", "yes", "yes", "yes", "yes")
