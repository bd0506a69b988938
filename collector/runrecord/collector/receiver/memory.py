# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How much memory the process has, and whether that is too much to take more requests."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runrecord.collector.config.extensions import MemoryLimiter

_log = logging.getLogger(__name__)
_MIB: Final = 1 << 20
_TRIM_SECONDS: Final = 10.0
_STATUS: Final = Path("/proc/self/status")
_CGROUPS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_in_use() -> int:
    """Return the bytes that the process itself has in memory, files that it mapped not counted; 0 where nobody can tell."""
    try:
        for line in _STATUS.read_bytes().splitlines():
            if line.startswith(b"RssAnon:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


def memory_there_is() -> int:
    """Return the bytes that the process may have: the machine's, or its container's if those are fewer."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in _CGROUPS:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            found = min(found, int(text))
    return found


def release_memory() -> None:
    """Give back to the system what is not used."""
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)


class MemoryWatch:
    """Says whether the process is above its soft limit, by the rules of the collector's memory_limiter.

    Attributes:
        soft_bytes: Above it requests are refused.
        hard_bytes: Above it memory is given back as well.
    """

    def __init__(
        self,
        config: MemoryLimiter,
        *,
        processes: int = 1,
        in_use: Callable[[], int] = memory_in_use,
        there_is: Callable[[], int] = memory_there_is,
    ) -> None:
        """Work out the limits.

        Args:
            config: The extension.
            processes: How many share what a percentage is of.
            in_use: Measures.
            there_is: Says what a percentage is of.
        """
        if config.limit_mib is not None:
            spike = config.limit_mib // 5 if config.spike_limit_mib is None else config.spike_limit_mib
            self.hard_bytes, spike_bytes = config.limit_mib * _MIB, spike * _MIB
        else:
            share = there_is() // processes
            self.hard_bytes = share * config.limit_percentage // 100
            spike_bytes = share * config.spike_limit_percentage // 100
        self.soft_bytes = self.hard_bytes - spike_bytes
        self._in_use, self._interval = in_use, config.check_interval
        self._next = self._next_release = 0.0
        self._above = False

    def is_above(self) -> bool:
        """Measure, at most once in an interval."""
        now = time.monotonic()
        if now < self._next:
            return self._above
        self._next = now + self._interval
        used = self._in_use()
        above = used > self.soft_bytes
        if above and (used > self.hard_bytes or not self._above) and now >= self._next_release:
            self._next_release = now + _TRIM_SECONDS
            release_memory()
            above = self._in_use() > self.soft_bytes
        if above != self._above:
            if above:
                _log.warning(
                    "memory is above its soft limit of %d MiB: requests are refused", self.soft_bytes // _MIB
                )
            else:
                _log.info("memory is below its soft limit again")
        self._above = above
        return above
