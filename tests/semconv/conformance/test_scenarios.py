# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Every scenario keeps the conventions as it leaves the process: redacted, or masked where no redactor could look."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runrecord.semconv.conformance import check, records_of
from runrecord.semconv.testing import assert_conforms


def _harness() -> ModuleType:
    name, path = "runrecord_scenario_harness", Path(__file__).parents[2] / "scenarios" / "harness.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


HARNESS: Any = _harness()


@pytest.mark.parametrize("name", HARNESS.SITUATIONS)
def test_a_scenario_keeps_the_conventions(name: str) -> None:
    played = HARNESS.play(name)
    assert_conforms(played.spans, played.logs)


def test_what_a_redactor_takes_away_is_what_the_check_finds() -> None:
    """The scenario puts personal data where none may be; the check names it before redaction, and not after."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    played = HARNESS.play("personal_data")
    before = ExportTraceServiceRequest.FromString(played.traces)
    assert {item.rule for item in check(records_of(before)) if item.severity.rank} == {"not-opaque"}


def test_a_record_that_no_redactor_could_look_at_is_said_to_be_one() -> None:
    masked = HARNESS.play("personal_data").masked()
    assert {item.rule for item in check(records_of(masked))} == {"redaction-failed"}
