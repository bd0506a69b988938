# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP as an ASGI application: binary and JSON on one port, every answer in the encoding of its request."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from runrecord.collector.http_protocol import DISCARD_BYTES
from runrecord.collector.receiver.accept import Acceptor, Reservation
from runrecord.collector.receiver.auth import Authenticator
from runrecord.collector.receiver.compression import ENCODINGS, BadCompressionError, TooLargeError, decompress
from runrecord.collector.receiver.otlp_json import json_to_protobuf
from runrecord.collector.receiver.requests import SERVICES, response, response_json
from runrecord.collector.receiver.status import Code, Refusal, too_large
from runrecord.collector.routing import Pairs
from runrecord.processors.signal import Signal

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_PATHS: Final = {service.path: signal for signal, service in SERVICES.items()}
_BODY_SECONDS: Final = 60.0
_INLINE_BYTES: Final = 128 << 10
_USUAL_RATIO: Final = 16


class Disconnected(Exception):  # noqa: N818 - an event of the connection
    """The client went away in the middle of its body."""


class HttpReceiver:
    """The ASGI application."""

    def __init__(
        self, acceptor: Acceptor, *, max_body: int, authenticator: Authenticator | None = None
    ) -> None:
        """Join it with the common way in.

        Args:
            acceptor: Takes the requests.
            max_body: The most bytes of a body, both before and after decompression.
            authenticator: Says who may send; anybody may without.
        """
        self._acceptor = acceptor
        self._authenticator = authenticator
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            body = await self._answer(scope, headers, content_type, receive)
            await _send(send, 200, content_type, body)
        except Refusal as refusal:
            await self._refuse(send, headers, content_type, refusal)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - a client must get an answer, and no content may reach a log
            _log.error("a request over HTTP failed: %s", type(error).__name__)
            await self._refuse(
                send, headers, content_type, Refusal(Code.INTERNAL, "the gateway failed on this request")
            )

    async def _answer(
        self, scope: Scope, headers: dict[str, str], content_type: str, receive: Receive
    ) -> bytes:
        if self._authenticator is not None:
            self._authenticator.check(headers.get("authorization", ""))
        signal = _PATHS.get(scope["path"])
        if signal is None:
            raise Refusal(Code.UNIMPLEMENTED, f"there is no such path; there are {', '.join(_PATHS)}")
        if scope["method"] != "POST":
            raise Refusal(
                Code.UNIMPLEMENTED, "only POST is allowed", http_status=405, headers=(("allow", "POST"),)
            )
        self._acceptor.check_signal(signal)
        if content_type not in {PROTOBUF, JSON}:
            raise Refusal(
                Code.INVALID_ARGUMENT, f"Content-Type must be {PROTOBUF} or {JSON}", http_status=415
            )
        encoding = headers.get("content-encoding", "").strip().lower() or "identity"
        if encoding not in {"identity", *ENCODINGS}:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"Content-Encoding must be one of {', '.join(ENCODINGS)}, or absent",
                http_status=415,
                headers=(("accept-encoding", ", ".join(ENCODINGS)),),
            )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body:
            raise too_large(self._max_body)
        self._acceptor.check_room()
        with self._acceptor.reservation() as memory:
            memory.grow_to(int(length) if length.isdecimal() else 1)
            raw = await self._read(receive, memory)
            body = raw if encoding == "identity" else await self._decompress(encoding, raw, memory)
            del raw
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        return await self._accept(signal, body, content_type, pairs)

    async def _accept(self, signal: Signal, body: bytes, content_type: str, headers: Pairs) -> bytes:
        if content_type == PROTOBUF:
            return response(
                signal, await self._acceptor.accept(signal, body, transport="http", headers=headers)
            ).SerializeToString()

        def convert(text: bytes) -> bytes:
            return json_to_protobuf(signal, text)

        checked = await self._acceptor.accept(
            signal, body, transport="http", headers=headers, convert=convert
        )
        return json.dumps(response_json(signal, checked)).encode()

    async def _read(self, receive: Receive, memory: Reservation) -> bytes:
        """Read the body, and stop at the limit."""
        parts: list[bytes] = []
        size, more = 0, True
        deadline = asyncio.get_running_loop().time() + _BODY_SECONDS
        while more:
            left = deadline - asyncio.get_running_loop().time()
            try:
                message = await asyncio.wait_for(receive(), max(left, 0.001))
            except asyncio.TimeoutError:
                slow = f"the body did not arrive within {_BODY_SECONDS:.0f} s"
                raise Refusal(
                    Code.INVALID_ARGUMENT, slow, http_status=408, headers=(("connection", "close"),)
                ) from None
            if message["type"] == "http.disconnect":
                raise Disconnected
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self._max_body:
                raise too_large(self._max_body)
            memory.grow_to(size)
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)

    async def _decompress(self, encoding: str, raw: bytes, memory: Reservation) -> bytes:
        """Decompress to a size that is usual first; only a body that needs more reserves the whole limit."""
        usual = min(self._max_body, max(_INLINE_BYTES, _USUAL_RATIO * len(raw)))
        for limit in (usual, self._max_body):
            memory.grow_to(len(raw) + limit)
            try:
                if limit <= _INLINE_BYTES:
                    return decompress(encoding, raw, limit)
                return await asyncio.to_thread(decompress, encoding, raw, limit)
            except TooLargeError:
                if limit == self._max_body:
                    break
            except BadCompressionError as error:
                raise Refusal(Code.INVALID_ARGUMENT, str(error)) from None
        raise too_large(self._max_body)

    async def _refuse(self, send: Send, headers: dict[str, str], content_type: str, refusal: Refusal) -> None:
        """Answer with a Status in the request's encoding; what is left of a body is read and thrown away by the server."""
        extra = list(refusal.headers)
        if refusal.retry_after_header:
            extra.append(("retry-after", refusal.retry_after_header))
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > DISCARD_BYTES:
            extra.append(("connection", "close"))
        if content_type == PROTOBUF:
            await _send(send, refusal.http_status, PROTOBUF, refusal.status().SerializeToString(), extra)
        else:
            await _send(send, refusal.http_status, JSON, json.dumps(refusal.status_json()).encode(), extra)


async def _send(
    send: Send, status: int, content_type: str, body: bytes, extra: list[tuple[str, str]] | None = None
) -> None:
    headers = [("content-type", content_type), ("content-length", str(len(body))), *(extra or [])]
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
