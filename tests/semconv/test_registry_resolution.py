# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics, groups, refinements and dependencies of a registry are resolved by the rules of the format."""

from pathlib import Path

import pytest

from runrecord.semconv._check_uses import use_problems
from runrecord.semconv._yaml import load_yaml
from runrecord.semconv.checks import problems
from runrecord.semconv.errors import RegistryError
from runrecord.semconv.registry import PACKAGED, Registry, load_registry, read_registry

MANIFEST = """\
description: A registry of a test.
schema_url: https://example.com/schemas/acme/1.2.0
"""
ON_OURS = MANIFEST + "dependencies:\n  - schema_url: https://schemas.runrecord.invalid/runrecord/0.1.0\n"
ATTRIBUTES = """\
file_format: definition/2
attributes:
  - {key: acme.kind, type: string, brief: What kind., stability: development, examples: [glass]}
  - {key: acme.claim.id, type: string, brief: Which claim., stability: development, examples: [c-1]}
"""
METRIC = """\
metrics:
  - name: acme.claim.duration
    instrument: histogram
    unit: s
    stability: development
    brief: How long a claim took.
    attributes:
      - ref: acme.kind
        requirement_level: required
"""


def write(directory: Path, text: str, manifest: str = MANIFEST) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "manifest.yaml").write_text(manifest, encoding="utf-8")
    (directory / "acme.yaml").write_text(text, encoding="utf-8")
    return directory


def read(directory: Path, text: str, manifest: str = MANIFEST) -> Registry:
    return read_registry(write(directory, text, manifest))


def refused(directory: Path, text: str, manifest: str = MANIFEST) -> str:
    with pytest.raises(RegistryError) as caught:
        read(directory, text, manifest)
    (line,) = caught.value.problems
    return line


def test_a_metric(tmp_path: Path) -> None:
    metric = read(tmp_path, ATTRIBUTES + METRIC).metrics["acme.claim.duration"]
    assert (metric.name, metric.instrument, metric.unit) == ("acme.claim.duration", "histogram", "s")
    assert (metric.brief, metric.stability, metric.ref) == ("How long a claim took.", "development", "")
    assert [(use.attribute.key, use.level) for use in metric.uses] == [("acme.kind", "required")]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "instrument: histogram",
            "instrument: timer",
            "acme.yaml:7: acme.claim.duration: instrument must be one",
        ),
        ("    unit: s\n", "", "acme.yaml:6: unit: must be there"),
        (
            "unit: s",
            "unit: s\n    value_type: int",
            "acme.yaml:9: acme.claim.duration.value_type: the key is not",
        ),
        ("unit: s", "unit: 1", "acme.yaml:8: unit: must be there and be a text"),
        ("ref: acme.kind", "ref: acme.sort", "acme.yaml:12: acme.sort: no attribute has this key"),
    ],
)
def test_a_wrong_metric_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in METRIC
    assert refused(tmp_path, ATTRIBUTES + METRIC.replace(old, new)).startswith(problem)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("acme.claim.duration", "acme.claim.total", "the name must not end with total"),
        ("acme.claim.duration", "acme.claims.count", "the name must not end with count"),
        ("acme.claim.duration", "acme_claims", "two or more lower-case words"),
        ("unit: s", "unit: seconds", "the unit seconds is none of UCUM"),
        ("unit: s", "unit: ms", "a duration is measured in seconds"),
        ("unit: s", 'unit: "{Claims}"', "is none of UCUM"),
        ("ref: acme.kind", "ref: acme.claim.id", "acme.claim.id has many values"),
        ("took.", "took", "the brief must end with a full stop"),
        ("acme.claim.duration", "runrecord.claim.duration", "the namespace runrecord belongs to a registry"),
    ],
)
def test_what_the_rules_for_metrics_do_not_allow(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in METRIC
    found = list(problems(read(tmp_path, ATTRIBUTES + METRIC.replace(old, new), ON_OURS)))
    assert any(problem in line for line in found), found


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("acme.claim", "acme.yaml:14: acme.claim: is also the namespace of other metrics"),
        ("acme.claim_duration", "acme.yaml:14: acme.claim_duration: another metric gives the same constant"),
    ],
)
def test_metrics_that_get_in_each_others_way(tmp_path: Path, name: str, problem: str) -> None:
    second = METRIC.partition("\n")[2].replace("acme.claim.duration", name)
    assert problem in list(problems(read(tmp_path, ATTRIBUTES + METRIC + second)))


def test_a_refined_metric_keeps_what_it_does_not_say(tmp_path: Path) -> None:
    refinement = (
        "metric_refinements:\n  - id: acme.agent\n    ref: gen_ai.invoke_agent.duration\n"
        "    attributes:\n      - ref: acme.kind\n        requirement_level: opt_in\n"
    )
    registry = read(tmp_path, ATTRIBUTES + refinement, ON_OURS)
    metric, official = (
        registry.metrics["acme.agent"],
        registry.official_metrics["gen_ai.invoke_agent.duration"],
    )
    assert (metric.name, metric.unit, metric.brief) == (official.name, official.unit, official.brief)
    assert metric.ref == official.id
    assert [use.attribute.key for use in metric.uses if not use.inherited] == ["acme.kind"]
    assert {use.attribute.key for use in metric.uses if use.inherited} == {
        use.attribute.key for use in official.uses
    }


GROUPS = """\
attribute_groups:
  - id: acme.inner
    visibility: internal
    attributes:
      - ref: acme.kind
        requirement_level: required
  - id: acme.outer
    visibility: internal
    attributes:
      - ref_group: acme.inner
      - ref: acme.claim.id
events:
  - name: acme.closed
    stability: development
    brief: A claim was closed.
    attributes:
      - ref_group: acme.outer
"""


def test_groups_within_groups(tmp_path: Path) -> None:
    event = read(tmp_path, ATTRIBUTES + GROUPS).signals["acme.closed"]
    assert {use.attribute.key: use.level for use in event.uses} == {
        "acme.kind": "required",
        "acme.claim.id": "recommended",
    }


def test_an_own_reference_goes_before_a_group_and_keeps_what_it_does_not_say(tmp_path: Path) -> None:
    text = ATTRIBUTES + GROUPS + "      - ref: acme.kind\n        note: Said again.\n"
    (use,) = [
        use for use in read(tmp_path, text).signals["acme.closed"].uses if use.attribute.key == "acme.kind"
    ]
    assert (use.level, use.note) == ("required", "Said again.")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "- ref: acme.kind",
            "- ref_group: acme.outer",
            "the group takes itself in: acme.outer -> acme.inner",
        ),
        ("- ref: acme.claim.id", "- ref: acme.kind", "takes in two groups that both have the attribute"),
        (
            "- ref_group: acme.outer",
            "- ref_group: acme.other",
            "this registry has no attribute group with this id",
        ),
        (
            "visibility: internal",
            "visibility: hidden",
            "acme.inner: visibility must be one of internal, public",
        ),
        ("visibility: internal", "visibility: public", "brief: must be there"),
        ("id: acme.inner", "id: acme.outer", "the group is defined twice"),
    ],
)
def test_a_wrong_group_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in GROUPS
    text = GROUPS.replace(old, new, 1).replace("        requirement_level: required\n", "")
    assert problem in refused(tmp_path, ATTRIBUTES + text)


def test_a_refined_span_inherits_and_tells_so() -> None:
    registry = load_registry()
    call, official = registry.signals["runrecord.model_call"], registry.official["gen_ai.inference.client"]
    assert (call.ref, call.kind, call.name) == (official.id, "client", official.name)
    assert call.operations == ("chat", "generate_content", "text_completion")
    assert call.kinds == ("client", "internal")
    uses = {use.attribute.key: use for use in call.uses}
    assert uses["gen_ai.provider.name"].level == "required"
    assert uses["gen_ai.provider.name"].inherited
    assert not uses["runrecord.cost.amount"].inherited
    assert set(uses) > {use.attribute.key for use in official.uses}


def test_the_official_operations_are_the_closed_list() -> None:
    registry = load_registry()
    told = [operation for signal in registry.official.values() for operation in signal.operations]
    assert set(told) == {member.value for member in registry.attributes["gen_ai.operation.name"].members}


def test_the_conditions_of_the_official_signals_are_sentences_too() -> None:
    registry = load_registry()
    uses = [use for signal in registry.official.values() for use in signal.uses]
    uses += [use for metric in registry.official_metrics.values() for use in metric.uses]
    assert [what for use in uses for what in use_problems(use)] == []


def test_a_group_of_another_registry_can_not_be_taken_in(tmp_path: Path) -> None:
    """Upstream resolves groups within one registry only (weaver 0.25.1, resolve_extends_references)."""
    line = refused(
        tmp_path,
        ATTRIBUTES + GROUPS.replace("ref_group: acme.outer", "ref_group: runrecord.governed"),
        ON_OURS,
    )
    assert "a group of another can't be taken in" in line


def test_what_we_refine_is_imported_for_those_who_build_on_us() -> None:
    imports = load_yaml(PACKAGED[0] / "imports.yaml")["imports"]
    refined = {(signal.form, signal.ref) for signal in load_registry().signals.values() if signal.ref}
    assert {("span", name) for name in imports["spans"]} | {
        ("event", name) for name in imports["events"]
    } == refined


def test_a_refinement_can_not_be_refined(tmp_path: Path) -> None:
    text = "span_refinements:\n  - id: acme.tool\n    ref: runrecord.tool_call\n"
    problem = refused(tmp_path, "file_format: definition/2\n" + text, ON_OURS)
    assert problem.startswith(
        "acme.yaml:4: acme.tool: refines runrecord.tool_call, which is itself a refinement"
    )
    assert problem.endswith("refine gen_ai.execute_tool.internal")


def test_a_registry_on_ours_holds_both(tmp_path: Path) -> None:
    ours, theirs = load_registry(), read(tmp_path, ATTRIBUTES + METRIC, ON_OURS)
    assert set(theirs.signals) == set(ours.signals)
    assert set(theirs.official) == set(ours.official)
    assert [attribute.key for attribute in theirs.own_attributes] == ["acme.kind", "acme.claim.id"]
    assert [metric.name for metric in theirs.own_metrics] == ["acme.claim.duration"]
    assert theirs.own_signals == ()
    assert theirs.version == "1.2.0"


@pytest.mark.parametrize(
    ("dependency", "problem"),
    [
        (
            "{schema_url: https://schemas.runrecord.invalid/runrecord/9.0.0}",
            "9.0.0 does not come with this version",
        ),
        ("{schema_url: runrecord}", "must be of the form https://HOST/PATH/VERSION"),
        ("{registry_path: ../other}", "schema_url: must be there"),
        ("{schema_url: https://example.com/b/1.0.0, path: b}", "dependencies.path: the key is not known"),
        (
            "{schema_url: https://example.com/b/2.0.0, registry_path: b}",
            "what lies in registry_path is https://example",
        ),
        ("{schema_url: https://example.com/acme/1.0.0, registry_path: .}", "what lies in registry_path is"),
    ],
)
def test_a_wrong_dependency_is_refused(tmp_path: Path, dependency: str, problem: str) -> None:
    manifest = MANIFEST.replace("acme/1.2.0", "b/1.0.0")
    write(tmp_path / "b", "file_format: definition/2\n", manifest)
    (tmp_path / "acme").mkdir()
    shared = dependency.replace("registry_path: b", "registry_path: ../b")
    line = refused(
        tmp_path / "acme", "file_format: definition/2\n", f"{MANIFEST}dependencies:\n  - {shared}\n"
    )
    assert line.startswith("manifest.yaml:4: ")
    assert problem in line


def test_a_dependency_in_a_directory(tmp_path: Path) -> None:
    write(tmp_path / "base", ATTRIBUTES, MANIFEST.replace("acme", "base"))
    line = "dependencies: [{schema_url: https://example.com/schemas/base/1.2.0, registry_path: ../base}]\n"
    registry = read(
        tmp_path / "acme", "file_format: definition/2\n" + METRIC.replace("acme.claim", "b"), MANIFEST + line
    )
    assert registry.metrics["b.duration"].uses[0].attribute.origin == "https://example.com/schemas/base/1.2.0"


def test_a_registry_can_not_depend_on_itself(tmp_path: Path) -> None:
    line = "dependencies: [{schema_url: https://example.com/schemas/acme/1.2.0, registry_path: .}]\n"
    assert "the registry depends on itself" in refused(tmp_path, ATTRIBUTES, MANIFEST + line)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (
            "imports: {spans: [runrecord.*, gen_ai.*], events: [gen_ai.evaluation.result], metrics: [gen_ai.*.duration]}\n",
            "",
        ),
        ("imports: {spans: [runrecrod.*]}\n", "imports.spans: runrecrod.* matches nothing"),
        ("imports: {spans: [runrecord.tool_call]}\n", "imports.spans: runrecord.tool_call matches nothing"),
        ("imports: {span: [runrecord.*]}\n", "imports.span: the key is not known"),
        ("imports: []\n", "imports: must be a mapping"),
    ],
)
def test_imports_must_match(tmp_path: Path, section: str, problem: str) -> None:
    text = "file_format: definition/2\n" + section
    if problem:
        assert problem in refused(tmp_path, text, ON_OURS)
    else:
        assert read(tmp_path, text, ON_OURS).signals


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"^manifest\.yaml:1: \(file\): can't be read: No such file"):
        read_registry(tmp_path)
