# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A registry that is not YAML, or not of the format, is refused with file, line and key; it never fails otherwise."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runrecord.semconv.errors import RegistryError
from runrecord.semconv.registry import read_registry

MANIFEST = "description: A test.\nschema_url: https://example.com/acme/1.0.0\n"
GOOD = """\
file_format: definition/2
attributes:
  - key: acme.kind
    type:
      members:
        - {id: a, value: a, brief: A., stability: stable}
    stability: stable
    brief: A kind.
  - key: acme.size
    type: int
    stability: stable
    brief: A size.
    examples: [1]
attribute_groups:
  - id: acme.group
    visibility: internal
    attributes:
      - ref: acme.size
spans:
  - type: acme.work
    kind: internal
    name:
      note: "work {acme.kind}"
    stability: stable
    brief: Work.
    attributes:
      - ref_group: acme.group
      - ref: acme.kind
        requirement_level:
          conditionally_required: If it is known.
"""


def write(directory: Path, text: "str | bytes", manifest: str = MANIFEST) -> Path:
    (directory / "manifest.yaml").write_text(manifest, encoding="utf-8")
    data = text if isinstance(text, bytes) else text.encode()
    (directory / "acme.yaml").write_bytes(data)
    return directory


def test_the_good_one_is_read(tmp_path: Path) -> None:
    (signal,) = read_registry(write(tmp_path, GOOD)).own_signals
    assert [use.attribute.key for use in signal.uses] == ["acme.size", "acme.kind"]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        # Not YAML.
        ("    brief: A kind.", "   brief: A kind.", "acme.yaml:8: (yaml): "),
        ("    brief: A kind.", "\tbrief: A kind.", "acme.yaml:8: (yaml): "),
        ("    brief: A kind.", '    brief: "A kind.', "(yaml): "),
        ("    brief: A kind.", "    brief: A kind: sorted.", "acme.yaml:8: (yaml): "),
        ("    brief: A kind.", "    brief: *nothing", "acme.yaml:8: (yaml): "),
        ("    brief: A kind.", "    brief: !!python/object:os.system x", "acme.yaml:8: (yaml): "),
        ("[1]", "[1", "(yaml): "),
        ("examples: [1]", "examples: &a [*a]", "acme.yaml:13: (yaml): "),
        (
            "    brief: A kind.",
            "    brief: 2026-13-45",
            "acme.yaml:8: brief: the value is not what it looks like",
        ),
        (
            "    brief: A kind.",
            "    brief: !!int A kind.",
            "acme.yaml:8: brief: the value is not what it looks",
        ),
        (
            "    brief: A kind.",
            "    brief: !!bool A kind.",
            "acme.yaml:8: brief: the value is not what it looks",
        ),
        (
            "    brief: A kind.",
            "    brief: !!timestamp A",
            "acme.yaml:8: brief: the value is not what it looks",
        ),
        # The same key twice, at any depth.
        (
            "    brief: A kind.",
            "    brief: A kind.\n    brief: B.",
            "acme.yaml:9: brief: the key is there twice",
        ),
        ("brief: A., stab", "brief: A., id: b, stab", "acme.yaml:6: id: the key is there twice"),
        # Wrong types.
        ("    brief: A kind.", "    brief: [A kind.]", "acme.yaml:8: brief: must be there and be a text"),
        ("    brief: A kind.", "    brief:", "acme.yaml:8: brief: must be there and be a text"),
        ("    brief: A kind.", "    brief: 2026-11-22", "acme.yaml:8: brief: must be there and be a text"),
        ("    brief: A kind.", "    brief: {a: b}", "acme.yaml:8: brief: must be there and be a text"),
        ("    brief: A kind.", "    ? [a]\n    : b", "acme.yaml:8: ['a']: a key must be a string"),
        (
            "    brief: A kind.",
            "    brief: A.\n    note: 3",
            "acme.yaml:9: note: must be there and be a text",
        ),
        (
            "    brief: A kind.",
            "    brief: A.\n    annotations: a",
            "acme.yaml:9: annotations: must be a mapping",
        ),
        (
            "    brief: A kind.",
            "    brief: A.\n    deprecated: yes",
            "acme.yaml:9: acme.kind: deprecated must be a",
        ),
        (
            "    brief: A kind.",
            "    brief: A.\n    deprecated: {reason: renamed, note: N.}",
            "acme.yaml:9: renamed_to: must be there",
        ),
        (
            "    brief: A kind.",
            "    brief: A.\n    deprecated: {reason: tired, note: N.}",
            "acme.yaml:9: acme.kind: reason must be one of",
        ),
        ("[1]", "1", "acme.yaml:13: acme.size: examples must be a list"),
        ("type: int", "type: [int]", "acme.yaml:10: acme.size: type must be one of"),
        ("type: int", "type: 3", "acme.yaml:10: acme.size: type must be one of"),
        ("type: int", "type: template[string]", "acme.yaml:10: acme.size: type must be one of"),
        ("value: a", "value: 1", "acme.yaml:6: acme.kind: the value of a member must be a string"),
        ("brief: A., stability: stable", "brief: A.", "acme.yaml:6: stability: must be there"),
        (
            "        - {id: a,",
            "        - a\n        - {id: a,",
            "acme.yaml:5: members: must be a list of mappings",
        ),
        ("    kind: internal", "    kind: inside", "acme.yaml:21: acme.work: kind must be one of"),
        ("    name:\n      note:", "    name:", "acme.yaml:22: acme.work: a span needs name"),
        ("      note:", "      pattern:", "acme.yaml:23: acme.work.name.pattern: the key is not known"),
        (
            "conditionally_required:",
            "sometimes:",
            "acme.yaml:29: acme.kind: requirement_level 'sometimes' is not",
        ),
        ("If it is known.", "", "acme.yaml:30: conditionally_required: must be there and be a text"),
        (
            "known.\n",
            "known.\n          opt_in: No.\n",
            "acme.yaml:29: acme.kind: requirement_level must name one",
        ),
        ("- ref_group: acme.group", "- acme.group", "acme.yaml:26: attributes: must be a list of mappings"),
        (
            "- ref_group: acme.group",
            "- ref_group: [acme.group]",
            "acme.yaml:27: ref_group: must be there and be a",
        ),
        ("attributes:\n  - key", "attributes:\n    key", "(yaml): "),
        ("spans:", "span:", "acme.yaml:19: (file).span: the key is not known here"),
        ("spans:", "entities:", "acme.yaml:19: (file).entities: the key is not known here"),
        # References that lead nowhere.
        ("- ref: acme.kind", "- ref: acme.kid", "acme.yaml:28: acme.kid: no attribute has this key"),
        ("- ref: acme.size", "- ref: acme.sise", "acme.yaml:18: acme.sise: no attribute has this key"),
        (
            "ref_group: acme.group",
            "ref_group: acme.grp",
            "acme.yaml:27: acme.grp: this registry has no attribute group",
        ),
        ("      - ref: acme.size", "      - ref_group: acme.group", "acme.group: the group takes itself in"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in GOOD
    with pytest.raises(RegistryError) as caught:
        read_registry(write(tmp_path, GOOD.replace(old, new, 1)))
    (problem,) = caught.value.problems
    assert problem.startswith("acme.yaml:")
    assert place in problem
    assert str(tmp_path) not in problem


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "acme.yaml:1: (top): the file must hold a mapping"),
        ("- a\n", "acme.yaml:1: (top): the file must hold a mapping"),
        ("a: b\n---\nc: d\n", "(yaml): "),
        (b"file_format: \xff\n", "acme.yaml:1: (file): is not UTF-8"),
        (b"\x00", "(yaml): "),
        ("a: " + "[" * 5000, "(yaml): "),
    ],
    ids=["empty", "list", "documents", "bytes", "control", "deep"],
)
def test_what_is_no_file_of_the_format(tmp_path: Path, text: "str | bytes", place: str) -> None:
    with pytest.raises(RegistryError) as caught:
        read_registry(write(tmp_path, text))
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("manifest", "place"),
    [
        ("schema_url: https://example.com/acme/1.0.0\n", "manifest.yaml:1: description: must be there"),
        ("description: D.\n", "manifest.yaml:1: schema_url: must be there"),
        (
            "description: D.\nschema_url: example.com/acme\n",
            "manifest.yaml:2: schema_url: must be of the form",
        ),
        (MANIFEST + "name: acme\n", "manifest.yaml:3: manifest.name: the key is not known here"),
        (MANIFEST + "dependencies: {}\n", "manifest.yaml:3: dependencies: must be a list of mappings"),
        (
            MANIFEST + "dependencies: [runrecord]\n",
            "manifest.yaml:3: dependencies: must be a list of mappings",
        ),
    ],
)
def test_a_wrong_manifest(tmp_path: Path, manifest: str, place: str) -> None:
    with pytest.raises(RegistryError) as caught:
        read_registry(write(tmp_path, GOOD, manifest))
    assert str(caught.value).startswith(place)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_change_of_a_file_makes_it_fail_otherwise(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is cut out, put in or swapped: it is read, or refused with a place."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 40)))
    put = data.draw(
        st.sampled_from(
            ["", "[", "]", "{", "}", "- ", ": ", "\n", "\t", "&a ", "*a", "!!int ", "null", "1", "''", "? "]
        )
    )
    write(tmp_path, GOOD[:start] + put + GOOD[end:])
    try:
        read_registry(tmp_path)
    except RegistryError as error:
        for problem in error.problems:
            file, line, _ = problem.split(":", 2)
            assert file == "acme.yaml"
            assert int(line) > 0
