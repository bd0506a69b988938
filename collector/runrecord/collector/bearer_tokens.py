# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The tokens of a bearertokenauth extension: from the configuration, or from a file that is read again when it changes."""

from __future__ import annotations

import logging
import os
import time
from typing import Final

from runrecord.collector.config.extensions import BearerTokenAuth
from runrecord.collector.errors import StartError

_log = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 1.0


class BearerTokens:
    """The tokens of one extension; never in a repr or a log."""

    def __init__(self, config: BearerTokenAuth, name: str) -> None:
        """Read them.

        Args:
            config: The extension.
            name: Its name, for messages.

        Raises:
            StartError: The file can't be read or has no token.
        """
        self._config, self._name = config, name
        self._seen: tuple[int, ...] = ()
        self._next = 0.0
        self._tokens = self._load()

    def _load(self) -> tuple[str, ...]:
        file = self._config.filename
        if file is None:
            return tuple(token.get_secret_value() for token in self._config.given)
        key = f"extensions.{self._name}.filename"
        try:
            with file.open(encoding="ascii") as lines:
                self._seen = _identity(os.fstat(lines.fileno()))
                tokens = tuple(line.split()[0] for line in lines if line.strip())
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not ASCII"
            raise StartError(
                f"{key} can't be read ({why})", next_step="name a file with one token a line"
            ) from error
        if not tokens:
            raise StartError(f"{key} has no token", next_step="write one token a line into it")
        return tokens

    @property
    def scheme(self) -> str:
        """What stands before a token in the header."""
        return self._config.scheme

    def reload(self) -> bool:
        """Read the file again.

        Returns:
            False if it can't be used; the tokens before stay valid.
        """
        try:
            self._tokens = self._load()
        except StartError as error:
            _log.error("tokens are not replaced: %s. %s", error, error.next_step)
            return False
        return True

    def become(self, other: BearerTokens) -> None:
        """Use what another one has read, from now on."""
        self._config, self._seen, self._tokens = other._config, other._seen, other._tokens

    def current(self) -> tuple[str, ...]:
        """Return them; the same object until they change. Looks at the file at most once a second."""
        file, now = self._config.filename, time.monotonic()
        if file is not None and now >= self._next:
            self._next = now + _LOOK_SECONDS
            try:
                found = _identity(file.stat())
            except OSError:
                found = ()
            if found != self._seen:
                self._seen = found
                if self.reload():
                    _log.info("extensions.%s: tokens are replaced", self._name)
        return self._tokens

    def header(self) -> str:
        """Return what a client sends as ``authorization``: the first token."""
        return f"{self.scheme} {self.current()[0]}"


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
