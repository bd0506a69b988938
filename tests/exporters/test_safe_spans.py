# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""SafeSpanExporter in front of exporters that take the SDK's spans."""

from __future__ import annotations

import io
import logging

import pytest
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import (
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from runrecord.exporters import SafeSpanExporter
from runrecord.processors import Signal, compat
from runrecord.processors.redaction import RedactionPolicy, Redactor
from runrecord.semconv import attributes as attr

SECRET = "SECRET-abc123"
TRACE = 0x0AF7651916CD43DD8448EB211C80319C
RUN = "7d1f2f0e-6d4c-4f0e-9d55-0a8f5f1d2c3b"


def context(span_id: int, *, state: str = "", remote: bool = False) -> SpanContext:
    trace_state = TraceState([("vendor", state)]) if state else None
    return SpanContext(TRACE, span_id, remote, TraceFlags(TraceFlags.SAMPLED), trace_state)


def full_span(planted: str = SECRET) -> ReadableSpan:
    """A span with ``planted`` in every field that can hold text."""
    return ReadableSpan(
        name=f"call {planted}",
        context=context(1, state=planted),
        parent=context(2, state=planted, remote=True),
        resource=Resource({"service.name": planted, "nested": ("a", planted)}, f"https://schema/{planted}"),
        attributes={
            "text": f"before {planted} after",
            "list": ["a", planted],
            "bytes": planted.encode(),
            "map": {"inner": {"deep": planted}},
            "number": 7,
            attr.RUN_ID: RUN,
            attr.RECORD_SEQ: 3,
            attr.DECISION_OUTCOME: "deny",
            attr.STEP_KIND: planted,
        },
        events=[
            Event(f"event {planted}", {"message": planted}, 11),
            Event(
                "exception", {"exception.message": planted, "exception.stacktrace": f"Trace\n  {planted}"}, 12
            ),
        ],
        links=[Link(context(5, state=planted, remote=True), {"why": planted})],
        kind=SpanKind.PRODUCER,
        status=Status(StatusCode.ERROR, f"failed {planted}"),
        start_time=1_000,
        end_time=2_000,
        instrumentation_scope=InstrumentationScope(
            f"lib {planted}", planted, f"https://{planted}", {"a": planted}
        ),
    )


def everything_in(span: ReadableSpan) -> str:
    """All that an exporter could read from a span."""
    scope = span.instrumentation_scope
    parts = [
        repr(span.attributes),
        repr(span.context),
        repr(span.parent),
        repr(dict(span.resource.attributes)),
        span.resource.schema_url,
        repr(scope),
        repr([(event.name, dict(event.attributes or {})) for event in span.events]),
        repr([(link.context, dict(link.attributes or {})) for link in span.links]),
        repr(vars(span)),
    ]
    return "\n".join(parts)


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def safe(memory, slow_redactor) -> SafeSpanExporter:
    return SafeSpanExporter(memory, slow_redactor, processors=())


def test_a_secret_in_any_field_does_not_reach_the_inner_exporter(safe, memory):
    assert safe.export([full_span()]) is SpanExportResult.SUCCESS
    (span,) = memory.get_finished_spans()
    assert SECRET not in everything_in(span)


@pytest.mark.parametrize(
    "planted", ["AKIAQYLPMN5HHHFPZAM2", "ada.lovelace@example.org", "4111 1111 1111 1111"]
)
def test_the_default_policy_finds_secrets_in_every_field(memory, planted):
    safe = SafeSpanExporter(memory, Redactor(RedactionPolicy()))
    safe.export([full_span(planted if " " not in planted else f"card {planted}")])
    (span,) = memory.get_finished_spans()
    assert safe.pipeline.failures == 0
    assert span.attributes[attr.REDACTION_COUNT] > 0
    assert planted not in everything_in(span)


def test_what_is_not_secret_is_kept(safe, memory):
    original = full_span()
    safe.export([original])
    (span,) = memory.get_finished_spans()
    assert span.name == "call [HIDDEN]"
    assert span.attributes["text"] == "before [HIDDEN] after"
    assert span.attributes["list"] == ("a", "[HIDDEN]")
    assert span.attributes["bytes"] == b"[HIDDEN]"
    assert span.attributes["map"] == {"inner": {"deep": "[HIDDEN]"}}
    assert span.attributes["number"] == 7
    assert (span.context.trace_id, span.context.span_id) == (TRACE, 1)
    assert span.context.trace_flags == TraceFlags.SAMPLED
    assert (span.parent.span_id, span.parent.is_remote) == (2, True)
    assert span.kind is SpanKind.PRODUCER
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "failed [HIDDEN]")
    assert (span.start_time, span.end_time) == (1_000, 2_000)
    assert [(event.name, event.timestamp) for event in span.events] == [
        ("event [HIDDEN]", 11),
        ("exception", 12),
    ]
    assert [(link.context.span_id, link.context.is_remote) for link in span.links] == [(5, True)]
    assert span.resource.attributes["service.name"] == "[HIDDEN]"
    assert span.instrumentation_scope.name == "lib [HIDDEN]"
    assert SECRET in original.name, "the original is not edited"


def test_clean_spans_are_passed_on_as_they_are(safe, memory):
    spans = [full_span("clean"), full_span("clean")]
    safe.export(spans)
    assert all(passed is given for passed, given in zip(memory.get_finished_spans(), spans, strict=True))


def test_counts_of_what_was_dropped_survive(safe, memory):
    provider = TracerProvider(span_limits=SpanLimits(max_attributes=2, max_events=1, max_links=1))
    provider.add_span_processor(SimpleSpanProcessor(safe))
    link = Link(context(9))
    with provider.get_tracer("t").start_as_current_span("s", links=[link, link, link]) as span:
        for key in "abc":
            span.set_attribute(key, SECRET)
            span.add_event(key)
    (exported,) = memory.get_finished_spans()
    assert (exported.dropped_attributes, exported.dropped_events, exported.dropped_links) == (1, 2, 2)
    provider.shutdown()


def test_a_real_program_that_fails_leaks_nothing(slow_redactor):
    out = io.StringIO()
    provider = TracerProvider(resource=Resource({"service.name": "s"}))
    provider.add_span_processor(
        SimpleSpanProcessor(SafeSpanExporter(ConsoleSpanExporter(out=out), slow_redactor, processors=()))
    )

    def charge(card: str) -> None:
        raise ValueError(f"declined {card}")

    with pytest.raises(ValueError, match=SECRET), provider.get_tracer("t").start_as_current_span("charge"):
        charge(SECRET)
    provider.shutdown()
    assert "declined [HIDDEN]" in out.getvalue()
    assert SECRET not in out.getvalue()


def test_trace_state_of_links_is_redacted_although_the_encoder_leaves_it_out(safe, memory):
    clean = ReadableSpan("s", context(1), links=[Link(context(2, state=SECRET))], resource=Resource({}))
    safe.export([clean])
    (span,) = memory.get_finished_spans()
    assert SECRET not in everything_in(span)
    assert span.links[0].context.trace_state.get("vendor") == "[HIDDEN]"


def test_trace_state_of_a_parent_that_is_not_on_the_wire_is_not_passed_on(safe, memory):
    safe.export([ReadableSpan("s", context(1), parent=context(2, state=SECRET), resource=Resource({}))])
    (span,) = memory.get_finished_spans()
    assert SECRET not in everything_in(span)
    assert span.parent.span_id == 2


@pytest.mark.parametrize("where", ["attribute", "event", "link", "resource", "scope"])
def test_what_cannot_be_encoded_is_not_passed_on(safe, memory, where, caplog):
    bad = {"k": f"\ud800 {SECRET}"}
    span = ReadableSpan(
        "s",
        context(1),
        attributes=bad if where == "attribute" else None,
        events=[Event("e", bad, 1)] if where == "event" else (),
        links=[Link(context(2), bad)] if where == "link" else (),
        resource=Resource(bad if where == "resource" else {}),
        instrumentation_scope=InstrumentationScope("x", attributes=bad if where == "scope" else {}),
    )
    with caplog.at_level(logging.CRITICAL):
        safe.export([span])
    (exported,) = memory.get_finished_spans()
    assert SECRET not in everything_in(exported)


def test_a_name_that_cannot_be_encoded_costs_only_its_own_span(safe, memory):
    bad = ReadableSpan(f"\ud800 {SECRET}", context(1), resource=Resource({}), start_time=5, end_time=6)
    good = ReadableSpan("good", context(2), resource=Resource({}))
    safe.export([bad, good])
    exported = {span.context.span_id: span for span in memory.get_finished_spans()}
    assert exported[2].name == "good"
    assert exported[1].attributes == {attr.REDACTION_FAILED: True}
    assert (exported[1].name, exported[1].start_time, exported[1].end_time) == ("redaction_failed", 5, 6)
    assert safe.pipeline.failures == 1


def test_a_redactor_that_raises_leaves_only_a_marker(memory, raising_redactor, caplog):
    safe = SafeSpanExporter(memory, raising_redactor(), processors=())
    assert safe.export([full_span()]) is SpanExportResult.SUCCESS
    (span,) = memory.get_finished_spans()
    assert SECRET not in everything_in(span)
    assert dict(span.attributes) == {
        attr.RUN_ID: RUN,
        attr.RECORD_SEQ: 3,
        attr.DECISION_OUTCOME: "deny",
        attr.REDACTION_FAILED: True,
    }
    assert span.name == "redaction_failed"
    assert not span.events
    assert not span.links
    assert span.status.status_code is StatusCode.ERROR
    assert (span.context.span_id, span.parent.span_id) == (1, 2)
    assert (span.start_time, span.end_time) == (1_000, 2_000)
    assert (span.dropped_events, span.dropped_links) == (2, 1)
    assert SECRET not in caplog.text


def test_a_failure_is_counted_always_and_logged_once(memory, raising_redactor, caplog):
    safe = SafeSpanExporter(memory, raising_redactor(), processors=())
    safe.export([full_span(), full_span()])
    safe.export([full_span()])
    assert safe.pipeline.failures == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "builtins.RuntimeError" in caplog.text


def test_one_poisonous_span_costs_only_itself(memory, raising_redactor):
    safe = SafeSpanExporter(memory, raising_redactor(b"poison"), processors=())
    spans = [full_span("fine"), full_span("poison"), full_span("fine")]
    safe.export(spans)
    names = [span.name for span in memory.get_finished_spans()]
    assert sorted(names) == ["call fine", "call fine", "redaction_failed"]


def test_a_processor_that_raises_is_treated_like_the_redactor(memory, slow_redactor):
    def broken(signal: Signal, body: bytes) -> bytes:
        raise KeyError(body)

    safe = SafeSpanExporter(memory, slow_redactor, processors=(broken,))
    safe.export([full_span("clean")])
    (span,) = memory.get_finished_spans()
    assert span.name == "redaction_failed"


def test_ids_of_a_callers_own_shape_do_not_survive_a_failure(memory, raising_redactor):
    safe = SafeSpanExporter(memory, raising_redactor(), processors=())
    for run_id in (
        "alice@example.com",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "AKIAIOSFODNN7EXAMPLE",
        "4111111111111111",
        "078-05-1120",
        "key-0123456789abcdef0123456789abcdef",
    ):
        safe.export([ReadableSpan("s", context(1), attributes={attr.RUN_ID: run_id}, resource=Resource({}))])
    assert all(dict(span.attributes) == {attr.REDACTION_FAILED: True} for span in memory.get_finished_spans())


def test_attributes_that_processors_add_reach_the_inner_exporter(memory, slow_redactor):
    safe = SafeSpanExporter(memory, slow_redactor, processors=(compat.openinference,))
    safe.export([full_span()])
    (span,) = memory.get_finished_spans()
    assert span.attributes["openinference.span.kind"] == "CHAIN"
    assert SECRET not in everything_in(span)


def test_a_policy_that_drops_everything_sends_nothing(memory, slow_redactor):
    safe = SafeSpanExporter(memory, slow_redactor, processors=(lambda *_: b"",))
    assert safe.export([full_span()]) is SpanExportResult.SUCCESS
    assert memory.get_finished_spans() == ()


class Recorder(SpanExporter):
    """Records how it is called, and fails on demand."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def export(self, spans):
        self.calls.append(len(spans))
        raise OSError(SECRET)

    def shutdown(self, timeout_millis: float = 1) -> None:
        self.calls.append(("shutdown", timeout_millis))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.calls.append(("flush", timeout_millis))
        return False


def test_the_inner_exporters_errors_never_reach_the_app(slow_redactor, caplog):
    inner = Recorder()
    safe = SafeSpanExporter(inner, slow_redactor, processors=())
    assert safe.export([full_span()]) is SpanExportResult.FAILURE
    assert safe.export([full_span()]) is SpanExportResult.FAILURE
    assert len([record for record in caplog.records if record.name.startswith("runrecord")]) == 1
    assert SECRET not in caplog.text


def test_flush_and_shutdown_are_delegated_with_their_timeouts(slow_redactor, memory):
    inner = Recorder()
    safe = SafeSpanExporter(inner, slow_redactor, processors=())
    assert safe.force_flush(123) is False
    safe.shutdown(timeout_millis=45)
    assert inner.calls == [("flush", 123), ("shutdown", 45)]
    plain = SafeSpanExporter(memory, slow_redactor, processors=())
    assert plain.force_flush() is True
    plain.shutdown()
    assert memory.export([]) is SpanExportResult.FAILURE, "it was shut down"


def test_attributes_of_a_rebuilt_span_are_as_immutable_as_the_sdks(safe, memory):
    safe.export([full_span()])
    (span,) = memory.get_finished_spans()
    assert isinstance(span.events[0].attributes, BoundedAttributes)
    with pytest.raises(TypeError):
        span.events[0].attributes["x"] = 1
