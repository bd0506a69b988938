# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Named durable positions: a small file each, replaced as a whole."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from runrecord.exporters.errors import IntakeCorrupt, IntakeStopped
from runrecord.exporters.intake.segment import sync_directory

_log = logging.getLogger(__name__)

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


class Cursors:
    """The cursors of one log. Each is written by its own consumer; anyone may read them."""

    def __init__(self, directory: Path, consumers: tuple[str, ...], oldest: int, end: int) -> None:
        """Read the cursors, set right those outside the log, and forget those of consumers that are gone.

        Args:
            directory: The directory of the log.
            consumers: Everyone who reads it.
            oldest: Sequence number of the oldest record; where a new consumer starts.
            end: Sequence number after the newest record.

        Raises:
            IntakeCorrupt: A cursor is damaged.
        """
        self._directory = directory / "cursors"
        self._directory.mkdir(exist_ok=True, mode=0o700)
        self._positions: dict[str, int] = {}
        for name in consumers:
            found = read_cursor(self._directory, name)
            # A cursor beyond the end would pass over records that are yet to come.
            position = min(max(oldest if found is None else found, oldest), end)
            self._positions[name] = position
            if found is not None and found != position:
                _log.warning(
                    "cursor of %s was at record %d, the log has %d to %d: records are missing",
                    name,
                    found,
                    oldest,
                    end,
                )
            if found != position:
                write_cursor(self._directory, name, position)
        for name in set(list_cursors(self._directory)) - set(consumers):
            found = read_cursor(self._directory, name) or 0
            if found < end:
                _log.warning(
                    "%s is no longer a consumer: it never took %d records", name, end - max(found, oldest)
                )
            remove_cursor(self._directory, name)

    def __contains__(self, name: str) -> bool:
        """Say whether there is such a consumer."""
        return name in self._positions

    def __getitem__(self, name: str) -> int:
        """Return the first record that a consumer has not taken."""
        return self._positions[name]

    def commit(self, name: str, sequence: int) -> None:
        """Make a position durable.

        Raises:
            IntakeStopped: The cursor can't be written; the consumer would take some records a second time.
        """
        if sequence <= self._positions[name]:
            return
        try:
            write_cursor(self._directory, name, sequence)
        except OSError as error:
            raise IntakeStopped(
                f"the cursor of {name} can't be written in {self._directory} ({error.strerror})",
                next_step="check the disk; the consumer goes on when there is room",
            ) from error
        self._positions[name] = sequence

    def floor(self) -> int:
        """Return the position of the slowest consumer; 0 if there is none, so that nothing is deleted."""
        return min(self._positions.values(), default=0)

    def slowest(self) -> str:
        """Name the slowest consumer, for messages."""
        return min(self._positions, key=lambda name: self._positions[name], default="a consumer")
