# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A team's registry that extends ours is judged too: its spans, its refinements, what it deprecates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runrecord.semconv.conformance import SpanRecord, check, records_of
from runrecord.semconv.registry import Registry, load_registry, read_registry

MANIFEST = """
description: What Acme says beyond.
schema_url: https://schemas.acme.example/claims/1.0.0
stability: development
dependencies:
  - schema_url: {ours}
    registry_path: nowhere
"""
CLAIMS = """
file_format: definition/2
imports:
  spans: [runrecord.*]
attributes:
  - key: acme.claim.class
    type:
      members:
        - {id: glass, value: glass, brief: A pane., stability: development}
    stability: development
    brief: What kind of claim it is.
  - key: acme.cost_centre
    type: int
    stability: development
    brief: Who pays.
    examples: [7]
  - key: acme.claim.kind
    type: string
    stability: development
    brief: What kind of claim it was.
    examples: [glass]
    deprecated: {reason: renamed, renamed_to: acme.claim.class, note: Renamed.}
    annotations: {renamed_in: "1.0.0"}
spans:
  - type: acme.claim_triage
    kind: internal
    name: {note: "triage_claim {acme.claim.class}"}
    stability: development
    brief: A claim was sorted.
    attributes:
      - ref: acme.claim.class
        requirement_level: required
span_refinements:
  - id: acme.tool_call
    ref: gen_ai.execute_tool.internal
    brief: A call of a tool that somebody pays for.
    attributes:
      - ref: acme.cost_centre
        requirement_level: required
"""
IDS: Any = {"trace_id": "a1" * 16, "span_id": "b1" * 8}


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    directory: Path = tmp_path_factory.mktemp("acme")
    (directory / "manifest.yaml").write_text(MANIFEST.format(ours=load_registry().schema_url))
    (directory / "claims.yaml").write_text(CLAIMS)
    return read_registry(directory)


def rules(acme: Registry, name: str, attributes: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (finding.rule, finding.attribute)
        for finding in check([SpanRecord(name, "internal", attributes, **IDS)], acme)
    ]


def test_a_span_of_the_team(acme: Registry) -> None:
    assert rules(acme, "triage_claim glass", {"acme.claim.class": "glass"}) == []
    assert rules(acme, "triage_claim fire", {"acme.claim.class": "fire"}) == [
        ("unknown-member", "acme.claim.class")
    ]
    assert rules(acme, "triage_claim", {"acme.cost_centre": 1}) == [
        ("misplaced-attribute", "acme.cost_centre")
    ]
    assert ("wrong-name", "") in rules(acme, "triage_claim theft", {"acme.claim.class": "glass"})


def test_what_the_team_deprecated_and_never_defined(acme: Registry) -> None:
    facts = {"acme.claim.class": "glass"}
    assert rules(acme, "triage_claim glass", {**facts, "acme.claim.kind": "glass"}) == [
        ("deprecated-attribute", "acme.claim.kind")
    ]
    assert rules(acme, "triage_claim glass", {**facts, "acme.claim.clas": "glass"}) == [
        ("unknown-attribute", "acme.claim.clas")
    ]


def test_a_refinement_of_the_team_beside_ours(acme: Registry, recorded: Any) -> None:
    """A span that is both our tool call and the team's may carry what either allows, and must what both require."""
    assert list(check(records_of(recorded.requests), acme)) == []
    (tool,) = [
        item for item in records_of(recorded.traces) if getattr(item, "name", "") == "execute_tool lookup"
    ]
    assert isinstance(tool, SpanRecord)
    tool.attributes = {**tool.attributes, "acme.cost_centre": 7}
    assert [item.rule for item in check([tool], acme, partial=True)] == ["record-without-run"]
    tool.attributes = {**tool.attributes, "acme.cost_centre": "7"}
    assert "wrong-type" in [item.rule for item in check([tool], acme)]
    del tool.attributes["gen_ai.tool.name"]  # type: ignore[attr-defined]
    assert "official-missing-required" in [item.rule for item in check([tool], acme)]


def test_without_the_teams_registry_its_attributes_are_nobodys_business() -> None:
    assert list(check([SpanRecord("triage_claim x", "internal", {"acme.claim.class": 1}, **IDS)])) == []
