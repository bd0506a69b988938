# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real engine, and the refund story's rule in its language."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from runrecord.instrumentation.cedar import CedarInstrumentor

POLICIES = """
@id("refunds") permit (principal, action == Action::"refund", resource);
@id("over_50_usd") forbid (principal, action == Action::"refund", resource) when { context.amount > 50 };
"""


def a_request(amount: Any) -> dict[str, Any]:
    return {
        "principal": 'Agent::"ada-example"',
        "action": 'Action::"refund"',
        "resource": 'Invoice::"inv-ada-7"',
        "context": {"amount": amount},
    }


@pytest.fixture(autouse=True)
def _runs_are_made_by_hand(telemetry: Any) -> None:
    telemetry.by_integration = {"runrecord.policy_decision", "runrecord.policy.decided"}


@pytest.fixture
def instrumented() -> Generator[CedarInstrumentor, None, None]:
    instrumentor = CedarInstrumentor()
    instrumentor.instrument()
    yield instrumentor
    instrumentor.uninstrument()


@pytest.fixture
def policies() -> str:
    return POLICIES


@pytest.fixture
def request_of() -> Callable[[Any], dict[str, Any]]:
    return a_request


@pytest.fixture
def ask() -> Callable[[Any], bool]:
    """Ask whether an amount may be refunded."""
    import cedarpy

    return lambda amount: cedarpy.is_authorized(a_request(amount), POLICIES, []).allowed
