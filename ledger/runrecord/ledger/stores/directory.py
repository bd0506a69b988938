# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A log in a directory: the default store, for one writer.

The directory is the HTTP layout of C2SP tlog-tiles (``checkpoint``, ``tile/``) plus a private ``.state/``::

    .state/lock        held by the one writer, with its process id
    .state/log.key     the private log key, mode 0600, unless a signer is given
    .state/log.vkey    the public log key
    .state/wal/        entries that are durable and not in tiles yet
    .state/keys.sqlite the index from key digest to leaf
    .state/tmp/        files on their way to their name
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import final

from runrecord.ledger.dedup import KeyIndex
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.files import FileBatch, WriterLock, disk_errors, explain, make_directory, sync_directory
from runrecord.ledger.stores.base import CHECKPOINT, Opened
from runrecord.ledger.stores.local_keys import fit, open_index
from runrecord.ledger.wal import WriteAheadLog

_OF_A_VOLUME = {"lost+found", ".snapshot", ".snapshots"}  # what a file system itself puts into a fresh volume


@final
class DirectoryStore:
    """A directory (a :class:`runrecord.ledger.stores.base.Store`)."""

    shared = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def where(self) -> str:
        """The directory."""
        return str(self.path)

    def read(self, name: str) -> bytes | None:
        """Return a file."""
        try:
            with open(f"{self.path}/{name}", "rb") as file:  # noqa: PTH123 - a path object takes as long as the read
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain(error, self.path / name) from error

    def names(self, directory: str) -> Iterator[str]:
        """Yield the files below a directory."""
        for parent, _, names in os.walk(self.path / directory):
            for name in names:
                yield (Path(parent) / name).relative_to(self.path).as_posix()

    def locate(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.path / name)

    def writer(self) -> DirectoryWriter:
        """Lock the directory."""
        _refuse_foreign(self.path)
        state = self.path / ".state"
        with disk_errors(self.path):
            make_directory(self.path)
            make_directory(state, 0o700)
            make_directory(state / "wal", 0o700)
            make_directory(state / "tmp", 0o700)
        lock = WriterLock(state / "lock")
        try:
            for leftover in (state / "tmp").iterdir():
                with disk_errors(leftover):
                    leftover.unlink()
            for each in (
                self.path,
                state,
            ):  # a writer that was killed may have left names that no sync has kept
                sync_directory(each)
            return DirectoryWriter(self.path, lock)
        except BaseException:
            lock.release()
            raise

    def leftovers(self) -> list[str]:
        """Nothing: the next writer removes what one left in ``.state/tmp``."""
        return []

    def close(self) -> None:
        """Nothing is open."""


@final
class DirectoryWriter:
    """The lock of a directory (a :class:`runrecord.ledger.stores.base.Writer`)."""

    def __init__(self, path: Path, lock: WriterLock) -> None:
        self._path = path
        self._lock = lock
        self.journal = WriteAheadLog(path / ".state" / "wal")

    @property
    def held(self) -> bool:
        """Whether this process took the lock."""
        return self._lock.held

    def put(self, name: str, data: bytes) -> None:
        """Write a file."""
        with FileBatch(self._path, self._path / ".state" / "tmp") as files:
            files.write(name, data)
            files.commit()

    def remove(self, names: Sequence[str]) -> list[str]:
        """Remove files, durably."""
        left: list[str] = []
        for name in names:
            try:
                (self._path / name).unlink(missing_ok=True)
            except OSError:
                left.append(name)
        for directory in {(self._path / name).parent for name in names}:
            if directory.is_dir():
                sync_directory(directory)
        return left

    def open_keys(self, opened: Opened) -> KeyIndex:
        """Open the index in the directory."""
        return fit(open_index(self._path / ".state" / "keys.sqlite", KeyIndex), opened)

    def restore(self, opened: Opened) -> None:
        """Index the keys."""
        self.open_keys(opened).close()

    @contextlib.contextmanager
    def publication(self) -> Generator[DirectoryPublication]:
        """Begin to publish."""
        with disk_errors(self._path), FileBatch(self._path, self._path / ".state" / "tmp") as files:
            yield DirectoryPublication(self._path, files)

    def close(self, *, remove_journal: bool) -> None:
        """Give the lock up."""
        try:
            if self._lock.held:
                self.journal.close(remove=remove_journal)
        finally:
            self._lock.release()


@final
class DirectoryPublication:
    """Files on their way (a :class:`runrecord.ledger.stores.base.Publication`)."""

    def __init__(self, path: Path, files: FileBatch) -> None:
        self._path = path
        self._files = files

    def newest(self) -> None:
        """Nobody else writes."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        self._files.write(name, data)

    def settle(self) -> None:
        """Sync what was written."""
        self._files.commit()

    def remove(self, directories: Sequence[str]) -> None:
        """Remove directories of partial tiles (C2SP tlog-tiles, "Partial Tiles")."""
        for each in directories:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._path / each)

    def checkpoint(self, note: bytes) -> None:
        """Write the checkpoint, and sync it."""
        self._files.write(CHECKPOINT, note)
        self._files.commit()


def _refuse_foreign(root: Path) -> None:
    """Refuse to make a ledger among the files of something else."""
    with disk_errors(root):
        found = {each.name for each in root.iterdir()} if root.is_dir() else set[str]()
    if found - _OF_A_VOLUME and not found & {CHECKPOINT, "tile", ".state"}:
        raise LedgerError(
            f"{root} is not a ledger, and not empty: it holds {min(found - _OF_A_VOLUME)!r}",
            "name a directory that is empty or does not exist yet; a ledger is made there",
        )
