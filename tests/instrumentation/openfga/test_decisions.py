# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a real OpenFGA server decides, and what is recorded of it."""

from typing import Any

import pytest
from openfga_sdk.client.models import (
    ClientBatchCheckItem,
    ClientBatchCheckRequest,
    ClientListObjectsRequest,
    ClientListRelationsRequest,
)
from openfga_sdk.exceptions import ValidationException

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.go,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("instrumented"),
]


def facts(span: Any) -> dict[str, Any]:
    return {name.removeprefix("runrecord."): value for name, value in (span.attributes or {}).items()}


def items(check_of: Any, *amounts: Any, **changes: Any) -> list[Any]:
    checks = [check_of(amount, **changes) for amount in amounts]
    return [
        ClientBatchCheckItem(user=each.user, relation=each.relation, object=each.object, context=each.context)
        for each in checks
    ]


def test_a_whole_decision(telemetry: Any, recorder: Any, client: Any, check_of: Any, store: Any) -> None:
    with recorder.run("refund-agent") as run, run.tool("create_refund", call_id="call-1"):
        assert client.check(check_of(80)).allowed is False
    found = facts(telemetry.one("policy_decision openfga"))
    assert found.pop("subject.digest").startswith("hmac-sha256:")
    assert found == {
        "decision.id": "id-2",
        "decision.outcome": "deny",
        "policy.engine": "openfga",
        "policy.id": store[0],
        "policy.name": "openfga",
        "policy.version": store[1],
        "policy.mode": "enforce",
        "policy.rule.id": "invoice#can_refund",
        "record.seq": 2,
        "run.id": "id-1",
        "source.id": "0000000000000001",
        "subject.id": "call-1",
        "subject.name": "create_refund",
        "subject.type": "tool_call",
    }


def test_an_asynchronous_check(telemetry: Any, recorder: Any, with_async_client: Any, check_of: Any) -> None:
    async def use(client: Any) -> list[bool]:
        return [(await client.check(check_of(amount))).allowed for amount in (20, 80)]

    with recorder.run("refund-agent"):
        assert with_async_client(use) == [True, False]
    found = [facts(span) for span in telemetry.named("policy_decision")]
    assert [each["decision.outcome"] for each in found] == ["allow", "deny"]


def test_a_batch_is_a_decision_for_each_check(
    telemetry: Any, recorder: Any, client: Any, with_async_client: Any, check_of: Any
) -> None:
    async def use(client: Any) -> Any:
        return await client.batch_check(ClientBatchCheckRequest(checks=items(check_of, 20, 80)))

    with recorder.run("refund-agent"):
        results = client.batch_check(ClientBatchCheckRequest(checks=items(check_of, 20, 80))).result
        assert sorted(each.allowed for each in results) == [False, True]
        assert sorted(each.allowed for each in with_async_client(use).result) == [False, True]
    found = [facts(span) for span in telemetry.named("policy_decision")]
    assert sorted(each["decision.outcome"] for each in found) == ["allow", "allow", "deny", "deny"]
    assert len({each["subject.digest"] for each in found}) == 2


def test_a_batch_that_the_client_makes_of_single_checks(
    telemetry: Any, recorder: Any, client: Any, with_async_client: Any, check_of: Any
) -> None:
    checks = [check_of(20), check_of(80), check_of(20, relation="can_close")]

    async def use(client: Any) -> Any:
        return await client.client_batch_check(checks)

    for ask in (client.client_batch_check, lambda _: with_async_client(use)):
        telemetry.span_exporter.clear()
        with recorder.run("refund-agent"):
            assert [each.allowed for each in ask(checks)] == [True, False, False]
        spans = telemetry.named("policy_decision")
        assert [facts(span).get("decision.outcome") for span in spans] == ["allow", "deny", None]
        assert spans[2].attributes["error.type"].endswith("ValidationException")


def test_the_relations_of_a_user(telemetry: Any, recorder: Any, client: Any) -> None:
    body = ClientListRelationsRequest(
        user="agent:ada-example",
        object="invoice:inv-ada-7",
        relations=["can_refund"],
        context={"amount": 20},
    )
    with recorder.run("refund-agent"):
        assert client.list_relations(body) == ["can_refund"]
    assert facts(telemetry.one("policy_decision"))["decision.outcome"] == "allow"


@pytest.mark.parametrize(("amount", "outcome"), [(20, "allow"), (80, "deny")])
def test_what_may_be_retrieved(telemetry: Any, recorder: Any, client: Any, amount: int, outcome: str) -> None:
    body = ClientListObjectsRequest(
        user="agent:ada-example", relation="can_refund", type="invoice", context={"amount": amount}
    )
    with recorder.run("refund-agent") as run, run.tool("search", call_id="call-1"):
        found = client.list_objects(body).objects
    assert found == (["invoice:inv-ada-7"] if outcome == "allow" else [])
    decision = facts(telemetry.one("policy_decision"))
    assert decision["decision.outcome"] == outcome
    assert (decision["subject.type"], decision["subject.name"]) == ("retrieval", "invoice")
    assert "subject.id" not in decision
    assert facts(telemetry.one("invoke_agent"))["run.outcome"] == "success"


def test_a_check_that_fails_is_no_decision(telemetry: Any, recorder: Any, client: Any, check_of: Any) -> None:
    with recorder.run("refund-agent"):
        with pytest.raises(ValidationException):
            client.check(check_of(20, relation="can_close"))
        wrong = items(check_of, 20, relation="can_close")
        client.batch_check(ClientBatchCheckRequest(checks=wrong))
    one, other = telemetry.named("policy_decision")
    assert one.attributes["error.type"] == "openfga_sdk.exceptions.ValidationException"
    assert other.attributes["error.type"].startswith("openfga.")
    for span in (one, other):
        assert "runrecord.decision.outcome" not in span.attributes
        assert span.status.status_code.name == "ERROR"
    assert "inv-ada-7" not in telemetry.exported_text()


def test_a_server_that_is_away(telemetry: Any, recorder: Any, configuration: Any, check_of: Any) -> None:
    from openfga_sdk.sync import OpenFgaClient

    configuration.api_url = "http://127.0.0.1:9"
    with (
        OpenFgaClient(configuration) as client,
        recorder.run("refund-agent"),
        pytest.raises(Exception) as raised,
    ):
        client.check(check_of(20))
    kind = type(raised.value)
    assert (
        telemetry.one("policy_decision").attributes["error.type"] == f"{kind.__module__}.{kind.__qualname__}"
    )


def test_a_model_that_a_call_asks_for_and_a_client_that_has_a_name(
    telemetry: Any, recorder: Any, client: Any, check_of: Any, store: Any
) -> None:
    client.policy_id = "refunds"
    with recorder.run("refund-agent"):
        client.check(check_of(20), {"authorization_model_id": store[1]})
        client.set_authorization_model_id("")
        client.check(check_of(20))
    pinned, latest = (facts(span) for span in telemetry.named("policy_decision refunds"))
    assert (pinned["policy.id"], pinned["policy.version"]) == ("refunds", store[1])
    assert "policy.version" not in latest


def test_the_answers_are_the_same_with_and_without(
    recorder: Any, client: Any, check_of: Any, instrumented: Any
) -> None:
    def answers() -> list[Any]:
        return [client.check(check_of(amount)).to_dict() for amount in (20, 80)]

    with recorder.run("refund-agent"):
        recorded = answers()
    instrumented.uninstrument()
    assert recorded == answers()
    instrumented.instrument()
