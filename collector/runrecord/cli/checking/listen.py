# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Be an OTLP endpoint on this machine that checks what it is sent and keeps none of it."""

from __future__ import annotations

import asyncio
import signal as signals
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from google.protobuf.message import Message

from runrecord.collector.config import Pipeline
from runrecord.collector.receiver import Acceptor, GrpcReceiver, HttpReceiver
from runrecord.collector.receiver.requests import SERVICES
from runrecord.collector.servers import HttpServer
from runrecord.collector.telemetry import GatewayMetrics
from runrecord.collector.values import HostPort
from runrecord.processors.signal import Signal

if TYPE_CHECKING:
    from runrecord.exporters.intake import IntakeLog

__all__ = ["Bound", "listen"]

_HOST: Final = "127.0.0.1"
_MAX_BODY: Final = 64 << 20
_IN_FLIGHT: Final = 256 << 20
_GRACE: Final = 5.0


@dataclass(frozen=True)
class Bound:
    """Where it listens."""

    grpc: str
    http: str


@dataclass(frozen=True)
class _AsItIs:
    """What a redactor would return, had it nothing to redact: a check must see what was sent."""

    body: bytes
    counts: dict[str, int]


class _Feed:
    """Stands where the gateway has its intake log; a request is acknowledged when it is checked."""

    def __init__(self, take: Callable[[Message, str], int], enough: asyncio.Event, count: int | None) -> None:
        self._take, self._enough, self._count = take, enough, count

    async def append(self, signal: Signal, body: bytes, *, headers: tuple[tuple[str, str], ...] = ()) -> None:
        del headers
        message = SERVICES[signal].request()
        message.ParseFromString(body)
        records = self._take(message, f"otlp:{signal.value}")
        if self._count is not None and records >= self._count:
            self._enough.set()


async def listen(
    take: Callable[[Message, str], int],
    started: Callable[[Bound], None],
    *,
    grpc_port: int,
    http_port: int,
    seconds: float | None,
    count: int | None,
) -> None:
    """Listen until there is enough: a signal, the time is over, or so many records were checked.

    Args:
        take: Checks a request that came over the named transport, and returns how many records there were so far.
        started: Is told where it listens.
        grpc_port: 0 lets the system choose.
        http_port: 0 lets the system choose.
        seconds: None for no limit.
        count: None for no limit.

    Raises:
        AddressError: A port is taken.
    """
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signals.SIGINT, signals.SIGTERM):
        loop.add_signal_handler(number, enough.set)
    feed: Any = _Feed(take, enough, count)
    # One thread: the checker takes one record at a time.
    with ThreadPoolExecutor(1) as executor:
        acceptor = Acceptor(
            cast("IntakeLog", feed),
            lambda _signal, body: _AsItIs(body, {}),
            GatewayMetrics(),
            pipelines={signal: Pipeline(exporters=("check",)) for signal in Signal},
            executor=executor,
            max_in_flight_bytes=_IN_FLIGHT,
        )
        http = HttpServer(
            HttpReceiver(acceptor, max_body=_MAX_BODY), HostPort(_HOST, http_port), "OTLP over HTTP"
        )
        try:
            grpc = GrpcReceiver(acceptor, HostPort(_HOST, grpc_port), max_message=_MAX_BODY)
        except BaseException:
            http.abandon()
            raise
        await http.start()
        await grpc.start()
        try:
            started(Bound(str(grpc.bound), f"http://{http.bound}"))
            await asyncio.wait_for(enough.wait(), seconds)
        except asyncio.TimeoutError:
            pass
        finally:
            await asyncio.gather(grpc.stop(_GRACE), http.stop())
