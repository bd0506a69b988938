# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A back end in one file: takes OTLP over HTTP and keeps each request as it came, so that anyone can look at what was forwarded."""

from __future__ import annotations

import gzip
import itertools
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

_Message = MutableMapping[str, Any]


class Sink:
    """An ASGI application: ``POST /v1/{traces,logs,metrics}`` becomes one file in ``directory``."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._numbers = itertools.count(len(list(directory.iterdir())))

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if dict(scope["headers"]).get(b"content-encoding") == b"gzip":
            body = gzip.decompress(body)
        signal = scope["path"].rsplit("/", 1)[-1]
        found = scope["method"] == "POST" and signal in {"traces", "logs", "metrics"}
        if found:
            (self._directory / f"{next(self._numbers):06d}.{signal}.pb").write_bytes(body)
        headers = [(b"content-type", b"application/x-protobuf")]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(
        Sink(Path(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", lifespan="off"
    )
