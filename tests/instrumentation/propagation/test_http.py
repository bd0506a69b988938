# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Real HTTP requests of the official client instrumentations: which host sees which headers."""

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import httpx2
import pytest
import requests
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.propagate import extract

from runrecord.instrumentation import propagation
from runrecord.instrumentation.propagation import RemoteRun, remote_run
from runrecord.instrumentation.propagation.hosts import peer_of_url

OURS = "runrecord.run.id=run-1,runrecord.step.index=3"


class Server:
    """A server on every loopback name; ``/redirect?{url}`` redirects there."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append({name.lower(): value for name, value in self.headers.items()})
                path, _, query = self.path.partition("?")
                self.send_response(302 if path == "/redirect" else 200)
                if path == "/redirect":
                    self.send_header("Location", query)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Generator[Server, None, None]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _instrumented(_installed: None, telemetry: Any) -> Generator[None, None, None]:
    instrumentors = (RequestsInstrumentor(), HTTPXClientInstrumentor(), HTTPX2ClientInstrumentor())
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=telemetry.tracer_provider)
    ours = propagation.PropagationInstrumentor()
    ours.instrument(processes=False)
    yield
    ours.uninstrument()
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


@pytest.fixture
def inside(recorder: Any) -> Any:
    with recorder.run("agent", run_id="run-1") as run, run.step(index=3) as step:
        yield step


def _requests(url: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.get(url, timeout=30)


def _httpx(url: str) -> None:
    with httpx.Client(trust_env=False, follow_redirects=True) as client:
        client.get(url)


def _httpx2(url: str) -> None:
    with httpx2.Client(trust_env=False, follow_redirects=True) as client:
        client.get(url)


def _httpx_async(url: str) -> None:
    async def get() -> None:
        async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as client:
            await client.get(url)

    asyncio.run(get())


def _httpx2_async(url: str) -> None:
    async def get() -> None:
        async with httpx2.AsyncClient(trust_env=False, follow_redirects=True) as client:
            await client.get(url)

    asyncio.run(get())


CLIENTS = [_requests, _httpx, _httpx2, _httpx_async, _httpx2_async]


@pytest.mark.parametrize("client", CLIENTS)
def test_the_allowed_host_is_told_and_no_other(
    allow: Any, server: Server, inside: Any, client: Callable[[str], None]
) -> None:
    allow("127.0.0.1", accept=True)
    for host in ("127.0.0.1", "localhost", "127.0.0.2"):
        try:
            client(server.url(host))
        except (requests.ConnectionError, httpx.ConnectError, httpx2.ConnectError):
            assert host == "127.0.0.2"  # nobody listens there
    told, other = server.seen
    assert told["baggage"] == OURS
    assert remote_run(extract(told)) == RemoteRun("run-1", 3)
    assert "baggage" not in other
    for headers in (told, other):
        assert headers["traceparent"].split("-")[1] == f"{inside.span_context.trace_id:032x}"


@pytest.mark.parametrize("client", CLIENTS)
def test_by_default_nobody_is_told(server: Server, inside: Any, client: Callable[[str], None]) -> None:
    token = otel_context.attach(baggage.set_baggage("k", "v"))
    try:
        client(server.url("127.0.0.1"))
    finally:
        otel_context.detach(token)
    assert server.seen[0]["baggage"] == "k=v"
    assert "traceparent" in server.seen[0]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_redirect_to_another_host_does_not_take_the_run_along(
    allow: Any, server: Server, inside: Any, client: Callable[[str], None]
) -> None:
    allow("127.0.0.1")
    client(server.url("127.0.0.1", "/redirect?" + server.url("localhost")))
    allowed, other = server.seen
    assert allowed["baggage"] == OURS
    assert "baggage" not in other
    assert "traceparent" in other
    client(server.url("127.0.0.1", "/redirect?" + server.url("127.0.0.1")))
    assert [headers.get("baggage") for headers in server.seen[2:]] == [OURS, OURS]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_user_in_the_url_is_not_the_host(
    allow: Any, server: Server, inside: Any, client: Callable[[str], None]
) -> None:
    allow("127.0.0.1")
    client(server.url("127.0.0.1@localhost"))
    assert "baggage" not in server.seen[0]


def test_outside_of_a_run_there_is_nothing_to_tell(allow: Any, server: Server) -> None:
    allow("127.0.0.1")
    _requests(server.url("127.0.0.1"))
    assert "baggage" not in server.seen[0]


PIECES = [
    *(
        "tools.internal",
        "evil.example",
        "10.0.0.1",
        "127.0.0.1",
        "::1",
        "80",
        "user",
        "xn--",
        "%00",
        "%2e",
        "%40",
    ),
    *(
        "@",
        ":",
        "/",
        "//",
        "\\",
        "?",
        "#",
        ".",
        "[",
        "]",
        " ",
        "\t",
        "\n",
        "http:",
        "https://",
        "-",
        "_",
        "*",
        "&",
        "=",
    ),
    *("\u3002", "\uff0e", "\u00fc", "\x7f", "\xa0", "\u200d"),
]


SOME = st.lists(st.sampled_from(PIECES), max_size=3).map("".join)


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["https://", "http://", "HTTP://"]), SOME, SOME)
def test_a_url_that_is_allowed_leads_every_client_to_the_host_on_the_list(
    scheme: str, before: str, after: str
) -> None:
    url = f"{scheme}{before}tools.internal{after}"
    if not propagation.HostList(["tools.internal"]).allows(peer_of_url(url)):
        return
    hosts: set[str | None] = set()
    with suppress(httpx.InvalidURL):
        hosts.add(httpx.URL(url).host)
    with suppress(httpx2.InvalidURL):
        hosts.add(httpx2.URL(url).host)
    with suppress(requests.RequestException):
        hosts.add(urllib3.util.parse_url(requests.Request("GET", url).prepare().url or "").host)
    assert {str(host).lower().removesuffix(".") for host in hosts} <= {"tools.internal"}
