# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What `make test` runs: the linters, the tests, and each agent SDK in an environment of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "lowest", "sdk", "deploy", "ui"]

# The portions that need an agent SDK, each with the tests that run in its environment.
SDKS = {
    "anthropic": "tests/instrumentation/anthropic",
    "langgraph": "tests/instrumentation/langgraph",
    "openai": "tests/instrumentation/openai",
    "openai-agents": "tests/instrumentation/openai_agents",
    "mcp": "tests/instrumentation/mcp",
    "fastmcp": "tests/instrumentation/fastmcp",
    "pydantic-ai": "tests/instrumentation/pydantic_ai",
    "temporal": "tests/instrumentation/temporal",
    "cedar": "tests/instrumentation/cedar",
    "casbin": "tests/instrumentation/casbin",
    "openfga": "tests/instrumentation/openfga",
    "opa": "tests/instrumentation/opa",
    "claude-agent": "tests/instrumentation/claude_agent",
}
PHOENIX = "tests/e2e/test_phoenix.py"
MANIFESTS = "tests/deploy/test_manifests.py"
ELSEWHERE = [f"--ignore={path}" for path in (*SDKS.values(), PHOENIX, MANIFESTS)]
NEEDS_MORE = "go or java or debian or browser or sdk"


def _sync(session: nox.Session, requirements: str) -> None:
    """Make the environment hold exactly the pins, whatever an earlier run left there."""
    command = ["uv", "pip", "sync", "--quiet", "--require-hashes", "--python", f"{session.bin}/python"]
    session.run_install(*command, f"requirements/{requirements}", external=True)


def _install(session: nox.Session, requirements: str) -> None:
    """Install exactly the pins, then a wheel of this tree, built with the pinned back end: no source root is importable then."""
    _sync(session, requirements)
    built = Path(session.create_tmp())
    for old in built.glob("*.whl"):
        old.unlink()
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    session.run_install(*command, external=True, silent=True)
    session.install("--no-deps", "--reinstall", *map(str, built.glob("*.whl")))


def _test(session: nox.Session, *arguments: str) -> None:
    """Run tests, a module at a time in each of three processes: many of them wait for processes of their own."""
    session.run(
        "python", "-m", "pytest", "-q", "-n", "3", "--dist", "loadscope", *arguments, *session.posargs
    )


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Ruff, and the names of the changelog's fragments."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Mypy and pyright, both strict."""
    session.run("mypy")
    session.run("pyright")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Everything that runs in the development environment: the source tree, editable."""
    _test(session, *ELSEWHERE)


@nox.session
def lowest(session: nox.Session) -> None:
    """The core at the lower bounds of pyproject.toml; the agent SDKs have sessions of their own."""
    _install(session, "lowest.txt")
    _test(
        session,
        *ELSEWHERE,
        "--ignore=tests/project",
        "--ignore=tests/e2e",
        "--ignore=tests/deploy",
        # What a kill or a full disk leaves is up to us, not to a library's version.
        "--ignore=tests/collector/processes",
        "--ignore=tests/collector/test_full_disk.py",
        "--ignore=tests/collector/test_crash.py",
        "--ignore=tests/ledger/harness",
        "-m",
        f"not ({NEEDS_MORE})",
    )


@nox.session
@nox.parametrize("versions", ["oldest", "newest"])
@nox.parametrize("name", list(SDKS))
def sdk(session: nox.Session, name: str, versions: str) -> None:
    """One agent SDK at the oldest or the newest supported version."""
    _install(session, f"{name}-{versions}.txt")
    # The official instrumentations are for the newest versions only, and so is what an SDK has grown since the oldest.
    without: list[str] = []
    if versions == "oldest":
        modules = ("test_official*.py", "test_newest_*.py")
        without = ["-m", "not newest", *(f"--ignore-glob={SDKS[name]}/{module}" for module in modules)]
    # Only a whole run says what is supported.
    whole = not [argument for argument in session.posargs if argument != "--support-write"]
    support = ["-p", "support_matrix", "--support", f"{name}-{versions}"] if whole else []
    session.env["PYTHONPATH"] = "tests/plugins"
    _test(session, *support, SDKS[name], "tests/instrumentation/test_recorder.py", *without)


@nox.session
def ui(session: nox.Session) -> None:
    """The demo's runs in a real Arize Phoenix."""
    _sync(session, "ui.txt")
    phoenix = Path(session.bin) / "phoenix"
    command = [sys.executable, "-m", "pytest", "-q", PHOENIX, *session.posargs]
    session.run(*command, external=True, env={"RUNRECORD_PHOENIX": str(phoenix)})


@nox.session
def deploy(session: nox.Session) -> None:
    """What reads the files of deploy/: Kubernetes' schemas, a linter of container files, Rotel."""
    _install(session, "deploy.txt")
    session.run("python", "-m", "pytest", "-q", MANIFESTS, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """What `make bench` runs: the measurements, with the packages that ours is measured beside."""
    _install(session, "bench.txt")
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """The redactor against bytes that a fuzzer makes of the kept seeds: a short run that is always the same, or `-- -max_total_time=600`."""
    _install(session, "fuzz.txt")
    session.run("python", "tests/processors/redaction/fuzz_redactor.py", *session.posargs)


@nox.session(venv_backend="none")
def strength(session: nox.Session) -> None:
    """The ledger's crash and tamper harness in full, 1,000 rounds; the session `tests` runs a share. `-- --rounds 10000 --seed 7` for more."""
    rounds, seed = "1000", "0"
    arguments = list(session.posargs)
    while arguments and arguments[0] in {"--rounds", "--seed"}:
        name, value, *arguments = arguments
        rounds, seed = (value, seed) if name == "--rounds" else (rounds, value)
    environment = {"RUNRECORD_TEST_ROUNDS": rounds, "RUNRECORD_TEST_SEED": seed}
    command = ["python", "-m", "pytest", "-q", "-n", "3", "--dist", "load"]
    session.run(*command, *(arguments or ["tests/ledger/harness"]), env=environment)


@nox.session
def wheel(session: nox.Session) -> None:
    """The installed wheel with the newest versions, from all its doors; its modules the session `lowest` tests, installed too."""
    _install(session, "dev.txt")
    session.env["RUNRECORD_TEST_INSTALLED"] = "1"
    paths = ("tests/project", "tests/cli", "tests/e2e", "tests/scenarios", "tests/exporters")
    _test(session, *paths, *ELSEWHERE, "-m", f"not ({NEEDS_MORE})")
