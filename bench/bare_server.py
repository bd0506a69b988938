# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The physical limit of a Python OTLP receiver: grpc.aio hands the bytes over, nothing reads them, nothing is kept."""

from __future__ import annotations

import asyncio
import sys

import grpc


async def _export(_request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
    return b""


async def main() -> None:
    """Serve until killed."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
    handler = grpc.unary_unary_rpc_method_handler(
        _export, request_deserializer=None, response_serializer=None
    )
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler})])
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
