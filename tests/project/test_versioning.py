# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""docs/versioning.md speaks of the versions that there are."""

from __future__ import annotations

from pathlib import Path

import yaml

from runrecord.ledger.entry import SCHEMA
from runrecord.semconv import SCHEMA_BASE_URL
from runrecord.semconv.registry import load_registry

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/versioning.md").read_text()


def test_the_versions_of_the_page_are_those_of_the_code() -> None:
    registry = load_registry()
    assert f"today `{registry.version}`" in PAGE
    assert f"`{SCHEMA}`" in PAGE
    assert f"`{SCHEMA_BASE_URL.split('/')[2]}`" in PAGE
    assert {"development", "stable"} >= {attribute.stability for attribute in registry.own_attributes}


def test_the_schema_file_of_this_version_is_where_the_page_says() -> None:
    registry = load_registry()
    directory = ROOT / "semconv/runrecord/semconv/schemas"
    assert f"(../{directory.relative_to(ROOT)})" in PAGE
    schema = yaml.safe_load((directory / f"{registry.version}.yaml").read_text())
    assert schema["file_format"] in PAGE
    assert schema["schema_url"] == registry.schema_url
