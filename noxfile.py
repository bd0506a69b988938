# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What `make test` runs: the linters, the tests, and each agent SDK in an environment of its own."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "sdk", "ui"]

# The portions that need an agent SDK, each with the tests that run in its environment.
SDKS = {
    "langgraph": "tests/instrumentation/langgraph",
    "openai-agents": "tests/instrumentation/openai_agents",
}
PHOENIX = "tests/e2e/test_phoenix.py"
ELSEWHERE = [f"--ignore={path}" for path in (*SDKS.values(), PHOENIX)]


def _install(session: nox.Session, requirements: str, distribution: str = ".") -> None:
    """Install exactly the pins, then the project itself without looking at its dependencies again."""
    session.install("--no-deps", "--require-hashes", "-r", f"requirements/{requirements}")
    session.install("--no-deps", distribution)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Ruff, and what only this project can check of itself."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Mypy and pyright, both strict."""
    session.run("mypy")
    session.run("pyright")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Everything that runs in the development environment: the source tree, editable."""
    session.run("python", "-m", "pytest", "-q", *ELSEWHERE, *session.posargs)


@nox.session
@nox.parametrize("versions", ["oldest", "newest"])
@nox.parametrize("name", list(SDKS))
def sdk(session: nox.Session, name: str, versions: str) -> None:
    """One agent SDK at the oldest or the newest supported version."""
    _install(session, f"{name}-{versions}.txt")
    session.run(
        "python", "-m", "pytest", "-q", SDKS[name], "tests/instrumentation/test_recorder.py", *session.posargs
    )


@nox.session
def ui(session: nox.Session) -> None:
    """The demo's runs in a real Arize Phoenix."""
    session.install("--no-deps", "--require-hashes", "-r", "requirements/ui.txt")
    phoenix = Path(session.bin) / "phoenix"
    command = [sys.executable, "-m", "pytest", "-q", PHOENIX, *session.posargs]
    session.run(*command, external=True, env={"RUNRECORD_PHOENIX": str(phoenix)})


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel and run the tests against it, installed: no source root is importable here."""
    shutil.rmtree("dist", ignore_errors=True)
    session.run("uv", "build", "--wheel", "--sdist", "--quiet", "--out-dir", "dist", external=True)
    (built,) = Path("dist").glob("*.whl")
    _install(session, "dev.txt", str(built))
    session.run(
        "python", "-m", "pytest", "-q", *ELSEWHERE, *session.posargs, env={"RUNRECORD_TEST_INSTALLED": "1"}
    )
