# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Telemetry that breaks the conventions is found, and telemetry that keeps them is not."""

import pytest

from runrecord.semconv import attributes as a
from runrecord.semconv.conformance import check_event, check_span, signal_of_event, signal_of_span
from runrecord.semconv.registry import load_registry

REGISTRY = load_registry()
GOVERNED = {a.RUN_ID: "run-1", a.SOURCE_ID: "9f86d081884c7d65", a.RECORD_SEQ: 3}
DECISION = {
    **GOVERNED,
    a.DECISION_ID: "dec-1",
    a.DECISION_OUTCOME: a.DecisionOutcome.DENY,
    a.POLICY_ID: "refunds",
    a.POLICY_NAME: "refunds",
}
TOOL_CALL = {**GOVERNED, a.GEN_AI_OPERATION_NAME: "execute_tool", a.GEN_AI_TOOL_NAME: "create_refund"}
RUN = {
    **GOVERNED,
    a.GEN_AI_OPERATION_NAME: "invoke_agent",
    a.RUN_SEGMENT: 0,
    a.RUN_STATE: "completed",
    a.RUN_RECORDS: 4,
}


@pytest.mark.parametrize(
    ("name", "kind", "attributes"),
    [
        ("policy_decision refunds", "INTERNAL", DECISION),
        ("execute_tool create_refund", "internal", TOOL_CALL),
        ("execute_tool create_refund", "client", TOOL_CALL | {"mcp.session.id": "s"}),
        ("invoke_agent", "internal", RUN),
        ("langgraph node", "internal", GOVERNED | {a.STEP_INDEX: 0, a.STEP_KIND: "act", "node": "x"}),
        # Not governed, and nothing of ours but what may be anywhere.
        ("chat gpt-5", "client", {a.GEN_AI_REQUEST_MODEL: "gpt-5", a.RUN_ID: "run-1", a.COST_AMOUNT: 0.1}),
        ("invoke_agent sub-agent", "internal", {a.RUN_ID: "run-1"}),
        ("verify signature", "server", {"http.route": "/"}),
        (
            "policy_decision refunds",
            "internal",
            DECISION | {a.REDACTION_KINDS: ("email",), a.REDACTION_COUNT: 1},
        ),
    ],
)
def test_what_keeps_the_conventions(name: str, kind: str, attributes: dict[str, object]) -> None:
    assert check_span(REGISTRY, name, kind, attributes) == []


@pytest.mark.parametrize(
    ("name", "kind", "attributes", "violation"),
    [
        (
            "policy_decision refunds",
            "internal",
            {**DECISION, a.DECISION_OUTCOME: "maybe"},
            "runrecord.decision.outcome has a value that is not one of its members",
        ),
        (
            "policy_decision refunds",
            "internal",
            {**DECISION, a.RECORD_SEQ: "3"},
            "runrecord.record.seq is a str and must be of type int",
        ),
        (
            "policy_decision refunds",
            "internal",
            {**DECISION, a.RECORD_SEQ: True},
            "runrecord.record.seq is a bool and must be of type int",
        ),
        (
            "policy_decision refunds",
            "internal",
            {**DECISION, a.BUDGET_LIMIT: 5},
            "runrecord.budget.limit is a int and must be of type double",
        ),
        (
            "policy_decision refunds",
            "internal",
            {**DECISION, a.REDACTION_KINDS: "email"},
            "runrecord.redaction.kinds is a str and must be of type string[]",
        ),
        ("policy_decision refunds", "client", DECISION, "the kind is client and must be internal"),
        (
            "policy_decision 0815",
            "internal",
            DECISION,
            "the name must be 'policy_decision' and the value of runrecord.policy.name",
        ),
        (
            "policy_decision refunds",
            "internal",
            DECISION | {a.GEN_AI_TOOL_NAME: "x"},
            "gen_ai.tool.name would make a reader take this for an official span",
        ),
        (
            "policy_decision refunds",
            "internal",
            DECISION | {a.APPROVAL_ID: "x"},
            "runrecord.approval.id does not belong on runrecord.policy_decision",
        ),
        (
            "policy_decision refunds",
            "internal",
            DECISION | {"runrecord.mine": 1},
            "runrecord.mine is not in the registry",
        ),
        (
            "execute_tool create_refund",
            "internal",
            TOOL_CALL | {a.DECISION_ID: "dec-1"},
            "runrecord.decision.id does not belong on runrecord.tool_call",
        ),
        (
            "chat gpt-5",
            "client",
            {a.DECISION_ID: "dec-1"},
            "carries runrecord.decision.id and is not a governed span",
        ),
    ],
)
def test_what_breaks_the_conventions(
    name: str, kind: str, attributes: dict[str, object], violation: str
) -> None:
    assert check_span(REGISTRY, name, kind, attributes) == [f"{name}: {violation}"]


@pytest.mark.parametrize(
    ("name", "complete"),
    [("policy_decision refunds", DECISION), ("execute_tool create_refund", TOOL_CALL), ("invoke_agent", RUN)],
)
def test_each_required_attribute_is_missed(name: str, complete: dict[str, object]) -> None:
    signal = signal_of_span(REGISTRY, name, complete)
    assert signal is not None
    for key in [use.attribute.key for use in signal.uses if use.level == "required"]:
        without = {other: value for other, value in complete.items() if other != key}
        assert f"{name}: {key} is required and missing" in check_span(REGISTRY, name, "internal", without)


def test_events() -> None:
    escalation = {
        a.RUN_ID: "run-1",
        a.SOURCE_ID: "9f86d081884c7d65",
        a.ESCALATION_REASON_CODE: "low_confidence",
    }
    assert check_event(REGISTRY, "runrecord.escalation", escalation) == []
    assert check_event(REGISTRY, "runrecord.escalation", escalation | {a.RECORD_SEQ: 1}) == [
        "runrecord.escalation: runrecord.record.seq does not belong on runrecord.escalation"
    ]
    assert check_event(REGISTRY, "runrecord.escalated", {}) == [
        "runrecord.escalated: the registry has no such event"
    ]
    assert check_event(REGISTRY, "gen_ai.evaluation.result", {"anything": 1}) == []
    assert signal_of_event(REGISTRY, "runrecord.step") is None


def test_a_violation_does_not_repeat_the_value() -> None:
    attributes = DECISION | {a.DECISION_OUTCOME: "secret-4711", a.RECORD_SEQ: "secret-4711"}
    assert "secret-4711" not in "".join(
        check_span(REGISTRY, "policy_decision refunds", "internal", attributes)
    )
