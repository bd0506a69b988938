# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Streams: the application gets the SDK's own object, whose events pass by us on their way."""

import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from runrecord.instrumentation._safety import guarded, note_once
from runrecord.instrumentation.openai.exchange import Exchange

_followed: Final[WeakKeyDictionary[Any, Exchange]] = WeakKeyDictionary()


@guarded
def follow(stream: Any, exchange: Exchange, *, asynchronous: bool) -> None:
    """Let ``exchange`` see the events of ``stream``, and how it ends."""
    if not hasattr(stream, "_iterator"):
        note_once(
            "openai stream", "runrecord: this openai keeps its streams differently; they are not recorded"
        )
        exchange.completed()
        return
    events = stream._iterator  # noqa: SLF001  # so that the object, its type and the rest of it are the SDK's
    stream._iterator = (_async_events if asynchronous else _events)(events, exchange)  # noqa: SLF001
    _followed[stream] = exchange
    weakref.finalize(stream, exchange.abandoned)
    kind = cast("Any", type(stream))
    stream.close = (_async_closing if asynchronous else _closing)(kind.close, weakref.ref(stream), exchange)


def _events(events: Any, exchange: Exchange) -> Generator[Any, None, None]:
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


async def _async_events(events: Any, exchange: Exchange) -> AsyncGenerator[Any, None]:
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


def _closing(close: Callable[..., Any], stream: Any, exchange: Exchange) -> Callable[[], Any]:
    def closing() -> None:
        try:
            close(stream())
        finally:
            exchange.abandoned()

    return closing


def _async_closing(close: Callable[..., Any], stream: Any, exchange: Exchange) -> Callable[[], Any]:
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
