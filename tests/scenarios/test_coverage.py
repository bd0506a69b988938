# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""No attribute without a signal, no signal and no use of an attribute that no scenario emits: computed from the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from runrecord.semconv.registry import load_registry

REGISTRY = load_registry()
EXCUSED: Mapping[str, str] = {}
"""Attributes that no scenario can emit, each with its reason."""


@pytest.fixture(scope="module")
def emitted(harness: Any, forwarded: list[Any]) -> dict[str, set[str]]:
    """The attributes that the scenarios emit, and that a gateway adds, by the id of the signal."""
    found: dict[str, set[str]] = {}
    for item in forwarded:
        sealed = harness.convention_of(item)
        if sealed is not None:
            found.setdefault(sealed.id, set()).update(harness.facts_of(item.attributes))
    for name in harness.SITUATIONS:
        played = harness.play(name)
        masked_spans, masked_logs = played.masked()  # no longer tell what they are
        items = zip((*played.spans, *played.logs), (*masked_spans, *masked_logs), strict=True)
        for item, masked in items:
            signal = harness.convention_of(item)
            if signal is not None:
                facts = {**harness.facts_of(item.attributes), **harness.facts_of(masked.attributes)}
                found.setdefault(signal.id, set()).update(facts)
    return found


def test_every_attribute_has_a_signal() -> None:
    signals: tuple[Any, ...] = (*REGISTRY.own_signals, *REGISTRY.metrics.values())
    used = {use.attribute.key for signal in signals for use in signal.uses}
    assert [attribute.key for attribute in REGISTRY.own_attributes if attribute.key not in used] == []


def test_every_signal_has_a_scenario(emitted: dict[str, set[str]]) -> None:
    assert sorted({signal.id for signal in REGISTRY.own_signals} - set(emitted)) == []


def test_every_use_of_an_attribute_has_a_scenario(emitted: dict[str, set[str]]) -> None:
    missing = [
        f"{signal.id}: {use.attribute.key}"
        for signal in REGISTRY.own_signals
        for use in signal.uses
        if not use.inherited  # what an official signal has besides is its own instrumentation's
        and use.attribute.key not in emitted.get(signal.id, set())
        and use.attribute.key not in EXCUSED
    ]
    assert missing == []


def test_every_metric_and_every_label_has_a_scenario(harness: Any) -> None:
    found: dict[str, set[str]] = {}
    for name in harness.SITUATIONS:
        for metric in harness.play(name).metrics:
            points = getattr(metric, metric.WhichOneof("data")).data_points
            found.setdefault(metric.name, set()).update(
                pair.key for point in points for pair in point.attributes
            )
    own = [metric for metric in REGISTRY.metrics.values() if metric.origin == REGISTRY.schema_url]
    assert own
    assert [metric.name for metric in own if metric.name not in found] == []
    assert [
        f"{metric.name}: {use.attribute.key}"
        for metric in own
        for use in metric.uses
        if not use.inherited and use.attribute.key not in found[metric.name]
    ] == []


def test_every_excuse_is_still_needed(emitted: dict[str, set[str]]) -> None:
    everything = set[str]().union(*emitted.values())
    assert [key for key in EXCUSED if key in everything or key not in REGISTRY.attributes] == []
