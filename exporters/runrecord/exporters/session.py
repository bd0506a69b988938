# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP session that sends redacted requests for an OTLP/HTTP exporter."""

from __future__ import annotations

import zlib
from typing import Any, Final

import requests

from runrecord.exporters.payload import TransportError, current

_GZIP: Final = 31
"""`wbits` of zlib for the gzip container."""

_LEVEL: Final = 1
"""Of compression. The default, 6, costs more time than encoding the spans."""


class PayloadSession(requests.Session):
    """Sends the current payload in place of the body it is given, compressed as the request's headers say.

    Give it to an OTLP/HTTP exporter as ``session=``. It refuses to send anything outside of `payload.sending`.
    """

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Replace the body of a POST by the payload and send it.

        Args:
            request: The prepared request; its headers are kept but for the length.
            **kwargs: As for `requests.Session.send`.

        Raises:
            TransportError: There is no payload, or the request asks for an encoding that is not known here.
        """
        if request.method == "POST":
            payload = current()
            if payload is None:
                raise TransportError(
                    "This OTLP/HTTP exporter belongs to a redacting exporter and was asked to send something else.",
                    next_step="Export through the SafeSpanExporter or SafeLogExporter that wraps it.",
                )
            body = _compress(payload.take_body(), request.headers.get("Content-Encoding"))
            request.body = body
            request.headers["Content-Length"] = str(len(body))
        return super().send(request, **kwargs)


def _compress(body: bytes, encoding: str | bytes | None) -> bytes:
    name = encoding.decode("latin-1") if isinstance(encoding, bytes) else encoding or ""
    match name.lower():
        case "" | "none" | "identity":
            return body
        case "gzip":
            compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
            return compressor.compress(body) + compressor.flush()
        case "deflate":
            return zlib.compress(body, _LEVEL)
        case _:
            raise TransportError("The OTLP/HTTP exporter asks for a compression that is not gzip or deflate.")
