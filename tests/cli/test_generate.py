# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`runrecord generate`, as it is run from a shell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "extending"


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from runrecord.cli.main import main; main()",
            "generate",
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE / "registry", tmp_path / "registry")
    manifest = tmp_path / "registry" / "manifest.yaml"
    lines = [line for line in manifest.read_text().splitlines() if "registry_path" not in line]
    manifest.write_text("\n".join(lines) + "\n")
    return tmp_path / "registry"


def replace(registry: Path, old: str, new: str) -> None:
    file = registry / "claims.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_it_writes_a_package_that_works(registry: Path, tmp_path: Path) -> None:
    output = tmp_path / "acme"
    done = run("--registry", registry, "--output", output)
    assert (done.returncode, done.stderr) == (0, "")
    assert "wrote attributes.py" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        "https://schemas.acme.example/claims/1.0.0: 4 attributes, 3 signals, 1 metric; 14 files up to date"
    )
    code = "from acme import SCHEMA_URL, attributes, metrics; print(SCHEMA_URL, attributes.AcmeClaimClass.GLASS.value)"
    imported = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert imported.stdout == "https://schemas.acme.example/claims/1.0.0 glass\n"


def test_again_and_with_check_nothing_changes(registry: Path, tmp_path: Path) -> None:
    arguments = ("--registry", registry, "--output", tmp_path / "acme")
    run(*arguments)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "acme").rglob("*.*")}
    for done in (run(*arguments), run(*arguments, "--check")):
        assert done.returncode == 0
        assert len(done.stdout.splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "acme").rglob("*.*")} == before


def test_check_shows_what_would_change_and_changes_nothing(registry: Path, tmp_path: Path) -> None:
    arguments = ("--registry", registry, "--output", tmp_path / "acme")
    run(*arguments)
    replace(registry, "brief: What kind of claim it is.", "brief: Which kind of claim it is.")
    done = run(*arguments, "--check")
    assert done.returncode == 1
    assert '-"""What kind of claim it is.' in done.stdout
    assert '+"""Which kind of claim it is.' in done.stdout
    assert "is not up to date" in done.stderr
    assert "Which kind" not in (tmp_path / "acme" / "attributes.py").read_text()


def test_what_is_no_longer_wanted_goes_and_what_is_not_ours_stays(registry: Path, tmp_path: Path) -> None:
    output = tmp_path / "acme"
    run("--registry", registry, "--output", output)
    (output / "helpers.py").write_text('"""By hand."""\n')
    text = (registry / "claims.yaml").read_text()
    (registry / "claims.yaml").write_text(text[: text.index("metrics:")])
    done = run("--registry", registry, "--output", output)
    assert done.returncode == 0
    gone = {line.removeprefix("removed ") for line in done.stdout.splitlines() if line.startswith("removed ")}
    name = "metric-acme-claim-triage-duration"
    assert gone == {"metrics.py", f"docs/{name}.md", f"json_schemas/{name}.json"}
    assert (output / "helpers.py").exists()


def test_a_wrong_registry_is_named_with_its_place_and_nothing_is_written(
    registry: Path, tmp_path: Path
) -> None:
    replace(registry, "acme.claim.id\n    type: string", "acme.claim.id\n    type: text")
    done = run("--registry", registry, "--output", tmp_path / "acme")
    assert done.returncode == 1
    assert done.stderr.startswith("claims.yaml:19: acme.claim.id: type must be one of")
    assert done.stderr.endswith("1 problem; nothing was written\n")
    assert not (tmp_path / "acme").exists()


def test_every_broken_rule_is_named(registry: Path, tmp_path: Path) -> None:
    replace(registry, 'examples: ["c-2026-0117"]', "examples: [17]")
    replace(registry, "brief: A claim was settled.", "brief: A claim was settled")
    done = run("--registry", registry, "--output", tmp_path / "acme")
    assert done.returncode == 1
    assert "acme.claim.id: the example 17 is not of type string" in done.stderr
    assert "acme.claim.settled: the brief must end with a full stop" in done.stderr
    assert "2 problems" in done.stderr


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere", "is no directory"), ("registry", "lies in the registry")]
)
def test_wrong_directories(registry: Path, tmp_path: Path, name: str, said: str) -> None:
    output = tmp_path / ("acme" if name == "nowhere" else "registry/acme")
    done = run("--registry", tmp_path / name, "--output", output)
    assert done.returncode == 4
    assert said in done.stderr
    assert "next:" in done.stderr
    assert registry.exists()


def test_help_says_what_it_takes() -> None:
    done = run("--help")
    assert done.returncode == 0
    for word in ("--registry", "--output", "--check", "manifest.yaml", "nothing is fetched"):
        assert word in done.stdout
