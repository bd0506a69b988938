# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that could not be redacted, set aside encrypted: durable, never forwarded, for a person to look at.

A file holds a magic, a nonce of 12 bytes, and the request under AES-256-GCM; the signal is authenticated with it. The key
derives from the tenant key, so a copy of the directory alone tells nothing.
"""

from __future__ import annotations

import hmac
import importlib
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from runrecord.processors.errors import PolicyError, QuarantineError
from runrecord.processors.redaction.durable import sync_directory, write_file
from runrecord.processors.redaction.policy import RedactionPolicy
from runrecord.processors.signal import Signal

_MAGIC: Final = b"runrecord-quarantine/1\n"
_NONCE_BYTES: Final = 12
_SUFFIX: Final = ".sealed"
_FILES: Final = 10_000


class SetAside(NamedTuple):
    """A request in quarantine.

    Attributes:
        path: Its file.
        signal: What it is a request of.
        time_unix_nano: When it was set aside.
    """

    path: Path
    signal: Signal
    time_unix_nano: int


class RedactionQuarantine:
    """A directory of sealed requests; safe to use from many threads and processes.

    Args:
        directory: Made with mode 0700 when it is first needed.
        key: A secret of 16 bytes or more: the one that pseudonyms are made with.
        max_bytes: Keep no more than so many bytes.

    Raises:
        PolicyError: The package ``cryptography`` is not installed.
    """

    def __init__(self, directory: Path, key: bytes, *, max_bytes: int) -> None:
        try:
            ciphers: Any = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
        except ImportError:
            raise PolicyError(
                "on_error: quarantine needs cryptography: pip install 'runrecord[cli]'"
            ) from None
        self.directory = directory
        self._cipher: Any = ciphers.AESGCM(hmac.digest(key, b"runrecord/quarantine/v1", "sha256"))
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    @classmethod
    def make(
        cls, policy: RedactionPolicy, key: bytes | None, directory: Path | None = None
    ) -> RedactionQuarantine | None:
        """Make the quarantine of a policy; none if it sets nothing aside.

        Args:
            policy: The policy.
            key: As for the class.
            directory: Where it is if the policy does not say.

        Raises:
            PolicyError: There is no directory, or no key.
        """
        if policy.on_error != "quarantine":
            return None
        directory = policy.quarantine.directory or directory
        if directory is None:
            raise PolicyError(
                "on_error is quarantine; name a directory that only this user can read: quarantine: {directory: ...}"
            )
        if key is None:
            raise PolicyError("on_error is quarantine, which needs the tenant key: set RUNRECORD_KEY")
        return cls(directory, key, max_bytes=policy.quarantine.max_size_mib << 20)

    def __repr__(self) -> str:
        """Never show the key."""
        return "RedactionQuarantine()"

    def keep(self, signal: Signal, body: bytes) -> Path:
        """Set a request aside; when this returns, it survives a crash.

        Returns:
            Its file.

        Raises:
            QuarantineError: There is no room, or the directory cannot be written; the request must be refused.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = _MAGIC + nonce + self._cipher.encrypt(nonce, body, _MAGIC + signal.value.encode())
        path = self.directory / f"{time.time_ns():020d}.{secrets.token_hex(4)}.{signal.value}{_SUFFIX}"
        try:
            with self._lock:
                self._make_room(len(sealed))
                write_file(path, sealed)
            for directory in (self.directory, self.directory.parent):
                sync_directory(directory)
        except OSError as error:
            raise QuarantineError(f"the quarantine cannot be written ({error.strerror})") from None
        return path

    def entries(self) -> list[SetAside]:
        """What is set aside, the oldest first."""
        found: list[SetAside] = []
        for path in sorted(self.directory.glob(f"*{_SUFFIX}")):
            stamp, _, signal, _ = path.name.split(".")
            found.append(SetAside(path, Signal(signal), int(stamp)))
        return found

    def read(self, entry: SetAside) -> bytes:
        """The request, as it was received.

        Raises:
            QuarantineError: The file cannot be read, is damaged, or was sealed under another key.
        """
        try:
            sealed = entry.path.read_bytes()
        except OSError as error:
            raise QuarantineError(f"{entry.path.name} cannot be read ({error.strerror})") from None
        nonce = sealed[len(_MAGIC) : len(_MAGIC) + _NONCE_BYTES]
        try:
            opened: bytes = self._cipher.decrypt(
                nonce,
                sealed[len(_MAGIC) + _NONCE_BYTES :],
                sealed[: len(_MAGIC)] + entry.signal.value.encode(),
            )
        except Exception:  # noqa: BLE001  InvalidTag, or ValueError for a short file
            raise QuarantineError(
                f"{entry.path.name} is damaged or was sealed under another tenant key"
            ) from None
        return opened

    def _make_room(self, size: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.name == "posix" and self.directory.stat().st_mode & 0o077:
            raise QuarantineError("others can read the quarantine; run: chmod 700 on its directory")
        sizes = [path.stat().st_size for path in self.directory.glob(f"*{_SUFFIX}")]
        if len(sizes) >= _FILES or sum(sizes) + size > self._max_bytes:
            raise QuarantineError(
                f"the quarantine is full: {len(sizes)} requests, {sum(sizes)} bytes; look at them and delete them, "
                "or raise quarantine.max_size_mib"
            )
