# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A log in an object store: S3 and what speaks its protocol. Several writers may share it; conditional puts decide who wins.

The public objects are the HTTP layout of C2SP tlog-tiles, servable as they are. Beside them::

    .state/head      the log's size, and the groups that are in no tile yet. Replaced by If-Match: of two writers one succeeds.
    .state/journal/  one object per group; it counts from the moment the head names it
    .state/log.vkey  the public log key

Tiles are made with If-None-Match and never replaced. What a writer uploaded and did not come to use is in no head and under no
checkpoint, so it does no harm; fsck names it, and the next writer that opens the log removes it.
"""

from __future__ import annotations

import importlib
import re
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import parse_qsl, urlsplit

from runrecord.ledger.errors import LedgerError, LedgerReadOnly, LedgerStopped
from runrecord.ledger.stores.local_state import local_directory

if TYPE_CHECKING:
    from runrecord.ledger.stores.objects_writer import ObjectWriter

SCHEMES: Final = ("s3", "gs", "az")
HEAD: Final = ".state/head"
JOURNAL: Final = ".state/journal/"
_OPTIONS: Final = {"endpoint", "region", "lock_mode", "lock_days"}
_LOCK_MODES: Final = {"governance", "compliance"}
_TIMEOUT: Final = timedelta(seconds=30)
_RENEW_SECONDS: Final = 3600.0
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_DENIED: Final = {"PermissionDeniedError", "UnauthenticatedError"}


@final
class ObjectStore:
    """A log below a prefix of a bucket (a :class:`runrecord.ledger.stores.base.Store`).

    Args:
        store: One of obstore's.
        where: Its address, for people, and to tell its local state from that of others.
        locked: Makes the store that puts what must not be removed for a time; None locks nothing.
    """

    shared = True

    def __init__(self, store: Any, where: str, locked: _Locked | None = None) -> None:
        self.objects = store
        self.where = where
        self.locked = locked

    @classmethod
    def of(cls, address: str) -> ObjectStore:
        """Return the store of an address such as ``s3://bucket/prefix?region=eu-central-1&lock_mode=compliance&lock_days=400``.

        Credentials come from where obstore finds them: the usual environment variables, or the machine's role.

        Raises:
            LedgerError: It is no such address, or obstore is not installed.
        """
        parts = urlsplit(address)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.username or parts.password or not parts.hostname or options.keys() - _OPTIONS:
            raise LedgerError(
                "the address of the ledger's object store is s3://BUCKET/PREFIX, with no options but endpoint, region, lock_mode and "
                "lock_days",
                "put credentials into the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        mode, days = options.pop("lock_mode", ""), options.pop("lock_days", "")
        if bool(mode) != bool(days) or (mode and (mode not in _LOCK_MODES or not days.isdecimal())):
            raise LedgerError(
                "the lock of the ledger's object store is not complete",
                "write lock_mode=governance or lock_mode=compliance, and lock_days=NUMBER",
            )
        where = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        locked = _Locked(where, options, mode.upper(), int(days)) if mode else None
        return cls(_connect(where, options, {}), where, locked)

    def __repr__(self) -> str:
        """Return where it is."""
        return f"ObjectStore({self.where!r})"

    @property
    def path(self) -> Path:
        """The directory of what belongs to this machine."""
        return local_directory(self.where)

    def get(self, name: str) -> tuple[bytes, Any] | None:
        """Return an object and what a conditional put needs to replace it."""
        with errors(self.where, f"read {name}"):
            try:
                found = self.objects.get(name)
            except FileNotFoundError:
                return None
            version = {key: found.meta[key] for key in ("e_tag", "version") if found.meta.get(key)}
            return bytes(found.bytes()), version

    def read(self, name: str) -> bytes | None:
        """Return an object."""
        found = self.get(name)
        return found[0] if found else None

    def names(self, directory: str) -> Iterator[str]:
        """Yield the names below a directory."""
        with errors(self.where, f"list {directory}"):
            for batch in self.objects.list(directory.rstrip("/")):
                for each in batch:
                    yield str(each["path"])

    def locate(self, name: str) -> str:
        """Return the address of an object."""
        return f"{self.where}/{name}"

    def leftovers(self) -> list[str]:
        """Return the groups that were uploaded and that no head names."""
        from runrecord.ledger.stores.objects_head import read_head  # noqa: PLC0415 - a cycle

        found = list(self.names(JOURNAL))
        head = read_head(self)
        known = {segment.name for segment in head.segments} if head else set[str]()
        return [name for name in found if name not in known]

    def writer(self) -> ObjectWriter:
        """Begin to write, making the head if it is not there."""
        from runrecord.ledger.stores.objects_writer import ObjectWriter  # noqa: PLC0415 - a cycle

        return ObjectWriter(self)

    def close(self) -> None:
        """Nothing is open."""


class _Locked:
    """Object Lock: a client whose puts state until when an object must stay.

    Args:
        where: The address.
        options: Those of obstore.
        mode: ``GOVERNANCE`` or ``COMPLIANCE``.
        days: For how long, from the put.
    """

    def __init__(self, where: str, options: dict[str, str], mode: str, days: int) -> None:
        self._where = where
        self._options = {**options, "checksum_algorithm": "SHA256"}  # S3 demands one with a lock
        self._mode = mode
        self._days = days
        self._lock = threading.Lock()
        self._made = 0.0
        self._store: Any = None

    def store(self) -> Any:
        """Return the client; it is made anew from time to time, since its headers hold a date."""
        with self._lock:
            if self._store is None or time.monotonic() - self._made > _RENEW_SECONDS:
                until = datetime.now(timezone.utc) + timedelta(days=self._days)
                headers = {
                    "x-amz-object-lock-mode": self._mode,
                    "x-amz-object-lock-retain-until-date": (until + timedelta(hours=1)).strftime(
                        "%Y-%m-%dT%H:%M:%SZ"
                    ),
                }
                self._store = _connect(self._where, self._options, headers)
                self._made = time.monotonic()
            return self._store


@contextmanager
def errors(where: str, what: str) -> Generator[None]:
    """Turn errors of the object store into the ledger's own; none quotes an answer, which may hold an access key."""
    try:
        yield
    except LedgerError:
        raise
    except Exception as error:
        kind = type(error).__module__.partition(".")[0]
        if kind not in {"obstore", "builtins"} or isinstance(error, (TypeError, AttributeError, NameError)):
            raise
        raise explain(error, where, what) from None


def explain(error: Exception, where: str, what: str) -> LedgerError:
    """Return the ledger's error about something that an object store did not do."""
    text = str(error)
    found = _CODE.search(text) or _STATUS.search(text)
    reason = f"{type(error).__name__} {found[1]}" if found else type(error).__name__
    if type(error).__name__ in _DENIED or (found and found[1] in {"AccessDenied", "403"}):
        return LedgerReadOnly(
            f"the ledger in {where} does not let this user {what} ({reason})",
            "check the credentials in the environment, and the rights on the bucket",
        )
    return LedgerStopped(
        f"the ledger in {where} did not {what} ({reason})",
        "check the object store; then open the ledger again: it goes on from what is durable",
    )


def _connect(where: str, options: dict[str, str], headers: dict[str, str]) -> Any:
    try:
        obstore: Any = importlib.import_module("obstore.store")
    except ImportError:
        raise LedgerError(
            "a ledger in an object store needs obstore", 'pip install "runrecord[offload]"'
        ) from None
    client: dict[str, Any] = {
        "timeout": _TIMEOUT,
        "allow_http": options.get("endpoint", "").startswith("http://"),
    }
    if headers:
        client["default_headers"] = headers
    retry = {"max_retries": 5, "retry_timeout": _TIMEOUT}
    try:
        return obstore.from_url(where, config=options or None, client_options=client, retry_config=retry)
    except Exception as error:  # noqa: BLE001 - obstore has a family of errors for each store
        raise LedgerError(
            f"the object store {where} can't be used like this ({type(error).__name__})",
            "write s3://BUCKET/PREFIX?endpoint=URL&region=NAME",
        ) from None
