# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""SDK objects to our fields, without the SDK."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runrecord.instrumentation.langgraph import extract
from runrecord.instrumentation.recorder import UNSET


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        ("model", "plan"),
        ("agent", "plan"),
        ("tools", "act"),
        ("HumanInTheLoopMiddleware.after_model", "route"),
        ("PIIMiddleware[email].before_model", "route"),
        ("supervisor", "route"),
        ("verify_refund", "verify"),
        ("RubricMiddleware.after_agent", "verify"),
        ("reflect", "reflect"),
        ("transfer_to_sales", "handoff"),
        ("human_approval", "wait"),
        ("send_mail", "act"),
    ],
)
def test_the_kind_of_a_step(node: str, kind: str) -> None:
    assert extract.step_kind(node) == kind


def test_only_hints_of_the_right_type_count() -> None:
    metadata = {
        "readOnlyHint": False,
        "destructiveHint": "yes",
        "idempotentHint": None,
        "runrecord.side_effect.type": "pay",
        "runrecord.side_effect.reversible": 1,
        "other": True,
        "lc_agent_name": "payer",
    }
    assert extract.tool_facts(metadata) == {
        "gen_ai.agent.name": "payer",
        "runrecord.tool.read_only": False,
        "runrecord.side_effect.type": "pay",
    }


ACTIONS = {
    "action_requests": [{"name": "a", "args": {"x": 1}}, {"name": "b", "args": {}}],
    "review_configs": [],
}


def test_what_an_interrupt_asks() -> None:
    per_call = {"type": "tool_approval", "tool_call_id": "c", "name": "a", "args": {"x": 1}}
    assert extract.asked(per_call) == [extract.Asked(0, "a", {"x": 1}, tool_call_id="c")]
    assert [(i.position, i.name, i.arguments) for i in extract.asked(ACTIONS)] == [
        (0, "a", {"x": 1}),
        (1, "b", {}),
    ]
    older = [{"action_request": {"action": "a", "args": {"x": 1}}, "config": {}}]
    assert extract.asked(older) == [extract.Asked(0, "a", {"x": 1})]
    (free,) = extract.asked("how many?")
    assert (free.content, free.is_tool_call) == ("how many?", False)


def test_calls_of_a_batch_are_matched_in_order() -> None:
    calls = [
        {"name": "b", "args": {}, "id": "1"},
        {"name": "a", "args": {"x": 1}, "id": "2"},
        {"name": "a", "args": {"x": 1}, "id": "3"},
        {"name": "b", "args": {}, "id": "4"},
    ]
    assert [i.tool_call_id for i in extract.with_call_ids(extract.asked(ACTIONS), calls)] == ["2", "4"]
    assert [i.tool_call_id for i in extract.with_call_ids(extract.asked(ACTIONS), [])] == [None, None]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"type": "approve"}, ("approved", None, UNSET)),
        ([{"type": "accept"}], ("approved", None, UNSET)),
        ({"type": "edit", "edited_action": {"name": "a", "args": {"x": 2}}}, ("modified", None, {"x": 2})),
        ([{"type": "edit", "args": {"action": "a", "args": {"x": 2}}}], ("modified", None, {"x": 2})),
        ({"type": "reject", "message": "no"}, ("denied", None, UNSET)),
        ({"type": "respond", "message": "no"}, ("denied", "respond", UNSET)),
        ({"type": "ignore"}, ("denied", "ignore", UNSET)),
        (True, ("approved", None, UNSET)),
        (False, ("denied", None, UNSET)),
        (1, ("answered", None, UNSET)),
        ("yes", ("answered", None, UNSET)),
        (None, ("answered", None, UNSET)),
    ],
)
def test_what_an_answer_says(said: Any, expected: Any) -> None:
    answer = extract.answer(said, tool_call=False)
    assert (answer.status, answer.reason, answer.arguments) == expected


def test_a_resume_value_answers_ids_or_the_next_question() -> None:
    first, second = "a" * 32, "b" * 32
    assert extract.resume_values({second: 1}, [first, second]) == {second: 1}
    assert extract.resume_values({"decisions": []}, [first, second]) == {first: {"decisions": []}}
    assert extract.resume_values(1, []) == {}


def test_results_come_in_three_shapes() -> None:
    message = SimpleNamespace(content="text", status="error")
    assert extract.tool_result(message) == ("text", True)
    assert extract.tool_result(SimpleNamespace(update={"messages": [message]})) == ("text", True)
    assert extract.tool_result({"a": 1}) == ({"a": 1}, False)


def test_tools_are_named_by_themselves_or_by_their_name() -> None:
    assert extract.names_of([" a ", SimpleNamespace(name="b"), 1]) == ["a", "b", ""]
    assert extract.names_of(None) == []


def test_the_counts_of_a_limit_are_those_after_the_hook() -> None:
    limit = SimpleNamespace(name="limit", tool_name=None, run_limit=2, thread_limit=5)
    state = {"run_tool_call_count": {"__all__": 1}, "thread_tool_call_count": {"__all__": 3, "a": 9}}

    def read(update: Any, error: Any = None) -> Any:
        return extract.call_budgets(limit, "tool_call", state, update, error)

    assert read({}) == [("limit.run", 2, 1), ("limit.thread", 5, 3)]
    assert read({"run_tool_call_count": {"__all__": 2}}) == [("limit.run", 2, 2), ("limit.thread", 5, 3)]
    assert read({}, SimpleNamespace(run_count=4, thread_count=7)) == [
        ("limit.run", 2, 4),
        ("limit.thread", 5, 7),
    ]
    plain = SimpleNamespace(run_limit=None, thread_limit=2)
    assert extract.call_budgets(plain, "model_call", {}, {}, None) == [("model_call_limit.thread", 2, 0)]


@pytest.mark.parametrize(
    ("evaluation", "expected"),
    [
        ({"result": "satisfied", "criteria": [{"passed": True}]}, ("pass", 1.0)),
        ({"result": "needs_revision", "criteria": [{"passed": True}, {"passed": False}]}, ("fail", 0.5)),
        ({"result": "failed", "criteria": []}, ("fail", None)),
        ({"result": "max_iterations_reached"}, ("fail", None)),
        ({"result": "max_iterations_reached", "unverified": True}, ("inconclusive", None)),
        ({"result": "grader_error"}, ("inconclusive", None)),
        ({}, ("inconclusive", None)),
    ],
)
def test_what_a_grader_found(evaluation: Any, expected: Any) -> None:
    assert extract.rubric_outcome(evaluation) == expected


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "action_requests",
                    "decisions",
                    "args",
                    "name",
                    "action_request",
                    "action",
                    "messages",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything)
def test_no_value_of_the_application_breaks_the_reading(value: Any) -> None:
    items = extract.with_call_ids(extract.asked(value), extract.last_tool_calls(value))
    assert len(extract.answers(value, len(items), tool_calls=True)) >= 0
    extract.tool_result(value)
    extract.names_of(value)
    extract.rubric_outcome({"result": value, "criteria": value})
    limit = SimpleNamespace(run_limit=1, thread_limit=value)
    extract.call_budgets(limit, "tool_call", value, {"run_tool_call_count": value}, value)
    extract.resume_values(value, ["a"])
    assert extract.bounded(value)
