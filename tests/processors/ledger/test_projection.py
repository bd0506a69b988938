# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""OTLP requests in, entries out: which records are governed, what stays in clear, and that nothing else changes a byte."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runrecord.ledger.entry import MAX_LEAF, Entry, Kind, Link
from runrecord.processors.errors import ProjectionError
from runrecord.processors.ledger import project, project_counted
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import RunKey, TenantKey

KEY = TenantKey(b"k" * 32)


def key_of(_tenant: str, run: str) -> RunKey:
    return KEY.run_key(run)


TRACE, SPAN, PARENT = b"\x4b" * 16, b"\x01" * 8, b"\x02" * 8
T0 = 1_790_000_000_000_000_000


def any_value(value):  # noqa: PLR0911 - a table
    match value:
        case AnyValue():
            return value
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
        case _:
            return AnyValue()


def pairs(attributes):
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def span(name="execute_tool create_refund", attributes=None, **fields):
    values = {
        "gen_ai.operation.name": "execute_tool",
        "runrecord.run.id": "run-1",
        "runrecord.source.id": "s1",
        "runrecord.record.seq": 3,
    }
    defaults = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": PARENT,
        "start_time_unix_nano": T0,
        "end_time_unix_nano": T0 + 5,
    }
    return Span(
        name=name, attributes=pairs(values if attributes is None else attributes), **{**defaults, **fields}
    )


GOVERNED = {"runrecord.run.id": "run-1", "runrecord.source.id": "s1", "runrecord.record.seq": 3}


def request(*spans, resource=None, scope=("agent", "1.2"), schema_url="https://example.invalid/1"):
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.extend(pairs(resource or {"service.name": "refunds", "service.version": "7"}))
    inner = group.scope_spans.add(schema_url=schema_url)
    inner.scope.name, inner.scope.version = scope
    inner.spans.extend(spans)
    return message


def entries(*spans, **options):
    """The entries of the records; what the resource says of itself has tests of its own."""
    every = project(Signal.TRACES, request(*spans, **options).SerializeToString(), tenant_key=KEY)
    return [entry for entry in every if entry.kind != Kind.RESOURCE]


# --- what is governed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "attributes", "kind"),
    [
        ("invoke_agent x", {"runrecord.run.state": "completed"}, Kind.RUN_CLOSE),
        ("invoke_agent x", {"runrecord.run.state": "suspended"}, Kind.SOURCE_CLOSE),
        ("invoke_agent x", {"runrecord.run.state": "hibernating"}, Kind.SOURCE_CLOSE),
        ("policy_decision x", {"runrecord.decision.id": "d1"}, Kind.POLICY_DECISION),
        (
            "request_approval x",
            {"runrecord.approval.id": "a1", "runrecord.approval.status": "pending"},
            Kind.APPROVAL_REQUEST,
        ),
        (
            "approval_decision x",
            {"runrecord.approval.id": "a1", "runrecord.approval.status": "denied"},
            Kind.APPROVAL_DECISION,
        ),
        ("execute_tool x", {"gen_ai.operation.name": "execute_tool"}, Kind.TOOL_RESULT),
        ("agent_step act", {"runrecord.step.kind": "act"}, Kind.STEP),
        ("verify x", {"runrecord.verification.type": "rule"}, Kind.VERIFICATION),
        ("compensate x", {"runrecord.compensation.outcome": "succeeded"}, Kind.COMPENSATION),
        ("chat gpt", {"gen_ai.operation.name": "chat"}, None),
        ("GET /", {}, None),
    ],
)
def test_the_kind_of_a_span(name, attributes, kind):
    found = entries(span(name, {**GOVERNED, **attributes}))
    assert [entry.kind for entry in found] == ([kind] if kind else [])


def test_a_tool_call_outside_a_run_is_not_governed():
    body = request(
        span(attributes={"gen_ai.operation.name": "execute_tool", "x": "runrecord."})
    ).SerializeToString()
    result = project_counted(Signal.TRACES, body, key_of=key_of)
    assert (result.entries, result.skipped) == ([], {})


def test_requests_that_name_no_attribute_of_ours_are_not_even_parsed():
    assert project(Signal.TRACES, b"\xff" * 10, tenant_key=KEY) == []
    assert project(Signal.METRICS, b"runrecord. \xff", tenant_key=KEY) == []
    assert project(Signal.METRICS, ExportMetricsServiceRequest().SerializeToString(), tenant_key=KEY) == []


def test_a_request_that_is_not_otlp_is_refused_without_quoting_it():
    with pytest.raises(ProjectionError) as error:
        project(Signal.TRACES, b"runrecord. secret \xff\xff", tenant_key=KEY)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"trace_id": b""}, "invalid trace or span id"),
        ({"trace_id": b"\0" * 16}, "invalid trace or span id"),
        ({"span_id": b"\1" * 7}, "invalid trace or span id"),
        ({"attributes": {"runrecord.decision.id": "d"}}, "no valid run id"),
        ({"attributes": {"runrecord.decision.id": "d", "runrecord.run.id": 7}}, "no valid run id"),
        ({"attributes": {"runrecord.decision.id": "d", "runrecord.run.id": "x" * 300}}, "no valid run id"),
    ],
)
def test_one_bad_record_is_counted_and_spoils_nothing(broken, reason):
    body = request(span(**broken), span()).SerializeToString()
    result = project_counted(Signal.TRACES, body, key_of=key_of)
    assert [entry.kind for entry in result.entries] == [Kind.RESOURCE, Kind.TOOL_RESULT]
    assert result.skipped == {reason: 1}


# --- what an entry holds ---------------------------------------------------------------------------------------------


def test_the_fields_of_an_entry():
    (entry,) = entries(
        span(
            links=[
                Span.Link(trace_id=TRACE, span_id=b"\x09" * 8),
                Span.Link(trace_id=b"", span_id=b""),
            ],
            status={"code": 2, "message": "card declined for Ann"},
        )
    )
    assert (entry.kind, entry.run, entry.source, entry.seq, entry.phase) == (
        Kind.TOOL_RESULT,
        "run-1",
        "s1",
        3,
        "end",
    )
    assert (entry.trace_id, entry.span_id, entry.parent_span_id) == ("4b" * 16, "01" * 8, "02" * 8)
    assert (entry.name, entry.start, entry.end, entry.status) == (
        "execute_tool create_refund",
        T0,
        T0 + 5,
        "error",
    )
    assert entry.links == (Link("4b" * 16, "09" * 8),)
    assert (entry.origin.service, entry.origin.service_version) == ("refunds", "7")
    assert (entry.origin.scope, entry.origin.scope_version) == ("agent", "1.2")
    assert entry.origin.schema_url == "https://example.invalid/1"
    assert entry.origin.resource.startswith("hmac-sha256:")
    assert "Ann" not in entry.leaf().decode()
    assert set(entry.commitments) == {"otel.status_description"}
    assert Entry.parse(entry.leaf()) == entry


def test_metadata_stays_in_clear_with_its_type():
    (entry,) = entries(
        span(
            attributes={
                **GOVERNED,
                "gen_ai.operation.name": "execute_tool",
                "runrecord.side_effect.committed": True,
                "runrecord.cost.amount": 0.25,
                "runrecord.redaction.kinds": ["email", "card"],
                "runrecord.side_effect.target": "payments",
            }
        )
    )
    assert entry.attributes["runrecord.side_effect.committed"] == {"boolValue": True}
    assert entry.attributes["runrecord.record.seq"] == {"intValue": "3"}
    assert entry.attributes["runrecord.cost.amount"] == {"doubleValue": 0.25}
    assert entry.attributes["runrecord.redaction.kinds"] == {"arrayValue": {"values": ["email", "card"]}}
    assert entry.attributes["runrecord.side_effect.target"] == "payments"
    assert not entry.commitments


SECRETS = {
    "gen_ai.tool.call.arguments": '{"iban":"SECRET"}',
    "gen_ai.input.messages": ["SECRET"],
    "user.email": "SECRET",
    "my.map": {"k": "SECRET"},
    "my.bytes": b"SECRET",
    "runrecord.unknown.attribute": "SECRET",
    "runrecord.run.stop_reason": "SECRET" * 200,
    "h\u00e9": "SECRET",
}


def test_content_is_committed_and_never_in_clear():
    (entry,) = entries(span(attributes={**GOVERNED, "runrecord.step.kind": "act", **SECRETS}))
    leaf = entry.leaf()
    assert b"SECRET" not in leaf
    assert b"U0VDUkVU" not in leaf
    assert set(entry.commitments) == set(SECRETS)


def test_the_resource_is_committed_too():
    (entry,) = entries(span(), resource={"host.name": "SECRET", "process.command_args": ["SECRET"]})
    assert b"SECRET" not in entry.leaf()


def test_equal_content_does_not_show_as_equal_in_two_records():
    one, other = entries(
        span(attributes={**GOVERNED, "runrecord.step.kind": "act", "note": "x"}),
        span(attributes={**GOVERNED, "runrecord.step.kind": "act", "note": "x"}, span_id=b"\x07" * 8),
    )
    assert one.commitments["note"] != other.commitments["note"]


def test_another_tenant_key_gives_other_commitments():
    body = request(
        span(attributes={**GOVERNED, "runrecord.step.kind": "act", "note": "x"})
    ).SerializeToString()
    _, one = project(Signal.TRACES, body, tenant_key=KEY)
    _, other = project(Signal.TRACES, body, tenant_key=TenantKey(b"o" * 32))
    assert one.commitments["note"] != other.commitments["note"]
    assert one.key() == other.key()


def test_the_tenant_comes_from_the_span_or_the_resource():
    (entry,) = entries(span(), resource={"runrecord.tenant.id": "t-res"})
    assert entry.tenant == "t-res"
    values = {**GOVERNED, "runrecord.step.kind": "act", "runrecord.tenant.id": "t-span"}
    (entry,) = entries(span(attributes=values), resource={"runrecord.tenant.id": "t-res"})
    assert entry.tenant == "t-span"


# --- stability -----------------------------------------------------------------------------------------------------------


def test_the_same_span_twice_gives_the_same_bytes():
    attributes = {**GOVERNED, "runrecord.step.kind": "act", **SECRETS}
    first = entries(span(attributes=attributes))[0]
    reordered = dict(reversed(attributes.items()))
    again = entries(span("other"), span(attributes=reordered))[1]
    assert first.leaf() == again.leaf()
    assert first.key() == again.key()


def test_unset_values_unknown_fields_and_what_is_stamped_later_change_no_byte():
    plain = span(attributes={**GOVERNED, "runrecord.step.kind": "act"})
    odd = span(
        attributes={
            **GOVERNED,
            "runrecord.step.kind": "act",
            "unset": None,
            "runrecord.ledger.index": 7,
            "audit.integrity.value": "x",
            "": "nameless",
        },
        dropped_attributes_count=2,
        trace_state="a=b",
        flags=257,
    )
    unknown_field = b"\xfa\x3f\x03new"  # field 1023 of a later release
    unknown_value = KeyValue(key="later", value=AnyValue.FromString(b"\xfa\x3f\x03new"))
    odd = Span.FromString(odd.SerializeToString() + unknown_field)
    odd.attributes.append(unknown_value)
    assert entries(plain)[0].leaf() == entries(odd)[0].leaf()


def test_values_that_nest_too_deep_or_are_not_finite_are_still_committed():
    deep = "x"
    for _ in range(40):
        deep = [deep]
    values = {"deep": deep, "nan": float("nan"), "inf": float("inf"), "minus": -float("inf")}
    (entry,) = entries(
        span(
            attributes={
                **GOVERNED,
                "runrecord.step.kind": "act",
                "runrecord.cost.amount": float("nan"),
                **values,
            }
        )
    )
    assert set(entry.commitments) == set(values)
    assert entry.attributes["runrecord.cost.amount"] == {"doubleValue": "NaN"}
    assert entry.number("runrecord.cost.amount") is None
    assert Entry.parse(entry.leaf()) == entry


def test_a_span_with_very_many_attributes_fits_a_leaf():
    many = {f"custom.{i:05d}": "x" for i in range(3000)}
    (entry,) = entries(span(attributes={**GOVERNED, "runrecord.step.kind": "act", **many}))
    assert len(entry.leaf()) <= MAX_LEAF
    assert entry.truncated["commitments"] > 0


@pytest.mark.parametrize("seq", [-1, "3", 3.0, True, None])
def test_a_counter_that_is_none_is_kept_as_missing(seq):
    (entry,) = entries(
        span(attributes={**GOVERNED, "runrecord.step.kind": "act", "runrecord.record.seq": seq})
    )
    assert entry.seq is None


# --- log events ------------------------------------------------------------------------------------------------------


def logs(*records):
    message = ExportLogsServiceRequest()
    inner = message.resource_logs.add().scope_logs.add()
    for fields in records:
        attributes = fields.pop("attributes", {})
        body = fields.pop("body", None)
        defaults = {
            "trace_id": TRACE,
            "span_id": SPAN,
            "time_unix_nano": T0,
            "event_name": "runrecord.escalation",
        }
        record = inner.log_records.add(**{**defaults, **fields})
        record.attributes.extend(
            pairs({"runrecord.run.id": "run-1", "runrecord.source.id": "s1", **attributes})
        )
        if body is not None:
            record.body.CopyFrom(any_value(body))
    return project_counted(Signal.LOGS, message.SerializeToString(), key_of=key_of)


def test_only_escalations_are_taken_from_logs():
    taken = logs({"body": "SECRET"}, {"event_name": "runrecord.policy.decided"}, {"event_name": ""})
    (entry,) = taken.entries
    assert (entry.kind, entry.run, entry.start, entry.end) == (Kind.ESCALATION, "run-1", T0, T0)
    assert b"SECRET" not in entry.leaf()
    assert set(entry.commitments) == {"otel.log.body"}


def test_two_escalations_of_one_span_are_two_records():
    one, other = logs({}, {"time_unix_nano": T0 + 1}).entries
    assert one.key() != other.key()
    assert logs({}, {"trace_id": b""}).skipped == {"invalid trace or span id": 1}


# --- nothing crashes ---------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_projection(data):
    for signal in Signal:
        with contextlib.suppress(ProjectionError):
            project(signal, b"runrecord." + data, tenant_key=KEY)


@given(st.data())
def test_a_damaged_request_gives_entries_or_an_error(data):
    body = bytearray(
        request(span(attributes={**GOVERNED, "runrecord.step.kind": "act", **SECRETS})).SerializeToString()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ProjectionError):
        for entry in project(Signal.TRACES, bytes(body), tenant_key=KEY):
            assert Entry.parse(entry.leaf()) == entry


def test_what_ended_last_comes_last_whoever_instrumented_it():
    """A request groups spans by their instrumentations, so that the run may stand in front of what ended before it."""
    run = span("invoke_agent demo", {**GOVERNED, "runrecord.run.state": "completed"})
    run.span_id, run.end_time_unix_nano = b"\x01" * 8, 900
    call, step = (span(span_id=bytes([number]) * 8) for number in (2, 3))
    call.end_time_unix_nano, step.end_time_unix_nano = 500, 900
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    for each in (run, step, call):
        resource.scope_spans.add().spans.append(each)
    found = [
        entry
        for entry in project(Signal.TRACES, made.SerializeToString(), tenant_key=KEY)
        if entry.kind != Kind.RESOURCE
    ]
    assert [entry.end for entry in found] == [500, 900, 900]
    assert found[-1].kind == Kind.RUN_CLOSE
