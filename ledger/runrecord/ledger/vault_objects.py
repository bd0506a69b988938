# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where a vault keeps its objects: a directory, or an object store such as S3. An object that is there is not replaced."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

from runrecord.ledger.errors import LedgerError
from runrecord.ledger.files import FileBatch, disk_errors, make_directory
from runrecord.ledger.stores.objects import SCHEMES, ObjectStore, errors

_PARALLEL: Final = 8
_THERE: Final = {"AlreadyExistsError", "PreconditionError"}  # by their names: obstore is an extra


class VaultObjects(Protocol):
    """Objects by their names. Thread-safe; every method raises LedgerError if the store does not answer."""

    @property
    def address(self) -> str:
        """The place, as it is written in a configuration; it holds no secret."""
        ...

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Keep objects; when this returns, they survive a crash. One that is there stays as it is."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return an object, None if there is none."""
        ...

    def names(self, directory: str) -> Iterator[tuple[str, float]]:
        """Yield the names below a directory such as ``step``, and when each was kept, in seconds since the Unix epoch."""
        ...

    def remove(self, name: str) -> None:
        """Remove an object; it does not matter if there is none."""
        ...


def open_objects(address: str) -> VaultObjects:
    """Return the objects of an address: a directory, or one like ``s3://bucket/prefix?region=eu-central-1``.

    Raises:
        LedgerError: It is an address of no known kind, or a package for it is missing.
    """
    scheme, separator, _ = address.partition("://")
    if not separator:
        return _Directory(Path(address).absolute())
    if scheme in SCHEMES:
        return _Bucket(address)
    raise LedgerError(
        "a vault is a directory, or an object store whose address begins with s3://",
        "name a directory without ://, or one of these",
    )


class _Directory:
    """A directory; its files can be read by their owner only."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return str(self._root)

    def put(self, objects: Mapping[str, bytes]) -> None:
        scratch = self._root / f".tmp-{os.getpid()}"
        with self._lock:
            fresh = {name: data for name, data in objects.items() if not (self._root / name).exists()}
            if not fresh:
                return
            make_directory(self._root, 0o700)
            make_directory(scratch, 0o700)
            with FileBatch(self._root, scratch) as files:
                for name, data in fresh.items():
                    files.write(name, data, 0o600)
                files.commit()

    def get(self, name: str) -> bytes | None:
        path = self._root / name
        with disk_errors(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def names(self, directory: str) -> Iterator[tuple[str, float]]:
        for parent, _, found in os.walk(self._root / directory):
            for each in found:
                path = Path(parent) / each
                with contextlib.suppress(FileNotFoundError):
                    yield path.relative_to(self._root).as_posix(), path.stat().st_mtime

    def remove(self, name: str) -> None:
        path = self._root / name
        with disk_errors(path):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are in it
            path.parent.rmdir()


class _Bucket:
    """A prefix of a bucket."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._store = ObjectStore.of(address)

    @property
    def address(self) -> str:
        return self._address

    def put(self, objects: Mapping[str, bytes]) -> None:
        if len(objects) == 1:
            self._put(*next(iter(objects.items())))
        elif objects:
            with ThreadPoolExecutor(min(_PARALLEL, len(objects))) as pool:
                list(pool.map(self._put, objects.keys(), objects.values()))

    def _put(self, name: str, data: bytes) -> None:
        locked = self._store.locked
        with errors(self._store.where, "write to the vault"):
            store = self._store.objects if locked is None else locked.store()
            try:
                store.put(name, data, mode="create", use_multipart=False)
            except Exception as error:
                if type(error).__name__ not in _THERE:
                    raise

    def get(self, name: str) -> bytes | None:
        return self._store.read(name)

    def names(self, directory: str) -> Iterator[tuple[str, float]]:
        with errors(self._store.where, "list the vault"):
            for batch in self._store.objects.list(directory):
                for each in batch:
                    yield str(each["path"]), each["last_modified"].timestamp()

    def remove(self, name: str) -> None:
        with errors(self._store.where, "remove from the vault"), contextlib.suppress(FileNotFoundError):
            self._store.objects.delete(name)
