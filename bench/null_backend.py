# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A back end that takes everything and keeps a count, in a process whose CPU is not measured."""

from __future__ import annotations

import gzip
import sys
from typing import Any

import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_GZIP = b"\x1f\x8b"
_received = {"spans": 0}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer 200 to every request, once its body is there; under /received with the number of spans so far."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    answer, kind = b"", b"application/x-protobuf"
    if scope["path"] == "/received":
        answer, kind = str(_received["spans"]).encode(), b"text/plain"
    else:
        body = b"".join(parts)
        if body.startswith(_GZIP):  # Rotel compresses whatever it is told
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        _received["spans"] += sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", lifespan="off")
