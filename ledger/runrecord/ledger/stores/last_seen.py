# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The last checkpoint that this machine has published to a store elsewhere: the store may not come back with an older log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from runrecord.ledger.checkpoint import Checkpoint
from runrecord.ledger.errors import MalformedError, RolledBack
from runrecord.ledger.files import disk_errors
from runrecord.ledger.tlog import tree_root


class LastSeen:
    """A file; it is written without a sync, since losing it costs a check and nothing else.

    Args:
        path: The file. It is read here, so make this object before the log is read: another process may be publishing.
        where: The store, for people.
    """

    def __init__(self, path: Path, where: str) -> None:
        self._path = path
        self._where = where
        self._seen: Checkpoint | None = None
        with contextlib.suppress(
            MalformedError, FileNotFoundError
        ):  # a crash of this machine may have torn it
            self._seen = Checkpoint.parse(path.read_bytes())

    def check(self, checkpoint: Checkpoint, node: Callable[[int, int], bytes]) -> None:
        """Refuse a log that does not begin with the one that was seen.

        Args:
            checkpoint: The checkpoint of the log.
            node: Reads its tree.

        Raises:
            RolledBack: It does not.
        """
        seen = self._seen
        if seen is None or seen.origin != checkpoint.origin:
            return
        if seen.size > checkpoint.size or tree_root(seen.size, node) != seen.root:
            raise RolledBack(
                f"the ledger in {self._where}, of size {checkpoint.size}, does not begin with the {seen.size} entries that this machine "
                "has signed there",
                f"restore the newest copy of the store; the checkpoint that was signed is in {self._path}",
            )

    def write(self, note: bytes) -> None:
        """Keep a checkpoint."""
        scratch = self._path.with_suffix(f".{os.getpid()}")
        with disk_errors(self._path):
            scratch.write_bytes(note)
            scratch.replace(self._path)
