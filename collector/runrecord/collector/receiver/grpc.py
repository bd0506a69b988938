# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC: the three Export methods over raw bytes, so that a request is parsed once and by us."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from runrecord.collector.errors import AddressError
from runrecord.collector.receiver.accept import Acceptor
from runrecord.collector.receiver.auth import Authenticator
from runrecord.collector.receiver.requests import SERVICES, response
from runrecord.collector.receiver.status import Code, Refusal
from runrecord.collector.servers import bind
from runrecord.collector.tls import ServerCertificates
from runrecord.collector.values import HostPort
from runrecord.processors.signal import Signal

_log = logging.getLogger(__name__)

STATUS_DETAILS: Final = "grpc-status-details-bin"
_MESSAGE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 1.0
_READERS: Final = 128
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


if TYPE_CHECKING:
    _GenericHandler = grpc.GenericRpcHandler[Any, Any]
else:
    _GenericHandler = grpc.GenericRpcHandler


class GrpcReceiver:
    """The gRPC server.

    Attributes:
        bound: Where it listens, once it has started.
    """

    def __init__(
        self,
        acceptor: Acceptor,
        address: HostPort,
        *,
        max_message: int,
        certificates: ServerCertificates | None = None,
        authenticator: Authenticator | None = None,
        share: bool = False,
    ) -> None:
        """Make the server and bind its port.

        Args:
            acceptor: Takes the requests.
            address: Where to listen.
            max_message: The most bytes of a message, both before and after decompression: gRPC answers larger ones
                itself, with RESOURCE_EXHAUSTED, and stops decompressing at the limit.
            certificates: For TLS.
            authenticator: Says who may send; anybody may without.
            share: Other processes of this user listen there too.

        Raises:
            AddressError: The port is taken or the address can't be used.
        """
        self._acceptor = acceptor
        self._authenticator = authenticator
        self._readers = asyncio.Semaphore(_READERS)
        self._reading = 0
        aio: Any = grpc.aio
        self._server = aio.server(
            options=[
                ("grpc.max_receive_message_length", max_message),
                ("grpc.so_reuseport", int(share)),
                ("grpc.max_connection_age_grace_ms", 10_000),
                ("grpc.http2.max_ping_strikes", 0),
                ("grpc.max_concurrent_streams", 256),
                ("grpc.server_handshake_timeout_ms", 30_000),
                (
                    "grpc.keepalive_time_ms",
                    120_000,
                ),  # a client that went without a word holds no memory for ever
                ("grpc.keepalive_timeout_ms", 20_000),
            ]
        )
        self._server.add_generic_rpc_handlers([_Exports(self._export)])
        if address.port and not share:  # who shares it was told that it is free
            bind(
                address, "OTLP over gRPC", share=share
            ).close()  # gRPC itself does not say why it can't listen
        try:
            if certificates is None:
                port = self._server.add_insecure_port(str(address))
            else:
                port = self._server.add_secure_port(str(address), certificates.grpc_credentials())
        except RuntimeError:
            port = 0
        if not port:
            raise AddressError(
                f"can't listen on {address} for OTLP over gRPC",
                next_step="configure an address of this machine and a port that this user may use",
            )
        self.bound = HostPort(address.host, port)

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Take no new requests, and give those under way `grace` seconds."""
        await self._server.stop(grace)

    async def _export(self, signal: Signal, messages: AsyncIterator[bytes], context: Any) -> bytes:
        try:
            if self._authenticator is not None:
                self._authenticator.check(_authorization(context))
            self._acceptor.check_signal(signal)
            self._acceptor.check_room()
            async with self._readers:
                body = await self._read(messages)
            headers = context.invocation_metadata() or ()
            return response(
                signal, await self._acceptor.accept(signal, body, transport="grpc", headers=headers)
            ).SerializeToString()
        except Refusal as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 - a client must get an answer, and no content may reach a log
            _log.error("a request over gRPC failed: %s", type(error).__name__)
            refusal = Refusal(Code.INTERNAL, "the gateway failed on this request")
        trailers = ((STATUS_DETAILS, refusal.status().SerializeToString()),)
        await context.abort(_CODES[int(refusal.code)], refusal.message, trailers)
        raise AssertionError  # abort raises

    async def _read(self, messages: AsyncIterator[bytes]) -> bytes:
        """Read the one message; gRPC does not tell how much of it has come, so the memory of the process is looked at meanwhile."""
        reading = asyncio.ensure_future(_next(messages))
        self._reading += 1
        try:
            for _ in range(math.ceil(_MESSAGE_SECONDS / _LOOK_SECONDS)):
                done, _ = await asyncio.wait({reading}, timeout=_LOOK_SECONDS)
                if done:
                    break
                if self._reading > 1:
                    self._acceptor.check_memory()
            else:
                slow = f"the message did not arrive within {_MESSAGE_SECONDS:.0f} s"
                raise Refusal(Code.INVALID_ARGUMENT, slow)
        finally:
            self._reading -= 1
            reading.cancel()
        if (body := reading.result()) is None:
            raise Refusal(Code.INVALID_ARGUMENT, "the call has no message")
        return body


async def _next(messages: AsyncIterator[bytes]) -> bytes | None:
    return await anext(messages, None)


def _authorization(context: Any) -> str:
    found = (value for name, value in context.invocation_metadata() or () if name == "authorization")
    value = next(found, "")
    return value if isinstance(value, str) else ""


class _Exports(_GenericHandler):
    """Finds the handler of an Export method; everything else is UNIMPLEMENTED.

    A handler of one message is called when it is there in full. These are handlers of a stream, which is the same on the wire, so
    that a client is told no before its message takes memory.
    """

    def __init__(self, export: Callable[[Signal, AsyncIterator[bytes], Any], Awaitable[bytes]]) -> None:
        self._handlers: dict[str, Any] = {}
        for signal, service in SERVICES.items():

            async def handle(messages: AsyncIterator[bytes], context: Any, signal: Signal = signal) -> bytes:
                return await export(signal, messages, context)

            library: Any = grpc
            self._handlers[service.method] = library.stream_unary_rpc_method_handler(handle)

    def service(self, handler_call_details: Any) -> Any:
        """Look a method up by its full name."""
        return self._handlers.get(handler_call_details.method)
