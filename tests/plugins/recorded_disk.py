# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A record of everything that this process does to the files below a directory, and faults in it.

``os`` is the seam: in a :class:`Disk` block each function of it that changes a file or a name notes what it did. That nothing went past
it is checked, not believed: what the record adds up to must be what lies on the disk (:func:`power_loss.everything`). What SQLite does
goes past it; its files are noted whole, as they are between two other events.

At each event, the :class:`Fault` may strike: the process is killed, or the operation fails.
"""

from __future__ import annotations

import os
import pathlib
import pickle
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

_CHANGING = (
    "open",
    "close",
    "write",
    "pwrite",
    "ftruncate",
    "fsync",
    "fdatasync",
    "rename",
    "replace",
    "unlink",
    "mkdir",
    "rmdir",
)
_REFUSED = ("link", "symlink", "truncate", "sendfile", "writev", "remove", "mknod")
_real = SimpleNamespace(**{name: getattr(os, name) for name in (*_CHANGING, *_REFUSED)})
_connect = sqlite3.connect
_open_file = open


class Create(NamedTuple):
    """A name for a new, empty file."""

    path: str
    file: int


class Write(NamedTuple):
    file: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    file: int
    size: int


class Sync(NamedTuple):
    """Of a file; one that failed has made nothing durable, and neither will a later one (Linux drops the dirty pages)."""

    file: int
    failed: bool = False


class MakeDirectory(NamedTuple):
    path: str


class RemoveDirectory(NamedTuple):
    path: str


class Rename(NamedTuple):
    source: str
    target: str
    file: int


class Unlink(NamedTuple):
    path: str


class SyncDirectory(NamedTuple):
    path: str
    failed: bool = False


class Databases(NamedTuple):
    """The files of SQLite as they are now, by path; without the shared memory, which is made anew."""

    files: dict[str, bytes]


class Told(NamedTuple):
    """Something that the outside was told, or can see, from now on."""

    what: str
    value: Any


Event = (
    Create
    | Write
    | Truncate
    | Sync
    | MakeDirectory
    | RemoveDirectory
    | Rename
    | Unlink
    | SyncDirectory
    | Databases
    | Told
)


@dataclass
class Fault:
    """What happens at the ``moment``-th operation, counted from 1.

    Attributes:
        moment: Which; 0 is none.
        error: The number of an error that the operation fails with; None kills the process.
        lasting: Whether all operations of the same kind fail from then on.
        log: Where a process that is killed leaves its record.
        kinds: What may fail, None for all: ``open``, ``write``, ``sync``, ``name``, ``sign``, ``index``.
    """

    moment: int = 0
    error: int | None = None
    lasting: bool = False
    log: Path | None = None
    kinds: frozenset[str] | None = None
    count: int = 0
    struck: str = ""

    def strikes(self, kind: str) -> bool:
        """Count an operation; return whether it fails."""
        if self.kinds is not None and kind not in self.kinds:
            return False
        self.count += 1
        if self.count == self.moment:
            self.struck = kind
        return self.count == self.moment or (self.lasting and self.struck == kind)


class Disk:
    """The record of the files below a directory, which an earlier record may have left.

    Args:
        root: The directory.
        events: The earlier record.
        fault: What goes wrong.
    """

    def __init__(self, root: Path, events: list[Event] | None = None, fault: Fault | None = None) -> None:
        self.root = root
        self.events = list(events or ())
        self.fault = fault or Fault()
        self._names: dict[str, int] = {}
        self._descriptors: dict[int, tuple[str, int | None]] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        self._files = 0
        root.mkdir(exist_ok=True)
        for event in self.events:
            match event:
                case Create(path, file):
                    self._names[path] = file
                    self._files = max(self._files, file + 1)
                case Rename(source, target, file):
                    self._names.pop(source, None)
                    self._names[target] = file
                case Unlink(path):
                    self._names.pop(path, None)
                case _:
                    pass

    @contextmanager
    def recording(self) -> Iterator[Disk]:
        """Record what happens in the block."""
        with ExitStack() as stack:
            for name in (*_CHANGING, *_REFUSED):
                function = getattr(self, name) if name in _CHANGING else self._refuse(name)
                stack.enter_context(mock.patch.object(os, name, function))
                accessor = getattr(pathlib, "_NormalAccessor", None)  # of Python 3.10
                if name != "open" and hasattr(accessor, name):
                    stack.enter_context(mock.patch.object(accessor, name, staticmethod(function)))
            stack.enter_context(mock.patch.object(sqlite3, "connect", self._database))
            yield self
            self._note_databases()

    def told(self, what: str, value: Any) -> None:
        """Note what the outside was told."""
        self._note(Told(what, value))

    def point(self, kind: str, error: Callable[[str], Exception]) -> None:
        """Let the fault strike here."""
        if self.fault.strikes(kind):
            if self.fault.error is None:
                self._die()
            raise error(os.strerror(self.fault.error or 0))

    # --- what is done to files -------------------------------------------------------------------------------------

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        place = self._place(path, dir_fd)
        changes = flags & (os.O_CREAT | os.O_TRUNC)
        if place is not None and changes:
            self._may_fail("open")
        fd = _real.open(path, flags, mode, dir_fd=dir_fd)
        if place is None:
            return fd
        if flags & os.O_CREAT and place not in self._names:
            self._names[place] = self._files
            self._files += 1
            self._note(Create(place, self._names[place]))
        elif flags & os.O_TRUNC:
            self._note(Truncate(self._names[place], 0))
        self._descriptors[fd] = (place, self._names.get(place))
        return fd

    def close(self, fd: int) -> None:
        self._descriptors.pop(fd, None)
        _real.close(fd)

    def write(self, fd: int, data: Any) -> int:
        file = self._file(fd)
        if file is None:
            return _real.write(fd, data)
        offset = os.lseek(fd, 0, os.SEEK_CUR)
        whole = bytes(data)

        def write(part: bytes) -> int:
            written = _real.write(fd, part)
            self._note(Write(file, offset, part[:written]))
            return written

        self._may_fail("write", lambda: write(whole[: len(whole) // 2]))
        return write(whole)

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        file = self._file(fd)
        if file is not None:
            self._may_fail("write")
        written = _real.pwrite(fd, data, offset)
        if file is not None:
            self._note(Write(file, offset, bytes(data)[:written]))
        return written

    def ftruncate(self, fd: int, size: int) -> None:
        file = self._file(fd)
        if file is not None:
            self._may_fail("write")
        _real.ftruncate(fd, size)
        if file is not None:
            self._note(Truncate(file, size))

    def fdatasync(self, fd: int) -> None:
        self._sync(fd, _real.fdatasync)

    def fsync(self, fd: int) -> None:
        self._sync(fd, _real.fsync)

    def _sync(self, fd: int, sync: Callable[[int], None]) -> None:
        if fd not in self._descriptors:
            sync(fd)
            return
        path, file = self._descriptors[fd]
        done = SyncDirectory(path) if file is None else Sync(file)
        self._may_fail("sync", lambda: self._note(done._replace(failed=True)) if self.fault.error else None)
        self._note(done)  # what would be durable is worked out from the record; the real disk is spared

    def rename(self, source: Any, target: Any, **options: Any) -> None:
        old, new = self._place(source), self._place(target)
        if old is not None:
            self._may_fail("name")
        _real.rename(source, target, **options)
        if old is not None and new is not None:
            self._names[new] = self._names.pop(old)
            self._note(Rename(old, new, self._names[new]))

    replace = rename

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        place = self._place(path, dir_fd)
        if place is not None:
            self._may_fail("name")
        _real.unlink(path, dir_fd=dir_fd)
        if place is not None:
            self._names.pop(place, None)
            self._note(Unlink(place))

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        place = self._place(path, dir_fd)
        if place is not None:
            self._may_fail("name")
        _real.mkdir(path, mode, dir_fd=dir_fd)
        if place is not None:
            self._note(MakeDirectory(place))

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        place = self._place(path, dir_fd)
        if place is not None:
            self._may_fail("name")
        _real.rmdir(path, dir_fd=dir_fd)
        if place is not None:
            self._note(RemoveDirectory(place))

    def _refuse(self, name: str) -> Callable[..., Any]:
        def refused(path: Any, *arguments: Any, **options: Any) -> Any:
            inside = path in self._descriptors if isinstance(path, int) else self._place(path) is not None
            assert not inside, f"os.{name} is not recorded yet: add it"
            return getattr(_real, name)(path, *arguments, **options)

        return refused

    # --- what SQLite does ------------------------------------------------------------------------------------------

    def _database(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, *arguments: Any) -> sqlite3.Cursor:
                disk.point("index", sqlite3.OperationalError)
                return super().execute(*arguments)

            def executemany(self, *arguments: Any) -> sqlite3.Cursor:
                disk.point("index", sqlite3.OperationalError)
                return super().executemany(*arguments)

        return _connect(*arguments, factory=Connection, **options)

    def _note_databases(self) -> None:
        found: dict[str, tuple[int, int]] = {}
        for state in self.root.glob("*/.state"):
            for each in os.scandir(state):
                if is_database(each.name):
                    stat = each.stat()
                    found[each.path] = (stat.st_mtime_ns, stat.st_size)
        if found != self._stamps:
            self._stamps = found
            contents = {os.path.relpath(path, self.root): Path(path).read_bytes() for path in sorted(found)}
            self.events.append(Databases(contents))

    # --- the record ------------------------------------------------------------------------------------------------

    def _note(self, event: Event) -> None:
        self._note_databases()
        self.events.append(event)

    def _may_fail(self, kind: str, in_part: Callable[[], object] = lambda: None) -> None:
        if self.fault.strikes(kind):
            in_part()
            if self.fault.error is None:
                self._die()
            raise OSError(self.fault.error, os.strerror(self.fault.error or 0))

    def _die(self) -> None:
        self._note_databases()
        if self.fault.log is not None:
            with _open_file(self.fault.log, "wb") as file:
                pickle.dump((self.events, self.fault.count), file)
        os.kill(os.getpid(), signal.SIGKILL)

    def _file(self, fd: int) -> int | None:
        return self._descriptors.get(fd, ("", None))[1]

    def _place(self, path: Any, dir_fd: int | None = None) -> str | None:
        """Return a path below the root, None if it is elsewhere or one of SQLite's."""
        text = os.fspath(path)
        if not isinstance(text, str):
            return None
        if dir_fd is not None:
            if dir_fd not in self._descriptors:
                return None
            text = str(self.root / self._descriptors[dir_fd][0] / text)
        try:
            place = Path(text).absolute().relative_to(self.root).as_posix()
        except ValueError:
            return None
        return None if ".sqlite" in place else place


def is_database(name: str) -> bool:
    """Return whether SQLite writes this file, and a power loss finds it (the shared memory is made anew)."""
    return ".sqlite" in name and not name.endswith("-shm")
