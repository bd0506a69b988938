# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Deliberately wrong telemetry: each sample breaks one thing in what ``recorded`` makes, and says which rules must find it.

``python tests/semconv/conformance/samples.py DIRECTORY`` writes every sample as a directory of OTLP in protobuf, for trying
``runrecord check`` by hand.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from runrecord.semconv import attributes as a

_spec = importlib.util.spec_from_file_location(
    "runrecord_conformance_breaking", Path(__file__).with_name("breaking.py")
)
assert _spec is not None
assert _spec.loader is not None
breaking = sys.modules.setdefault(_spec.name, importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(breaking)
recorded, SAMPLES = breaking.recorded, breaking.SAMPLES
sample, setting, dropping = breaking.sample, breaking.setting, breaking.dropping
drop, get, put = recorded.drop, recorded.get, recorded.put
DIGEST = "hmac-sha256:" + "5c" * 32
DECISION, REQUEST, ANSWER = "policy_decision", "request_approval", "approval_decision"
TOOL, RUN, STEP, CHAT, CHECK, UNDO = (
    "execute_tool create",
    "invoke_agent",
    "agent_step",
    "chat",
    "verify",
    "compensate",
)


# What is missing

dropping("missing-required", CHECK, a.VERIFICATION_OUTCOME, "a_check_without_an_outcome")
dropping("missing-required", STEP, a.STEP_INDEX, "a_step_without_its_index")
dropping("missing-required", RUN, a.RUN_SEGMENT, "a_run_without_its_segment")
dropping("missing-required", DECISION, a.POLICY_ID, "a_decision_without_its_policy")
dropping("official-missing-required", TOOL, a.GEN_AI_TOOL_NAME, "a_tool_call_without_the_tool")
dropping("official-missing-required", CHAT, "gen_ai.provider.name", "a_model_call_without_the_provider")
dropping("missing-conditional", "invoke_workflow", a.RUN_OUTCOME, "a_completed_run_without_an_outcome")
dropping("missing-conditional", "invoke_workflow", a.PRINCIPAL_TYPE, "a_principal_without_its_type")
dropping("missing-conditional", ANSWER, a.APPROVAL_ACTOR_TYPE, "an_answer_of_nobody")


@sample(*["missing-conditional"] * 2)
def redactions_without_their_kinds_and_rules(t):
    put(t.span(CHECK), a.REDACTION_COUNT, 2)


@sample(*["missing-conditional"] * 2)
def a_budget_without_a_dimension_and_a_limit(t):
    put(t.span("invoke_workflow"), a.BUDGET_ID, "daily")


@sample("missing-conditional", "missing-conditional")
def a_cost_without_currency_and_source(t):
    put(t.span(TOOL), a.COST_AMOUNT, 0.5)


@sample("missing-conditional")
def a_step_that_failed_without_saying_how(t):
    t.span(STEP).status.code = Status.STATUS_CODE_ERROR


@sample("official-missing-conditional")
def a_model_call_that_failed_without_saying_how(t):
    t.span(CHAT).status.code = Status.STATUS_CODE_ERROR


@sample("missing-conditional", "missing-conditional")
def a_modified_approval_without_the_modification(t):
    put(t.span(ANSWER), a.APPROVAL_STATUS, "modified")
    put(t.log("runrecord.approval.decided"), a.APPROVAL_STATUS, "modified")


# What a value must be

setting("wrong-type", DECISION, a.POLICY_VERSION, 14, "a_version_that_is_a_number")
setting("wrong-type", TOOL, a.SIDE_EFFECT_REVERSIBLE, "true", "a_boolean_that_is_a_text")
setting("wrong-type", ANSWER, a.APPROVAL_WAIT_SECONDS, 12, "seconds_that_are_an_integer")


@sample("missing-conditional", "wrong-type")
def an_array_that_is_a_text(t):
    put(t.span(CHECK), a.REDACTION_KINDS, "email")


@sample("missing-conditional", "wrong-type")
def an_array_of_several_types(t):
    put(t.span(CHECK), a.REDACTION_KINDS, ["email", 1])


setting("official-wrong-type", CHAT, "gen_ai.usage.input_tokens", "12", "tokens_that_are_a_text")
setting("unknown-member", DECISION, a.DECISION_ACTION, "shrug", "an_action_that_nobody_knows")
setting("unknown-member", RUN, a.RUN_AUTONOMY, "full", "an_autonomy_that_nobody_knows")
setting("official-unknown-member", CHAT, "gen_ai.provider.name", "my_provider", "a_provider_of_my_own")
setting("bad-format", REQUEST, a.APPROVAL_DEADLINE, "tomorrow", "a_deadline_in_words")
setting("bad-format", REQUEST, a.APPROVAL_DEADLINE, "2027-01-15T08:00:00+02:00", "a_deadline_in_local_time")
setting("digest-format", "execute_tool lookup", a.ARGUMENTS_DIGEST, "sha256:" + "0f" * 32, "a_plain_hash")
setting("digest-format", "execute_tool lookup", a.RESULT_DIGEST, "0f" * 32, "a_digest_without_its_kind")
setting("out-of-range", STEP, a.STEP_INDEX, -1, "a_negative_index")
setting("out-of-range", ANSWER, a.APPROVAL_WAIT_SECONDS, float("nan"), "a_wait_that_is_no_number")
setting("out-of-range", ANSWER, a.APPROVAL_WAIT_SECONDS, -2.0, "a_negative_wait")
setting("empty-value", DECISION, a.POLICY_RULE_ID, "", "an_empty_rule_id")
setting(
    "not-a-code", DECISION, a.DECISION_REASON_CODE, "The customer wants too much.", "a_reason_in_a_sentence"
)
setting("not-a-code", RUN, a.RUN_STOP_REASON, "it waits for Ada", "a_stop_reason_in_a_sentence")
setting("not-opaque", ANSWER, a.APPROVAL_ACTOR_REF, "ada@example.org", "an_address_as_a_reference")
setting("not-opaque", "invoke_workflow", a.PRINCIPAL_REF, "Ada Lovelace", "a_name_as_a_reference")
setting("not-opaque", TOOL, a.IDEMPOTENCY_REF, "sha256:" + "0f" * 32, "a_plain_hash_as_a_reference")


@sample("bad-format", "missing-records")
def a_source_that_is_a_host_name(t):
    put(t.span("verify"), a.SOURCE_ID, "web-1.example.org")
    put(t.span("verify"), a.RECORD_SEQ, 0)


@sample("unknown-member")
def a_step_kind_that_nobody_knows(t):
    put(t.span(STEP), a.STEP_KIND, "muse")
    t.span(STEP).name = "agent_step muse"


# What must not be there

setting("unknown-attribute", DECISION, "runrecord.decision.outcom", "allow", "a_misspelt_attribute")
setting("unknown-attribute", CHAT, "runrecord.mine", 1, "an_attribute_of_ones_own_in_our_namespace")
setting("misplaced-attribute", TOOL, a.DECISION_ID, "dec-1", "a_decision_id_on_a_tool_call")
setting("misplaced-attribute", CHAT, a.RECORD_SEQ, 7, "a_number_on_a_model_call")
setting(
    "governance-span-with-operation-name",
    DECISION,
    a.GEN_AI_OPERATION_NAME,
    "execute_tool",
    "an_operation_on_a_decision",
)
setting(
    "tool-attributes-on-own-span", REQUEST, a.GEN_AI_TOOL_CALL_ID, "call-1", "a_tool_call_id_on_a_request"
)
setting("official-attribute-on-own-span", CHECK, a.GEN_AI_REQUEST_MODEL, "model-1", "a_model_on_a_check")
setting("content-captured", STEP, a.GEN_AI_INPUT_MESSAGES, "[]", "messages_on_a_step")
setting("content-captured", TOOL, a.GEN_AI_TOOL_CALL_ARGUMENTS, "{}", "arguments_that_somebody_switched_on")
setting("official-unknown-attribute", CHAT, "gen_ai.mood", "good", "an_official_attribute_that_is_none")
setting(
    "official-deprecated-attribute", CHAT, "gen_ai.system", "openai", "an_official_attribute_that_is_gone"
)
setting(
    "official-unknown-operation", CHAT, a.GEN_AI_OPERATION_NAME, "guess", "an_operation_that_is_not_listed"
)


@sample("content-captured", payload_free=True)
def content_where_none_may_be(t):
    put(t.span(CHAT), a.GEN_AI_INPUT_MESSAGES, "[]")


@sample("content-captured", "content-captured", payload_free=True)
def the_text_of_an_exception_on_a_governed_span(t):
    span = t.span(TOOL)
    span.status.message = "no such card"
    put(span.events.add(name="exception"), "exception.message", "no such card")


@sample("content-captured")
def an_event_with_a_body(t):
    t.log("runrecord.policy.decided").body.string_value = "the customer said"


@sample("unknown-event")
def an_event_that_nobody_knows(t):
    t.log("runrecord.escalation").event_name = "runrecord.escalated"


@sample("misplaced-attribute")
def a_number_on_an_event(t):
    put(t.log("runrecord.escalation"), a.RECORD_SEQ, 1)


@sample("step-index-without-run")
def a_step_index_without_a_run(t):
    put(t.span(CHAT), a.STEP_INDEX, 0)


@sample("duplicate-attribute")
def an_attribute_twice(t):
    span = t.span(CHECK)
    span.attributes.add(key=a.VERIFICATION_NAME).value.string_value = get(span, a.VERIFICATION_NAME)


# The span itself


@sample("wrong-kind")
def a_request_that_is_a_client(t):
    t.span(REQUEST).kind = Span.SPAN_KIND_CLIENT


@sample("official-wrong-kind")
def a_model_call_that_is_a_server(t):
    t.span(CHAT).kind = Span.SPAN_KIND_SERVER


@sample("wrong-name")
def a_decision_by_another_name(t):
    t.span(DECISION).name = "check the refund"


@sample("wrong-name")
def a_check_that_is_named_after_another(t):
    t.span(CHECK).name = "verify totals"


@sample("official-wrong-name")
def a_model_call_by_another_name(t):
    t.span(CHAT).name = "call the model"


@sample("id-in-span-name")
def a_call_id_in_the_name_of_a_decision(t):
    t.span(DECISION).name = "policy_decision call-0"


@sample("id-in-span-name")
def a_uuid_in_the_name_of_a_run(t):
    name = "refund-7b1e6c52-09a1-4d6a-8f6e-2c1f0a9b3d4e"
    put(t.span(RUN), a.GEN_AI_AGENT_NAME, name)
    t.span(RUN).name = f"invoke_agent {name}"


@sample("error-on-denial")
def a_denial_that_is_an_error(t):
    span = t.span(DECISION, 2)
    put(span, a.ERROR_TYPE, "Denied")
    span.status.code = Status.STATUS_CODE_ERROR


@sample("error-on-denial")
def a_pause_that_is_an_error(t):
    span = t.span(RUN)
    put(span, a.ERROR_TYPE, "GraphInterrupt")
    span.status.code = Status.STATUS_CODE_ERROR


@sample("end-before-start")
def a_span_that_ends_before_it_starts(t):
    span = t.span(STEP)
    span.end_time_unix_nano = span.start_time_unix_nano - 1


@sample("not-ended")
def a_span_that_never_ended(t):
    t.span(CHECK).end_time_unix_nano = 0


@sample("not-ended")
def a_span_that_never_started(t):
    t.span(CHAT).start_time_unix_nano = 0


@sample("invalid-ids")
def a_span_whose_trace_id_is_zero(t):
    t.span(CHECK).trace_id = bytes(16)


@sample("invalid-ids")
def a_span_with_half_an_id(t):
    t.span(CHAT).span_id = b"half"


@sample(*["missing-schema-url"] * 3)
def a_scope_without_a_schema_url(t):
    for resource in t.traces.resource_spans:
        for scope in resource.scope_spans:
            if scope.scope.name == "runrecord.instrumentation":
                kept = [s for s in scope.spans if s.name.startswith((CHECK, UNDO, "agent_step plan"))]
                rest = [s for s in scope.spans if s not in kept]
                del scope.spans[:]
                scope.spans.extend(rest)
                resource.scope_spans.add(scope=scope.scope, spans=kept)
                return


# What contradicts itself

setting("conflicting-values", RUN, a.RUN_OUTCOME, "success", "an_outcome_of_a_run_that_waits")
setting("conflicting-values", DECISION, a.DECISION_ACTION, "block", "a_blocked_subject_that_was_allowed")
setting("conflicting-values", TOOL, a.TOOL_READ_ONLY, True, "a_payment_that_only_reads")
setting("conflicting-values", TOOL, a.DRY_RUN, True, "a_dry_run_that_took_effect")
setting(
    "conflicting-values",
    ANSWER,
    a.APPROVAL_SUBJECT_MODIFIED_DIGEST,
    DIGEST,
    "an_approval_with_a_modification",
)


@sample("missing-link", "request-mismatch")
def a_request_that_is_not_linked_to(t):
    put(t.span(ANSWER), a.APPROVAL_REQUEST_SPAN_ID, "00f067aa0ba902b7")


@sample("conflicting-values", "conflicting-values")
def a_request_that_is_answered_already(t):
    put(t.span(REQUEST), a.APPROVAL_STATUS, "approved")
    put(t.log("runrecord.approval.requested"), a.APPROVAL_STATUS, "approved")


@sample("conflicting-values")
def a_closed_source_of_a_completed_run(t):
    put(t.log("runrecord.source.closed"), a.RUN_STATE, "completed")


@sample("conflicting-values")
def a_budget_that_is_said_to_hold(t):
    span = t.span("invoke_workflow")
    for key, value in (
        (a.BUDGET_ID, "daily"),
        (a.BUDGET_DIMENSION, "tokens"),
        (a.BUDGET_LIMIT, 10.0),
        (a.BUDGET_CONSUMED, 11.0),
        (a.BUDGET_EXCEEDED, False),
    ):
        put(span, key, value)


@sample("missing-link")
def a_compensation_of_nothing(t):
    del t.span(UNDO).links[:]


# Several records


@sample("decision-without-run", "record-without-run")
def a_decision_whose_run_is_not_there(t):
    t.remove(t.span("invoke_workflow"))


@sample("decision-without-run", "record-without-run", partial=True)
def a_part_of_a_run(t):
    t.remove(t.span("invoke_workflow"))


@sample("decision-without-request", "missing-records")
def an_answer_to_what_another_process_asked(t):
    t.remove(t.span(REQUEST))


@sample("decision-without-request", "missing-records")
def an_answer_that_nobody_asked_for(t):
    t.remove(t.span(REQUEST))
    drop(t.span(ANSWER), a.APPROVAL_REQUEST_TRACE_ID, a.APPROVAL_REQUEST_SPAN_ID)
    del t.span(ANSWER).links[:]


@sample("request-mismatch")
def an_answer_to_a_decision(t):
    wrong, answer = t.span(DECISION), t.span(ANSWER)
    put(answer, a.APPROVAL_REQUEST_SPAN_ID, wrong.span_id.hex())
    answer.links[0].span_id = wrong.span_id


@sample("subject-digest-differs", "subject-digest-differs")
def an_answer_to_another_question(t):
    put(t.span(ANSWER), a.APPROVAL_SUBJECT_DIGEST, DIGEST)


@sample("subject-digest-differs")
def a_call_with_other_arguments_than_approved(t):
    put(t.span(TOOL), a.ARGUMENTS_DIGEST, DIGEST)


@sample("duplicate-number", "missing-records")
def a_number_twice(t):
    put(t.span(DECISION), a.RECORD_SEQ, get(t.span("execute_tool lookup"), a.RECORD_SEQ))


@sample("missing-records")
def a_record_that_was_sampled_away(t):
    t.remove(t.span("execute_tool lookup"))


@sample("uncounted-records", "event-differs")
def a_run_that_counts_too_little(t):
    put(t.span("invoke_workflow"), a.RUN_RECORDS, 1)


@sample("duplicate-id")
def two_decisions_with_one_id(t):
    put(t.span(DECISION, 1), a.DECISION_ID, get(t.span(DECISION), a.DECISION_ID))


@sample("duplicate-id")
def one_segment_twice(t):
    put(t.span(RUN, 1), a.RUN_SEGMENT, 0)


@sample("event-differs")
def an_event_that_says_deny_where_the_span_allows(t):
    put(t.log("runrecord.policy.decided"), a.DECISION_OUTCOME, "deny")


@sample("redaction-failed", "missing-records")
def a_record_that_no_redactor_looked_at(t):
    span = t.span(CHECK)
    for pair in span.attributes:
        pair.value.string_value = "[REDACTED]"
    span.name = "[REDACTED]"
    put(span, a.REDACTION_FAILED, True)


# Metrics


@sample("wrong-unit")
def a_duration_in_milliseconds(t):
    t.metric("gen_ai.execute_tool.duration").unit = "ms"


@sample("wrong-instrument")
def a_duration_that_is_a_counter(t):
    metric = t.metric("gen_ai.execute_tool.duration")
    metric.sum.is_monotonic = True
    put(metric.sum.data_points.add(as_int=1), a.GEN_AI_TOOL_NAME, "create_refund")


@sample("id-as-label")
def a_run_id_as_a_label(t):
    put(t.metric("gen_ai.execute_tool.duration").histogram.data_points[0], a.RUN_ID, "run-1")


@sample("unknown-metric")
def a_metric_that_nobody_knows(t):
    t.metric("gen_ai.execute_tool.duration").name = "runrecord.mood"


def write(directory: Path) -> None:
    for one in SAMPLES:
        place = directory / one.name
        place.mkdir(parents=True, exist_ok=True)
        for name, request in zip(("traces", "logs", "metrics"), one.make().requests, strict=True):
            (place / f"{name}.pb").write_bytes(request.SerializeToString())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
