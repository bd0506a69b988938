# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP servers inside the gateway's own event loop: bound first, with an error that names the port."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import uvicorn

from runrecord.collector.errors import AddressError
from runrecord.collector.http_protocol import LimitedHttpProtocol
from runrecord.collector.tls import ServerCertificates
from runrecord.collector.values import HostPort

Application = Callable[[Any, Any, Any], Awaitable[None]]


def bind(address: HostPort, what: str, *, share: bool = False) -> socket.socket:
    """Bind a listening socket.

    Args:
        address: Where; port 0 lets the system choose.
        what: What it is for, in words.
        share: Other processes of this user listen there too.

    Returns:
        The socket.

    Raises:
        AddressError: The port is taken or the address can't be used.
    """
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # a name that can't be one is a UnicodeError
        why = error.strerror if isinstance(error, OSError) else "this is no name of a host"
        raise AddressError(
            f"can't listen on {address} for {what}: {why}",
            next_step="configure an address of this machine, such as 127.0.0.1, or a name that stands for one",
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(target)
        listener.listen(512)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressError(
                f"port {address.port} on {address.host} is taken; it is wanted for {what}",
                next_step=f"stop the process that has it (ss -ltnp 'sport = :{address.port}'), or configure another port",
            ) from error
        raise AddressError(
            f"can't listen on {address} for {what}: {error.strerror}",
            next_step="configure an address of this machine and a port that this user may use",
        ) from error
    return listener


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the gateway."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class HttpServer:
    """One ASGI application on one socket.

    Attributes:
        bound: Where it listens.
    """

    def __init__(
        self,
        application: Application,
        address: HostPort,
        what: str,
        *,
        certificates: ServerCertificates | None = None,
        share: bool = False,
    ) -> None:
        """Bind the port.

        Args:
            application: What answers.
            address: Where to listen.
            what: What it is for, in words, for errors.
            certificates: For HTTPS.
            share: Other processes of this user listen there too.

        Raises:
            AddressError: The port is taken or the address can't be used.
        """
        self._socket = bind(address, what, share=share)
        self.bound = HostPort(address.host, self._socket.getsockname()[1])
        config = uvicorn.Config(
            application,
            http=LimitedHttpProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
        )
        config.load()
        config.ssl = certificates.context if certificates else None
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.005)

    def abandon(self) -> None:
        """Give the port back without having started."""
        self._socket.close()

    async def stop(self) -> None:
        """Answer what is under way, then close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()
