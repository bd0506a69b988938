# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The command as a whole: what --help lists, and how a wrong command line ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = (
    "demo",
    "doctor",
    "check",
    "runs",
    "show",
    "audit",
    "bundle",
    "verify",
    "gateway",
    "validate",
    "print-config",
)


def runrecord(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from runrecord.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_lists_every_command_with_its_purpose() -> None:
    done = runrecord("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in done.stdout
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    done = runrecord(command, "--help")
    assert done.returncode == 0
    assert f"$ runrecord {command}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "arguments", [["nosuch"], ["verify"], ["show", "--step", "six"], ["bundle", "--bogus", "x"]]
)
def test_a_wrong_command_line_ends_with_4(arguments: list[str]) -> None:
    done = runrecord(*arguments)
    assert done.returncode == 4
    assert done.stderr.strip()


def test_version_names_the_distribution() -> None:
    assert runrecord("--version").stdout.startswith("runrecord ")
