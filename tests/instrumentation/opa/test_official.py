# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside the official instrumentations of HTTP clients: their spans stay as they are, and the decision is recorded once."""

from typing import Any

import httpx
import pytest
import requests
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.go,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("instrumented"),
]


@pytest.mark.parametrize(
    ("official", "client"), [(HTTPXClientInstrumentor, httpx), (RequestsInstrumentor, requests)]
)
def test_the_spans_of_both(telemetry: Any, recorder: Any, server: str, official: Any, client: Any) -> None:
    official().instrument(tracer_provider=telemetry.tracer_provider)
    try:
        with recorder.run("refund-agent"):
            body = {"input": {"amount": 80}}
            assert (
                client.post(f"{server}/v1/data/refunds/allow", json=body, timeout=10).json()["result"]
                is False
            )
    finally:
        official().uninstrument()
    assert sorted(span.name for span in telemetry.spans) == [
        "POST",
        "invoke_agent refund-agent",
        "policy_decision refunds",
    ]
    assert not [name for name in telemetry.one("POST").attributes if name.startswith("runrecord.policy")]
