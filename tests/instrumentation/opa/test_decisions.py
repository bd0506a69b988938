# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a real OPA server decides, and what is recorded of it, whichever client asks."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import httpx2
import pytest
import requests
import urllib3
from opa_client import AsyncOpaClient, OpaClient

from runrecord.instrumentation.opa import OPAInstrumentor

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.go,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("instrumented"),
]

Ask = Callable[[str, str, Any], Any]


def facts(span: Any) -> dict[str, Any]:
    return {name.removeprefix("runrecord."): value for name, value in (span.attributes or {}).items()}


def given(amount: Any) -> dict[str, Any]:
    return {"agent": "ada-example", "invoice": "inv-ada-7", "amount": amount}


def with_async(module: Any) -> Ask:
    def ask(server: str, path: str, asked: Any) -> Any:
        async def main() -> Any:
            async with module.AsyncClient() as client:
                return (await client.post(server + path, json={"input": asked})).json()

        return asyncio.run(main())

    return ask


def with_opa_client(server: str, path: str, asked: Any) -> Any:
    where = urlsplit(server)
    with OpaClient(host=where.hostname, port=where.port, timeout=10) as client:
        return client.query_rule(asked, "refunds", path.rpartition("/")[2])


def with_async_opa_client(server: str, path: str, asked: Any) -> Any:
    async def main() -> Any:
        where = urlsplit(server)
        async with AsyncOpaClient(host=where.hostname, port=where.port, timeout=10) as client:
            return await client.query_rule(asked, package_path="refunds", rule_name=path.rpartition("/")[2])

    return asyncio.run(main())


CLIENTS: dict[str, Ask] = {
    "httpx": lambda server, path, asked: httpx.post(server + path, json={"input": asked}).json(),
    "httpx async": with_async(httpx),
    "httpx2": lambda server, path, asked: httpx2.post(server + path, json={"input": asked}).json(),
    "httpx2 async": with_async(httpx2),
    "requests": lambda server, path, asked: requests.post(
        server + path, json={"input": asked}, timeout=10
    ).json(),
    "requests get": lambda server, path, asked: requests.get(
        server + path, params={"input": json.dumps(asked)}, timeout=10
    ).json(),
    "urllib3": lambda server, path, asked: urllib3.request(
        "POST", server + path, json={"input": asked}
    ).json(),
    "opa-python-client": with_opa_client,
    "opa-python-client async": with_async_opa_client,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_one_decision_whichever_client_asks(telemetry: Any, recorder: Any, server: str, client: str) -> None:
    with recorder.run("refund-agent") as run, run.tool("create_refund", call_id="call-1"):
        answer = CLIENTS[client](server, "/v1/data/refunds/allow", given(80))
    assert answer["result"] is False
    found = facts(telemetry.one("policy_decision refunds"))
    digest = found.pop("subject.digest")
    assert digest == run.state.commit("message", given(80))
    assert found == {
        "decision.id": answer["decision_id"],
        "decision.outcome": "deny",
        "policy.engine": "opa",
        "policy.id": "refunds",
        "policy.name": "refunds",
        "policy.mode": "enforce",
        "policy.rule.id": "allow",
        "record.seq": 2,
        "run.id": "id-1",
        "source.id": "0000000000000001",
        "subject.id": "call-1",
        "subject.name": "create_refund",
        "subject.type": "tool_call",
    }


def post(server: str, path: str, asked: Any) -> httpx.Response:
    return httpx.post(f"{server}/v1/data/{path}", json={"input": asked})


def test_the_version_is_the_revision_of_the_bundle(telemetry: Any, recorder: Any, server: str) -> None:
    with recorder.run("refund-agent"):
        post(server, "refunds/allow?provenance=true", given(20))
    assert facts(telemetry.one("policy_decision"))["policy.version"] == "14"


@pytest.mark.parametrize(
    ("path", "amount", "outcome", "rule", "reason"),
    [
        ("refunds/allow", 20, "allow", "allow", None),
        ("refunds/deny", 80, "deny", "deny", None),
        ("refunds/deny", 20, "allow", "deny", None),
        ("refunds/decision", 80, "deny", "allow", "amount_over_limit"),
        ("refunds", 20, "allow", "allow", None),
    ],
)
def test_what_an_answer_means(  # noqa: PLR0917
    telemetry: Any, recorder: Any, server: str, path: str, amount: int, outcome: str, rule: str, reason: Any
) -> None:
    with recorder.run("refund-agent"):
        post(server, path, given(amount))
    found = facts(telemetry.one("policy_decision"))
    assert (found["decision.outcome"], found["policy.rule.id"]) == (outcome, rule)
    assert found.get("decision.reason_code") == reason
    assert found["policy.id"].split("/")[0] == "refunds"
    assert "inv-ada-7" not in telemetry.exported_text()


def test_what_is_no_decision_is_not_recorded(telemetry: Any, recorder: Any, server: str) -> None:
    with recorder.run("refund-agent"):
        assert post(server, "refunds/limits", given(20)).json()["result"] == {"usd": 50}
        assert httpx.get(f"{server}/v1/data/refunds/limits").status_code == 200
        assert httpx.get(f"{server}/v1/data/nothing/at/all").status_code == 200
        assert httpx.get(f"{server}/v1/policies").status_code == 200
        assert httpx.get(f"{server}/health").status_code == 200
        assert httpx.put(f"{server}/v1/data/flags", json={"on": True}).status_code == 204
        assert httpx.get(f"{server}/v1/data/flags/on").json()["result"] is True
        elsewhere = server.replace("127.0.0.1", "localhost")
        assert httpx.get(f"{elsewhere}/v1/data/refunds/allow").json()["result"] is False
    assert not telemetry.named("policy_decision")


@pytest.mark.parametrize(
    ("path", "error"), [("refunds/maybe", "opa.undefined_decision"), ("faulty/allow", "opa.internal_error")]
)
def test_what_could_not_be_evaluated(
    telemetry: Any, recorder: Any, server: str, path: str, error: str
) -> None:
    with recorder.run("refund-agent"):
        post(server, path, given(80))
    span = telemetry.one(f"policy_decision {path.split('/', maxsplit=1)[0]}")
    assert "runrecord.decision.outcome" not in span.attributes
    assert span.attributes["error.type"] == error
    assert span.status.status_code.name == "ERROR"
    assert "ada-example" not in telemetry.exported_text()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_is_away(
    telemetry: Any,
    recorder: Any,
    monkeypatch: pytest.MonkeyPatch,
    instrumented: OPAInstrumentor,
    client: str,
) -> None:
    away = "http://127.0.0.1:9"
    instrumented.uninstrument()
    monkeypatch.setenv("RUNRECORD_OPA_URLS", away)
    instrumented.instrument()
    with recorder.run("refund-agent"), pytest.raises(Exception) as raised:
        CLIENTS[client](away, "/v1/data/refunds/allow", given(80))
    kind = type(raised.value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    assert telemetry.one("policy_decision").attributes["error.type"] == name


def test_an_answer_that_is_streamed_is_left_alone(telemetry: Any, recorder: Any, server: str) -> None:
    url, body = f"{server}/v1/data/refunds/allow", {"input": given(20)}
    with recorder.run("refund-agent"):
        with httpx.stream("POST", url, json=body) as answer:
            assert not answer.is_stream_consumed
            assert json.loads(answer.read())["result"] is True
        with requests.post(url, json=body, stream=True, timeout=10) as response:
            assert json.loads(b"".join(response.iter_content(8)))["result"] is True
        raw = urllib3.request("POST", url, json=body, preload_content=False)
        assert json.loads(raw.read())["result"] is True
        raw.release_conn()
    assert not telemetry.named("policy_decision")


def test_a_question_that_is_streamed_has_no_digest(telemetry: Any, recorder: Any, server: str) -> None:
    def parts() -> Iterator[bytes]:
        yield json.dumps({"input": given(80)}).encode()

    with recorder.run("refund-agent"):
        answer = httpx.post(f"{server}/v1/data/refunds/allow", content=parts())
    assert answer.json()["result"] is False
    found = facts(telemetry.one("policy_decision"))
    assert found["decision.outcome"] == "deny"
    assert "subject.digest" not in found


def test_a_wrong_call_has_the_error_of_the_client(recorder: Any) -> None:
    with recorder.run("refund-agent"), httpx.Client() as client, requests.Session() as session:
        with pytest.raises(TypeError, match="request"):
            client.send()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="request"):
            session.send()  # type: ignore[call-arg]


def test_without_an_address_no_http_client_is_touched(
    monkeypatch: pytest.MonkeyPatch, instrumented: OPAInstrumentor
) -> None:
    places = [
        (httpx.Client, "send"),
        (httpx2.AsyncClient, "send"),
        (requests.Session, "send"),
        (urllib3.HTTPConnectionPool, "urlopen"),
    ]
    assert all(hasattr(getattr(owner, name), "__wrapped__") for owner, name in places)
    instrumented.uninstrument()
    monkeypatch.setenv("RUNRECORD_OPA_URLS", "")
    instrumented.instrument()
    assert not any(hasattr(getattr(owner, name), "__wrapped__") for owner, name in places)
    assert hasattr(OpaClient.query_rule, "__wrapped__")


def test_a_client_that_has_a_name(telemetry: Any, recorder: Any, server: str) -> None:
    where = urlsplit(server)
    with OpaClient(host=where.hostname, port=where.port, timeout=10) as client, recorder.run("refund-agent"):
        client.policy_id, client.policy_version = "eu-refunds", "14"
        client.query_rule(given(20), "refunds", "allow")
    found = facts(telemetry.one("policy_decision eu-refunds"))
    assert (found["policy.id"], found["policy.version"]) == ("eu-refunds", "14")


def test_a_bulk_question_is_a_decision_for_each_input(telemetry: Any, recorder: Any, server: str) -> None:
    where = urlsplit(server)
    if not hasattr(OpaClient, "bulk_query_rule"):
        return  # the oldest release has none

    async def use(asked: Any) -> Any:
        async with AsyncOpaClient(host=where.hostname, port=where.port, timeout=10) as client:
            return await client.bulk_query_rule(asked, "refunds", "allow")

    with recorder.run("refund-agent"):
        with OpaClient(host=where.hostname, port=where.port, timeout=10) as client:
            assert client.bulk_query_rule([given(20), given(80)], "refunds", "allow") == [True, False]
        asked = {"small": given(20), "big": given(80)}
        assert asyncio.run(use(asked)) == {"small": True, "big": False}
    spans = telemetry.named("policy_decision refunds")
    assert [facts(span)["decision.outcome"] for span in spans] == ["allow", "deny"] * 2


def test_the_input_of_a_get_may_be_anything(telemetry: Any, recorder: Any, server: str) -> None:
    with recorder.run("refund-agent") as run:
        httpx.get(f"{server}/v1/data/refunds/allow?input={quote('[1]')}")
    digest = facts(telemetry.one("policy_decision"))["subject.digest"]
    assert digest == run.state.commit("message", [1])


@pytest.mark.parametrize("client", CLIENTS)
def test_the_answers_are_the_same_with_and_without(
    recorder: Any, server: str, instrumented: OPAInstrumentor, client: str
) -> None:
    def answers() -> list[Any]:
        documents = [CLIENTS[client](server, "/v1/data/refunds/allow", given(amount)) for amount in (20, 80)]
        return [{**each, "decision_id": ""} for each in documents]

    with recorder.run("refund-agent"):
        recorded = answers()
    instrumented.uninstrument()
    assert recorded == answers()
    instrumented.instrument()
