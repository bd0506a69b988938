# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What enters besides governed spans: announcements, stated gaps, and what resources say of themselves."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from runrecord.ledger.entry import Entry, Kind
from runrecord.processors.ledger import project, project_counted
from runrecord.processors.signal import Signal
from runrecord.semconv.commitment import RunKey, TenantKey

KEY = TenantKey(b"k" * 32)


def key_of(_tenant: str, run: str) -> RunKey:
    return KEY.run_key(run)


TRACE, SPAN = b"\x4b" * 16, b"\x01" * 8
T0 = 1_790_000_000_000_000_000
GOVERNED = {"runrecord.run.id": "run-1", "runrecord.source.id": "s1", "runrecord.record.seq": 3}


def pairs(attributes):
    def value(each):
        return AnyValue(string_value=each) if isinstance(each, str) else AnyValue(int_value=each)

    return [KeyValue(key=name, value=value(each)) for name, each in attributes.items()]


def logs(event, attributes, *, resource=None, **fields):
    request = ExportLogsServiceRequest()
    part = request.resource_logs.add()
    part.resource.attributes.extend(pairs(resource or {}))
    where = {"trace_id": TRACE, "span_id": SPAN, "time_unix_nano": T0, **fields}
    part.scope_logs.add().log_records.add(event_name=event, attributes=pairs(attributes), **where)
    return project(Signal.LOGS, request.SerializeToString(), tenant_key=KEY)


def traces(*runs, resource, seq=3):
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add()
    part.resource.attributes.extend(pairs(resource))
    spans = part.scope_spans.add().spans
    for number, run in enumerate(runs):
        facts = {
            **GOVERNED,
            "runrecord.run.id": run,
            "runrecord.record.seq": seq,
            "runrecord.step.kind": "act",
        }
        spans.add(trace_id=TRACE, span_id=bytes([number + 1] * 8), attributes=pairs(facts))
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("event", "kind"),
    [("runrecord.run.opened", Kind.RUN_OPEN), ("runrecord.tool.intent", Kind.TOOL_INTENT)],
)
def test_an_announcement_is_an_entry_under_the_ids_and_the_number_of_its_span(event, kind):
    (entry,) = logs(event, {**GOVERNED, "runrecord.subject.name": "create_refund", "secret": "4111"})
    assert (entry.kind, entry.phase, entry.seq, entry.source) == (kind, "start", 3, "s1")
    assert (entry.trace_id, entry.span_id, entry.start) == (TRACE.hex(), SPAN.hex(), T0)
    assert entry.text("runrecord.subject.name") == "create_refund"
    assert b"4111" not in entry.leaf()
    assert Entry.parse(entry.leaf()) == entry


def test_an_announcement_and_its_span_have_different_keys():
    (intent,) = logs("runrecord.tool.intent", GOVERNED)
    assert intent.key() != Entry(kind=Kind.TOOL_RESULT, trace_id=TRACE.hex(), span_id=SPAN.hex()).key()


def test_a_gap_is_an_entry_without_a_run_or_a_span():
    facts = {
        "runrecord.source.id": "gateway-1",
        "runrecord.gap.reason": "intake_full",
        "runrecord.gap.requests": 12,
        "runrecord.gap.start": T0,
        "runrecord.gap.end": T0 + 5,
    }
    (entry,) = logs("runrecord.gap", facts, trace_id=b"", span_id=b"")
    assert (entry.kind, entry.run, entry.source) == (Kind.GAP, "", "gateway-1")
    assert (entry.start, entry.end) == (T0, T0 + 5)
    assert entry.detail == {"reason": "intake_full", "requests": "12"}
    assert logs("runrecord.gap", facts, trace_id=b"", span_id=b"")[0].key() == entry.key()
    assert logs("runrecord.gap", {**facts, "runrecord.gap.end": T0 + 6})[0].key() != entry.key()


def test_a_gap_may_name_its_run_and_need_not_say_anything():
    (entry,) = logs("runrecord.gap", {"runrecord.run.id": "run-1", "runrecord.gap.records": -3})
    assert (entry.run, entry.detail) == ("run-1", {"reason": "not stated", "records": "0"})
    assert (entry.start, entry.end) == (T0, T0)


RESOURCE = {"service.name": "refunds", "service.version": "7", "host.name": "box-of-ann"}


def test_a_resource_is_told_once_for_each_run():
    found = project(Signal.TRACES, traces("run-1", "run-1", "run-2", resource=RESOURCE), tenant_key=KEY)
    assert [entry.kind for entry in found] == ["resource", "step", "step", "resource", "step"]
    first, other = found[0], found[3]
    assert (first.run, other.run) == ("run-1", "run-2")
    assert first.attributes == {"service.name": "refunds", "service.version": "7"}
    assert list(first.commitments) == ["host.name"]
    assert b"ann" not in first.leaf()
    assert first.origin.resource == found[1].origin.resource
    assert first.commitments != other.commitments  # under a key of each run
    assert Entry.parse(first.leaf()) == first


def test_a_resource_that_comes_again_gives_the_same_key_and_another_one_does_not():
    (one, _), (again, _) = (
        project(Signal.TRACES, traces("run-1", resource=RESOURCE, seq=n), tenant_key=KEY) for n in (1, 2)
    )
    (changed, _) = project(Signal.TRACES, traces("run-1", resource={**RESOURCE, "x": "y"}), tenant_key=KEY)
    assert one.key() == again.key() != changed.key()


def test_a_resource_that_is_known_is_left_out_and_one_without_attributes_says_nothing():
    body = traces("run-1", resource=RESOURCE)
    first = project(Signal.TRACES, body, tenant_key=KEY)[0]
    known = {(first.run, first.origin.resource)}
    assert [e.kind for e in project_counted(Signal.TRACES, body, key_of=key_of, known=known).entries] == [
        "step"
    ]
    assert [e.kind for e in project(Signal.TRACES, traces("r", resource={}), tenant_key=KEY)] == ["step"]


def test_a_huge_resource_is_cut_to_fit():
    (entry, _) = project(
        Signal.TRACES, traces("run-1", resource={f"name-{n}": "x" for n in range(2000)}), tenant_key=KEY
    )
    assert entry.truncated["commitments"]
    entry.leaf()
