# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Every registry is valid by the JSON Schemas that the upstream registry tooling publishes for its format."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from runrecord.semconv.registry import PACKAGED

SCHEMAS = Path(__file__).parent / "weaver"
ROOT = Path(__file__).resolve().parents[2]
REGISTRIES = (*PACKAGED, ROOT / "examples" / "extending" / "registry")
FILES = [path for directory in REGISTRIES for path in sorted(directory.rglob("*.yaml"))]


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def with_url_objects(manifest: Any) -> Any:
    """Put schema URLs as the schema has them, see weaver/README.md."""
    entries = [
        {**entry, "schema_url": {"url": entry["schema_url"]}} for entry in manifest.get("dependencies", [])
    ]
    return {**manifest, "schema_url": {"url": manifest["schema_url"]}, "dependencies": entries}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_is_valid(path: Path) -> None:
    if path.name == "manifest.yaml":
        found = validator("definition-manifest.v2.json").iter_errors(with_url_objects(load(path)))
    else:
        found = validator("semconv.schema.v2.json").iter_errors(load(path))
    assert [f"{error.json_path}: {error.message}" for error in found] == []


@pytest.mark.parametrize(
    ("section", "key"),
    [("attributes", "breif"), ("spans", "kinds"), ("attribute_groups", "note"), ("metrics", "type")],
)
def test_the_schema_is_strict(section: str, key: str) -> None:
    """A key that the format does not know is found, or the test above would prove nothing."""
    entries: dict[str, dict[str, Any]] = {
        "attributes": {"key": "a.b", "type": "string", "brief": "B.", "stability": "stable"},
        "spans": {"type": "a", "kind": "client", "brief": "B.", "stability": "stable", "name": {"note": "a"}},
        "attribute_groups": {"id": "a", "visibility": "internal", "attributes": []},
        "metrics": {"name": "a", "instrument": "gauge", "unit": "1", "brief": "B.", "stability": "stable"},
    }
    entry = entries[section]
    schema = validator("semconv.schema.v2.json")
    assert schema.is_valid({"file_format": "definition/2", section: [entry]})
    assert not schema.is_valid({"file_format": "definition/2", section: [{**entry, key: "x"}]})


def test_the_schemas_are_those_of_upstream() -> None:
    readme = (SCHEMAS / "README.md").read_text(encoding="utf-8")
    for path in SCHEMAS.glob("*.json"):
        assert f"| `{path.name}` | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |" in readme
