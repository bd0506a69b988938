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
from runrecord.instrumentation.opa.http import asked


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


class _HTTPClients:
    def __init__(self, hooks: EngineHooks, addresses: tuple[Address, ...]) -> None:
        self._hooks = hooks
        self._addresses = addresses

    def requests(self, module: ModuleType) -> None:
        self._hooks.wrap(module, "Session.send", self._requests_send)

    def httpx(self, module: ModuleType) -> None:
        self._hooks.wrap(module, "Client.send", self._httpx_send)
        self._hooks.wrap(module, "AsyncClient.send", self._httpx_send_async)

    def urllib3(self, module: ModuleType) -> None:
        self._hooks.wrap(module, "HTTPConnectionPool.urlopen", self._urlopen)

    def _requests_send(self, wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
        request: Any = argument(args, kwargs, 0, "request")
        streams = kwargs.get("stream", getattr(instance, "stream", False))
        here = None if streams else asked(self._addresses, request.method, request.url, lambda: request.body)
        if here is None:
            return wrapped(*args, **kwargs)
        try:
            with asking():
                response = wrapped(*args, **kwargs)
        except Exception as error:
            here.raised(error)
            raise
        here.answered(response.status_code, response.content)
        return response

    def _httpx_send(self, wrapped: Wrapped, _instance: Any, args: Args, kwargs: Kwargs) -> Any:
        request: Any = argument(args, kwargs, 0, "request")
        streams = kwargs.get("stream", False)
        here = (
            None if streams else asked(self._addresses, request.method, request.url, lambda: request.content)
        )
        if here is None:
            return wrapped(*args, **kwargs)
        try:
            with asking():
                response = wrapped(*args, **kwargs)
        except Exception as error:
            here.raised(error)
            raise
        here.answered(response.status_code, response.content)
        return response

    async def _httpx_send_async(self, wrapped: Wrapped, _instance: Any, args: Args, kwargs: Kwargs) -> Any:
        request: Any = argument(args, kwargs, 0, "request")
        streams = kwargs.get("stream", False)
        here = (
            None if streams else asked(self._addresses, request.method, request.url, lambda: request.content)
        )
        if here is None:
            return await wrapped(*args, **kwargs)
        try:
            with asking():
                response = await wrapped(*args, **kwargs)
        except Exception as error:
            here.raised(error)
            raise
        here.answered(response.status_code, response.content)
        return response

    def _urlopen(self, wrapped: Wrapped, instance: Any, args: Args, kwargs: Kwargs) -> Any:
        method, path = argument(args, kwargs, 0, "method"), argument(args, kwargs, 1, "url")
        streams = kwargs.get("preload_content", True) is False
        url = f"{instance.scheme}://{instance.host}:{instance.port}{path}"
        body = argument(args, kwargs, 2, "body")
        here = None if streams else asked(self._addresses, method, url, lambda: body)
        if here is None:
            return wrapped(*args, **kwargs)
        try:
            with asking():
                response = wrapped(*args, **kwargs)
        except Exception as error:
            here.raised(error)
            raise
        here.answered(response.status, response.data)
        return response
