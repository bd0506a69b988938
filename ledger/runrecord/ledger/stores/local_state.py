# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where this machine keeps what belongs to a log in a store elsewhere: its keys, and indexes that can be rebuilt."""

from __future__ import annotations

import contextlib
from hashlib import sha256
from pathlib import Path

from runrecord.ledger.errors import LedgerError
from runrecord.ledger.files import make_directory
from runrecord.semconv.state import state_dir


def local_directory(where: str) -> Path:
    """Return the directory of a store, named by its address; it is made, with a ``.state`` in it, where this user may."""
    path = state_dir() / "ledgers" / sha256(where.encode()).hexdigest()[:16]
    with contextlib.suppress(LedgerError, OSError):
        make_directory(path / ".state", 0o700)
    return path
