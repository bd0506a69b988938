# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A real OpenFGA server, and the refund story's rule in its language."""

import asyncio
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from go_server import serving

from runrecord.instrumentation.openfga import OpenFGAInstrumentor

MODEL = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "agent"},
        {
            "type": "invoice",
            "relations": {"can_refund": {"this": {}}},
            "metadata": {
                "relations": {
                    "can_refund": {
                        "directly_related_user_types": [{"type": "agent", "condition": "up_to_50_usd"}]
                    }
                }
            },
        },
    ],
    "conditions": {
        "up_to_50_usd": {
            "name": "up_to_50_usd",
            "expression": "amount <= 50",
            "parameters": {"amount": {"type_name": "TYPE_NAME_INT"}},
        }
    },
}
ALLOWED = {
    "user": "agent:ada-example",
    "relation": "can_refund",
    "object": "invoice:inv-ada-7",
    "condition": {"name": "up_to_50_usd"},
}


@pytest.fixture(autouse=True)
def _runs_are_made_by_hand(telemetry: Any) -> None:
    telemetry.by_integration = {"runrecord.policy_decision", "runrecord.policy.decided"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    with serving(Path(__file__).parent / "go", tmp_path_factory) as address:
        yield address


@pytest.fixture(scope="session")
def store(server: str) -> tuple[str, str]:
    """The ids of a store and of its model."""
    import urllib3

    def post(path: str, body: Any) -> Any:
        answer = urllib3.request("POST", server + path, json=body)
        assert answer.status < 300, answer.data
        return answer.json()

    store = post("/stores", {"name": "refunds"})["id"]
    model = post(f"/stores/{store}/authorization-models", MODEL)["authorization_model_id"]
    post(f"/stores/{store}/write", {"writes": {"tuple_keys": [ALLOWED]}, "authorization_model_id": model})
    return store, model


@pytest.fixture
def instrumented() -> Generator[OpenFGAInstrumentor, None, None]:
    instrumentor = OpenFGAInstrumentor()
    instrumentor.instrument()
    yield instrumentor
    instrumentor.uninstrument()


@pytest.fixture
def configuration(server: str, store: tuple[str, str]) -> Any:
    from openfga_sdk.client import ClientConfiguration

    return ClientConfiguration(api_url=server, store_id=store[0], authorization_model_id=store[1])


@pytest.fixture
def client(configuration: Any) -> Generator[Any, None, None]:
    from openfga_sdk.sync import OpenFgaClient

    with OpenFgaClient(configuration) as client:
        yield client


@pytest.fixture
def check_of() -> Callable[..., Any]:
    from openfga_sdk.client.models import ClientCheckRequest

    def check(amount: Any = 20, **changes: Any) -> Any:
        given = {"user": "agent:ada-example", "relation": "can_refund", "object": "invoice:inv-ada-7"}
        return ClientCheckRequest(**{**given, "context": {"amount": amount}, **changes})

    return check


@pytest.fixture
def ask(client: Any, check_of: Callable[..., Any]) -> Callable[[Any], bool]:
    """Ask whether an amount may be refunded."""
    return lambda amount: client.check(check_of(amount)).allowed


@pytest.fixture
def with_async_client(configuration: Any) -> Callable[[Any], Any]:
    """Run a coroutine function with a client."""
    from openfga_sdk.client import OpenFgaClient

    def run(use: Any) -> Any:
        async def main() -> Any:
            async with OpenFgaClient(configuration) as client:
                return await use(client)

        return asyncio.run(main())

    return run
