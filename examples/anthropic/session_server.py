# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Stands in for Anthropic's API on a loopback port, so that the example runs without a key and without a network.

It follows a script: the agent looks the customer up and lists the invoices on an MCP server, then wants to create a refund there,
which a person must confirm; it refuses where the customer had a recent chargeback. The MCP server is pretended, too.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runrecord.demo import shop

Item = dict[str, Any]
WHEN = "2026-11-22T00:00:00Z"


class _Session:
    """The session of one customer: its events so far, and those that follow."""

    def __init__(self, customer_id: str) -> None:
        self.customer_id = customer_id
        self.events: list[Item] = []
        self.changed = threading.Condition()
        self._numbers = itertools.count(1)

    def begin(self) -> None:
        """What the agent does first."""
        who = {"customer_id": self.customer_id}
        (invoice,) = json.loads(shop.list_invoices(self.customer_id))
        self._say("session.status_running")
        self._say("span.model_request_start")
        self._call("lookup_customer", who, shop.lookup_customer(self.customer_id))
        self._call("list_invoices", who, shop.list_invoices(self.customer_id))
        if shop.has_recent_chargeback(invoice["id"]):
            self._say("session.status_idle", stop_reason={"type": "refusal"})
            return
        wanted = {"invoice_id": invoice["id"], "amount": invoice["amount"]}
        asked = self._call("create_refund", wanted, None)
        waits = {"type": "requires_action", "event_ids": [asked["id"]]}
        self._say("session.status_idle", stop_reason=waits)

    def take(self, sent: Item) -> None:
        """Take what the application sends, and go on."""
        self._say(**sent)
        if sent["type"] == "user.message":
            self.begin()
            return
        asked = next(event for event in self.events if event["id"] == sent["tool_use_id"])
        self._say("session.status_running")
        if sent["result"] == "allow":
            self._result(asked, shop.create_refund(**asked["input"]))
        text = [{"type": "text", "text": "Your request has been dealt with."}]
        self._say("agent.message", content=text)
        self._say("session.status_idle", stop_reason={"type": "end_turn"})

    def _call(self, name: str, given: Item, output: str | None) -> Item:
        asks = output is None
        called = self._say(
            "agent.mcp_tool_use",
            name=name,
            input=given,
            mcp_server_name="shop",
            evaluated_permission="ask" if asks else "allow",
            evaluation={"type": "always_ask" if asks else "always_allow"},
        )
        if output is not None:
            self._result(called, output)
        return called

    def _result(self, called: Item, output: str) -> None:
        content = [{"type": "text", "text": output}]
        self._say("agent.mcp_tool_result", mcp_tool_use_id=called["id"], content=content, is_error=False)

    def _say(self, type: str, **fields: Any) -> Item:  # noqa: A002
        event_id = f"sevt_{self.customer_id}_{next(self._numbers)}"
        event = {"id": event_id, "type": type, "processed_at": WHEN, **fields}
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()
        return event


_sessions: dict[str, _Session] = {}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Make a session, or take events for one."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.partition("?")[0] == "/v1/sessions":
            self._reply(_described(body))
            return
        session = self._session()
        for event in body["events"]:
            session.take(event)
        self._reply({"data": []})

    def do_GET(self) -> None:
        """List the events of a session, or send those that follow."""
        session = self._session()
        if "/stream" in self.path:
            self._stream(session)
            return
        if not session.events:  # of the process before this one
            session.take({"type": "user.message", "content": []})
        self._reply({"data": session.events, "next_page": None})

    def _session(self) -> _Session:
        customer_id = self.path.split("/")[3].removeprefix("sesn_")
        return _sessions.setdefault(customer_id, _Session(customer_id))

    def _stream(self, session: _Session) -> None:
        at = len(session.events)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        while True:
            with session.changed:
                while len(session.events) == at:
                    session.changed.wait()
                new, at = session.events[at:], len(session.events)
            for event in new:
                self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def _reply(self, body: Item) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def _described(body: Item) -> Item:
    metadata = body["metadata"]
    return {
        "id": f"sesn_{metadata['customer']}",
        "type": "session",
        "agent": {"type": "agent", "id": body["agent"], "name": "refund-agent", "version": 1},
        "environment_id": body["environment_id"],
        "metadata": metadata,
        "status": "idle",
        "created_at": WHEN,
        "updated_at": WHEN,
    }


@contextmanager
def session_server() -> Generator[str, None, None]:
    """Serve for the time of a block; yields the base address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
