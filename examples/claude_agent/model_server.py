# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A model that follows a script: Anthropic's Messages API on a loopback port, as much of it as the agent needs."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runrecord.demo import shop

ANSWER = "Your request has been dealt with."


def turn(customer_id: str, request: dict[str, Any]) -> dict[str, Any]:
    """What the model says next, by what it has results of."""
    (invoice,) = json.loads(shop.list_invoices(customer_id))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("lookup_customer", {"customer_id": customer_id}),
        ("list_invoices", {"customer_id": customer_id}),
        ("create_refund", {"invoice_id": invoice["id"], "amount": invoice["amount"]}),
    ]
    blocks = [
        block for message in request["messages"] for block in message["content"] if isinstance(block, dict)
    ]
    number = len([block for block in blocks if block.get("type") == "tool_result"])
    if number >= len(calls):
        return {"type": "text", "text": ANSWER}
    name, arguments = calls[number]
    return {
        "type": "tool_use",
        "id": f"toolu-{customer_id}-{number + 1}",
        "name": f"mcp__shop__{name}",
        "input": arguments,
    }


def events(block: dict[str, Any], model: str, number: int) -> bytes:
    """One answer, as the API streams it."""
    calls = block["type"] == "tool_use"
    start = {**block, "input": {}} if calls else {**block, "text": ""}
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        if calls
        else {"type": "text_delta", "text": block["text"]}
    )
    message = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    end = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in told).encode()


@contextmanager
def serving(customer_id: str) -> Generator[str, None, None]:
    """Serve while the block runs; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        number = 0

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.answer(200, b"")

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path.partition("?")[0] != "/v1/messages":
                self.answer(404, b"{}")
                return
            Handler.number += 1
            self.answer(200, events(turn(customer_id, request), request["model"], Handler.number))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
