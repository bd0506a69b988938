# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real client against a server on a loopback port, instrumented with a recorder in memory."""

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic

from runrecord.instrumentation.anthropic import AnthropicInstrumentor

WHEN = "2026-11-22T00:00:00Z"
SESSION = "sesn_1"


class Server:
    """Speaks the Messages API and the events of sessions.

    Messages: every request gets the next answer of the script: a message, a function that makes one of the request, or
    (status, body) for an error. A request for a stream gets the message as events, of which ``cut`` leaves the last away and
    breaks the connection.

    Sessions: what a client sends becomes part of the history, and the next batch of ``turns`` follows it; both go to whoever
    reads the stream at that time.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answers: list[Any] = []
        self.cut = 0
        self.turns: list[list[dict[str, Any]]] = []
        self.scripts: dict[str, list[list[dict[str, Any]]]] = {}  # the turns of further sessions
        self.histories: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.refuses: tuple[int, dict[str, Any]] | None = None
        self.closing = False
        self.changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._serial = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                path = self.path.partition("?")[0]
                if path == "/v1/messages":
                    server.requests.append(body)
                    self.message(body)
                elif path == "/v1/sessions":
                    self.reply(200, server.session(body))
                elif server.refuses is not None:
                    self.reply(*server.refuses)
                else:
                    sent = server.accept(body["events"], _session(path))
                    self.reply(200, {"data": sent})

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path.endswith("/stream"):
                    self.stream(server.histories[_session(path)])
                elif path.endswith("/events"):
                    self.reply(200, {"data": server.histories[_session(path)], "next_page": None})
                else:
                    self.reply(200, server.session({"agent": "agent_1"}))

            def message(self, request: dict[str, Any]) -> None:
                with server._serial:
                    answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
                made: Any = answer(request) if callable(answer) else answer
                status, body = made if type(made) is tuple else (200, made)
                if request.get("stream") and status == 200:
                    events = _events(body)
                    text = "".join(events[: len(events) - server.cut]).encode()
                    self.reply(200, text, extra=1 if server.cut else 0)
                else:
                    self.reply(status, body)

            def reply(self, status: int, body: Any, extra: int = 0) -> None:
                streamed = isinstance(body, bytes)
                text = body if streamed else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "text/event-stream" if streamed else "application/json")
                self.send_header("content-length", str(len(text) + extra))
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(text)

            def stream(self, history: list[dict[str, Any]]) -> None:
                at = len(history)
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(b"event: ping\ndata: {}\n\n")
                while not server.closing:
                    with server.changed:
                        if len(history) == at:
                            server.changed.wait(0.05)
                        new = history[at:]
                        at += len(new)
                    text = "".join(_sse(event) for event in new) or ": \n\n"
                    try:
                        self.wfile.write(text.encode())
                    except OSError:
                        return  # the client went away

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    # messages

    def script(self, *answers: Any) -> None:
        """Set what is answered next; the last answer is given again and again."""
        self.answers = list(answers)

    def message(self, *content: Any, stop: str = "end_turn", **fields: Any) -> dict[str, Any]:
        """A message of the model with these blocks."""
        return {
            "id": f"msg_{next(self._numbers)}",
            "type": "message",
            "role": "assistant",
            "model": "claude-test",
            "content": list(content) or [{"type": "text", "text": "Done."}],
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {"input_tokens": 11, "output_tokens": 7},
            **fields,
        }

    def calls(self, *blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """A message that calls tools."""
        return self.message(*blocks, stop="tool_use", **fields)

    @staticmethod
    def use(name: str = "lookup", call_id: str = "toolu_1", **given: Any) -> dict[str, Any]:
        """A call of a tool of the application."""
        return {"type": "tool_use", "id": call_id, "name": name, "input": given or {"order": "o-1"}}

    # sessions

    def session(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the server says of a session."""
        return {
            "id": SESSION,
            "type": "session",
            "agent": {"type": "agent", "id": "agent_1", "name": "refund-agent", "version": 1, "tools": []},
            "environment_id": "env_1",
            "metadata": body.get("metadata") or {},
            "status": "idle",
            "created_at": WHEN,
            "updated_at": WHEN,
        }

    def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        """An event."""
        return {"id": f"sevt_{next(self._numbers)}", "type": kind, "processed_at": WHEN, **fields}

    def running(self) -> list[dict[str, Any]]:
        """What a turn, or what goes on of it, begins with."""
        return [
            self.event("session.status_running"),
            self.event("span.model_request_start"),
        ]

    def idle(self, reason: str = "end_turn", **fields: Any) -> dict[str, Any]:
        """The end of a turn, or what it waits for."""
        details = fields.pop("stop_details", None)
        more = {"stop_details": details} if details else {}
        return self.event("session.status_idle", stop_reason={"type": reason, **fields}, **more)

    def wants(self, name: str = "create_refund", permission: str = "ask", **fields: Any) -> dict[str, Any]:
        """A call of a tool, as the permission policy judged it."""
        rule = {"ask": "always_ask", "allow": "always_allow"}.get(permission)
        return self.event(
            "agent.tool_use",
            name=name,
            input={"invoice": "i-1", "amount": 80},
            evaluated_permission=permission,
            **({"evaluation": {"type": rule}} if rule else {}),
            **fields,
        )

    @property
    def history(self) -> list[dict[str, Any]]:
        """What happened in the session of most tests."""
        return self.histories[SESSION]

    def accept(self, events: list[dict[str, Any]], session: str) -> list[dict[str, Any]]:
        """Take what a client sends, and let the agent go on."""
        sent = [{"id": f"sevt_{next(self._numbers)}", "processed_at": WHEN, **event} for event in events]
        turns = self.turns if session == SESSION else self.scripts[session]
        self.emit(*sent, *(turns.pop(0) if turns else ()), session=session)
        return sent

    def emit(self, *events: dict[str, Any], session: str = SESSION) -> None:
        """Let the agent go on."""
        with self.changed:
            self.histories[session].extend(events)
            self.changed.notify_all()


def _session(path: str) -> str:
    return path.removeprefix("/v1/sessions/").partition("/")[0]


def _sse(event: dict[str, Any]) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def _events(body: dict[str, Any]) -> list[str]:
    started = {**body, "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": started}]
    for index, block in enumerate(body["content"]):
        empty = {**block, **({"input": {}} if "input" in block else {"text": ""} if "text" in block else {})}
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        if "input" in block:
            text = json.dumps(block["input"])
            parts = [{"type": "input_json_delta", "partial_json": part} for part in (text[:4], text[4:])]
        elif "text" in block:
            parts = [{"type": "text_delta", "text": block["text"]}]
        else:
            parts = []
        events += [{"type": "content_block_delta", "index": index, "delta": part} for part in parts]
        events.append({"type": "content_block_stop", "index": index})
    delta = {name: body.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}})
    events.append({"type": "message_stop"})
    return [_sse(event) for event in events]


@pytest.fixture
def server() -> Generator[Server, None, None]:
    server = Server()
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.closing = True
    server.server.shutdown()
    thread.join()
    server.server.server_close()


@pytest.fixture(autouse=True)
def no_native_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the SDK's own spans, which the oldest release does not have; ``test_newest_native.py`` is about them."""
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY", "false")


@pytest.fixture
def client(server: Server) -> Generator[Anthropic, None, None]:
    with Anthropic(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def async_client(server: Server) -> Callable[[], AsyncAnthropic]:
    """Make one within the event loop that closes it."""
    return lambda: AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0)


@pytest.fixture
def instrumented(recorder: Any) -> Generator[AnthropicInstrumentor, None, None]:
    instrumentor = AnthropicInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    instrumentor.uninstrument()
