# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
r"""The keys of a ledger's commitments, one for each run, of which single ones can be destroyed.

Nothing is kept for a run: its key follows from two secrets, so that a retry gives the same bytes, whoever makes them::

    point = first 64 bits of SHA-256(tenant || run), each with its length before it
    key   = HMAC-SHA256(leaf of the ledger's puncturable function at the point, the run's key of the tenant)

The function lies in ``.state/run.keys``, mode 0600. To erase a run is to puncture it there. The file is not wrapped under the tenant
key: it gives no key without that one as it is, and a wrapping would only be another way to lose both. What was erased is
gone for good when every copy of the file from before is gone too; backups of it have to expire.

The file, all integers big-endian::

    "runrecord-run-keys/v1\n" || id (16 bytes) || number of punctured points (4)
    || the points, ascending (8 each) || the nodes that cover all others, from left to right (32 each) || SHA-256 of all before

The id names the secret and says nothing about it. It also stands beside the log, so that a lost file is noticed and not replaced.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, final

from runrecord.ledger.errors import LedgerCorrupt, LedgerError
from runrecord.ledger.files import disk_errors, make_directory, sync, sync_directory, write_all, write_whole
from runrecord.ledger.puncturable import PuncturablePRF
from runrecord.semconv.commitment import RunKey, TenantKey

if TYPE_CHECKING:
    from runrecord.ledger.log import Log

RUN_KEYS_FILE: Final = "run.keys"
RUN_KEYS_ID: Final = ".state/run-keys.id"
"""The name of the object beside the log that says which run keys it was made with."""
MAX_FILE: Final = 256 * 1024 * 1024
"""Bytes of a file of run keys; about 100,000 erased runs."""

_MAGIC: Final = b"runrecord-run-keys/v1\n"
_ID_BYTES: Final = 16
_POINT_BYTES: Final = 8
_CHECKSUM_BYTES: Final = 32
_HEADER: Final = len(_MAGIC) + _ID_BYTES + 4
_KEPT: Final = 4096
_ZEROS: Final = bytes(1 << 20)
_RESTORE: Final = "put the file back from a copy that is not older than the last erasure; without it, no commitment can be checked"


class RunKeysError(LedgerError):
    """The run keys can't be used."""


def point_of(tenant: str, run: str) -> int:
    """Return the point of a run, a number of 64 bits."""
    digest = hashlib.sha256()
    for text in (tenant, run):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(4, "big") + data)
    return int.from_bytes(digest.digest()[:_POINT_BYTES], "big")


def encode(identity: bytes, function: PuncturablePRF) -> bytes:
    """Return the bytes of a file.

    Raises:
        RunKeysError: They are too many.
    """
    points = b"".join(point.to_bytes(_POINT_BYTES, "big") for point in function.points)
    data = _MAGIC + identity + len(function.points).to_bytes(4, "big") + points + function.nodes
    if len(data) + _CHECKSUM_BYTES > MAX_FILE:
        raise RunKeysError(
            f"so many runs were erased that their file of run keys would exceed {MAX_FILE} bytes",
            "begin a new ledger, and let retention take the old one",
        )
    return data + hashlib.sha256(data).digest()


def parse(data: bytes) -> tuple[bytes, PuncturablePRF]:
    """Read the bytes of a file: the id of the secret, and the function.

    Raises:
        ValueError: They are not what ``encode`` gives.
    """
    if len(data) > MAX_FILE:
        raise ValueError("it is too long")
    if not data.startswith(_MAGIC):
        raise ValueError("it does not begin as one of version 1 does")
    if len(data) < _HEADER + _CHECKSUM_BYTES:
        raise ValueError("it is cut off")
    if hashlib.sha256(data[:-_CHECKSUM_BYTES]).digest() != data[-_CHECKSUM_BYTES:]:
        raise ValueError("its checksum is wrong")
    identity = data[len(_MAGIC) : len(_MAGIC) + _ID_BYTES]
    end = _HEADER + int.from_bytes(data[_HEADER - 4 : _HEADER], "big") * _POINT_BYTES
    if end > len(data) - _CHECKSUM_BYTES:
        raise ValueError("it has fewer points than it says")
    points = [
        int.from_bytes(data[place : place + _POINT_BYTES], "big")
        for place in range(_HEADER, end, _POINT_BYTES)
    ]
    return identity, PuncturablePRF(points, data[end:-_CHECKSUM_BYTES])


@final
class RunSecrets:
    """The file of a ledger's run keys. Thread-safe; several processes of one machine may use one file.

    Args:
        path: The file; it must be there.

    Raises:
        RunKeysError: It is not there, or others can read it.
        LedgerCorrupt: It is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._identity, self._function = _read(path)

    @classmethod
    def make(cls, path: Path) -> RunSecrets:
        """Return those of a file, which is made if it is not there."""
        if not path.exists():
            make_directory(path.parent, 0o700)
            with _only_one(path):
                if not path.exists():
                    write_whole(
                        path, encode(secrets.token_bytes(_ID_BYTES), PuncturablePRF.generate()), 0o600
                    )
        return cls(path)

    def __repr__(self) -> str:
        """Show which they are, and nothing of them."""
        return f"<RunSecrets {self.identity}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise TypeError("RunSecrets can't be pickled; open the file in the other process")

    @property
    def identity(self) -> str:
        """Names the secret, 32 hexadecimal digits; says nothing about it."""
        return self._identity.hex()

    @property
    def version(self) -> int:
        """How many runs are erased; what was worked out before it grew may be of one of them."""
        return len(self._function.points)

    def secret(self, tenant: str, run: str) -> bytes | None:
        """Return the 32 bytes of a run, None if it was erased."""
        return self._function.value(point_of(tenant, run))

    def puncture(self, runs: Iterable[tuple[str, str]]) -> int:
        """Destroy the secrets of runs; when this returns, no process that opens the file can work them out.

        Args:
            runs: Pairs of tenant and run.

        Returns:
            How many of them had not been erased yet.

        Raises:
            RunKeysError: The file was replaced by that of another secret.
            LedgerError: It can't be written.
        """
        points = {point_of(tenant, run) for tenant, run in runs}
        with self._lock:
            fresh = points.difference(self._function.points)
            if not fresh:
                return 0
            with _only_one(self._path):
                identity, there = _read(self._path)
                if identity != self._identity:
                    raise RunKeysError(
                        f"{self._path} was replaced by the run keys of another ledger", _RESTORE
                    )
                function = there.puncture(points.union(self._function.points))
                if function is not there:
                    _replace(self._path, encode(identity, function))
            self._function = function
            return len(fresh)


def open_run_secrets(log: Log, *, make: bool) -> RunSecrets:
    """Return what the keys of a log's runs derive from.

    Args:
        log: The log.
        make: Whether it is made where there is none; the log must be open to write then.

    Raises:
        RunKeysError: It is not on this machine, or that of another log.
        LedgerError: It can't be read or made.
    """
    path = log.path / ".state" / RUN_KEYS_FILE
    stated = log.objects.read(RUN_KEYS_ID)
    found = RunSecrets(path) if stated is not None or not make else RunSecrets.make(path)
    identity = f"{found.identity}\n".encode()
    if stated is None and make:
        log.keep(RUN_KEYS_ID, identity)
        stated = log.objects.read(RUN_KEYS_ID)
    if stated is not None and stated != identity:
        raise RunKeysError(
            f"the run keys in {path} are not those of the ledger in {log.where}",
            "copy the file of the machine that writes to it; each machine needs the same one",
        )
    return found


@final
class RunKeys:
    """The keys of runs in one ledger. Thread-safe.

    Args:
        run_secrets: The file of the ledger.
        tenant_key: The secret that they derive from, too.
    """

    def __init__(self, run_secrets: RunSecrets, tenant_key: TenantKey) -> None:
        self._secrets = run_secrets
        self._tenant_key = tenant_key
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], RunKey | None] = OrderedDict()
        self._version = run_secrets.version

    def __repr__(self) -> str:
        """Show nothing of them."""
        return "RunKeys(hidden)"

    def key(self, tenant: str, run: str) -> RunKey | None:
        """Return the key of a run, None if it was erased."""
        version, of = self._secrets.version, (tenant, run)
        with self._lock:
            if version != self._version:
                self._kept.clear()
                self._version = version
            elif of in self._kept:
                self._kept.move_to_end(of)
                return self._kept[of]
        secret = self._secrets.secret(tenant, run)
        key = None if secret is None else self._tenant_key.run_key(run).under(secret)
        with self._lock:
            if version == self._version:
                self._kept[of] = key
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return key


def _read(path: Path) -> tuple[bytes, PuncturablePRF]:
    if not path.exists():
        raise RunKeysError(f"the run keys of the ledger are not in {path}", _RESTORE)
    with disk_errors(path):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise RunKeysError(f"others can read the run keys in {path}", f"run: chmod 600 {path}")
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    try:
        return parse(data)
    except ValueError as error:
        raise LedgerCorrupt(f"{path} does not hold the run keys of a ledger: {error}", _RESTORE) from None


def _replace(path: Path, data: bytes) -> None:
    """Replace the file, and overwrite what it held: some file systems keep the bytes of a file that nobody names any more."""
    with disk_errors(path):
        old = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        write_whole(path, data, 0o600)
        with contextlib.suppress(OSError):  # it helps where it works; the new file is there in any case
            for start in range(0, os.fstat(old).st_size, len(_ZEROS)):
                os.lseek(old, start, os.SEEK_SET)
                write_all(old, _ZEROS[: os.fstat(old).st_size - start])
            sync(old, path)
    finally:
        os.close(old)
    sync_directory(path.parent)


@contextlib.contextmanager
def _only_one(path: Path) -> Generator[None]:
    """Hold the right to write the file among the processes of this machine."""
    lock = path.with_name(f"{path.name}.lock")
    with disk_errors(lock):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
