# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How a process that has appended to a log wakes the one that reads it: one byte in a pipe that both have inherited."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final

_MUCH: Final = 1 << 16


class WakeupWriter:
    """The end of those who append; a full pipe says enough already."""

    def __init__(self, descriptor: int) -> None:
        """Use an end of a pipe.

        Args:
            descriptor: Its writing end, which is set to be non-blocking.
        """
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def __call__(self) -> None:
        """Wake the reader."""
        with contextlib.suppress(OSError):  # full; or nobody is left to be woken
            os.write(self._descriptor, b"\0")


class WakeupReader:
    """The end of the one who reads, in one event loop."""

    def __init__(self, descriptor: int) -> None:
        """Watch an end of a pipe in the running event loop.

        Args:
            descriptor: Its reading end, which is set to be non-blocking.
        """
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._loop.add_reader(descriptor, self._wake)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, _MUCH)
        self._woken.set()
        self._woken = asyncio.Event()

    async def wait(self) -> None:
        """Return when somebody has appended since the call."""
        await self._woken.wait()

    def close(self) -> None:
        """Watch no more."""
        self._loop.remove_reader(self._descriptor)
