# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is shipped: the wheel holds every file of every root, and the sdist makes the same wheel."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from runrecord.instrumentation.langgraph.package import INSTRUMENTS as LANGGRAPH
from runrecord.instrumentation.openai_agents.package import INSTRUMENTS as OPENAI_AGENTS

tomllib = importlib.import_module(
    "tomllib" if sys.version_info >= (3, 11) else "tomli"
)  # pytest needs it too
ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOTS = [ROOT / name for name in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]


def build(tree: Path, target: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(directory)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    (made,) = directory.iterdir()
    return made


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return contents(build(ROOT, "wheel", tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    place = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        archive.extractall(place, filter="data")
    (unpacked,) = place.iterdir()
    return unpacked


def test_the_wheel_holds_every_file_of_every_root(wheel: dict[str, bytes]) -> None:
    expected = {
        path.relative_to(root.parent).as_posix(): path.read_bytes()
        for root in ROOTS
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in expected} >= {".py", ".yaml", ".typed"}
    shipped = {name: data for name, data in wheel.items() if ".dist-info/" not in name}
    assert shipped.keys() == expected.keys()
    assert shipped == expected


def test_the_sdist_makes_the_same_wheel(wheel: dict[str, bytes], sdist: Path, tmp_path: Path) -> None:
    again = contents(build(sdist, "wheel", tmp_path / "again"))
    assert again.keys() == wheel.keys()
    assert again == wheel


def test_the_sdist_can_be_tested(sdist: Path) -> None:
    assert (sdist / "tests" / "conftest.py").is_file()
    assert (sdist / "requirements" / "dev.txt").is_file()
    assert not [path for path in sdist.rglob("*") if path.name in {".venv", ".nox", "__pycache__", ".git"}]


def lower_bounds(requirements: Iterable[str]) -> dict[str, str]:
    parsed = map(Requirement, requirements)
    return {each.name: s.version for each in parsed for s in each.specifier if s.operator == ">="}


def test_what_the_readme_installs_has_the_command_line() -> None:
    extras = PROJECT["project"]["optional-dependencies"]

    def closure(extra: str) -> set[str]:
        needed: set[str] = set()
        for line in extras[extra]:
            requirement = Requirement(line)
            inner = requirement.extras if requirement.name == "runrecord" else ()
            needed |= set().union(*map(closure, inner)) if inner else {requirement.name}
        return needed

    assert closure("cli") <= closure("otlp")
    assert closure("otlp").isdisjoint({"uvicorn", "grpcio", "langgraph", "openai-agents"})


@pytest.mark.parametrize(
    ("extra", "instruments"), [("langgraph", LANGGRAPH), ("openai-agents", OPENAI_AGENTS)]
)
def test_an_integration_supports_what_its_extra_installs(extra: str, instruments: tuple[str, ...]) -> None:
    installed = lower_bounds(PROJECT["project"]["optional-dependencies"][extra])
    assert installed[extra] == lower_bounds(instruments)[extra]


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_every_pin_has_a_hash_and_no_registry_has_a_name(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    if path.name != "overrides.txt":
        for pin in re.findall(r"^[^\s#].*(?:\n    .*)*", text, re.MULTILINE):
            assert "--hash=sha256:" in pin
