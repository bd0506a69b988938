# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of the project: one namespace, one direction of imports, a licence header on every file."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORTIONS = ("semconv", "instrumentation", "ledger", "processors", "exporters", "collector", "cli", "demo")
# What each portion may import of the others (architecture.md, "Imports go one way").
MAY_IMPORT = {
    "semconv": set[str](),
    "instrumentation": {"semconv"},
    "ledger": {"semconv"},
    "processors": {"semconv", "ledger"},
    "exporters": {"semconv", "ledger", "processors"},
    "collector": {"semconv", "ledger", "processors", "exporters"},
    "cli": set(PORTIONS),
    "demo": set(PORTIONS) - {"instrumentation"},
}
ROOTS = {"semconv", "instrumentation", "processors", "exporters", "ledger", "collector"}


def sources() -> list[Path]:
    return [path for root in sorted(ROOTS) for path in sorted((ROOT / root).rglob("*.py"))]


def portion_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[2]


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= (
                {node.module}
                if node.module != "runrecord"
                else {f"runrecord.{alias.name}" for alias in node.names}
            )
    return found


def test_the_namespace_has_no_init_file() -> None:
    assert not [path for root in ROOTS for path in (ROOT / root).glob("runrecord/__init__.py")]
    module = importlib.import_module("runrecord")
    assert module.__file__ is None


@pytest.mark.parametrize("portion", PORTIONS)
def test_every_portion_is_typed_and_lists_its_public_names(portion: str) -> None:
    module = importlib.import_module(f"runrecord.{portion}")
    assert module.__file__ is not None
    assert (Path(module.__file__).parent / "py.typed").exists()
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name, None) is not None, (
            f"runrecord.{portion}.__all__ names {name}, which does not exist"
        )


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    portion = portion_of(path)
    imported = imports_of(path)
    ours = {name.split(".")[1] for name in imported if name.startswith("runrecord.")} - {portion}
    assert ours <= MAY_IMPORT[portion], f"{portion} may not import {sorted(ours - MAY_IMPORT[portion])}"
    if portion in {"ledger", "semconv"}:
        assert not [name for name in imported if name.split(".")[0] in {"opentelemetry", "google"}]
    if portion == "instrumentation":
        assert not [name for name in imported if name.startswith("opentelemetry.sdk")]


def test_every_source_file_says_its_licence() -> None:
    header = "# SPDX-FileCopyrightText: The Runrecord authors\n# SPDX-License-Identifier: Apache-2.0\n"
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert listed
    assert not [
        name for name in listed if (ROOT / name).exists() and not (ROOT / name).read_text().startswith(header)
    ]


def test_no_extra_has_the_name_that_the_loader_takes_for_itself() -> None:
    extras = importlib.metadata.metadata("runrecord").get_all("Provides-Extra") or []
    assert not {"instruments", "instruments-any"} & set(extras)


@pytest.mark.skipif(
    os.environ.get("RUNRECORD_TEST_INSTALLED") != "1", reason="only against the installed wheel"
)
def test_the_tests_run_against_the_installed_wheel() -> None:
    module = importlib.import_module("runrecord.semconv")
    assert module.__file__ is not None
    assert "site-packages" in module.__file__
