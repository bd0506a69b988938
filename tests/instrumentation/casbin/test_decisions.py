# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What the real casbin decides, and what is recorded of it."""

from typing import Any

import pytest

from runrecord.instrumentation.casbin import CasbinInstrumentor

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]
ASKED = ("ada-example", "refund", "inv-ada-7")


def facts(span: Any) -> dict[str, Any]:
    return {name.removeprefix("runrecord."): value for name, value in (span.attributes or {}).items()}


def test_a_whole_decision(telemetry: Any, recorder: Any, new_enforcer: Any) -> None:
    enforcer = new_enforcer()
    with recorder.run("refund-agent") as run, run.tool("create_refund", call_id="call-1"):
        assert enforcer.enforce(*ASKED, 20) is True
    found = facts(telemetry.one("policy_decision casbin"))
    assert found.pop("subject.digest").startswith("hmac-sha256:")
    assert found.pop("policy.version").startswith("sha256:")
    assert found == {
        "decision.id": "id-2",
        "decision.outcome": "allow",
        "policy.engine": "casbin",
        "policy.id": "casbin",
        "policy.name": "casbin",
        "policy.mode": "enforce",
        "policy.rule.id": "p/1",
        "record.seq": 2,
        "run.id": "id-1",
        "source.id": "0000000000000001",
        "subject.id": "call-1",
        "subject.name": "create_refund",
        "subject.type": "tool_call",
    }


@pytest.mark.parametrize("kind", ["Enforcer", "AsyncEnforcer", "SyncedEnforcer", "FastEnforcer"])
def test_every_kind_of_enforcer_and_way_to_ask_is_one_decision_for_each_request(
    telemetry: Any, recorder: Any, new_enforcer: Any, kind: str
) -> None:
    enforcer = new_enforcer(kind)
    with recorder.run("refund-agent"):
        assert enforcer.enforce(*ASKED, 20) is True
        assert tuple(enforcer.enforce_ex(*ASKED, 80)) == (False, [])
        assert enforcer.batch_enforce([(*ASKED, 20), (*ASKED, 80)]) == [True, False]
    found = [facts(span) for span in telemetry.named("policy_decision")]
    assert [each["decision.outcome"] for each in found] == ["allow", "deny", "allow", "deny"]
    assert [each.get("policy.rule.id") for each in found] == ["p/1", None, "p/1", None]
    assert [each.get("decision.reason_code") for each in found] == [None, "no_rule_matched"] * 2


def test_a_rule_that_denies(telemetry: Any, recorder: Any, new_enforcer: Any) -> None:
    model = """
    [request_definition]
    r = sub, act
    [policy_definition]
    p = sub, act, eft
    [policy_effect]
    e = !some(where (p.eft == deny))
    [matchers]
    m = r.sub == p.sub && r.act == p.act
    """
    rules = (("ada-example", "close", "deny"), ("ada-example", "refund", "deny"))
    enforcer = new_enforcer("Enforcer", model, *rules)
    with recorder.run("refund-agent"):
        assert enforcer.enforce("ada-example", "refund") is False
    found = facts(telemetry.one("policy_decision"))
    assert (found["decision.outcome"], found["policy.rule.id"]) == ("deny", "p/1")
    assert "decision.reason_code" not in found


def test_another_section_of_the_model(telemetry: Any, recorder: Any, new_enforcer: Any) -> None:
    model = """
    [request_definition]
    r = sub
    r2 = sub, act
    [policy_definition]
    p = sub
    p2 = sub, act
    [policy_effect]
    e = some(where (p.eft == allow))
    e2 = some(where (p2.eft == allow))
    [matchers]
    m = r.sub == p.sub
    m2 = r2.sub == p2.sub && r2.act == p2.act
    """
    enforcer = new_enforcer("Enforcer", model, ("bob-example",))
    enforcer.model.add_policy("p", "p2", ["ada-example", "refund"])
    with recorder.run("refund-agent"):
        assert enforcer.enforce(enforcer.new_enforce_context("2"), "ada-example", "refund") is True
    assert facts(telemetry.one("policy_decision"))["policy.rule.id"] == "p2/0"


def test_an_enforcer_that_is_switched_off_says_so(telemetry: Any, recorder: Any, new_enforcer: Any) -> None:
    enforcer = new_enforcer()
    enforcer.enable_enforce(enabled=False)
    with recorder.run("refund-agent"):
        assert enforcer.enforce(*ASKED, 80) is True
    found = facts(telemetry.one("policy_decision"))
    assert (found["decision.outcome"], found["decision.reason_code"]) == ("allow", "enforcement_disabled")


def test_what_it_raises_passes_through_and_is_no_decision(
    telemetry: Any, recorder: Any, new_enforcer: Any
) -> None:
    enforcer = new_enforcer()
    with recorder.run("refund-agent"), pytest.raises(RuntimeError, match="invalid request size"):
        enforcer.enforce("ada-example")
    span = telemetry.one("policy_decision")
    assert "runrecord.decision.outcome" not in span.attributes
    assert span.attributes["error.type"] == "RuntimeError"
    assert span.status.status_code.name == "ERROR"


def test_an_enforcer_that_has_a_name(telemetry: Any, recorder: Any, new_enforcer: Any) -> None:
    enforcer = new_enforcer()
    enforcer.policy_id, enforcer.policy_version = "refunds", "14"
    with recorder.run("refund-agent"):
        enforcer.enforce(*ASKED, 20)
    found = facts(telemetry.one("policy_decision refunds"))
    assert (found["policy.id"], found["policy.version"]) == ("refunds", "14")


def test_the_version_follows_from_the_model_and_not_from_the_rules(
    telemetry: Any, recorder: Any, new_enforcer: Any
) -> None:
    first, other = new_enforcer(), new_enforcer()
    other.add_policy("eve-example", "refund")
    third = new_enforcer()
    third.model.model["m"]["m"].value += " && r_amount > 0"
    with recorder.run("refund-agent"):
        for enforcer in (first, other, third):
            assert enforcer.enforce(*ASKED, 20) is True
    versions = [facts(span)["policy.version"] for span in telemetry.named("policy_decision")]
    assert versions[0] == versions[1] != versions[2]


def test_the_answers_are_the_same_with_and_without(
    recorder: Any, new_enforcer: Any, instrumented: CasbinInstrumentor
) -> None:
    def answers() -> list[Any]:
        enforcer = new_enforcer()
        return [enforcer.enforce_ex(*ASKED, amount) for amount in (20, 80)]

    with recorder.run("refund-agent"):
        recorded = answers()
    instrumented.uninstrument()
    assert recorded == answers()
    assert [type(each) for each in recorded] == [tuple, tuple]
    instrumented.instrument()
