# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Where we hook into the clients; nothing else. An HTTP client is hooked into only while addresses of OPA are configured."""

from functools import partial
from types import ModuleType

from runrecord.instrumentation._policy_engine import EngineHooks, asynchronous, synchronous
from runrecord.instrumentation.opa.addresses import Address
from runrecord.instrumentation.opa.client import Bulk, Query
from runrecord.instrumentation.opa.http import HTTPX, REQUESTS, URLLIB3, asks


def apply(hooks: EngineHooks, addresses: tuple[Address, ...]) -> None:
    """Hook in as the clients are imported."""
    hooks.when("opa_client", partial(_opa_client, hooks))
    if addresses:
        hooks.when("requests.sessions", partial(_requests, hooks, addresses))
        hooks.when("httpx", partial(_httpx, hooks, addresses))
        hooks.when("httpx2", partial(_httpx, hooks, addresses))
        hooks.when("urllib3.connectionpool", partial(_urllib3, hooks, addresses))


def _opa_client(hooks: EngineHooks, module: ModuleType) -> None:
    for owner, hook in (("OpaClient", synchronous), ("AsyncOpaClient", asynchronous)):
        hooks.wrap(module, f"{owner}.query_rule", hook("opa", Query))
        hooks.wrap(module, f"{owner}.check_permission", hook("opa", Query), optional=True)
        hooks.wrap(module, f"{owner}.bulk_query_rule", hook("opa", Bulk), optional=True)


def _requests(hooks: EngineHooks, addresses: tuple[Address, ...], module: ModuleType) -> None:
    hooks.wrap(module, "Session.send", synchronous("opa", asks(addresses, REQUESTS)))


def _httpx(hooks: EngineHooks, addresses: tuple[Address, ...], module: ModuleType) -> None:
    hooks.wrap(module, "Client.send", synchronous("opa", asks(addresses, HTTPX)))
    hooks.wrap(module, "AsyncClient.send", asynchronous("opa", asks(addresses, HTTPX)))


def _urllib3(hooks: EngineHooks, addresses: tuple[Address, ...], module: ModuleType) -> None:
    hooks.wrap(module, "HTTPConnectionPool.urlopen", synchronous("opa", asks(addresses, URLLIB3)))
