# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens of clients: compared in constant time, replaced while the gateway runs, never shown."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import time
from typing import Final

from runrecord.collector.config.extensions import BearerTokenAuth
from runrecord.collector.errors import StartError
from runrecord.collector.receiver.status import Code, Refusal

_log = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 1.0


class BearerTokens:
    """The tokens of one extension, as digests."""

    def __init__(self, config: BearerTokenAuth, name: str) -> None:
        """Read them.

        Args:
            config: The extension.
            name: Its name, for messages.

        Raises:
            StartError: The file can't be read or has no token.
        """
        self._config, self._name = config, name
        self._scheme = config.scheme.lower()
        self._seen: tuple[int, ...] = ()
        self._next = 0.0
        self._digests = self._load()

    def _load(self) -> list[bytes]:
        file = self._config.filename
        if file is None:
            return [_digest(token.get_secret_value()) for token in self._config.given]
        key = f"extensions.{self._name}.filename"
        try:
            with file.open(encoding="ascii") as lines:
                self._seen = _identity(os.fstat(lines.fileno()))
                tokens = [line.split()[0] for line in lines if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not ASCII"
            raise StartError(
                f"{key} can't be read ({why})", next_step="name a file with one token a line"
            ) from error
        if not tokens:
            raise StartError(f"{key} has no token", next_step="write one token a line into it")
        return [_digest(token) for token in tokens]

    def reload(self) -> bool:
        """Read the file again.

        Returns:
            False if it can't be used; the tokens before stay valid.
        """
        try:
            self._digests = self._load()
        except StartError as error:
            _log.error("tokens are not replaced: %s. %s", error, error.next_step)
            return False
        return True

    def become(self, other: BearerTokens) -> None:
        """Use what another one has read, from now on."""
        self._config, self._seen, self._digests = other._config, other._seen, other._digests

    def _look(self) -> None:
        """Read the file again if it is another one; looks at most once a second."""
        file, now = self._config.filename, time.monotonic()
        if file is None or now < self._next:
            return
        self._next = now + _LOOK_SECONDS
        try:
            found = _identity(file.stat())
        except OSError:
            found = ()
        if found != self._seen:
            self._seen = found
            if self.reload():
                _log.info("extensions.%s: tokens are replaced", self._name)

    def check(self, authorization: str) -> None:
        """Let a client in.

        Args:
            authorization: The value of its header; empty if it sent none.

        Raises:
            Refusal: It has none of the tokens.
        """
        self._look()
        scheme, _, token = authorization.strip().partition(" ")
        digest = _digest(token.strip())
        matches = [hmac.compare_digest(digest, each) for each in self._digests]
        if scheme.lower() == self._scheme and any(matches):
            return
        raise Refusal(
            Code.UNAUTHENTICATED,
            f"the header authorization must hold a valid token: {self._config.scheme} TOKEN",
            headers=(("www-authenticate", self._config.scheme),),
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
