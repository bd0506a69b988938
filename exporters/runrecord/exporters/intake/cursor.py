# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""Named durable positions: a small file each, written in place, so that a full disk can't hold a consumer back.

A file has two slots, 4096 bytes apart, and a write goes to the one that is not current: a torn write leaves the other.
After it is made, a file never grows, so writing a position takes no room. That matters: positions are what frees room.

```
slot = "runrecord.intake.cursor/v2 write=W next=N check=C\n"    W counts writes, C is the CRC-32 of what is before it
```
"""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from runrecord.exporters.errors import IntakeCorrupt, IntakeStopped, IntakeUnusable
from runrecord.exporters.intake.segment import sync_directory

_log = logging.getLogger(__name__)

FORMAT: Final = "runrecord.intake.cursor/v2"
OUT_OF_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a write fails with when the disk, the quota or the process's limit of file size has no room."""
_SUFFIX: Final = ".cursor"
_SLOT_BYTES: Final = 4096
_LOOK_SECONDS: Final = 0.1
_LINE: Final = re.compile(
    rb"(" + re.escape(FORMAT).encode() + rb" write=([0-9]{1,20}) next=([0-9]{1,20})) check=([0-9a-f]{8})\n"
)


@dataclass(frozen=True, slots=True)
class Position:
    """What a cursor file says.

    Attributes:
        next: The first record that the consumer has not taken.
        write: How many writes there were before; the slot of this one is its remainder by two.
    """

    next: int
    write: int = 0

    def line(self) -> bytes:
        """Write it the way it stands in a slot."""
        text = f"{FORMAT} write={self.write} next={self.next}"
        return f"{text} check={zlib.crc32(text.encode()):08x}\n".encode()


def cursor_path(directory: Path, name: str) -> Path:
    """Name the file of a consumer: any text is a name, so ``otlp_http/main`` is written with %2F."""
    return directory / (quote(name, safe="") + _SUFFIX)


def list_cursors(directory: Path) -> list[str]:
    """List the consumers that have a cursor in a directory."""
    return sorted(unquote(path.name[: -len(_SUFFIX)]) for path in directory.glob(f"*{_SUFFIX}"))


def read_cursor(directory: Path, name: str) -> Position | None:
    """Read where a consumer is.

    Args:
        directory: Where the cursors are.
        name: The consumer.

    Returns:
        The newest position that was written whole, or None if it has no cursor yet.

    Raises:
        IntakeCorrupt: The file is not one that `write_cursor` makes.
    """
    path = cursor_path(directory, name)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    found: list[Position] = []
    for start in (0, _SLOT_BYTES):
        match = _LINE.match(data, start)
        if match and zlib.crc32(match[1]) == int(match[4], 16):
            found.append(Position(next=int(match[3]), write=int(match[2])))
    if found:
        return max(found, key=lambda position: position.write)
    raise IntakeCorrupt(
        f"{path} is not a cursor",
        next_step="remove the file: the consumer then starts at the oldest record, and takes some a second time",
    )


def write_cursor(directory: Path, name: str, sequence: int, before: Position | None) -> Position:
    """Make a position durable: the old one or the new one is there at any moment, whatever happens.

    Args:
        directory: Where the cursors are.
        name: The consumer.
        sequence: The first record it has not taken.
        before: What the file says now; None to make it.

    Returns:
        What the file says now.

    Raises:
        OSError: The file can't be written.
    """
    path = cursor_path(directory, name)
    if before is None:
        return _make(path, Position(sequence))
    after = Position(sequence, before.write + 1)
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(file, after.line(), after.write % 2 * _SLOT_BYTES)
        os.fsync(file)
    finally:
        os.close(file)
    return after


def _make(path: Path, position: Position) -> Position:
    """Make a file with room for both slots, under its name only when it is whole."""
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(position.line().ljust(2 * _SLOT_BYTES, b"\n"))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)
    sync_directory(path.parent)
    return position


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
            IntakeUnusable: A cursor can't be written.
        """
        self._directory = directory / "cursors"
        self._files: dict[str, Position | None] = {}
        self._positions: dict[str, int] = {}
        self._lock = threading.Lock()
        try:
            self._directory.mkdir(exist_ok=True, mode=0o700)
            for name in consumers:
                self._open(name, oldest, end)
            self._forget_others(oldest, end)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> IntakeUnusable:
        return IntakeUnusable(
            f"the intake log can't use {self._directory} ({error.strerror})",
            next_step="make room, or set service.state_dir to a directory that this user can write",
        )

    def change(self, consumers: Collection[str], oldest: int, end: int) -> None:
        """Add those that are new, where the slowest is now, and forget those that are not named.

        Args:
            consumers: Everyone who reads the log from now on.
            oldest: Sequence number of the oldest record.
            end: Sequence number after the newest record.

        Raises:
            IntakeUnusable: A cursor can't be written; some may have been added.
        """
        with self._lock:
            start = max(oldest, min(self._positions.values(), default=oldest))
            try:
                for name in consumers:
                    if name not in self._positions:
                        self._open(name, start, end)
                for name in self._positions.keys() - set(consumers):
                    del self._positions[name], self._files[name]
                self._forget_others(oldest, end)
            except OSError as error:
                raise self._unusable(error) from error

    def _open(self, name: str, oldest: int, end: int) -> None:
        file = read_cursor(self._directory, name)
        # A cursor beyond the end would pass over records that are yet to come.
        position = oldest if file is None else min(max(file.next, oldest), end)
        self._positions[name], self._files[name] = position, file
        if file is not None and file.next != position:
            _log.warning(
                "cursor of %s was at record %d, the log has %d to %d: records are missing",
                name,
                file.next,
                oldest,
                end,
            )
        if file is None or file.next != position:
            try:
                self._files[name] = write_cursor(self._directory, name, position, file)
            except OSError as error:
                # Without a file it starts at the oldest record, which is what the file would say.
                if file is not None or error.errno not in OUT_OF_SPACE:
                    raise

    def _forget_others(self, oldest: int, end: int) -> None:
        for name in set(list_cursors(self._directory)) - set(self._positions):
            found = read_cursor(self._directory, name) or Position(0)
            if found.next < end:
                _log.warning(
                    "%s is no longer a consumer: it never took %d records",
                    name,
                    end - max(found.next, oldest),
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
        with self._lock:
            if sequence <= self._positions.get(name, sequence):  # also when it was forgotten
                return
            try:
                self._files[name] = write_cursor(self._directory, name, sequence, self._files[name])
            except OSError as error:
                raise IntakeStopped(
                    f"the cursor of {name} can't be written in {self._directory} ({error.strerror})",
                    next_step="check the disk; the consumer goes on when there is room",
                ) from error
            self._positions[name] = sequence

    def floor(self) -> int:
        """Return the position of the slowest consumer; 0 if there is none, so that nothing is deleted."""
        with self._lock:
            return min(self._positions.values(), default=0)

    def slowest(self) -> str:
        """Name the slowest consumer, for messages."""
        with self._lock:
            return min(self._positions, key=lambda name: self._positions[name], default="a consumer")


class FollowedCursors:
    """The cursors of a log whose consumers are in another process; looked at from time to time."""

    def __init__(self, directory: Path) -> None:
        """Look for the first time.

        Args:
            directory: The directory of the log.
        """
        self._directory = directory / "cursors"
        self._positions: dict[str, int] = {}
        self._looked = -_LOOK_SECONDS
        self._lock = threading.Lock()

    def _look(self) -> dict[str, int]:
        """Read them, unless that was a moment ago: what they said then is only less than what they say now."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= _LOOK_SECONDS:
                self._looked = now
                try:
                    files = {
                        name: read_cursor(self._directory, name) for name in list_cursors(self._directory)
                    }
                    self._positions = {name: file.next for name, file in files.items() if file is not None}
                except (OSError, IntakeCorrupt) as error:  # its own process says what is to be done
                    _log.debug("the cursors in %s can't be read: %s", self._directory, error)
            return self._positions

    def __contains__(self, name: str) -> bool:
        """Say whether there is such a consumer."""
        return name in self._look()

    def floor(self) -> int:
        """Return the position of the slowest consumer; 0 if there is none, so that nothing is deleted."""
        return min(self._look().values(), default=0)

    def slowest(self) -> str:
        """Name the slowest consumer, for messages."""
        positions = self._look()
        return min(positions, key=lambda name: positions[name], default="a consumer")
