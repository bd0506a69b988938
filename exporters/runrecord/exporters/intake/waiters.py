# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Those who wait for an append, in threads and in event loops, and how they are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from runrecord.exporters.errors import IntakeError

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Pending:
    """A record on its way to the disk.

    Attributes:
        payload: The pieces of `encode_payload`.
        size: Bytes of its frame.
        received: When it was accepted (Unix ns).
        waiter: Gets its sequence number.
    """

    payload: list[bytes]
    size: int
    received: int
    waiter: Future[int] | asyncio.Future[int]


def settle(group: list[Pending], first: int, error: IntakeError | None) -> None:
    """Tell everyone in the group, each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], int]]] = {}
    for sequence, pending in enumerate(group, first):
        if isinstance(pending.waiter, asyncio.Future):
            by_loop.setdefault(pending.waiter.get_loop(), []).append((pending.waiter, sequence))
        elif error is None:
            pending.waiter.set_result(sequence)
        else:
            pending.waiter.set_exception(error)

    for loop, waiters in by_loop.items():

        def tell(waiters: list[tuple[asyncio.Future[int], int]] = waiters) -> None:
            for waiter, sequence in waiters:
                if waiter.done():
                    continue
                if error is None:
                    waiter.set_result(sequence)
                else:
                    waiter.set_exception(error)

        _call(loop, tell)


def wake(sleepers: Iterable[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]]) -> None:
    """Wake tasks that sleep, each in its event loop."""
    for loop, sleeper in sleepers:
        _call(loop, partial(_wake, sleeper))


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:  # the loop is closed: nobody waits any more
        _log.debug("an event loop closed before its append was durable")
