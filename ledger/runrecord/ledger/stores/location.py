# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where a log is kept, as text: a directory, or the address of a store."""

from __future__ import annotations

import os

from runrecord.ledger.stores.base import Store
from runrecord.ledger.stores.directory import DirectoryStore


def open_store(location: str | os.PathLike[str]) -> Store:
    """Return the store of a location; nothing is made or connected to yet."""
    return DirectoryStore(location)
