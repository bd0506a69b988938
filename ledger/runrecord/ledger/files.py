# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Durable files: whole or absent, synced before anyone relies on them, and locked by one writer."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import weakref
from collections.abc import Generator
from pathlib import Path
from typing import final

from runrecord.ledger.errors import LedgerError, LedgerFull, LedgerLocked, LedgerReadOnly, LedgerStopped

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_BATCH = 64  # files held open between their write and their sync
_FULL_SYNC: int | None = getattr(
    fcntl, "F_FULLFSYNC", None
)  # macOS: fsync alone leaves data in the drive's cache


def explain(error: OSError, path: Path) -> LedgerError:
    """Return the ledger's own error for a failed operation on a file."""
    reason = f"{path}: {os.strerror(error.errno) if error.errno else type(error).__name__}"
    if error.errno in _FULL:
        return LedgerFull(
            f"no room to write {reason}", "free some space or raise the quota or file-size limit; then retry"
        )
    if error.errno in _READ_ONLY:
        return LedgerReadOnly(
            f"can't write {reason}",
            "give this user write access to the ledger's directory; to look at it, as 'runrecord show' does, read access is enough",
        )
    return LedgerError(f"can't use {reason}", "check the path and its file system")


@contextlib.contextmanager
def disk_errors(path: Path) -> Generator[None]:
    """Turn an OSError inside the block into the ledger's own error about ``path``."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def sync(fd: int, path: Path) -> None:
    """Make what was written to a file durable.

    Raises:
        LedgerStopped: If the system can't say that it is durable; after that its cache can't be trusted either, so nobody
            may try again on the same handle.
    """
    try:
        if _FULL_SYNC is not None:
            fcntl.fcntl(fd, _FULL_SYNC)
        else:
            os.fdatasync(fd)
    except OSError as error:
        raise LedgerStopped(
            f"a sync of {path} to disk failed: {os.strerror(error.errno or 0)}",
            "check the disk, then open the ledger again: it goes on from what is durable",
        ) from error


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    with disk_errors(path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(fd, path)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all the bytes; the operating system may take them in parts."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def make_directory(path: Path, mode: int = 0o755) -> None:
    """Make a directory, and those above it, durably."""
    if path.is_dir():
        with disk_errors(path):
            is_new = next(path.iterdir(), None) is None
        if is_new:  # whoever made it may have been killed before the sync
            with contextlib.suppress(
                LedgerReadOnly
            ):  # it was made by someone else, who may read what is above it
                sync_directory(path.parent)
        return
    make_directory(path.parent)
    with disk_errors(path), contextlib.suppress(FileExistsError):
        path.mkdir(mode)
    sync_directory(path.parent)


@final
class FileBatch:
    """Files that become visible whole and are durable after :meth:`commit`.

    Each is written to a scratch directory on the same file system, synced, and renamed.

    Args:
        root: The directory that names are relative to.
        scratch: The directory for half-written files.
    """

    def __init__(self, root: Path, scratch: Path) -> None:
        self._root = root
        self._scratch = scratch
        self._open: list[tuple[int, Path, Path]] = []
        self._directories: set[Path] = set()

    def __enter__(self) -> FileBatch:
        """Return the batch itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was written and not committed."""
        for fd, temporary, _target in self._open:
            os.close(fd)
            with contextlib.suppress(OSError):  # what stays is overwritten, or removed by the next writer
                temporary.unlink()
        self._open.clear()

    def write(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file, replacing one of that name."""
        target = self._root / name
        temporary = self._scratch / str(len(self._open))
        if target.parent not in self._directories:
            make_directory(target.parent)
            self._directories.add(target.parent)
        with disk_errors(target):
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
            self._open.append((fd, temporary, target))
            write_all(fd, data)
        if len(self._open) >= _BATCH:
            self._flush()

    def commit(self) -> None:
        """Make all files, and their names, durable."""
        self._flush()
        for each in self._directories:
            sync_directory(each)
        self._directories.clear()

    def _flush(self) -> None:
        for fd, _temporary, target in self._open:
            sync(fd, target)
        synced, self._open = self._open, []
        for fd, _temporary, _target in synced:
            os.close(fd)
        for _fd, temporary, target in synced:
            with disk_errors(target):
                temporary.rename(target)


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Write one file durably, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with disk_errors(path):
        fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            write_all(fd, data)
            sync(fd, path)
        finally:
            os.close(fd)
        scratch.rename(path)
    sync_directory(path.parent)


class WriterLock:
    """The right to write to a ledger, held by one open handle of one process.

    Args:
        path: The lock file; it holds the process id of the holder.

    Raises:
        LedgerLocked: If someone else holds it.
    """

    def __init__(self, path: Path) -> None:
        self._pid = os.getpid()
        with disk_errors(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._fd, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise explain(error, path) from error
            raise LedgerLocked(
                f"the ledger in {path.parent.parent} is being written by process {holder}",
                "send entries to that process, or stop it; 'runrecord show' reads beside it",
            ) from None
        _held.add(self)
        with contextlib.suppress(OSError):  # the lock is held all the same; its holder is not named
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{self._pid}\n".encode(), 0)

    @property
    def held(self) -> bool:
        """Whether this process is the one that took the lock (a fork inherits the handle, not the right)."""
        return os.getpid() == self._pid

    def release(self) -> None:
        """Give the lock up."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _leave_locks_to_the_parent() -> None:
    """Close a forked child's copies: the lock lives as long as any copy, and must not outlive the parent's handle."""
    for each in list(_held):
        each.release()


_held: weakref.WeakSet[WriterLock] = weakref.WeakSet()
os.register_at_fork(after_in_child=_leave_locks_to_the_parent)
