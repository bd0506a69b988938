# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What an integration says that it captures, held to what its tests saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runrecord.instrumentation.capabilities import integrations

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "support"
SIGNALS = {
    "run": {"runrecord.run.agent", "runrecord.run.workflow"},
    "step": {"runrecord.step"},
    "tool_call": {"runrecord.tool_call"},
    "policy_decision": {"runrecord.policy_decision"},
    "approval_request": {"runrecord.approval_request"},
    "approval_decision": {"runrecord.approval_decision"},
}


def _seen(name: str) -> dict[str, list[str]]:
    results: dict[str, list[str]] = json.loads(
        (RESULTS / f"{name.replace('_', '-')}-newest.json").read_text()
    )
    return results


@pytest.mark.parametrize("name", integrations())
def test_what_is_declared_was_seen_and_the_rest_was_not(name: str) -> None:
    seen = _seen(name)
    declared = {capability: not value.startswith("no:") for capability, value in integrations()[name].items()}
    observed = {capability: bool(signals & set(seen)) for capability, signals in SIGNALS.items()}
    observed["resume_across_processes"] = any("is resumed" in facts for facts in seen.values())
    assert observed == declared


@pytest.mark.parametrize("name", integrations())
def test_a_native_span_that_is_declared_was_seen(name: str) -> None:
    seen = _seen(name)
    for capability, value in integrations()[name].items():
        if value.startswith("native"):
            assert any("by native" in seen.get(signal, []) for signal in SIGNALS[capability]), capability
