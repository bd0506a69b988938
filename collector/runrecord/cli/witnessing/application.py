# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A witness over HTTP (C2SP tlog-witness): ``POST /add-checkpoint`` and ``GET /ORIGIN-HASH/checkpoint``."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from runrecord.ledger.witness.protocol import MAX_REQUEST
from runrecord.ledger.witness.witness import Answer

if TYPE_CHECKING:
    from runrecord.ledger.witness import Witness

_CHECKPOINT: Final = re.compile(r"/([0-9a-f]{64})/checkpoint")
_SECONDS: Final = 15.0
_AT_ONCE: Final = 64


class WitnessApplication:
    """An ASGI application.

    Args:
        witness: What answers.
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        answer, headers = await self._answer(scope["method"], scope["path"], receive)
        headers += [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", b"%d" % len(answer.body)),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answer(self, method: str, path: str, receive: Any) -> tuple[Answer, list[tuple[bytes, bytes]]]:
        if path == "/add-checkpoint":
            return await self._add(method, receive)
        match = _CHECKPOINT.fullmatch(path)
        if match is None:
            return Answer(404, b"there is add-checkpoint, and ORIGIN-HASH/checkpoint\n"), []
        if method not in {"GET", "HEAD"}:
            return Answer(405, b"use GET\n"), [(b"allow", b"GET, HEAD")]
        return await asyncio.to_thread(self._witness.checkpoint, match[1]), []

    async def _add(self, method: str, receive: Any) -> tuple[Answer, list[tuple[bytes, bytes]]]:
        if method != "POST":
            return Answer(405, b"use POST\n"), [(b"allow", b"POST")]
        if self._room.locked():
            return Answer(503, b"too many requests are under way\n"), [(b"retry-after", b"1")]
        async with self._room:
            try:
                body = await asyncio.wait_for(_body(receive), _SECONDS)
            except asyncio.TimeoutError:
                return Answer(408, b"the request did not come in time\n"), []
            if body is None:
                return Answer(413, b"a request has %d bytes at most\n" % MAX_REQUEST), []
            return await asyncio.to_thread(self._witness.add_checkpoint, body), []


async def _body(receive: Any) -> bytes | None:
    """Return the body, None if it is too large."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_REQUEST:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)
