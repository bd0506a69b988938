# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that a consumer can't pass on, kept for a person to look at: acknowledged once, so never thrown away."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path
from typing import Final
from urllib.parse import quote

from runrecord.exporters.intake import IntakeRecord
from runrecord.exporters.intake.segment import sync_directory

_SUFFIX: Final = ".pb"


class Quarantine:
    """The directory of one consumer. Each file is the redacted request as it was acknowledged, serialised protobuf.

    A file can be posted to the gateway once more, ``curl --data-binary @FILE``, when what was wrong is put right. Thread-safe.

    Attributes:
        directory: Where the files are.
    """

    def __init__(self, root: Path, name: str, *, max_bytes: int) -> None:
        """Look at what is there; the directory is made when it is first needed.

        Args:
            root: The directory above those of all consumers.
            name: The consumer's name; a slash in it is escaped.
            max_bytes: Keep no more than so many bytes.
        """
        self.directory = root / quote(name, safe="")
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._files, self._bytes = self._look()

    @property
    def files(self) -> int:
        """How many requests are kept, as far as is known."""
        return self._files

    def keep(self, record: IntakeRecord) -> Path:
        """Make a request durable here. Keeping the same one again changes nothing.

        Args:
            record: Of the intake log.

        Returns:
            Its file.

        Raises:
            OSError: There is no room (ENOSPC, also at the limit of bytes), or the directory can't be written.
        """
        digest = hashlib.sha256(record.body).hexdigest()[:16]
        path = self.directory / f"{record.sequence:020d}.{digest}.{record.signal.value}{_SUFFIX}"
        with self._lock:
            if path.exists():
                return path
            if self._bytes + len(record.body) > self._max_bytes:
                self._files, self._bytes = self._look()  # somebody may have made room
                if self._bytes + len(record.body) > self._max_bytes:
                    raise OSError(errno.ENOSPC, f"it holds {self._bytes} bytes, which is its limit")
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = path.with_suffix(".tmp")
            with temporary.open("wb") as file:
                file.write(record.body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            for directory in (self.directory, self.directory.parent, self.directory.parent.parent):
                sync_directory(directory)
            self._files += 1
            self._bytes += len(record.body)
        return path

    def _look(self) -> tuple[int, int]:
        sizes = [path.stat().st_size for path in self.directory.glob(f"*{_SUFFIX}")]
        return len(sizes), sum(sizes)
