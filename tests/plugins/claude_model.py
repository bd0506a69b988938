# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A scripted model for the real Claude Code program: the Messages API on the loopback interface, no network, no key."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Block = dict[str, Any]
Script = Callable[[dict[str, Any]], list[Block]]


def text(said: str) -> Block:
    """A text of the model."""
    return {"type": "text", "text": said}


def call(call_id: str, name: str, **arguments: Any) -> Block:
    """A tool call of the model."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def results(request: dict[str, Any]) -> list[str]:
    """The ids of the calls that the conversation has results of."""
    blocks = (block for message in request["messages"] for block in message["content"])
    return [b["tool_use_id"] for b in blocks if isinstance(b, dict) and b.get("type") == "tool_result"]


def turns(*answers: list[Block]) -> Script:
    """A script: with each answer that asks for tools, once there are results for those before, the next."""

    def script(request: dict[str, Any]) -> list[Block]:
        known = set(results(request))
        for answer in answers:
            asked = {block["id"] for block in answer if block["type"] == "tool_use"}
            if not asked or not asked <= known:
                return answer
        return [text("Done.")]

    return script


def _events(blocks: list[Block], model: str, number: int) -> bytes:
    lines: list[str] = []

    def event(kind: str, **data: Any) -> None:
        lines.append(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n")

    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": model, "content": []}
    event("message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage})
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            event("content_block_start", index=index, content_block={**block, "input": {}})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        event("content_block_delta", index=index, delta=delta)
        event("content_block_stop", index=index)
    stop = "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"
    event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 5})
    event("message_stop")
    return "".join(lines).encode()


class Model:
    """The server; ``script`` may be replaced, and a ``LookupError`` of it is an error of the API."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        numbers = itertools.count()
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_HEAD(self) -> None:
                self._answer(200, "text/plain", b"")

            def do_GET(self) -> None:
                self._answer(404, "application/json", b"{}")

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if not self.path.partition("?")[0].endswith("/v1/messages"):
                    self._answer(404, "application/json", b"{}")
                    return
                model.requests.append(request)
                try:
                    blocks = model.script(request)
                except LookupError:
                    error = {
                        "type": "error",
                        "error": {"type": "invalid_request_error", "message": "planted"},
                    }
                    self._answer(400, "application/json", json.dumps(error).encode())
                    return
                self._answer(200, "text/event-stream", _events(blocks, request["model"], next(numbers)))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Generator[Model, None, None]:
        """Serve while the block runs."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def environment(self, home: Path) -> dict[str, str]:
        """What a CLI needs in order to talk to this model and to nobody else, and to read no settings of the user."""
        return {
            "HOME": str(home),
            "CLAUDE_CONFIG_DIR": str(home / ".claude"),
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "sk-ant-not-a-key",
            "ANTHROPIC_AUTH_TOKEN": "",
            "CLAUDE_CODE_OAUTH_TOKEN": "",
            "CLAUDECODE": "",
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_ENABLE_TELEMETRY": "0",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_AUTOUPDATER": "1",
            "ENABLE_TOOL_SEARCH": "false",
        }
