# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Under the ledger's own keys: equal inside the run, the same on a retry, and without content once the run is erased."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runrecord.ledger.entry import Entry
from runrecord.ledger.ledger import Ledger
from runrecord.ledger.opening import ERASED, label, opens
from runrecord.ledger.run_keys import RunKeys
from runrecord.processors.ledger import project_counted
from runrecord.processors.signal import Signal
from runrecord.semconv import attributes as names
from runrecord.semconv.commitment import TenantKey, commit_with_salt

KEY = TenantKey(b"k" * 32)
TRACE = bytes(range(1, 17))


def _span(request: ExportTraceServiceRequest, number: int, tenant: str = "", **attributes: str) -> None:
    if not request.resource_spans:
        resource = request.resource_spans.add()
        for name, value in (("service.name", "shop"), ("host.name", "machine-7")):
            resource.resource.attributes.add(key=name).value.string_value = value
        resource.scope_spans.add()
    span = request.resource_spans[0].scope_spans[0].spans.add()
    span.name, span.trace_id, span.span_id = "execute_tool pay", TRACE, bytes([number]) * 8
    span.start_time_unix_nano, span.end_time_unix_nano = 10, 10 + number
    span.status.message = "card of Ada Lovelace refused"
    run = attributes.pop("run", "run-1")
    facts = {names.RUN_ID: run, names.GEN_AI_OPERATION_NAME: "execute_tool", **attributes}
    for name, value in facts.items():
        span.attributes.add(key=name.replace("__", ".")).value.string_value = value
    if tenant:
        span.attributes.add(key=names.TENANT_ID).value.string_value = tenant


def body(*runs: str, **attributes: str) -> bytes:
    request = ExportTraceServiceRequest()
    for number, run in enumerate(runs, 1):
        _span(request, number, run=run, **attributes)
    return request.SerializeToString()


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger(tmp_path / "ledger", checkpoint_interval=None) as opened:
        yield opened


def made(ledger: Ledger, request: bytes) -> list[Entry]:
    keys = RunKeys(ledger.run_secrets, KEY)
    return project_counted(Signal.TRACES, request, key_of=keys.key).entries


def text(entries: list[Entry]) -> str:
    return json.dumps([entry.to_json() for entry in entries])


def test_what_the_app_committed_to_is_committed_once_more(ledger: Ledger) -> None:
    digest = KEY.run_key("run-1").commit("tool.arguments", {"amount": 5})
    facts = {names.ARGUMENTS_DIGEST: digest, names.SUBJECT_DIGEST: digest, names.RESULT_DIGEST: "other"}
    _, one, two = made(ledger, body("run-1", "run-1", **facts))
    _, other = made(ledger, body("run-2", **facts))
    assert digest not in text([one, two, other])
    assert one.text(names.ARGUMENTS_DIGEST) == two.text(names.SUBJECT_DIGEST)
    assert one.text(names.ARGUMENTS_DIGEST) != one.text(names.RESULT_DIGEST)
    assert one.text(names.ARGUMENTS_DIGEST) != other.text(names.ARGUMENTS_DIGEST)
    assert one.text(names.ARGUMENTS_DIGEST).startswith("hmac-sha256:")
    key = RunKeys(ledger.run_secrets, KEY).key("", "run-1")
    assert key is not None
    assert opens(key, one, names.ARGUMENTS_DIGEST, digest)
    assert not opens(key, one, names.RESULT_DIGEST, digest)


def test_each_commitment_opens_with_the_salt_of_its_label(ledger: Ledger) -> None:
    described, entry = made(ledger, body("run-1", user__id="ada"))
    key = RunKeys(ledger.run_secrets, KEY).key("", "run-1")
    assert key is not None
    assert commit_with_salt(key.salt(label(entry, "user.id")), "ada") == entry.commitments["user.id"]
    assert opens(key, entry, "otel.status_description", "card of Ada Lovelace refused")
    assert opens(key, described, "host.name", "machine-7")
    assert not opens(key, entry, "user.id", "bob")
    assert not opens(key, entry, "no.such", "ada")
    assert not opens(key, described, "user.id", "ada")


def test_the_same_request_gives_the_same_bytes_in_any_process(ledger: Ledger) -> None:
    request = body("run-1", "run-2", user__id="ada")
    path = ledger.path
    before = [entry.leaf() for entry in made(ledger, request)]
    ledger.close()
    with Ledger(path, checkpoint_interval=None) as again:
        assert [entry.leaf() for entry in made(again, request)] == before
    with Ledger(path.with_name("other"), checkpoint_interval=None) as other:
        assert [entry.leaf() for entry in made(other, request)] != before


def test_of_an_erased_run_only_what_stands_in_clear_is_recorded(ledger: Ledger) -> None:
    digest = KEY.run_key("run-1").commit("tool.arguments", {"amount": 5})
    facts = {names.ARGUMENTS_DIGEST: digest, "user__id": "ada", names.GEN_AI_TOOL_NAME: "pay"}
    request = body("run-1", "run-2", **facts)
    before = made(ledger, request)
    ledger.run_secrets.puncture([("", "run-1")])
    described, entry, other = made(
        ledger, request
    )  # the resource of an erased run is not described once more
    assert (described.leaf(), other.leaf()) == (before[1].leaf(), before[3].leaf())
    assert (entry.run, entry.text(names.GEN_AI_TOOL_NAME)) == ("run-1", "pay")
    assert "hmac-sha256:" not in text([entry])
    assert entry.truncated == {ERASED: 4}  # the user, the status message, the digest, the resource
    assert made(ledger, request)[1].leaf() == entry.leaf()


def test_a_tenants_run_is_erased_for_that_tenant_only(ledger: Ledger) -> None:
    request = ExportTraceServiceRequest()
    _span(request, 1, tenant="a", user__id="ada")
    _span(request, 2, tenant="b", user__id="ada")
    ledger.run_secrets.puncture([("a", "run-1")])
    entries = [e for e in made(ledger, request.SerializeToString()) if e.span_id]
    assert [(e.tenant, "user.id" in e.commitments) for e in entries] == [("a", False), ("b", True)]


def test_a_retry_after_the_erasure_is_a_duplicate_and_a_forgery_a_conflict(ledger: Ledger) -> None:
    request = body("run-1", "run-1", user__id="ada", gen_ai__tool__name="pay")
    first = ledger.append_entries(made(ledger, request))
    ledger.run_secrets.puncture([("", "run-1")])
    again = ledger.append_entries(made(ledger, request))
    assert [(each.index, each.status) for each in again] == [(each.index, "duplicate") for each in first[1:]]
    ledger.publish()  # now from the tiles
    assert {each.status for each in ledger.append_entries(made(ledger, request))} == {"duplicate"}
    forged = body("run-1", "run-1", user__id="ada", gen_ai__tool__name="refund")
    assert {each.status for each in ledger.append_entries(made(ledger, forged))} == {"conflict"}
    late = body("run-1", "run-1", "run-1", user__id="bob", gen_ai__tool__name="pay")
    assert [each.status for each in ledger.append_entries(made(ledger, late))] == [
        "duplicate",
        "duplicate",
        "new",
    ]


def test_a_writer_that_still_has_the_key_repeats_no_record_of_one_that_has_not(ledger: Ledger) -> None:
    request = body("run-1", user__id="ada")
    _, whole = made(ledger, request)
    ledger.run_secrets.puncture([("", "run-1")])
    assert [each.status for each in ledger.append_entries(made(ledger, request))] == ["new"]
    assert [each.status for each in ledger.append_entries([whole])] == ["duplicate"]


def test_a_record_that_was_too_long_for_a_leaf_is_no_conflict_either(ledger: Ledger) -> None:
    facts = {f"attribute.{number}": "x" for number in range(800)}
    request = ExportTraceServiceRequest.FromString(body("run-1", **facts))
    for number in range(1, 60):
        request.resource_spans[0].scope_spans[0].spans[0].links.add(
            trace_id=TRACE, span_id=number.to_bytes(8, "big")
        )
    _, long = made(ledger, request.SerializeToString())
    assert long.truncated["links"] == 27
    assert {each.status for each in ledger.append_entries([long])} == {"new"}
    ledger.run_secrets.puncture([("", "run-1")])
    (short,) = made(ledger, request.SerializeToString())
    assert short.truncated == {ERASED: 802}
    assert [each.status for each in ledger.append_entries([short])] == ["duplicate"]


def test_a_log_record_of_an_erased_run_has_no_body(ledger: Ledger) -> None:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.event_name, record.trace_id, record.span_id = "runrecord.escalation", TRACE, b"\1" * 8
    record.attributes.add(key=names.RUN_ID).value.string_value = "run-1"
    record.body.string_value = "Ada asked for a person"
    keys = RunKeys(ledger.run_secrets, KEY)
    (before,) = project_counted(Signal.LOGS, request.SerializeToString(), key_of=keys.key).entries
    ledger.run_secrets.puncture([("", "run-1")])
    (after,) = project_counted(Signal.LOGS, request.SerializeToString(), key_of=keys.key).entries
    assert "otel.log.body" in before.commitments
    assert (after.commitments, after.truncated) == ({}, {ERASED: 2})
