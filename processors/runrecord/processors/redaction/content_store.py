# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Content-addressed stores for large texts: a directory, or an object store such as S3.

An object's name is the SHA-256 of its bytes, so the same text is stored once, and nothing is ever changed in place. Storing
a text again renews its age, so that whoever deletes by age deletes only what nothing new refers to.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from runrecord.processors.errors import ContentStoreError, PolicyError
from runrecord.processors.redaction.durable import sync_directory, write_file

_PREFIX_LIMIT: Final = 600
_KNOWN: Final = 4096
_RENEW_SECONDS: Final = 3600.0
_BACK_OFF_SECONDS: Final = 5.0
_TIMEOUT: Final = timedelta(seconds=10)
_PARALLEL: Final = 8


class ContentStore(Protocol):
    """A store of texts by their digest."""

    def uri(self, digest: str) -> str:
        """Where the text with this SHA-256 (hexadecimal) is, or will be."""
        ...

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Store texts by their digest; when this returns, they survive a crash.

        Raises:
            ContentStoreError: At least one is not stored.
        """
        ...


class LocalContentStore:
    """A directory; its files can be read by their owner only.

    Args:
        directory: Made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()

    def __repr__(self) -> str:
        """Name the kind of store."""
        return "LocalContentStore()"

    def uri(self, digest: str) -> str:
        """Where a text is; see :class:`ContentStore`."""
        return self._path(digest).as_uri()

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Store texts; see :class:`ContentStore`."""
        try:
            for digest, content in contents.items():
                self._write(self._path(digest), content)
            # Also of what was there: whoever wrote it may not have come so far yet.
            directories = {self._path(digest).parent for digest in contents}
            for directory in (*directories, self._directory / "sha256", self._directory):
                sync_directory(directory)
        except OSError as error:
            raise ContentStoreError(f"the content store cannot be written ({error.strerror})") from None

    def _path(self, digest: str) -> Path:
        return self._directory / "sha256" / digest[:2] / digest

    def _write(self, path: Path, content: bytes) -> None:
        try:
            os.utime(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(path, content)


class ObjectContentStore:
    """An object store: S3 and what speaks its protocol, Google Cloud Storage, Azure.

    Args:
        store: One of obstore's.
        address: Its address, for references.
    """

    def __init__(self, store: Any, address: str) -> None:
        self._store = store
        self._address = address.rstrip("/")
        self._lock = threading.Lock()
        self._stored: OrderedDict[str, float] = OrderedDict()
        self._rest_until = 0.0

    def __repr__(self) -> str:
        """Name the kind of store."""
        return "ObjectContentStore()"

    def uri(self, digest: str) -> str:
        """Where a text is; see :class:`ContentStore`."""
        return f"{self._address}/{_object_name(digest)}"

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Store texts; see :class:`ContentStore`."""
        now = time.monotonic()
        with self._lock:
            if now < self._rest_until:
                raise ContentStoreError("the content store did not answer a moment ago")
            wanted = [
                item
                for item in contents.items()
                if now - self._stored.get(item[0], -_RENEW_SECONDS) >= _RENEW_SECONDS
            ]
        if not wanted:
            return
        try:
            if len(wanted) == 1:
                self._put_one(wanted[0])
            else:
                with ThreadPoolExecutor(min(_PARALLEL, len(wanted))) as pool:
                    list(pool.map(self._put_one, wanted))
        except Exception as error:  # noqa: BLE001  obstore has a family of errors for each store
            with self._lock:
                self._rest_until = time.monotonic() + _BACK_OFF_SECONDS
            # The error quotes the address and what the server has answered: only its type is told.
            raise ContentStoreError(
                f"the content store refused a text or did not answer ({type(error).__name__})"
            ) from None
        with self._lock:
            for digest, _ in wanted:
                self._stored[digest] = now
                self._stored.move_to_end(digest)
            while len(self._stored) > _KNOWN:
                self._stored.popitem(last=False)

    def _put_one(self, item: tuple[str, bytes]) -> None:
        digest, content = item
        self._store.put(_object_name(digest), content, use_multipart=False)


def _object_name(digest: str) -> str:
    return f"sha256/{digest[:2]}/{digest}"


def open_store(where: str, options: Mapping[str, str]) -> ContentStore:
    """Open a store.

    Args:
        where: A directory, or an address like ``s3://bucket/prefix``.
        options: Settings of an object store, in the words of obstore: ``endpoint``, ``region``.

    Raises:
        PolicyError: The store cannot be used like this.
    """
    if "://" not in where:
        store: ContentStore = LocalContentStore(Path(where).expanduser())
    else:
        store = _open_object_store(where, options)
    if len(store.uri("0" * 64)) > _PREFIX_LIMIT:
        raise PolicyError("the address of the content store is too long: every reference repeats it")
    return store


def _open_object_store(where: str, options: Mapping[str, str]) -> ContentStore:
    scheme = where.partition("://")[0]
    if scheme not in {"s3", "gs", "az", "memory"}:
        raise PolicyError(
            "the content store must be a directory or an address that begins with s3://, gs:// or az://"
        )
    try:
        obstore: Any = importlib.import_module("obstore.store")
    except ImportError:
        raise PolicyError(
            "a content store behind an address needs obstore: pip install 'runrecord[offload]'"
        ) from None
    arguments: dict[str, Any] = {}
    if scheme != "memory":
        plain_http = options.get("endpoint", os.environ.get("AWS_ENDPOINT_URL", "")).startswith("http://")
        arguments = {
            "client_options": {"timeout": _TIMEOUT, "allow_http": plain_http},
            "retry_config": {"max_retries": 2, "retry_timeout": _TIMEOUT},
        }
    try:
        store: Any = obstore.from_url(where, config=dict(options) or None, **arguments)
    except Exception as error:  # noqa: BLE001  obstore has a family of errors for each store
        raise PolicyError(
            f"the content store cannot be used like this ({type(error).__name__}); "
            "compare offload.store and offload.options with the documentation of obstore"
        ) from None
    return ObjectContentStore(store, where)
