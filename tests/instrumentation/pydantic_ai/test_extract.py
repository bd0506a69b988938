# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""From the SDK's objects to our fields."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai import DeferredToolResults, ToolApproved, ToolDenied
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RunUsage

from runrecord.instrumentation._declared import Policy
from runrecord.instrumentation.pydantic_ai import extract, lineage
from runrecord.instrumentation.recorder import UNSET

pytestmark = [pytest.mark.sdk]


def asked(run: str | None) -> ModelRequest:
    return ModelRequest([UserPromptPart("hi")], run_id=run)


def calls(run: str | None, *call_ids: str) -> ModelResponse:
    return ModelResponse([ToolCallPart("t", {}, call_id) for call_id in call_ids], run_id=run)


def returns(run: str | None, *call_ids: str) -> ModelRequest:
    return ModelRequest([ToolReturnPart("t", "x", call_id) for call_id in call_ids], run_id=run)


def says(run: str | None) -> ModelResponse:
    return ModelResponse([TextPart("Done.")], run_id=run)


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([], None),
        ([asked("a"), says("a")], None),
        ([asked("a"), calls("a", "1"), returns("a", "1"), says("a")], None),
        ([asked("a"), calls("a", "1")], ("a", 1)),
        ([asked("a"), calls("a", "1", "2"), returns("a", "1")], ("a", 1)),
        ([asked("a"), says("a"), asked("b"), calls("b", "1")], ("b", 1)),
        ([asked("a"), calls("a", "1"), returns("b", "1"), calls("b", "2")], ("a", 2)),
        (
            [
                *(asked("a"), calls("a", "1"), returns("b", "1"), calls("b", "2"), returns("c", "2")),
                *(calls("c", "3"), returns("d", "3"), says("d")),
            ],
            None,
        ),
        ([asked("a"), calls("a", "1"), returns("b", "1"), says("b"), asked("c"), calls("c", "1")], ("c", 1)),
        ([asked(None), calls(None, "1")], (None, 1)),
    ],
)
def test_which_run_a_history_goes_on_with(messages: list[Any], found: Any) -> None:
    known = lineage.lineage(messages)
    assert (None if known is None else (known.origin, known.segment)) == found


def test_a_retry_answers_a_call_too() -> None:
    part = {"part_kind": "retry-prompt", "tool_call_id": "1"}  # a class that newer releases warn of
    retry = {"kind": "request", "run_id": "a", "parts": [part]}
    assert lineage.lineage([asked("a"), calls("a", "1"), retry]) is None


@given(st.lists(st.integers(1, 3), min_size=1, max_size=8))
def test_a_run_of_many_segments_has_one_origin(counts: list[int]) -> None:
    messages: list[Any] = [asked("s0")]
    for number, count in enumerate(counts):
        ids = [f"{number}-{index}" for index in range(count)]
        messages += [calls(f"s{number}", *ids), returns(f"s{number + 1}", *ids)]
    assert lineage.lineage(messages[:-1]) == lineage.Lineage("s0", len(counts))


def test_answers() -> None:
    results = DeferredToolResults(
        approvals={
            "a": True,
            "b": ToolDenied("no"),
            "c": ToolApproved(override_args={"x": 1}),
            "d": ToolApproved(),
            "e": False,
        }
    )
    statuses = {}
    for call_id in "abcdef":
        found = extract.answer(results, call_id, actor="human")
        statuses[call_id] = None if found is None else (found.status, found.arguments)
    assert statuses == {
        "a": ("approved", UNSET),
        "b": ("denied", UNSET),
        "c": ("modified", {"x": 1}),
        "d": ("approved", UNSET),
        "e": ("denied", UNSET),
        "f": None,
    }


def test_hints_of_a_tool_and_of_an_mcp_server() -> None:
    metadata = {
        "annotations": {"readOnlyHint": False, "destructiveHint": True, "title": "Refund"},
        "idempotentHint": True,
        "runrecord.side_effect.type": "pay",
        "runrecord.side_effect.reversible": False,
        "openWorldHint": "perhaps",
    }
    assert extract.tool_hints({"metadata": metadata}) == {
        "read_only": False,
        "destructive": True,
        "idempotent": True,
        "effect": "pay",
        "reversible": False,
    }
    assert extract.tool_hints({"metadata": None}) == {}
    assert extract.tool_hints(None) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "The next request would exceed the request_limit of 50",
            ("request_limit", "model_calls", 50.0, 3.0),
        ),
        (
            "The next tool call(s) would exceed the tool_calls_limit of 2 (tool_calls=3).",
            ("tool_calls_limit", "tool_calls", 2.0, 0.0),
        ),
        (
            "Exceeded the input_tokens_limit of 10 (input_tokens=12)",
            ("input_tokens_limit", "tokens", 10.0, 0.0),
        ),
        (
            "Exceeded the total_tokens_limit of 10. To keep the work, do more.",
            ("total_tokens_limit", "tokens", 10.0, 0.0),
        ),
        ("Exceeded the `cost_limit` of 0.5 (`usage.cost`=1)", ("cost_limit", "cost", 0.5)),
        ("Exceeded the weather_limit of 3", None),
        ("Too much", None),
    ],
)
def test_which_limit(text: str, found: Any) -> None:
    limit = extract.budget(UsageLimitExceeded(text), RunUsage(requests=3))
    seen = None if limit is None else (limit.name, limit.dimension, limit.limit, limit.consumed)
    assert seen == found if found is None or len(found) == 4 else (seen or ())[:3] == found


class Guard:
    """A capability of the application."""

    def check(self) -> None:
        self.deeper()

    def deeper(self) -> None:
        raise LookupError


def checks() -> None:
    raise LookupError


checks.policy_version = "3"  # type: ignore[attr-defined]


def raised(function: Any) -> BaseException:
    with pytest.raises(LookupError) as caught:
        function()
    error = caught.value
    assert error.__traceback__ is not None
    return error.with_traceback(error.__traceback__.tb_next)  # without the test, as the SDK's frames are


@pytest.mark.parametrize(
    ("function", "policy"),
    [
        (Guard().check, Policy("Guard")),
        (checks, Policy("checks", "3")),
        (lambda: (_ for _ in ()).throw(LookupError()), Policy("hook")),
    ],
)
def test_which_policy_raised(function: Any, policy: Policy) -> None:
    assert extract.policy_behind(raised(function), "hook") == policy


def test_a_hook_that_says_that_it_is_no_policy() -> None:
    guard = Guard()
    guard.policy_id = None  # type: ignore[attr-defined]
    assert extract.policy_behind(raised(guard.check), "hook") is None


def test_an_exception_without_a_traceback_has_the_default() -> None:
    assert extract.policy_behind(LookupError(), "hook") == Policy("hook")


def test_what_ends_a_run_without_a_failure() -> None:
    assert extract.is_cancellation(asyncio.CancelledError())
    assert extract.is_cancellation(KeyboardInterrupt())
    assert not extract.is_cancellation(LookupError())
