# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the real Cedar decides, and what is recorded of it."""

import hashlib
from typing import Any

import cedarpy
import pytest
from cedarpy import is_authorized as imported_by_name

from runrecord.instrumentation.cedar import CedarInstrumentor

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]
NAMES_RULES = hasattr(cedarpy.Diagnostics, "id_annotations_by_reason")


def facts(span: Any) -> dict[str, Any]:
    return {name.removeprefix("runrecord."): value for name, value in (span.attributes or {}).items()}


def rule(annotation: str, number: str) -> str:
    """How a rule is called: old releases don't tell the annotation."""
    return annotation if NAMES_RULES else number


def test_a_whole_decision(telemetry: Any, recorder: Any, request_of: Any, policies: str) -> None:
    with recorder.run("refund-agent") as run, run.tool("create_refund", call_id="call-1"):
        assert not cedarpy.is_authorized(request_of(80), policies, []).allowed
    found = facts(telemetry.one("policy_decision cedar"))
    assert found.pop("subject.digest").startswith("hmac-sha256:")
    assert found == {
        "decision.id": "id-2",
        "decision.outcome": "deny",
        "policy.engine": "cedar",
        "policy.id": "cedar",
        "policy.name": "cedar",
        "policy.version": "sha256:" + hashlib.sha256(policies.encode()).hexdigest(),
        "policy.mode": "enforce",
        "policy.rule.id": rule("over_50_usd", "policy1"),
        "record.seq": 2,
        "run.id": "id-1",
        "source.id": "0000000000000001",
        "subject.id": "call-1",
        "subject.name": "create_refund",
        "subject.type": "tool_call",
    }


def test_a_function_that_was_imported_by_name_before(
    telemetry: Any, recorder: Any, request_of: Any, policies: str
) -> None:
    with recorder.run("refund-agent"):
        assert imported_by_name(request=request_of(20), policies=policies, entities=[]).allowed
    assert facts(telemetry.one("policy_decision"))["policy.rule.id"] == rule("refunds", "policy0")


def test_a_batch_is_a_decision_for_each_request(
    telemetry: Any, recorder: Any, request_of: Any, policies: str
) -> None:
    with recorder.run("refund-agent"):
        cedarpy.is_authorized_batch([request_of(20), request_of(80), request_of(30)], policies, [])
    found = [facts(span) for span in telemetry.named("policy_decision")]
    assert [each["decision.outcome"] for each in found] == ["allow", "deny", "allow"]
    assert len({each["subject.digest"] for each in found}) == 3


def test_nothing_permits_it(telemetry: Any, recorder: Any, request_of: Any, policies: str) -> None:
    with recorder.run("refund-agent"):
        cedarpy.is_authorized({**request_of(20), "action": 'Action::"close"'}, policies, [])
    found = facts(telemetry.one("policy_decision"))
    assert (found["decision.outcome"], found["decision.reason_code"]) == ("deny", "no_policy_permits")
    assert "policy.rule.id" not in found


def test_several_policies_that_settle_it_are_no_rule(
    telemetry: Any, recorder: Any, request_of: Any, policies: str
) -> None:
    with recorder.run("refund-agent"):
        cedarpy.is_authorized(request_of(20), policies + "permit (principal, action, resource);", [])
    assert "policy.rule.id" not in facts(telemetry.one("policy_decision"))


def test_a_policy_that_fails_does_not_count(
    telemetry: Any, recorder: Any, request_of: Any, policies: str
) -> None:
    request = {**request_of(20), "context": {}}
    with recorder.run("refund-agent"):
        assert cedarpy.is_authorized(request, policies, []).allowed
    found = facts(telemetry.one("policy_decision"))
    assert (found["decision.outcome"], found["decision.reason_code"]) == ("allow", "policy_error")


@pytest.mark.parametrize("broken", ["request", "policies"])
def test_what_can_not_be_read_is_no_decision(
    telemetry: Any, recorder: Any, request_of: Any, policies: str, broken: str
) -> None:
    request = {**request_of(20), "principal": "ada-example"} if broken == "request" else request_of(20)
    text = "permit nonsense" if broken == "policies" else policies
    with recorder.run("refund-agent"):
        result = cedarpy.is_authorized(request, text, [])
    assert result.decision is cedarpy.Decision.NoDecision
    span = telemetry.one("policy_decision")
    assert "runrecord.decision.outcome" not in span.attributes
    assert span.attributes["error.type"] == "cedar.invalid_input"
    assert span.status.status_code.name == "ERROR"
    assert "ada-example" not in telemetry.exported_text()


def test_what_it_raises_passes_through(telemetry: Any, recorder: Any, request_of: Any, policies: str) -> None:
    with recorder.run("refund-agent") as run, pytest.raises(TypeError) as raised:
        cedarpy.is_authorized({**request_of(20), "context": {"amount": object()}}, policies, [])
    assert run.ended
    assert telemetry.one("policy_decision").attributes["error.type"] == type(raised.value).__name__


def test_a_set_that_has_a_name(telemetry: Any, recorder: Any, request_of: Any, policies: str) -> None:
    class Refunds(str):  # noqa: SLOT000
        policy_id = "refunds"
        policy_version = "14"

    with recorder.run("refund-agent"):
        cedarpy.is_authorized(request_of(20), Refunds(policies), [])
    found = facts(telemetry.one("policy_decision refunds"))
    assert (found["policy.id"], found["policy.version"]) == ("refunds", "14")


def test_a_set_that_was_parsed_before_has_the_version_of_its_text(
    telemetry: Any, recorder: Any, request_of: Any, policies: str
) -> None:
    parsed = cedarpy.PolicySet.from_str(policies) if hasattr(cedarpy, "PolicySet") else policies
    with recorder.run("refund-agent"):
        for _ in range(2):
            cedarpy.is_authorized(request_of(20), parsed, [])
    versions = {facts(span)["policy.version"] for span in telemetry.named("policy_decision")}
    assert versions == {"sha256:" + hashlib.sha256(str(parsed).encode()).hexdigest()}


def test_the_answers_are_the_same_with_and_without(
    recorder: Any, request_of: Any, policies: str, instrumented: CedarInstrumentor
) -> None:
    def answers() -> list[Any]:
        results = cedarpy.is_authorized_batch(
            [request_of(20), {**request_of(80), "correlation_id": "c-1"}], policies, []
        )
        return [
            (type(each), each.decision, each.correlation_id, each.diagnostics.reasons) for each in results
        ]

    with recorder.run("refund-agent"):
        recorded = answers()
    instrumented.uninstrument()
    assert recorded == answers()
    instrumented.instrument()
