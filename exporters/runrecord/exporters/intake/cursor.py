# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A named durable position: one small file, replaced as a whole."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from runrecord.exporters.errors import IntakeCorrupt
from runrecord.exporters.intake.segment import sync_directory

FORMAT = "runrecord.intake.cursor/v1"
_SUFFIX = ".cursor"
_DIGITS = re.compile(r"[0-9]{1,20}")


def cursor_path(directory: Path, name: str) -> Path:
    """Name the file of a consumer: any text is a name, so ``otlp_http/main`` is written with %2F."""
    return directory / (quote(name, safe="") + _SUFFIX)


def list_cursors(directory: Path) -> list[str]:
    """List the consumers that have a cursor in a directory."""
    return sorted(unquote(path.name[: -len(_SUFFIX)]) for path in directory.glob(f"*{_SUFFIX}"))


def read_cursor(directory: Path, name: str) -> int | None:
    """Read where a consumer is.

    Args:
        directory: Where the cursors are.
        name: The consumer.

    Returns:
        The sequence number of the first record it has not taken, or None if it has no cursor yet.

    Raises:
        IntakeCorrupt: The file is not one that `write_cursor` makes.
    """
    path = cursor_path(directory, name)
    try:
        found: Any = json.loads(path.read_bytes())
        if found["format"] == FORMAT and _DIGITS.fullmatch(found["next"]):
            return int(found["next"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        pass
    raise IntakeCorrupt(
        f"{path} is not a cursor",
        next_step="remove the file: the consumer then starts at the oldest record, and takes some a second time",
    )


def write_cursor(directory: Path, name: str, sequence: int) -> None:
    """Make a position durable: the old one or the new one is there at any moment, whatever happens.

    Args:
        directory: Where the cursors are.
        name: The consumer.
        sequence: The first record it has not taken.

    Raises:
        OSError: The file can't be written.
    """
    path = cursor_path(directory, name)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(json.dumps({"format": FORMAT, "next": str(sequence)}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(directory)


def remove_cursor(directory: Path, name: str) -> None:
    """Forget a consumer."""
    cursor_path(directory, name).unlink(missing_ok=True)
    sync_directory(directory)
