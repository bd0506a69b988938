# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Stands in for OpenAI's API on a loopback port, so that the example runs without a key and without a network.

It follows a script: it looks the customer up and lists the invoices on a hosted MCP server, then wants to create a refund there, which
a person must approve; it refuses where the customer had a recent chargeback. The MCP server is pretended, too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runrecord.demo import shop

Item = dict[str, Any]


def called(customer_id: str, number: int, name: str, arguments: Item, output: str, **more: Any) -> Item:
    """A call that the API made on the MCP server."""
    return {
        "id": f"mcp_{customer_id}_{number}",
        "type": "mcp_call",
        "server_label": "shop",
        "name": name,
        "arguments": json.dumps(arguments),
        "output": output,
        "error": None,
        "status": "completed",
        **more,
    }


def listed() -> Item:
    """What the MCP server declares of its tools."""
    hints = {
        "lookup_customer": {"readOnlyHint": True},
        "list_invoices": {"readOnlyHint": True},
        "create_refund": {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False},
    }
    tools = [
        {"name": name, "input_schema": {}, "description": None, "annotations": hint}
        for name, hint in hints.items()
    ]
    return {"id": "mcpl_shop", "type": "mcp_list_tools", "server_label": "shop", "tools": tools}


def message(number: str, part: Item) -> Item:
    """A message of the model."""
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def output(body: Item) -> list[Item]:
    """What the model says next."""
    customer_id = body["metadata"]["customer"]
    (invoice,) = json.loads(shop.list_invoices(customer_id))
    who = {"customer_id": customer_id}
    wanted = {"invoice_id": invoice["id"], "amount": invoice["amount"]}
    request_id = f"mcpr_{customer_id}"
    answer = next((item for item in body["input"] if item.get("type") == "mcp_approval_response"), None)
    if answer is not None:
        done = message(f"{customer_id}_2", _text("Your request has been dealt with."))
        if not answer["approve"]:
            return [done]
        receipt = shop.create_refund(**wanted)
        return [
            called(customer_id, 3, "create_refund", wanted, receipt, approval_request_id=request_id),
            done,
        ]
    looked = [
        listed(),
        called(customer_id, 1, "lookup_customer", who, shop.lookup_customer(customer_id)),
        called(customer_id, 2, "list_invoices", who, shop.list_invoices(customer_id)),
    ]
    if shop.has_recent_chargeback(invoice["id"]):
        refusal = {"type": "refusal", "refusal": "I can't refund this customer."}
        return [*looked, message(f"{customer_id}_1", refusal)]
    return [
        *looked,
        {
            "id": request_id,
            "type": "mcp_approval_request",
            "server_label": "shop",
            "name": "create_refund",
            "arguments": json.dumps(wanted),
        },
    ]


def _text(text: str) -> Item:
    return {"type": "output_text", "text": text, "annotations": []}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Answer a request for a response."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answered = any(item.get("type") == "mcp_approval_response" for item in body["input"])
        response = {
            "id": f"resp_{body['metadata']['customer']}_{2 if answered else 1}",
            "object": "response",
            "created_at": 1_800_000_000,
            "status": "completed",
            "model": body["model"],
            "output": output(body),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        data = json.dumps(response).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def model_server() -> Generator[str, None, None]:
    """Serve for the time of a block; yields the base address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
