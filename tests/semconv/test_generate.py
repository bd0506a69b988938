# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is generated is what is committed, and says what the registry says."""

import re
import shutil
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import yaml

import runrecord.semconv
from runrecord.semconv import attributes, metrics, signals
from runrecord.semconv._python import constant_name, enum_name
from runrecord.semconv._schema import schema_file
from runrecord.semconv.bridges import load_bridges
from runrecord.semconv.errors import RegistryError
from runrecord.semconv.generate import generated_files, main
from runrecord.semconv.registry import Metric, Registry, Signal, load_registry, read_registry

PACKAGE = Path(runrecord.semconv.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "conventions"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree into which nothing was generated yet."""
    (tmp_path / "semconv" / "runrecord" / "semconv").mkdir(parents=True)
    return tmp_path


def test_generating_again_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], ROOT) == 0, capsys.readouterr().out


def test_check_shows_a_difference_and_writes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], tree) == 0
    assert main(["--check"], tree) == 0
    page = tree / "docs" / "conventions" / "step.md"
    page.write_text(page.read_text().replace("required", "optional", 1))
    stale = tree / "docs" / "conventions" / "gone.md"
    shutil.copy(page, stale)
    written_by_hand = tree / "docs" / "conventions" / "guide.md"
    written_by_hand.write_text("# Guide\n")
    capsys.readouterr()
    assert main(["--check"], tree) == 1
    diff = capsys.readouterr().out
    assert "--- found/docs/conventions/step.md" in diff
    assert re.search(r"^-.*optional", diff, re.MULTILINE)
    assert "+++ wanted/docs/conventions/gone.md" in diff
    assert "guide.md" not in diff
    assert stale.exists()
    assert main([], tree) == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote docs/conventions/step.md",
        "removed docs/conventions/gone.md",
    ]
    assert main(["--check"], tree) == 0
    assert written_by_hand.exists()


def test_usage_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--chekc"]) == 4
    assert "unknown argument --chekc" in capsys.readouterr().err
    assert main([], tmp_path) == 1
    assert "no source tree" in capsys.readouterr().err


def test_constants_are_exactly_the_attributes(registry: Registry) -> None:
    constants = {name: getattr(attributes, name) for name in attributes.__all__ if name.isupper()}
    assert constants == {constant_name(key): key for key in registry.attributes}
    enums = {name: getattr(attributes, name) for name in attributes.__all__ if not name.isupper()}
    assert set(enums) == {
        enum_name(key) for key, attribute in registry.attributes.items() if attribute.members
    }
    for key, attribute in registry.attributes.items():
        if attribute.members:
            members: type[Enum] = enums[enum_name(key)]
            assert {m.name: m.value for m in members} == {
                m.id.replace(".", "_").upper(): m.value for m in attribute.members
            }
            assert all(isinstance(member, str) for member in members)


def test_names_follow_the_rule() -> None:
    assert attributes.SIDE_EFFECT_TYPE == "runrecord.side_effect.type"
    assert attributes.APPROVAL_SUBJECT_DIGEST == "runrecord.approval.subject.digest"
    assert attributes.GEN_AI_TOOL_CALL_ID == "gen_ai.tool.call.id"
    assert attributes.DecisionOutcome("require_approval") is attributes.DecisionOutcome.REQUIRE_APPROVAL
    assert attributes.ApprovalActorType.HUMAN.value == "human"


def test_event_names_are_exactly_the_events(registry: Registry) -> None:
    events = {getattr(signals, name) for name in signals.__all__ if name.startswith("EVENT_")}
    assert events == {s.name for s in registry.signals.values() if s.form == "event" and not s.ref}


def test_every_signal_has_a_page_that_names_every_attribute(registry: Registry) -> None:
    pages = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    assert len(pages) == len(registry.signals) + len(registry.metrics) + 2
    items: list[Signal | Metric] = [*registry.signals.values(), *registry.metrics.values()]
    for item in items:
        (page,) = [text for text in pages.values() if f"Registry id `{item.id}`" in text]
        for use in item.uses:
            assert f"| `{use.attribute.key}` |" in page
            assert not use.note or use.note in page
            for member in use.attribute.members if not use.attribute.official else ():
                assert f"| `{member.value}` |" in page


def test_what_is_inherited_stands_apart() -> None:
    page = (PAGES / "tool-call.md").read_text(encoding="utf-8")
    own, inherited = page.split("## Attributes of `gen_ai.execute_tool.internal`, unchanged")
    assert "| `runrecord.arguments.digest` |" in own
    assert "| `gen_ai.tool.name` |" not in own
    assert "| `gen_ai.tool.name` |" in inherited


def test_metric_names_and_units_are_those_of_the_registry(registry: Registry) -> None:
    names = {getattr(metrics, name) for name in metrics.__all__ if name not in {"BRIEFS", "UNITS"}}
    assert names == set(registry.metrics)
    assert {name: registry.metrics[name].brief for name in names} == metrics.BRIEFS
    assert {name: registry.metrics[name].unit for name in names} == metrics.UNITS


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (PAGES / target).exists(), f"{page.name}: {target}"


def test_schema_file_of_the_first_version(registry: Registry) -> None:
    schema = yaml.safe_load((PACKAGE / "schemas" / "0.1.0.yaml").read_text(encoding="utf-8"))
    assert schema == {"file_format": "1.1.0", "schema_url": registry.schema_url, "versions": {"0.1.0": {}}}


QUOTES = '"' * 3
HOSTILE = r"""
file_format: definition/2
attributes:
  - key: acme.odd
    type:
      members:
        - {id: quoted, value: 'a "b" \ c', brief: 'Ends with QUOTES.', stability: development}
    stability: development
    brief: 'A \ and a QUOTES and a | and {braces}.'
events:
  - name: acme.said
    stability: development
    brief: Something was said.
    attributes: [{ref: acme.odd, requirement_level: required}]
""".replace("QUOTES", QUOTES)


def test_no_text_of_a_registry_breaks_what_is_generated(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text("description: D.\nschema_url: https://example.com/acme/1.0.0\n")
    (tmp_path / "acme.yaml").write_text(HOSTILE)
    files = generated_files(read_registry(tmp_path))
    assert Path("metrics.py") not in files
    module: dict[str, Any] = {}
    exec(compile(files[Path("attributes.py")], "attributes.py", "exec"), module)
    assert module["AcmeOdd"].QUOTED.value == r'a "b" \ c'
    assert module["AcmeOdd"].__doc__.startswith(rf"A \ and a {QUOTES} and a | and {{braces}}.")
    assert rf"and a {QUOTES} and a \| and" in files[Path("docs", "acme-said.md")]


def test_a_renamed_metric_reaches_the_schema_file(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text("description: D.\nschema_url: https://example.com/acme/1.1.0\n")
    (tmp_path / "acme.yaml").write_text(
        "file_format: definition/2\nmetrics:\n"
        "  - {name: acme.wait, instrument: histogram, unit: s, stability: development, brief: A wait.}\n"
        "  - name: acme.waits\n    instrument: histogram\n    unit: s\n    stability: development\n"
        "    brief: A wait.\n    deprecated: {reason: renamed, renamed_to: acme.wait, note: Renamed.}\n"
        "    annotations: {renamed_in: 1.1.0}\n"
    )
    files = generated_files(read_registry(tmp_path))
    changes = yaml.safe_load(files[Path("schemas", "1.1.0.yaml")])["versions"]["1.1.0"]["metrics"]["changes"]
    assert changes == [{"rename_metrics": {"acme.waits": "acme.wait"}}]
    assert "**deprecated**, use `acme.wait`" in files[Path("docs", "metric-acme-waits.md")]


def test_a_rename_reaches_the_schema_file(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE / "registry", tmp_path / "registry")
    manifest, step = tmp_path / "registry" / "manifest.yaml", tmp_path / "registry" / "step.yaml"
    manifest.write_text(manifest.read_text().replace("runrecord/0.1.0", "runrecord/0.10.0"))
    step.write_text(
        step.read_text().replace(
            "attributes:\n",
            "attributes:\n"
            "  - key: runrecord.step.number\n"
            "    type: int\n"
            "    stability: development\n"
            "    brief: The former name.\n"
            "    examples: [0]\n"
            "    deprecated: {reason: renamed, renamed_to: runrecord.step.index, note: Renamed.}\n"
            "    annotations: {renamed_in: 0.9.0}\n",
            1,
        )
    )
    schema = yaml.safe_load(schema_file(read_registry(tmp_path / "registry"), "", "0.1.0"))
    assert list(schema["versions"]) == ["0.10.0", "0.9.0", "0.1.0"]
    changes = schema["versions"]["0.9.0"]["all"]["changes"]
    assert changes == [
        {"rename_attributes": {"attribute_map": {"runrecord.step.number": "runrecord.step.index"}}}
    ]


def test_bridges_name_what_we_have_and_nothing_of_theirs_is_ours(registry: Registry) -> None:
    bridges = load_bridges(registry)
    assert bridges.entries
    for bridge in bridges.entries:
        assert len(bridge.upstream) in (1, len(bridge.ours))
        assert not set(bridge.upstream) & set(registry.attributes)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("runrecord.run.id", "runrecord.run.idd", "the registry has no such attribute, event or span"),
        ("number: 445", "number: soon", "must be the number of the upstream thread"),
        ("status: draft", "status: dead", "must be one of open, draft, merged, closed"),
        ("ours: [runrecord.run.id]", "ours: []", "must be a list of texts"),
        ("of: runrecord.model_call", "of: runrecord.model", "no such attribute, event or span"),
        ("{price_table: local}", "local", "must be a mapping"),
        ("      event: gen_ai", "      events: gen_ai", "the key is not known here"),
        (
            "{runrecord.policy.engine: guardrail}",
            "{runrecord.policy.engine: 1}",
            "must be a mapping of texts",
        ),
    ],
)
def test_a_wrong_bridge_is_refused(
    tmp_path: Path, registry: Registry, old: str, new: str, problem: str
) -> None:
    path = tmp_path / "bridges.yaml"
    text = (PACKAGE / "upstream" / "bridges.yaml").read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RegistryError, match=problem):
        load_bridges(registry, path)
