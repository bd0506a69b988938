# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What is read from what Temporal hands over."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from runrecord.instrumentation.recorder import UNSET
from runrecord.instrumentation.temporal import extract, tool

pytestmark = [pytest.mark.sdk]


class Choice(Enum):
    YES = "approve"


@dataclass
class Decision:
    decision: Any
    note: str = "no"


@pytest.mark.parametrize(
    ("handler", "args", "verdict"),
    [
        ("decide", [True], True),
        ("decide", [False], False),
        ("decide", ["Approved "], True),
        ("decide", [Choice.YES], True),
        ("decide", ["u-17", False], False),
        ("decide", [{"approved": True}], True),
        ("decide", [{"approved": "maybe"}], None),
        ("decide", [Decision("reject")], False),
        ("decide", [Decision(None)], None),
        ("approve", [], True),
        ("reject_refund", ["too much"], False),
        ("disapprove", ["x"], None),
        ("say", ["sure, but only half"], None),
        ("set", [1], None),
    ],
)
def test_what_is_a_clear_answer(handler: str, args: list[Any], verdict: bool | None) -> None:
    assert extract.verdict(handler, args) is verdict


def test_arguments_are_one_object() -> None:
    def two(invoice: str, amount: float) -> None: ...

    assert extract.arguments(two, ["i", 2.0]) == {"invoice": "i", "amount": 2.0}
    assert extract.arguments(two, ["i"]) == {"invoice": "i"}
    assert extract.arguments(two, ["i", 2.0, "more"]) == {"invoice": "i", "amount": 2.0, "arg2": "more"}
    assert extract.arguments(two, [{"a": 1}]) == {"a": 1}
    shown = Decision("x")
    assert extract.arguments(two, [shown]) is shown
    assert extract.arguments(object(), [1]) == {"arg0": 1}


def test_a_tool_says_what_it_does() -> None:
    @tool(effect="pay", target="bank", reversible=False, idempotent=True)
    def pay() -> None: ...

    assert extract.tool_facts(extract.metadata_of(pay)) == {
        "runrecord.side_effect.type": "pay",
        "runrecord.side_effect.target": "bank",
        "runrecord.side_effect.reversible": False,
        "runrecord.tool.idempotent": True,
    }
    assert extract.metadata_of(test_a_tool_says_what_it_does) is None
    assert extract.tool_facts(None) == {}


@pytest.mark.parametrize(
    ("policy", "attempt", "error", "again"),
    [
        (None, 1, ValueError(), False),
        (RetryPolicy(), 9, ValueError(), True),
        (RetryPolicy(maximum_attempts=2), 1, ValueError(), True),
        (RetryPolicy(maximum_attempts=2), 2, ValueError(), False),
        (RetryPolicy(), 1, ApplicationError("x", non_retryable=True), False),
        (RetryPolicy(non_retryable_error_types=["Bad"]), 1, ApplicationError("x", type="Bad"), False),
    ],
)
def test_whether_a_workflow_is_tried_again(policy: Any, attempt: int, error: Exception, again: bool) -> None:
    assert extract.will_be_retried(policy, attempt, error) is again


def test_the_activities_of_agent_plug_ins() -> None:
    assert extract.step_kind("invoke_model_activity") == "plan"
    assert extract.step_kind("agent__refunds__model_request") == "plan"
    assert extract.step_kind("create_refund") == "act"
    assert extract.is_plugin_tool("agent__refunds__toolset__shop__call_tool")


@pytest.mark.parametrize(
    ("args", "called"),
    [
        ([{"name": "create_refund"}], ("create_refund", None, UNSET)),
        (["x"], (None, None, UNSET)),
        (
            [
                {
                    "name": "create_refund",
                    "tool_args": {"amount": 80},
                    "serialized_run_context": {"tool_call_id": "call_1"},
                }
            ],
            ("create_refund", "call_1", {"amount": 80}),
        ),
    ],
)
def test_the_call_of_an_agent_plug_in(args: list[Any], called: tuple[Any, ...]) -> None:
    found = extract.plugin_call("agent__refunds__toolset__shop__call_tool", args)
    assert found is not None
    assert (found.tool, found.call_id, found.arguments) == called
    assert extract.plugin_call("create_refund", args) is None
