# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Times as people write them on a command line: back from now, or as a date."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from typing import Final

from runrecord.cli.console import fail

_AGO: Final = re.compile(r"(\d{1,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(text: str, option: str) -> int:
    """Return a time in nanoseconds since the Unix epoch, or fail.

    Args:
        text: A duration back from now, or an ISO 8601 time (UTC unless it says otherwise).
        option: The option that it stands behind.
    """
    if match := _AGO.fullmatch(text):
        return max(time.time_ns() - int(match[1]) * _SECONDS[match[2]] * 1_000_000_000, 0)
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        fail(
            f"{option} {text!r} is neither a duration nor a time.",
            "write 24h, 7d, or 2026-11-21T08:00Z",
            code=4,
        )
    found = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    return max(int(found.timestamp() * 1_000_000_000), 0)
