# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real client against a model server on a loopback port, instrumented with a recorder in memory."""

import itertools
import json
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any, ClassVar

import pytest
from openai import AsyncOpenAI, OpenAI

from runrecord.instrumentation.openai import OpenAIInstrumentor

HAS_RUNNERS = find_spec("openai.lib.responses_tool_runner") is not None


ARGUMENTS = '{"invoice": "i-1", "amount": 80.0}'


class ModelServer:
    """Speaks the Responses and the Chat Completions API; every request gets the next answer of the script.

    An answer is a body, a function that makes one of the request, or (status, body) for an error. A request for a stream gets
    the same body as events, of which ``cut`` leaves the last ones away and closes the connection.
    """

    MCP: ClassVar[dict[str, Any]] = {
        "type": "mcp",
        "server_label": "payments",
        "server_url": "https://mcp.example.org",
        "require_approval": "always",
    }
    """The declaration of a hosted MCP server whose calls a person must approve."""
    ASKS: ClassVar[dict[str, Any]] = {
        "id": "mcpr_1",
        "type": "mcp_approval_request",
        "server_label": "payments",
        "name": "create_refund",
        "arguments": ARGUMENTS,
    }
    """What a response says when a person must approve a call."""
    YES: ClassVar[dict[str, Any]] = {
        "type": "mcp_approval_response",
        "approval_request_id": "mcpr_1",
        "approve": True,
    }
    """The answer."""
    RAN: ClassVar[dict[str, Any]] = {
        "id": "mcp_1",
        "type": "mcp_call",
        "server_label": "payments",
        "name": "create_refund",
        "arguments": ARGUMENTS,
        "approval_request_id": "mcpr_1",
        "output": "paid",
        "error": None,
        "status": "completed",
    }
    """The call that the server made then."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answers: list[Any] = []
        self.cut = 0
        self._numbers = itertools.count(1)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.requests.append(body)
                self.answer(body, server.answers.pop(0) if len(server.answers) > 1 else server.answers[0])

            def do_GET(self) -> None:
                self.answer({}, server.answers.pop(0))

            def answer(self, request: dict[str, Any], answer: Any) -> None:
                made: Any = answer(request) if callable(answer) else answer
                status: int
                body: Any
                status, body = made if type(made) is tuple else (200, made)
                streamed = bool(request.get("stream")) and status == 200
                if streamed:
                    events = _events(body)
                    text = "".join(events[: len(events) - server.cut]).encode()
                    length = len(text) + (
                        1 if server.cut else 0
                    )  # one more than there are: the connection breaks
                else:
                    text = json.dumps(body).encode()
                    length = len(text)
                self.send_response(status)
                self.send_header("content-type", "text/event-stream" if streamed else "application/json")
                self.send_header("content-length", str(length))
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def script(self, *answers: Any) -> None:
        """Set what is answered next; the last answer is given again and again."""
        self.answers = list(answers)

    def response(self, *output: Any, **fields: Any) -> dict[str, Any]:
        """A response with these output items."""
        return {
            "id": f"resp_{next(self._numbers)}",
            "object": "response",
            "created_at": 1_800_000_000,
            "status": "completed",
            "model": "gpt-test",
            "output": list(output),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": 11,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 7,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 18,
            },
            **fields,
        }

    def message(self, text: str = "Done.", **part: Any) -> dict[str, Any]:
        """A message of the model."""
        content = part or {"type": "output_text", "text": text, "annotations": []}
        return {
            "id": f"msg_{next(self._numbers)}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [content],
        }

    def completion(self, **choice: Any) -> dict[str, Any]:
        """A chat completion."""
        return {
            "id": f"chatcmpl_{next(self._numbers)}",
            "object": "chat.completion",
            "created": 1_800_000_000,
            "model": "gpt-test",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "logprobs": None,
                    "message": {"role": "assistant", "content": "Done."},
                    **choice,
                }
            ],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }


def _events(body: dict[str, Any]) -> list[str]:
    if body["object"] == "chat.completion":
        return [*(f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(body)), "data: [DONE]\n\n"]
    started: dict[str, Any] = {**body, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": started}]
    for place, item in enumerate(body["output"]):
        events.append({"type": "response.output_item.added", "output_index": place, "item": _begun(item)})
        for index, part in enumerate(item.get("content") or []):
            where = {"item_id": item["id"], "output_index": place, "content_index": index}
            events.append({"type": "response.content_part.added", **where, "part": part})
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    kind = {"incomplete": "incomplete", "failed": "failed"}.get(body["status"], "completed")
    events.append({"type": f"response.{kind}", "response": body})
    return [
        f"event: {event['type']}\ndata: {json.dumps({'sequence_number': number, **event})}\n\n"
        for number, event in enumerate(events)
    ]


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "content": []} if "content" in item else item


def _chunks(body: dict[str, Any]) -> list[dict[str, Any]]:
    base = {**body, "object": "chat.completion.chunk"}
    base.pop("usage")
    (choice,) = body["choices"]
    return [
        {**base, "choices": [{"index": 0, "delta": choice["message"], "finish_reason": None}]},
        {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]},
    ]


@pytest.fixture
def server() -> Generator[ModelServer, None, None]:
    server = ModelServer()
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.server.shutdown()
    thread.join()
    server.server.server_close()


@pytest.fixture
def client(server: ModelServer) -> Generator[OpenAI, None, None]:
    with OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def async_client(server: ModelServer) -> Callable[[], AsyncOpenAI]:
    """Make one within the event loop that closes it."""
    return lambda: AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0)


@pytest.fixture
def instrumented(recorder: Any) -> Generator[OpenAIInstrumentor, None, None]:
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    instrumentor.uninstrument()
