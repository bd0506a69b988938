# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Streams of an API's events: the application gets the SDK's own object, whose events pass by us on their way."""

import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final, Protocol, cast
from weakref import WeakKeyDictionary

from runrecord.instrumentation._safety import guarded, note_once


class Follower(Protocol):
    """What sees the events of a stream, and one of the three ways in which it ends; then perhaps ``abandoned`` again."""

    def event(self, event: object) -> None:
        """Take an event."""

    def completed(self) -> None:
        """Take the end."""

    def failed(self, error: BaseException) -> None:
        """Take an exception, which the application gets."""

    def abandoned(self) -> None:
        """Take that the application reads no further."""


_followed: Final[WeakKeyDictionary[Any, Follower]] = WeakKeyDictionary()


@guarded
def follow(sdk: str, stream: Any, exchange: Follower, *, asynchronous: bool) -> None:
    """Let ``exchange`` see the events of ``stream``, and how it ends."""
    if not hasattr(stream, "_iterator"):
        note_once(
            f"{sdk} stream",
            "runrecord: this %s keeps its streams differently; they are not recorded",
            sdk,
        )
        exchange.completed()
        return
    events = stream._iterator  # noqa: SLF001  # so that the object, its type and the rest of it are the SDK's
    stream._iterator = (_async_events if asynchronous else _events)(events, exchange)  # noqa: SLF001
    _followed[stream] = exchange
    weakref.finalize(stream, exchange.abandoned)
    kind = cast("Any", type(stream))
    stream.close = (_async_closing if asynchronous else _closing)(kind.close, weakref.ref(stream), exchange)


def _events(events: Any, exchange: Follower) -> Generator[Any, None, None]:
    try:
        for event in events:
            exchange.event(event)
            yield event
    except GeneratorExit:
        events.close()
        exchange.abandoned()
        raise
    except BaseException as error:
        exchange.failed(error)
        raise
    exchange.completed()


async def _async_events(events: Any, exchange: Follower) -> AsyncGenerator[Any, None]:
    try:
        async for event in events:
            exchange.event(event)
            yield event
    except GeneratorExit:
        exchange.abandoned()
        await events.aclose()
        raise
    except BaseException as error:
        exchange.failed(error)
        raise
    exchange.completed()


def _closing(close: Callable[..., Any], stream: Any, exchange: Follower) -> Callable[[], Any]:
    def closing() -> None:
        try:
            close(stream())
        finally:
            exchange.abandoned()

    return closing


def _async_closing(close: Callable[..., Any], stream: Any, exchange: Follower) -> Callable[[], Any]:
    async def closing() -> None:
        try:
            await close(stream())
        finally:
            exchange.abandoned()

    return closing


def helper_closed(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    """Wrap ``close`` of a stream helper, which closes the connection and leaves its stream alone."""
    try:
        return wrapped(*args, **kwargs)
    finally:
        _left(instance)


@guarded
def _left(helper: Any) -> None:
    exchange = _followed.get(getattr(helper, "_raw_stream", None) or helper)
    if exchange is not None:
        exchange.abandoned()
