# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The real engine, and the refund story's rule in its language."""

import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

from runrecord.instrumentation.casbin import CasbinInstrumentor

MODEL = """
[request_definition]
r = sub, act, invoice, amount
[policy_definition]
p = sub, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.act == p.act && r.amount <= 50
"""


@pytest.fixture(autouse=True)
def _runs_are_made_by_hand(telemetry: Any) -> None:
    telemetry.by_integration = {"runrecord.policy_decision", "runrecord.policy.decided"}


@pytest.fixture
def instrumented() -> Generator[CasbinInstrumentor, None, None]:
    instrumentor = CasbinInstrumentor()
    instrumentor.instrument()
    yield instrumentor
    instrumentor.uninstrument()


@pytest.fixture
def new_enforcer() -> Callable[..., Any]:
    """Make an enforcer of a kind, with two rules."""
    import casbin

    def new(kind: str = "Enforcer", text: str = MODEL, *rules: tuple[str, ...]) -> Any:
        model = casbin.Model()
        model.load_model_from_text(text)
        for rule in rules or (("bob-example", "refund"), ("ada-example", "refund")):
            model.add_policy("p", "p", list(rule))
        return getattr(casbin, kind)(model)

    return new


@pytest.fixture
def ask(new_enforcer: Callable[..., Any]) -> Callable[[Any], bool]:
    """Ask whether an amount may be refunded; one thread at a time.

    Casbin parses its matcher at every question, and CPython before 3.11.8 and 3.12.2 may fail where two threads parse at once
    (python/cpython#106905).
    """
    enforcer, parsing = new_enforcer(), threading.Lock()

    def asked(amount: Any) -> bool:
        with parsing:
            return bool(enforcer.enforce("ada-example", "refund", "inv-ada-7", amount))

    return asked
