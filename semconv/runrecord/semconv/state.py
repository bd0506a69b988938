# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where Runrecord keeps what must outlive a process on this machine: the tenant key, the contexts of approvals."""

import os
from pathlib import Path

from runrecord.semconv.errors import StateDirectoryError

__all__ = ["STATE_DIR_VARIABLE", "state_dir"]

STATE_DIR_VARIABLE = "RUNRECORD_STATE_DIR"


def state_dir() -> Path:
    """Name the state directory; it need not exist yet.

    ``RUNRECORD_STATE_DIR``, else ``$XDG_STATE_HOME/runrecord`` (ignored where relative, as the XDG Base Directory
    specification demands), else ``~/.local/state/runrecord``.

    Raises:
        StateDirectoryError: there is no home directory to fall back on.
    """
    try:
        if chosen := os.environ.get(STATE_DIR_VARIABLE):
            return Path(chosen).expanduser().absolute()
        base = Path(os.environ.get("XDG_STATE_HOME", ""))
        return (base if base.is_absolute() else Path.home() / ".local" / "state") / "runrecord"
    except RuntimeError as error:
        raise StateDirectoryError(
            f"this user has no home directory to keep state in; set {STATE_DIR_VARIABLE} to a directory"
        ) from error
