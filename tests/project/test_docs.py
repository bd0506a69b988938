# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The documentation: its links lead somewhere, its tables are those of the code, its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_COMMAND = re.compile(r"^\s*(?:\$ )?runrecord ([a-z-]+)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_command_that_a_page_shows_exists() -> None:
    shown = {command for page in PAGES for command in _COMMAND.findall(page.read_text())}
    assert {"gateway", "show", "verify"} <= shown
    help_text = subprocess.run(
        [sys.executable, "-c", "from runrecord.cli.main import main; main()", "--help"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert not [command for command in shown if f" {command} " not in help_text]


@pytest.mark.parametrize(
    "program", ["docs/tables.py", "docs/support.py", "docs/situations/make.py", "deploy/grafana/make.py"]
)
def test_what_is_generated_is_up_to_date(program: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / program, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
