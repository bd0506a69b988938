# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The terminal: one console for output, one for errors, one way to fail."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def fail(message: str, next_step: str | None = None, code: int = 1) -> NoReturn:
    """Print what went wrong and the next step to standard error, then exit.

    Args:
        message: What is wrong and where, in one sentence.
        next_step: What the reader can do about it.
        code: The exit code: 1 failed, 2 gaps, 3 unverifiable, 4 usage.

    Raises:
        typer.Exit: Always, with ``code``.
    """
    errors.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    if next_step:
        errors.print(f"[dim]next:[/] {escape(next_step)}", soft_wrap=True)
    raise typer.Exit(code)
