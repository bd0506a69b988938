# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The physical limit of a Python gateway: gRPC in, HTTP out, the very same bytes; with ``--redact RULES`` our engine in between."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx2

from bench.rules import policy
from runrecord.processors.redaction import Redactor
from runrecord.processors.signal import Signal

_HEADERS = {"content-type": "application/x-protobuf"}


async def main(port: int, backend: str, rules: int | None) -> None:
    """Serve until killed.

    Args:
        port: Where to listen.
        backend: URL to which each request goes on.
        rules: How many rules redact; None for no redaction at all.
    """
    redactor = None if rules is None else Redactor(policy(rules))
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    loop = asyncio.get_running_loop()
    limits = httpx2.Limits(max_connections=8)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as client:

        async def export(body: bytes, _context: grpc.aio.ServicerContext) -> bytes:
            if redactor is not None:
                body = (await loop.run_in_executor(pool, redactor.redact, Signal.TRACES, body)).body
            (await client.post(backend, content=body, headers=_HEADERS)).raise_for_status()
            return b""

        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        handlers = {"Export": grpc.unary_unary_rpc_method_handler(export)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None))
