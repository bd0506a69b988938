# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Opening a key index that lies on this machine: it must fit the log, and is completed from the leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from runrecord.ledger.dedup import KeyIndex
from runrecord.ledger.errors import LedgerCorrupt, RolledBack
from runrecord.ledger.files import disk_errors
from runrecord.ledger.stores.base import Opened
from runrecord.ledger.tlog import tree_root

Index = TypeVar("Index", bound=KeyIndex)


def open_index(path: Path, make: Callable[[Path], Index]) -> Index:
    """Open a key index; one that is no database is put aside, to be made anew from the leaves."""
    try:
        return make(path)
    except LedgerCorrupt as error:
        if not isinstance(error.__cause__, sqlite3.DatabaseError):
            raise
    with disk_errors(path):
        path.replace(path.with_suffix(".damaged"))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    return make(path)


def fit(keys: KeyIndex, opened: Opened) -> KeyIndex:
    """Return the key index of a log; it covers the checkpoint then.

    Args:
        keys: The index, opened before the log was read: another process may be publishing.
        opened: The log.

    Raises:
        RolledBack: The index has seen a longer log, or another one.
        LedgerCorrupt: It lacks keys, and there is no function that works them out of the leaves.
    """
    try:
        _check(keys, opened)
        keys.complete(opened)
    except BaseException:
        keys.close()
        raise
    return keys


def _check(keys: KeyIndex, opened: Opened) -> None:
    """Refuse a tree that is not an extension of the one that the key index last saw."""
    if not keys.size:
        return
    checkpoint, pending = opened.checkpoint, opened.pending
    beyond = keys.size - checkpoint.size
    if beyond > len(pending.hashes):
        raise RolledBack(
            f"the ledger has {checkpoint.size + len(pending.hashes)} entries, and once had {keys.size}",
            "restore the newest copy of the ledger, together with its checkpoint",
        )
    if beyond <= 0:
        root = tree_root(keys.size, opened.node)
    else:
        grown = opened.edge.copy()
        grown.extend([b""] * beyond, pending.hashes[:beyond], lambda _path, _data: None)
        root = grown.root()
    if root != keys.root:
        raise RolledBack(
            f"the first {keys.size} entries of the ledger are not those that it once had",
            "keep the ledger as evidence, and compare it with a copy",
        )
