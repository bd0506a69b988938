# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 with the limits that uvicorn's protocol does not have: of the headers' size, of their time, of what is thrown away.

What is not HTTP is answered in the form that OTLP asks of every error: `google.rpc.Status`, here in JSON, for nobody knows yet which
encoding the client would have used.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEADER_BYTES: Final = 64 << 10
HEADER_SECONDS: Final = 30.0
DISCARD_BYTES: Final = 1 << 30
DISCARD_SECONDS: Final = 60.0
_INVALID_ARGUMENT: Final = 3


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection.

    Attributes:
        header_seconds: How long a request line and headers may take, and a connection may say nothing at its begin.
        discard_seconds: How long a client may go on to send a body after it was answered.
    """

    header_seconds = HEADER_SECONDS
    discard_seconds = DISCARD_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See uvicorn's."""
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._unparsed = 0  # bytes since the last complete headers, or part of a body
        self._header_bytes = 0
        self._discarded = 0
        self._message_is_open = False

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._limit(self.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._limit(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and see that it leads to something."""
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > HEADER_BYTES and not self.transport.is_closing():
            self._refuse_headers()

    def on_message_begin(self) -> None:
        """A request line begins."""
        super().on_message_begin()
        self._message_is_open = True
        self._header_bytes = self._discarded = 0
        self._limit(self.header_seconds)

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._header_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, or one of those behind a body."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_BYTES:
            self._refuse_headers()
        elif not self.transport.is_closing():
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Give the request to the application, which has a limit of its own for the body."""
        self._unparsed = 0
        self._limit(None)
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unparsed = 0
        if self.transport.is_closing():
            return
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > DISCARD_BYTES:
                self.transport.close()
                return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._unparsed = 0
        self._message_is_open = False
        self._limit(None)
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Answered; what is left of the body is thrown away for a while."""
        super().on_response_complete()
        if self._message_is_open and not self.transport.is_closing():
            self._limit(self.discard_seconds)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._answer_and_close(400, "this is not a valid HTTP/1.1 request" if msg else msg)

    def _refuse_headers(self) -> None:
        self._answer_and_close(431, f"the headers are larger than {HEADER_BYTES} bytes")

    def _answer_and_close(self, status: int, message: str) -> None:
        if self.transport.is_closing():
            return
        body = json.dumps({"code": _INVALID_ARGUMENT, "message": message}).encode()
        if not self.cycle or self.cycle.response_complete:  # not in the middle of another answer
            head = (
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()

    def _limit(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
