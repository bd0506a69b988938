# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""How far a log is durable, told to other processes in a small file.

Without it a reader in another process could take bytes that are not synced yet, and may still be taken back. The file is
made once with its full size and then written in place, so that a full disk can't stop it. It is never synced: it has to
outlive a process, not the machine, and the writer of the log writes it anew when it opens the log.

```
"runrecord.intake.end/v1 active=F end=N size=S check=C\n"    active segment, first number that is not there, durable bytes
```
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FORMAT: Final = "runrecord.intake.end/v1"
_FILE_BYTES: Final = 128
_LINE: Final = re.compile(
    rb"("
    + re.escape(_FORMAT).encode()
    + rb" active=([0-9]{1,20}) end=([0-9]{1,20}) size=([0-9]{1,20})) check=([0-9a-f]{8})\n"
)


@dataclass(frozen=True, slots=True)
class DurableEnd:
    """How far a log is durable.

    Attributes:
        active: Sequence number of the first record of the segment that is written to.
        end: Sequence number after the last durable record.
        size: Durable bytes of the active segment.
    """

    active: int
    end: int
    size: int

    def line(self) -> bytes:
        """Write it the way it stands in the file."""
        text = f"{_FORMAT} active={self.active} end={self.end} size={self.size}"
        return f"{text} check={zlib.crc32(text.encode()):08x}\n".encode().ljust(_FILE_BYTES)


def end_path(directory: Path) -> Path:
    """Name the file of a log."""
    return directory / "end"


class EndWriter:
    """The side that writes the log."""

    def __init__(self, directory: Path) -> None:
        """Make the file, or open it.

        Args:
            directory: Of the log.

        Raises:
            OSError: It can't be made.
        """
        self._file = os.open(end_path(directory), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, end: DurableEnd) -> None:
        """Tell others.

        Raises:
            OSError: It can't be written.
        """
        os.pwrite(self._file, end.line(), 0)

    def close(self) -> None:
        """Close the file; what it says stays true."""
        os.close(self._file)


class EndReader:
    """The side that reads the log. The file may appear later."""

    def __init__(self, directory: Path) -> None:
        """Begin with a log in which there is nothing.

        Args:
            directory: Of the log.
        """
        self._path = end_path(directory)
        self._file = -1
        self._last = DurableEnd(0, 0, 0)

    def read(self) -> DurableEnd:
        """Return what the file says; while it is being written, what it said before."""
        if self._file < 0:
            try:
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return self._last
        match = _LINE.match(os.pread(self._file, _FILE_BYTES, 0))
        if match and zlib.crc32(match[1]) == int(match[5], 16):
            self._last = DurableEnd(int(match[2]), int(match[3]), int(match[4]))
        return self._last

    def close(self) -> None:
        """Close the file; `read` opens it again."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
