# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""A real OPA server, and the refund story's rule in its language."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from go_server import serving

from runrecord.instrumentation.opa import OPAInstrumentor

POLICY = """
package refunds

default allow := false

allow if {
    input.agent == "ada-example"
    input.amount <= 50
}

deny contains "over 50 USD" if input.amount > 50

limits := {"usd": 50}

maybe if input.amount == 1

decision := {"allow": allow, "reason_code": "amount_over_limit", "why": "inv-ada-7 is over it"} if not allow
"""
FAULTY = """
package faulty

allow := true if input.amount > 0
allow := false if input.amount > 1
"""


@pytest.fixture(autouse=True)
def _runs_are_made_by_hand(telemetry: Any) -> None:
    telemetry.by_integration = {"runrecord.policy_decision", "runrecord.policy.decided"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    """The address of a server that has the policy."""
    import urllib3

    with serving(Path(__file__).parent / "go", tmp_path_factory) as address:
        for name, text in (("refunds", POLICY), ("faulty", FAULTY)):
            answer = urllib3.request("PUT", f"{address}/v1/policies/{name}", body=text)
            assert answer.status == 200, answer.data
        yield address


@pytest.fixture
def instrumented(server: str, monkeypatch: pytest.MonkeyPatch) -> Generator[OPAInstrumentor, None, None]:
    monkeypatch.setenv("RUNRECORD_OPA_URLS", f"https://opa.example:8181, {server}/")
    instrumentor = OPAInstrumentor()
    instrumentor.instrument()
    yield instrumentor
    instrumentor.uninstrument()


@pytest.fixture
def ask(server: str) -> Callable[[Any], bool]:
    """Ask whether an amount may be refunded."""
    import httpx

    def post(amount: Any) -> bool:
        asked = {"agent": "ada-example", "invoice": "inv-ada-7", "amount": amount}
        answer: bool = httpx.post(f"{server}/v1/data/refunds/allow", json={"input": asked}).json()["result"]
        return answer

    return post
