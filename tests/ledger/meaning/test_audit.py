# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Every invariant, with runs that keep it and runs that break it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from runrecord.ledger import audit
from runrecord.ledger.audit import RULES, Severity, audit_run
from runrecord.ledger.entry import Kind
from runrecord.ledger.values import wrap


def found(rule, view):
    return [(f.severity.value, f.text) for f in RULES[rule](view)]


def violations(rule, view):
    return [text for severity, text in found(rule, view) if severity == "violation"]


@pytest.fixture
def run(build):
    b = build()
    b.begin()
    return b


def test_a_run_by_the_rules_has_no_finding(refund):
    assert audit_run(refund().view()) == []


def test_findings_name_the_entries_that_prove_them(run):
    run.decision("c1", "deny")
    run.tool("c1")
    run.close()
    (finding,) = audit_run(run.view())
    assert (finding.rule, finding.indices) == ("no-effect-after-refusal", (0, 1))


def test_violations_come_before_notices(run):
    run.tool("c0")
    run.decision("c1", "deny")
    run.tool("c1")
    run.close()
    assert [f.severity for f in audit_run(run.view())] == [Severity.VIOLATION, Severity.NOTICE]


# --- a decision precedes the effect ----------------------------------------------------------------------------------

RULE_1 = "decision-precedes-effect"


def test_a_decision_before_the_effect_is_fine(run):
    run.decision("c1")
    run.tool("c1")
    assert found(RULE_1, run.view()) == []


def test_a_decision_after_the_effect_is_a_violation(run):
    run.tool("c1")
    run.decision("c1")
    assert violations(RULE_1, run.view())


def test_a_guardrail_inside_the_call_precedes_its_effect(run):
    tool = run.tool("c1")
    guard = run.decision("c1", parent_span_id=tool.span_id, start=tool.start + 1, end=tool.end - 1)
    assert found(RULE_1, run.view()) == []
    run.entries[-1] = replace(guard, end=tool.end + 1)
    assert violations(RULE_1, run.view())


def test_an_effect_without_any_decision_is_a_notice_and_a_read_is_nothing(run):
    run.tool("c1")
    run.tool("c2", "lookup", effect="read")
    assert [severity for severity, _ in found(RULE_1, run.view())] == ["notice"]


def test_a_decision_by_another_process_is_compared_by_time(run):
    run.decision("c1", source="b" * 16)
    run.tool("c1")
    assert found(RULE_1, run.view()) == []


# --- what was approved is what ran ---------------------------------------------------------------------------------

RULE_2 = "approved-is-what-ran"


def test_the_approved_arguments_ran(run):
    run.decision("c1", "require_approval")
    run.request("c1")
    run.answer("c1")
    run.tool("c1")
    assert found(RULE_2, run.view()) == []


def test_other_arguments_than_the_approved_ones_ran(run, digests):
    run.decision("c1", "require_approval")
    run.request("c1")
    run.answer("c1")
    run.tool("c1", digest=digests[1])
    assert "other than those" in violations(RULE_2, run.view())[0]


def test_the_request_and_the_answer_show_other_arguments(run, digests):
    run.request("c1")
    run.answer("c1", digest=digests[1])
    run.tool("c1", digest=digests[1])
    assert violations(RULE_2, run.view())


def test_modified_arguments_are_those_that_have_to_run(run, digests):
    agreed, other = digests
    run.request("c1")
    run.answer("c1", "modified", runrecord__approval__subject__modified_digest=other)
    run.tool("c1", digest=other)
    assert found(RULE_2, run.view()) == []
    run.entries[-1] = replace(
        run.entries[-1], attributes={**run.entries[-1].attributes, "runrecord.arguments.digest": agreed}
    )
    assert violations(RULE_2, run.view())


def test_a_call_that_needed_an_approval_ran_without(run):
    run.decision("c1", "require_approval")
    run.tool("c1")
    assert "without one" in violations(RULE_2, run.view())[0]


def test_a_monitored_policy_does_not_require(run):
    run.decision("c1", "require_approval", runrecord__policy__mode="monitor")
    run.tool("c1")
    assert found(RULE_2, run.view()) == []


def test_an_approval_for_the_session_covers_the_next_call_of_the_tool(run, digests):
    run.request("c1")
    run.answer("c1", runrecord__approval__scope="session")
    run.tool("c1")
    run.decision("c2", "require_approval")
    run.tool("c2", digest=digests[1])
    assert found(RULE_2, run.view()) == []
    run.decision("c3", "require_approval")
    run.tool("c3", tool="close_account", digest=digests[1])
    assert violations(RULE_2, run.view())


def test_an_approved_call_without_a_digest_proves_nothing(run):
    run.request("c1")
    run.answer("c1")
    run.tool("c1", digest=None)
    assert "no digest" in violations(RULE_2, run.view())[0]


def test_an_approval_that_does_not_say_of_what_proves_nothing(run):
    run.request("c1", digest=None)
    run.answer("c1", digest=None)
    run.tool("c1")
    assert "does not say for which arguments" in violations(RULE_2, run.view())[0]


def test_without_call_ids_the_commitment_joins_approval_and_call(run):
    run.request(None)
    run.answer(None)
    run.tool(None)
    view = run.view()
    assert view.calls[0].approvals == view.approvals
    assert found(RULE_2, view) == []


# --- no effect after a refusal -------------------------------------------------------------------------------------

RULE_3 = "no-effect-after-refusal"


@pytest.mark.parametrize("status", ["denied", "expired", "cancelled"])
def test_a_call_after_a_refused_approval_is_a_violation(run, status):
    run.request("c1")
    run.answer("c1", status)
    run.tool("c1")
    assert status in violations(RULE_3, run.view())[0]


def test_a_denied_call_that_did_not_run_is_fine(run):
    run.decision("c1", "deny")
    run.tool("c1", runrecord__side_effect__committed=False)
    run.tool("c1", runrecord__dry_run=True)
    assert found(RULE_3, run.view()) == []


def test_a_denied_call_that_ran_is_a_violation_even_if_it_only_read(run):
    run.decision("c1", "deny")
    run.tool("c1", effect="read", runrecord__side_effect__committed=None)
    assert violations(RULE_3, run.view())


def test_a_denial_in_monitor_mode_or_one_that_was_overruled_is_fine(run):
    run.decision("c1", "deny", runrecord__policy__mode="monitor")
    run.tool("c1")
    run.decision("c2", "deny")
    run.decision("c2", "allow")
    run.tool("c2")
    assert found(RULE_3, run.view()) == []


def test_an_approval_asked_again_and_given_is_fine(run):
    run.request("c1")
    run.answer("c1", "denied")
    run.request("c1", approval="ap-2")
    run.answer("c1", approval="ap-2")
    run.tool("c1")
    assert found(RULE_3, run.view()) == []


def test_an_approval_after_its_deadline_is_a_violation(run):
    def at(nanos):
        return datetime.fromtimestamp(nanos / 1e9, tz=timezone.utc).isoformat().replace("+00:00", "Z")

    run.request("c1", runrecord__approval__deadline=at(run.clock + 60 * 10**9))
    run.answer("c1")
    assert found(RULE_3, run.view()) == []
    run.request("c2", approval="ap-2", runrecord__approval__deadline=at(run.clock))
    run.answer("c2", approval="ap-2")
    run.request("c3", approval="ap-3", runrecord__approval__deadline="soon")
    run.answer("c3", approval="ap-3")
    (text,) = violations(RULE_3, run.view())
    assert "ap-2" in text


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:01.123456789123Z", 1_123_456_789),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00", 0),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_rfc_3339_times(text, nanos):
    assert audit._nanos(text) == nanos


# --- every intent has a result -------------------------------------------------------------------------------------

RULE_4 = "intent-has-result"


def test_an_intent_and_its_result_are_one_call(run):
    intent = run.tool("c1", kind=Kind.TOOL_INTENT)
    run.entries.append(replace(intent, kind=Kind.TOOL_RESULT, end=intent.end + 1))
    assert len(run.view().calls) == 1
    assert found(RULE_4, run.view()) == []


def test_an_intent_without_a_result_is_a_violation(run):
    run.tool("c1", kind=Kind.TOOL_INTENT)
    assert violations(RULE_4, run.view())


def test_an_unanswered_request_of_an_ended_run_is_a_notice_and_an_unasked_answer_a_violation(run):
    run.request("c1")
    assert found(RULE_4, run.view()) == []
    run.close()
    assert [severity for severity, _ in found(RULE_4, run.view())] == ["notice"]
    run.answer("c2", approval="ap-9")
    assert violations(RULE_4, run.view())


# --- one effect per idempotency reference ------------------------------------------------------------------------------

RULE_5 = "one-effect-per-reference"


def test_a_repeat_that_was_deduplicated_is_fine(run):
    run.tool("c1", runrecord__idempotency__ref="r1")
    run.tool("c2", runrecord__idempotency__ref="r1", runrecord__idempotency__deduplicated=True)
    run.tool("c3", runrecord__idempotency__ref="r2")
    run.tool("c4", runrecord__idempotency__ref="r2", runrecord__side_effect__committed=None, status="error")
    assert found(RULE_5, run.view()) == []


def test_two_effects_of_one_reference_are_a_violation(run):
    run.tool("c1", runrecord__idempotency__ref="r1")
    run.tool("c2", runrecord__idempotency__ref="r1")
    assert "2 times" in violations(RULE_5, run.view())[0]


# --- budgets ---------------------------------------------------------------------------------------------------------

RULE_6 = "within-budget"


def budget(dimension, limit, consumed=None):
    values = {"runrecord__budget__dimension": dimension, "runrecord__budget__limit": float(limit)}
    return values if consumed is None else {**values, "runrecord__budget__consumed": float(consumed)}


def test_a_run_within_its_budget_is_fine(run):
    run.step(0)
    run.tool("c1")
    run.close(**budget("steps", 1, 1))
    assert found(RULE_6, run.view()) == []


def test_more_than_the_budget_is_a_violation_whatever_the_run_claims(run):
    run.tool("c1")
    run.tool("c2")
    run.close(**budget("tool_calls", 1, 1))
    assert "2 tool_calls were used of a budget of 1" in violations(RULE_6, run.view())[0]


def test_spend_is_summed(run):
    run.tool("c1", runrecord__cost__amount=0.75)
    run.tool("c2", runrecord__cost__amount=0.75)
    run.close(**budget("cost", 1))
    assert "1.5 cost" in violations(RULE_6, run.view())[0]


def test_a_run_that_stopped_for_its_budget_gives_a_notice(run):
    run.decision("c1", "deny", runrecord__budget__exceeded=True, **budget("tokens", 100, 120))
    run.close(outcome="budget_exceeded")
    assert [severity for severity, _ in found(RULE_6, run.view())] == ["notice"]
    run.entries.pop()
    assert violations(RULE_6, run.view())


# --- a run that ended is closed ----------------------------------------------------------------------------------------

RULE_7 = "ended-is-closed"


def test_an_ended_run_is_closed(run):
    run.step(0)
    assert violations(RULE_7, run.view()) == ["the run was never closed"]
    run.close()
    assert found(RULE_7, run.view()) == []
    run.step(1)
    assert "after the run had ended" in violations(RULE_7, run.view())[0]


def test_a_run_that_waits_for_an_answer_gives_a_notice(run):
    run.request("c1")
    run.close("suspended")
    assert found(RULE_7, run.view()) == [("notice", "the run waits for an answer")]


# --- the approver is not the agent ---------------------------------------------------------------------------------------

RULE_8 = "approver-is-not-agent"


def test_a_person_approves(run):
    run.request("c1")
    run.answer("c1")
    run.close()
    assert found(RULE_8, run.view()) == []


@pytest.mark.parametrize(
    "actor",
    [
        {"runrecord__approval__actor__ref": "refund-agent"},
        {"runrecord__approval__actor__type": "agent"},
        {"runrecord__approval__actor__ref": "svc-1"},
    ],
)
def test_the_agent_approves_itself(run, actor):
    run.request("c1")
    run.answer("c1", **actor)
    run.close(runrecord__principal__type="agent", runrecord__principal__ref="svc-1")
    assert violations(RULE_8, run.view())


def test_an_approval_by_nobody_is_a_notice_and_a_denial_by_nobody_is_fine(run):
    run.answer("c1", runrecord__approval__actor__ref=None)
    run.answer("c2", "denied", approval="ap-2", runrecord__approval__actor__ref=None)
    assert [severity for severity, _ in found(RULE_8, run.view())] == ["notice"]


# --- versions do not change ----------------------------------------------------------------------------------------------

RULE_9 = "versions-constant"


def test_constant_versions_are_fine(run):
    run.decision("c1")
    run.decision("c2")
    run.close(runrecord__version__prompt="sha256:1")
    assert found(RULE_9, run.view()) == []


def test_a_changed_policy_prompt_or_service_version_is_a_violation(run):
    run.decision("c1")
    run.decision("c2", runrecord__policy__version="15")
    assert "policy refunds" in violations(RULE_9, run.view())[0]
    run.close("suspended", runrecord__version__prompt="sha256:1")
    run.begin()
    run.close(segment=1, runrecord__version__prompt="sha256:2")
    assert len(violations(RULE_9, run.view())) == 2
    origin = replace(run.entries[0].origin, service="api", service_version="1")
    run.entries[0] = replace(run.entries[0], origin=origin)
    run.entries[1] = replace(run.entries[1], origin=replace(origin, service_version="2"))
    assert len(violations(RULE_9, run.view())) == 3


def test_an_attribute_of_another_type_is_not_a_version(run):
    run.step(0)
    run.entries[0] = replace(run.entries[0], attributes={"runrecord.version.code": wrap(1)})
    assert found(RULE_9, run.view()) == []
