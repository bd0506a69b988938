# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where this machine keeps what belongs to a log in a store elsewhere: its keys, and indexes that can be rebuilt."""

from __future__ import annotations

import contextlib
from hashlib import sha256
from pathlib import Path

from runrecord.semconv.state import state_dir


def local_directory(where: str) -> Path:
    """Return the directory of a store, named by its address; it is made, with a ``.state`` in it, where this user may."""
    path = state_dir() / "ledgers" / sha256(where.encode()).hexdigest()[:16]
    with contextlib.suppress(OSError):
        (path / ".state").mkdir(0o700, parents=True, exist_ok=True)
    return path
