# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The registry keeps the ground rules of the conventions, and a broken one is refused with file, line and key."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import runrecord.semconv
from runrecord.semconv import SCHEMA_BASE_URL, SCHEMA_URL, SCHEMA_VERSION, signals
from runrecord.semconv.checks import check_registry, problems
from runrecord.semconv.errors import RegistryError, SemconvError
from runrecord.semconv.registry import Registry, load_registry, read_registry

PACKAGE = Path(runrecord.semconv.__file__).parent


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def test_the_registry_keeps_every_ground_rule(registry: Registry) -> None:
    assert list(problems(registry)) == []


def test_the_schema_url_is_the_same_everywhere(registry: Registry) -> None:
    assert registry.schema_url == SCHEMA_URL == f"{SCHEMA_BASE_URL}/{SCHEMA_VERSION}"
    assert registry.version == SCHEMA_VERSION


def test_nothing_of_ours_lies_in_a_namespace_of_others(registry: Registry) -> None:
    assert {attribute.key.split(".")[0] for attribute in registry.own_attributes} == {"runrecord"}
    assert all(
        attribute.official for key, attribute in registry.attributes.items() if key.startswith("gen_ai.")
    )


def test_every_note_says_when_not_to_set_the_attribute(registry: Registry) -> None:
    """A closed list says it by its members; a declared hint and all else needs words."""
    lacking = [a.key for a in registry.own_attributes if not a.members and "Do NOT" not in a.note]
    assert lacking == []


def test_every_governed_span_carries_what_the_ledger_needs(registry: Registry) -> None:
    needed = {"runrecord.run.id", "runrecord.source.id", "runrecord.record.seq"}
    for signal in registry.signals.values():
        if signal.form == "span" and signal.id != "runrecord.model_call":
            required = {use.attribute.key for use in signal.uses if use.level == "required"}
            assert needed <= required, signal.id


def test_a_reader_can_tell_the_kinds_of_span_apart(registry: Registry) -> None:
    """What marks a kind for the ledger is on exactly the spans of that kind."""
    marks = {
        "runrecord.run.state": {"runrecord.run.agent", "runrecord.run.workflow"},
        "runrecord.decision.id": {"runrecord.policy_decision"},
        "runrecord.step.kind": {"runrecord.step"},
        "runrecord.verification.type": {"runrecord.verification"},
        "runrecord.compensation.outcome": {"runrecord.compensation"},
        "runrecord.approval.status": {"runrecord.approval_request", "runrecord.approval_decision"},
    }
    for mark, expected in marks.items():
        spans = [signal for signal in registry.signals.values() if signal.form == "span"]
        carriers = {signal.id for signal in spans if any(use.attribute.key == mark for use in signal.uses)}
        assert carriers == expected, mark


def test_span_names_and_kinds_are_those_of_the_design(registry: Registry) -> None:
    spans = {s.name.split()[0]: s.kind for s in registry.signals.values() if s.form == "span"}
    assert spans.pop("{gen_ai.operation.name}") == "client"
    assert spans == {
        "invoke_agent": "internal",
        "invoke_workflow": "internal",
        "agent_step": "internal",
        "execute_tool": "internal",
        "policy_decision": "internal",
        "request_approval": "producer",
        "approval_decision": "consumer",
        "verify": "internal",
        "compensate": "internal",
    }
    assert set(spans) == {getattr(signals, name) for name in signals.__all__ if name.startswith("SPAN_")}


@pytest.fixture
def broken(tmp_path: Path) -> "Broken":
    shutil.copytree(PACKAGE / "registry", tmp_path / "registry")
    shutil.copytree(PACKAGE / "upstream", tmp_path / "upstream")
    return Broken(tmp_path)


class Broken:
    """A copy of the registry in which something is wrong."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.directory / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def line(self, file: str, text: str) -> int:
        lines = (self.directory / file).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)

    def read(self) -> Registry:
        return read_registry(self.directory / "registry", (self.directory / "upstream" / "gen_ai",))


BREAKER = "registry/breaker.yaml"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("file_format: definition/2", "file_format: definition/1", "file_format: must be definition/2"),
        ("file_format: definition/2", "file_format: [", "(yaml): "),
        (
            "file_format: definition/2",
            "file_format: definition/2\nfile_format: definition/2",
            "file_format: the key is there twice",
        ),
        ("file_format: definition/2", "file_format: definition/2\n1: 2", "1: a key must be a string"),
        ("type: string", "type: text", "runrecord.breaker.id: type must be one of"),
        (
            "    stability: development\n    brief: Identifies",
            "    brief: Identifies",
            "stability: must be there",
        ),
        ("stability: development", "stability: shaky", "runrecord.breaker.id: stability must be one of"),
        (
            "brief: Identifies the breaker.",
            "breif: Identifies the breaker.",
            "runrecord.breaker.id.breif: the key is not known",
        ),
        ("      members:", "      values:", "runrecord.breaker.state.type.values: the key is not known"),
        ("value: closed", "value: 1", "runrecord.breaker.state: the value of a member must be a string"),
        ("value: open,", "value: open, nmae: x,", "runrecord.breaker.state.nmae: the key is not known"),
        (
            "key: runrecord.breaker.trigger",
            "key: runrecord.breaker.id",
            "runrecord.breaker.id: the attribute is defined twice",
        ),
        (
            "- ref: runrecord.breaker.trigger",
            "- ref: runrecord.breaker.tigger",
            "runrecord.breaker.tigger: no attribute has this key",
        ),
        (
            "- ref: runrecord.breaker.trigger",
            "- ref: runrecord.breaker.state",
            "refers to the attribute twice",
        ),
        (
            "- ref: runrecord.breaker.trigger\n        requirement_level: recommended",
            "- ref_group: runrecord.none",
            "runrecord.none: this registry has no attribute group",
        ),
        (
            "requirement_level: required",
            "requirement_level: mandatory",
            "requirement_level 'mandatory' is not known",
        ),
        (
            "name: runrecord.breaker.changed",
            "name: runrecord.escalation",
            "runrecord.escalation: the signal is defined twice",
        ),
        (
            "file_format: definition/2",
            "file_format: definition/2\nspans: 3",
            "spans: must be a list of mappings",
        ),
    ],
)
def test_what_the_format_does_not_allow_is_refused(broken: Broken, old: str, new: str, problem: str) -> None:
    broken.replace(BREAKER, old, new)
    with pytest.raises(RegistryError) as caught:
        broken.read()
    (line,) = caught.value.problems
    file, number, rest = line.split(":", 2)
    assert file in ("breaker.yaml", "escalation.yaml")
    assert int(number) > 0
    assert problem in rest


def test_the_line_is_that_of_the_key(broken: Broken) -> None:
    broken.replace(BREAKER, "brief: Identifies the breaker.", "breif: Identifies the breaker.")
    line = broken.line(BREAKER, "breif:")
    with pytest.raises(RegistryError, match=rf"^breaker\.yaml:{line}: runrecord\.breaker\.id\.breif: "):
        broken.read()


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (
            BREAKER,
            "      - ref: runrecord.breaker.trigger\n        requirement_level: recommended\n",
            "",
            "no signal uses the attribute",
        ),
        (
            BREAKER,
            "brief: Identifies the breaker.",
            "brief: Identifies the breaker",
            "the brief must end with a full stop",
        ),
        (
            BREAKER,
            "{id: open, value: open,",
            "{id: open, value: closed,",
            "two members have the value closed",
        ),
        (BREAKER, "{id: open, value: open,", "{id: closed, value: open,", "two members have the id closed"),
        (
            BREAKER,
            "{id: open, value: open,",
            "{id: Open, value: open,",
            "the member Open is no lower-case identifier",
        ),
        (
            BREAKER,
            "Calls are stopped.",
            "Calls are stopped",
            "the brief of the member open must end with a full stop",
        ),
        (BREAKER, '    examples: ["billing-writes"]\n', "", "there are no examples"),
        (BREAKER, '["billing-writes"]', "[3]", "the example 3 is not of type string"),
        (BREAKER, "If the change happened inside a run.", "inside a run", "must be a sentence"),
        (
            BREAKER,
            "name: runrecord.breaker.changed",
            "name: gen_ai.breaker",
            "the namespace gen_ai belongs to",
        ),
        (
            "registry/processing.yaml",
            '[["card", "email", "stripe_key"]]',
            '["card"]',
            "the example 'card' is not of type string[]",
        ),
        ("registry/processing.yaml", "[54]", "[true]", "the example True is not of type int"),
        ("registry/step.yaml", "{runrecord.step.kind}", "{runrecord.step.id}", "must be of low cardinality"),
        (
            "registry/step.yaml",
            "{runrecord.step.kind}",
            "{runrecord.step.index}",
            "must be of low cardinality",
        ),
        (
            "registry/step.yaml",
            "{runrecord.step.kind}",
            "{runrecord.policy.id}",
            "which the signal does not use",
        ),
        (
            "registry/step.yaml",
            "{runrecord.step.kind}",
            "number 3",
            "must be an operation and one attribute in braces",
        ),
        (
            "registry/step.yaml",
            "- ref: runrecord.step.name",
            "- ref: gen_ai.tool.name",
            "take a signal of our own for an official one",
        ),
        (
            "registry/step.yaml",
            "key: runrecord.step.id",
            "key: gen_ai.step.id",
            "the namespace gen_ai belongs to",
        ),
        (
            "registry/step.yaml",
            "key: runrecord.step.id",
            "key: runrecord.step",
            "is also the namespace of other attributes",
        ),
        (
            "registry/step.yaml",
            "key: runrecord.step.id",
            "key: runrecord.step_index",
            "another attribute gives the same constant",
        ),
        (
            "registry/step.yaml",
            "key: runrecord.step.id",
            "key: runrecord.step.id\n    deprecated: {reason: renamed, renamed_to: runrecord.step.none, note: Renamed.}",
            "needs annotations: {renamed_in: VERSION}",
        ),
        (
            "registry/step.yaml",
            "key: runrecord.step.id",
            "key: runrecord.step.id\n    deprecated: {reason: renamed, renamed_to: runrecord.step.none, note: Renamed.}",
            "was renamed to runrecord.step.none, which is not there",
        ),
    ],
)
def test_what_the_conventions_do_not_allow_is_refused(
    broken: Broken, file: str, old: str, new: str, problem: str
) -> None:
    broken.replace(file, old, new)
    if "key: runrecord.step.id" in old:
        name = new.split("\n", maxsplit=1)[0].removeprefix("key: ")
        broken.replace(file, "- ref: runrecord.step.id", f"- ref: {name}")
    with pytest.raises(RegistryError) as caught:
        check_registry(broken.read())
    found = [line for line in caught.value.problems if problem in line]
    assert found, caught.value.problems
    assert found[0].startswith(f"{Path(file).name}:")


def test_a_refinement_needs_an_official_signal(broken: Broken) -> None:
    broken.replace("registry/tool.yaml", "ref: gen_ai.execute_tool.internal", "ref: gen_ai.run_tool.internal")
    with pytest.raises(
        RegistryError,
        match=r"refines gen_ai\.run_tool\.internal, and neither this registry nor one it depends on has it",
    ):
        broken.read()


def test_without_pyyaml_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['yaml'] = None\n"
        "import runrecord.semconv, runrecord.semconv.attributes, runrecord.semconv.commitment\n"
        "from runrecord.semconv.registry import load_registry\n"
        "try: load_registry()\n"
        "except runrecord.semconv.RegistryError as error: print(error)\n"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "runrecord[redaction]"' in output


def test_the_exceptions_are_one_family() -> None:
    for name in runrecord.semconv.__all__:
        value = getattr(runrecord.semconv, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, SemconvError)
