# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Questions to OPA over HTTP, whichever client sends them.

A client is seen where it has read an answer in full; an answer that the program streams is left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runrecord.instrumentation._policy_engine import Args, Ask, Kwargs, Question, argument
from runrecord.instrumentation.opa import extract
from runrecord.instrumentation.opa.addresses import Address, Target, target

Request = tuple[str, str, object]
"""Method, URL in full, and body."""


@dataclass(frozen=True)
class Client:
    """How one HTTP client calls what its requests and its answers have.

    Attributes:
        request: Returns the request, from the instance and the arguments of a call; None if the program streams the answer.
        status: The attribute of an answer with its status code.
        content: The attribute of an answer with its body.
    """

    request: Callable[[Any, Args, Kwargs], Request | None]
    status: str
    content: str


def asks(addresses: tuple[Address, ...], client: Client) -> Ask:
    """Return what tells the questions to OPA from every other request."""

    def ask(asked: Question, instance: Any, args: Args, kwargs: Kwargs) -> "_Asked | None":
        request = client.request(instance, args, kwargs)
        if request is None or request[0] not in {"GET", "POST"}:
            return None
        where = target(request[1], addresses)
        return None if where is None else _Asked(asked, client, request, where)

    return ask


class _Asked:
    def __init__(self, asked: Question, client: Client, request: Request, where: Target) -> None:
        self._question = asked
        self._client = client
        self._where = where
        self._body = request[2]
        self._has_input = request[0] == "POST" or where.input is not None

    def returned(self, result: Any) -> None:
        status: int = getattr(result, self._client.status)
        content: bytes = getattr(result, self._client.content)
        path, document = self._where.path, extract.parsed(content)
        found = extract.failed(path, status, content)
        if found is None and document is not None:
            found = extract.decided(path, document, asks=self._has_input)
        self._record(found)

    def raised(self, error: Exception) -> None:
        if self._has_input:
            self._record(extract.raised(self._where.path, error))

    def _record(self, found: extract.Decided | None) -> None:
        if found is not None:
            inputs = extract.inputs(self._body, self._where.input)
            self._question.answered(found.policy, found.answer, inputs)


def _by_requests(session: Any, args: Args, kwargs: Kwargs) -> Request | None:
    request = argument(args, kwargs, 0, "request")
    if request is None or kwargs.get("stream", session.stream):
        return None
    return request.method, request.url, request.body


def _by_httpx(_client: Any, args: Args, kwargs: Kwargs) -> Request | None:
    request = argument(args, kwargs, 0, "request")
    if request is None or kwargs.get("stream", False):
        return None
    try:
        body = request.content
    except Exception:  # noqa: BLE001  # a body that is streamed; each of the two packages has an exception of its own
        body = None
    return request.method, str(request.url), body


def _by_urllib3(pool: Any, args: Args, kwargs: Kwargs) -> Request | None:
    if kwargs.get("preload_content", True) is False:
        return None
    method, path = argument(args, kwargs, 0, "method"), argument(args, kwargs, 1, "url")
    return method, f"{pool.scheme}://{pool.host}:{pool.port}{path}", argument(args, kwargs, 2, "body")


REQUESTS = Client(_by_requests, "status_code", "content")
HTTPX = Client(_by_httpx, "status_code", "content")
URLLIB3 = Client(_by_urllib3, "status", "data")
