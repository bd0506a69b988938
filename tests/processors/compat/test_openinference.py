# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The OpenInference attributes: what each kind of span gets, and what is never touched."""

from __future__ import annotations

import json

import pytest
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from runrecord.processors import CompatError, Signal, compat
from runrecord.semconv import attributes as attr


def any_value(value: object) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case _:
            return AnyValue(string_value=str(value))


def request_of(*spans: dict[str, object]) -> bytes:
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                scope_spans=[
                    ScopeSpans(
                        spans=[
                            Span(
                                trace_id=bytes(15) + b"\1",
                                span_id=bytes(7) + bytes([index + 1]),
                                name="span",
                                attributes=[
                                    KeyValue(key=key, value=any_value(value)) for key, value in span.items()
                                ],
                            )
                            for index, span in enumerate(spans)
                        ]
                    )
                ]
            )
        ]
    ).SerializeToString()


def spans_of(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]


def shown(span: dict[str, object]) -> dict[str, object]:
    (only,) = spans_of(compat.openinference(Signal.TRACES, request_of(span)))
    return {pair.key: pair.value.string_value for pair in only.attributes if pair.key not in span}


@pytest.mark.parametrize(
    ("span", "kind"),
    [
        ({attr.RUN_STATE: "completed", attr.STEP_KIND: "act"}, "AGENT"),
        ({attr.RUN_STATE: "suspended"}, "AGENT"),
        ({attr.GEN_AI_OPERATION_NAME: "invoke_agent"}, "AGENT"),
        ({attr.GEN_AI_OPERATION_NAME: "invoke_workflow"}, "AGENT"),
        ({attr.GEN_AI_OPERATION_NAME: "execute_tool", attr.STEP_KIND: "act"}, "TOOL"),
        ({attr.STEP_KIND: "plan", attr.STEP_INDEX: 0}, "CHAIN"),
        ({attr.DECISION_ID: "d", attr.DECISION_OUTCOME: "deny", attr.STEP_INDEX: 1}, "GUARDRAIL"),
        ({attr.APPROVAL_STATUS: "pending"}, "GUARDRAIL"),
        ({attr.APPROVAL_STATUS: "approved", attr.STEP_INDEX: 1}, "GUARDRAIL"),
        ({attr.VERIFICATION_TYPE: "rule"}, "EVALUATOR"),
        ({attr.COMPENSATION_OUTCOME: "partial"}, "CHAIN"),
    ],
)
def test_every_kind_of_span_gets_its_kind(span, kind):
    assert shown(span)["openinference.span.kind"] == kind


def test_a_decision_shows_its_outcome_and_the_rule():
    span = {
        attr.DECISION_ID: "d-1",
        attr.DECISION_OUTCOME: "deny",
        attr.DECISION_REASON_CODE: "recent_chargeback",
        attr.POLICY_ID: "refunds",
        attr.POLICY_VERSION: "14",
        attr.POLICY_RULE_ID: "chargeback_180d",
        attr.SUBJECT_TYPE: "tool_call",
    }
    assert shown(span) == {
        "openinference.span.kind": "GUARDRAIL",
        "input.value": '{"policy": "refunds", "version": "14", "subject": "tool_call"}',
        "input.mime_type": "application/json",
        "output.value": '{"outcome": "deny", "rule": "chargeback_180d", "reason": "recent_chargeback"}',
        "output.mime_type": "application/json",
    }


def test_an_approval_shows_who_answered_and_how_long_it_took():
    span = {
        attr.APPROVAL_STATUS: "approved",
        attr.APPROVAL_ACTOR_TYPE: "human",
        attr.APPROVAL_WAIT_SECONDS: 75.5,
    }
    assert json.loads(str(shown(span)["output.value"])) == {
        "status": "approved",
        "actor_type": "human",
        "wait_seconds": 75.5,
    }


def test_a_tool_call_shows_its_effect():
    span = {
        attr.GEN_AI_OPERATION_NAME: "execute_tool",
        attr.GEN_AI_TOOL_NAME: "create_refund",
        attr.SIDE_EFFECT_TYPE: "pay",
        attr.SIDE_EFFECT_TARGET: "billing",
        attr.SIDE_EFFECT_COMMITTED: True,
    }
    result = shown(span)
    assert json.loads(str(result["input.value"])) == {"tool": "create_refund"}
    assert json.loads(str(result["output.value"])) == {
        "side_effect": "pay",
        "target": "billing",
        "committed": True,
    }


def test_content_that_the_span_carries_is_not_hidden_by_a_summary():
    span = {
        attr.GEN_AI_OPERATION_NAME: "execute_tool",
        attr.GEN_AI_TOOL_NAME: "create_refund",
        attr.GEN_AI_TOOL_CALL_ARGUMENTS: '{"amount": 80}',
        attr.GEN_AI_TOOL_CALL_RESULT: "ok",
        attr.SIDE_EFFECT_TYPE: "pay",
    }
    assert shown(span) == {"openinference.span.kind": "TOOL"}


MESSAGES = json.dumps(
    [
        {
            "role": "user",
            "parts": [{"type": "text", "content": "first"}, {"type": "text", "content": "refund me"}],
        },
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c", "name": "pay", "arguments": {}}]},
    ]
)


def test_of_an_agents_messages_the_last_text_is_shown():
    found = shown({attr.RUN_STATE: "completed", attr.GEN_AI_INPUT_MESSAGES: MESSAGES})
    assert (found["input.value"], found["input.mime_type"]) == ("refund me", "text/plain")
    assert found["output.mime_type"] == "application/json"
    long = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "x" * 5000}]}])
    found = shown({attr.RUN_STATE: "completed", attr.GEN_AI_INPUT_MESSAGES: long})
    assert found["input.value"] == "x" * compat.MAX_MESSAGE


@pytest.mark.parametrize(
    "messages", ["", "no JSON", "[", "[1]", "{}", '[{"parts": [1]}]', '[{"parts": 1}]', "[" * 99_999, "7"]
)
def test_messages_of_another_form_give_the_summary(messages):
    found = shown(
        {attr.RUN_STATE: "completed", attr.GEN_AI_AGENT_NAME: "a", attr.GEN_AI_INPUT_MESSAGES: messages}
    )
    assert found["input.value"] == '{"agent": "a"}'


def test_the_session_is_the_conversation():
    assert shown({attr.GEN_AI_CONVERSATION_ID: "thread-7"}) == {"session.id": "thread-7"}


def test_explicit_values_win():
    span = {
        attr.RUN_STATE: "completed",
        attr.GEN_AI_CONVERSATION_ID: "thread-7",
        "openinference.span.kind": "CHAIN",
        "input.value": "mine",
        "output.value": "",
        "session.id": "my-session",
    }
    body = request_of(span)
    assert compat.openinference(Signal.TRACES, body) is body


def test_a_long_text_is_cut():
    span = {attr.STEP_KIND: "act", attr.STEP_NAME: "n" * 500}
    assert len(json.loads(str(shown(span)["input.value"]))["name"]) == compat.MAX_TEXT


@pytest.mark.parametrize("signal", [Signal.LOGS, Signal.METRICS])
def test_other_signals_pass_as_the_same_object(signal):
    body = b"\xff runrecord. not even parsed"
    assert compat.openinference(signal, body) is body


def test_a_request_that_names_nothing_of_ours_passes_as_the_same_object():
    body = request_of({"http.route": "/refunds"})
    assert compat.openinference(Signal.TRACES, body) is body
    assert compat.openinference(Signal.TRACES, b"") == b""


def test_broken_bytes_are_refused_without_quoting_them():
    with pytest.raises(CompatError) as caught:
        compat.openinference(Signal.TRACES, b"\x0a\xff\xff runrecord. secret")
    assert "secret" not in str(caught.value)


def test_fields_of_a_later_protocol_survive():
    span = Span(name="step", attributes=[KeyValue(key=attr.STEP_KIND, value=any_value("act"))])
    later = span.SerializeToString() + b"\xf8\x3f\x2a"  # field 1023, varint 42

    def wrap(field: bytes, inner: bytes) -> bytes:
        return field + bytes([len(inner)]) + inner

    body = (
        wrap(b"\x0a", wrap(b"\x12", wrap(b"\x12", later) + b"\xf8\x3f\x07") + b"\xf8\x3f\x08")
        + b"\xf8\x3f\x09"
    )
    request = ExportTraceServiceRequest.FromString(compat.openinference(Signal.TRACES, body))
    (resource_spans,) = request.resource_spans
    (scope_spans,) = resource_spans.scope_spans
    (result,) = scope_spans.spans
    found = [
        (unknown.field_number, unknown.data)
        for message in (request, resource_spans, scope_spans, result)
        for unknown in UnknownFieldSet(message)
    ]
    assert found == [(1023, 9), (1023, 8), (1023, 7), (1023, 42)]
    assert any(pair.key == "openinference.span.kind" for pair in result.attributes)


KEYS = sorted(
    {value for name, value in vars(attr).items() if name.isupper() and isinstance(value, str)}
    | {"openinference.span.kind", "input.value", "output.value", "input.mime_type", "session.id", "other"}
)
VALUES = st.one_of(
    st.text(max_size=200), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=8)
)
SPANS = st.lists(
    st.dictionaries(
        st.sampled_from(KEYS),
        VALUES | st.sampled_from(["execute_tool", "invoke_agent", "completed", "deny"]),
        max_size=12,
    ),
    max_size=4,
)


@given(SPANS)
def test_a_second_time_changes_nothing(spans):
    once = compat.openinference(Signal.TRACES, request_of(*spans))
    assert compat.openinference(Signal.TRACES, once) is once


@given(SPANS)
def test_it_only_ever_appends(spans):
    body = request_of(*spans)
    after = spans_of(compat.openinference(Signal.TRACES, body))
    before = spans_of(body)
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        count = len(old.attributes)
        # As bytes: a NaN is not equal to itself.
        assert [p.SerializeToString() for p in old.attributes] == [
            p.SerializeToString() for p in new.attributes[:count]
        ]
        keys = [pair.key for pair in new.attributes]
        assert len(keys) == len(set(keys))
        assert set(keys[count:]) <= {
            "openinference.span.kind",
            "input.value",
            "input.mime_type",
            "output.value",
            "output.mime_type",
            "session.id",
        }
        del old.attributes[:]
        del new.attributes[:]
        assert old == new


@given(SPANS)
def test_summaries_say_only_what_the_span_says(spans):
    for span in spans_of(compat.openinference(Signal.TRACES, request_of(*spans))):
        attributes = {pair.key: pair.value for pair in span.attributes}
        for side in ("input", "output"):
            if (
                f"{side}.mime_type" not in attributes
                or attributes[f"{side}.mime_type"].string_value != "application/json"
            ):
                continue
            summary = json.loads(attributes[f"{side}.value"].string_value, parse_constant=pytest.fail)
            own = [getattr(value, value.WhichOneof("value")) for value in attributes.values()]
            for value in summary.values():
                cut = isinstance(value, str) and len(value) == compat.MAX_TEXT
                assert value in own or (cut and any(str(text).startswith(value[:-1]) for text in own))
