# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the clients; nothing else.

An HTTP client is hooked into only while addresses of OPA are configured, and where it has read an answer in full; an answer that
the program streams is left alone.
"""

from functools import partial
from types import ModuleType
from typing import Any

from runrecord.instrumentation._policy_engine import (
    Args,
    EngineHooks,
    Kwargs,
    Question,
    Wrapped,
    argument,
    asking,
    declared,
    question,
)
from runrecord.instrumentation._safety import swallowed
from runrecord.instrumentation.opa import extract
from runrecord.instrumentation.opa.addresses import Address
from runrecord.instrumentation.opa.http import Client, asked


def apply(hooks: EngineHooks, addresses: tuple[Address, ...]) -> None:
    """Hook in as the clients are imported."""
    hooks.when("opa_client", partial(_opa_client, hooks))
    if addresses:
        clients = _HTTPClients(hooks, addresses)
        hooks.when("requests.sessions", clients.requests)
        hooks.when("httpx", clients.httpx)
        hooks.when("httpx2", clients.httpx)
        hooks.when("urllib3.connectionpool", clients.urllib3)


# opa-python-client


def _opa_client(hooks: EngineHooks, module: ModuleType) -> None:
    hooks.wrap(module, "OpaClient.query_rule", _query)
    hooks.wrap(module, "OpaClient.bulk_query_rule", _bulk, optional=True)
    hooks.wrap(module, "AsyncOpaClient.query_rule", _query_async)
    hooks.wrap(module, "AsyncOpaClient.bulk_query_rule", _bulk_async, optional=True)
    for owner in ("OpaClient", "AsyncOpaClient"):
        wrapper = _query if owner == "OpaClient" else _query_async
        hooks.wrap(module, f"{owner}.check_permission", wrapper, optional=True)


def _query(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
    here = question()
    if here is None:
        return wrapped(*args, **kwargs)
    try:
        with asking():
            result = wrapped(*args, **kwargs)
    except Exception as error:
        _raised(here, instance, args, kwargs, error)
        raise
    _returned(here, instance, args, kwargs, result)
    return result


async def _query_async(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
    here = question()
    if here is None:
        return await wrapped(*args, **kwargs)
    try:
        with asking():
            result = await wrapped(*args, **kwargs)
    except Exception as error:
        _raised(here, instance, args, kwargs, error)
        raise
    _returned(here, instance, args, kwargs, result)
    return result


def _bulk(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
    here = question()
    if here is None:
        return wrapped(*args, **kwargs)
    try:
        with asking():
            results = wrapped(*args, **kwargs)
    except Exception as error:
        _raised(here, instance, args, kwargs, error, bulk=True)
        raise
    _all_returned(here, instance, args, kwargs, results)
    return results


async def _bulk_async(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
    here = question()
    if here is None:
        return await wrapped(*args, **kwargs)
    try:
        with asking():
            results = await wrapped(*args, **kwargs)
    except Exception as error:
        _raised(here, instance, args, kwargs, error, bulk=True)
        raise
    _all_returned(here, instance, args, kwargs, results)
    return results


def _path(args: Args, kwargs: Kwargs) -> tuple[str, ...]:
    package = argument(args, kwargs, 1, "package_path") or kwargs.get("policy_name") or ""
    rule = argument(args, kwargs, 2, "rule_name")
    return tuple(part for part in (*str(package).replace(".", "/").split("/"), rule or "") if part)


def _returned(here: Question, client: Any, args: Args, kwargs: Kwargs, document: Any) -> None:
    with swallowed("an OPA decision"):
        found = extract.decided(_path(args, kwargs), document, asks=True)
        _record(here, client, found, argument(args, kwargs, 0, "input_data"))


def _all_returned(here: Question, client: Any, args: Args, kwargs: Kwargs, results: Any) -> None:
    with swallowed("an OPA decision"):
        given: Any = argument(args, kwargs, 0, "inputs")
        keys: Any = given if hasattr(given, "keys") else range(len(given))
        for key in keys:
            found = extract.decided(_path(args, kwargs), {"result": results[key]}, asks=True)
            _record(here, client, found, given[key])


def _raised(
    here: Question, client: Any, args: Args, kwargs: Kwargs, error: Exception, *, bulk: bool = False
) -> None:
    with swallowed("an OPA decision"):
        inputs = argument(args, kwargs, 0, "inputs" if bulk else "input_data")
        _record(here, client, extract.raised(_path(args, kwargs), error), inputs)


def _record(here: Question, client: Any, found: extract.Decided | None, inputs: object) -> None:
    if found is not None:
        here.answered("opa", declared(client, found.policy), found.answer, inputs)


# HTTP clients


def _sent_by_requests(session: Any, args: Args, kwargs: Kwargs) -> tuple[str, str, object] | None:
    request = argument(args, kwargs, 0, "request")
    if request is None or kwargs.get("stream", session.stream):
        return None
    return request.method, request.url, request.body


def _sent_by_httpx(_client: Any, args: Args, kwargs: Kwargs) -> tuple[str, str, object] | None:
    request = argument(args, kwargs, 0, "request")
    if request is None or kwargs.get("stream", False):
        return None
    try:
        body = request.content
    except Exception:  # noqa: BLE001  # a body that is streamed; each of the two packages has an exception of its own
        body = None
    return request.method, str(request.url), body


def _sent_by_urllib3(pool: Any, args: Args, kwargs: Kwargs) -> tuple[str, str, object] | None:
    if kwargs.get("preload_content", True) is False:
        return None
    method, path = argument(args, kwargs, 0, "method"), argument(args, kwargs, 1, "url")
    url = f"{pool.scheme}://{pool.host}:{pool.port}{path}"
    return method, url, argument(args, kwargs, 2, "body")


_REQUESTS = Client(_sent_by_requests, "status_code", "content")
_HTTPX = Client(_sent_by_httpx, "status_code", "content")
_URLLIB3 = Client(_sent_by_urllib3, "status", "data")


class _HTTPClients:
    def __init__(self, hooks: EngineHooks, addresses: tuple[Address, ...]) -> None:
        self._hooks = hooks
        self._addresses = addresses

    def requests(self, module: ModuleType) -> None:
        self._hooks.wrap(module, "Session.send", self._synchronous(_REQUESTS))

    def httpx(self, module: ModuleType) -> None:
        self._hooks.wrap(module, "Client.send", self._synchronous(_HTTPX))
        self._hooks.wrap(module, "AsyncClient.send", self._asynchronous(_HTTPX))

    def urllib3(self, module: ModuleType) -> None:
        self._hooks.wrap(module, "HTTPConnectionPool.urlopen", self._synchronous(_URLLIB3))

    def _synchronous(self, client: Client) -> Wrapped:
        def send(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
            here = asked(self._addresses, client, instance, args, kwargs)
            if here is None:
                return wrapped(*args, **kwargs)
            try:
                with asking():
                    response = wrapped(*args, **kwargs)
            except Exception as error:
                here.raised(error)
                raise
            here.answered(response)
            return response

        return send

    def _asynchronous(self, client: Client) -> Wrapped:
        async def send(wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
            here = asked(self._addresses, client, instance, args, kwargs)
            if here is None:
                return await wrapped(*args, **kwargs)
            try:
                with asking():
                    response = await wrapped(*args, **kwargs)
            except Exception as error:
                here.raised(error)
                raise
            here.answered(response)
            return response

        return send
