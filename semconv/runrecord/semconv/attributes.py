# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# Generated from registry/*.yaml by: python -m runrecord.semconv.generate. Do not edit.
"""The attribute keys of the conventions, and the values of the closed ones."""

# ruff: noqa: S105 - an outcome may be called pass

from enum import Enum
from typing import Final

__all__ = [
    "APPROVAL_ACTOR_REF",
    "APPROVAL_ACTOR_TYPE",
    "APPROVAL_CHANNEL",
    "APPROVAL_DEADLINE",
    "APPROVAL_ID",
    "APPROVAL_REASON_CODE",
    "APPROVAL_REQUEST_SPAN_ID",
    "APPROVAL_REQUEST_TRACE_ID",
    "APPROVAL_SCOPE",
    "APPROVAL_STATUS",
    "APPROVAL_SUBJECT_DIGEST",
    "APPROVAL_SUBJECT_MODIFIED_DIGEST",
    "APPROVAL_WAIT_SECONDS",
    "ARGUMENTS_DIGEST",
    "BREAKER_ID",
    "BREAKER_STATE",
    "BREAKER_TRIGGER",
    "BUDGET_ACTION",
    "BUDGET_CONSUMED",
    "BUDGET_DIMENSION",
    "BUDGET_EXCEEDED",
    "BUDGET_ID",
    "BUDGET_LIMIT",
    "COMPENSATION_OUTCOME",
    "COMPENSATION_SUBJECT_ID",
    "COST_AMOUNT",
    "COST_CURRENCY",
    "COST_SOURCE",
    "DECISION_ACTION",
    "DECISION_ID",
    "DECISION_OUTCOME",
    "DECISION_REASON_CODE",
    "DELEGATION_REF",
    "DRY_RUN",
    "ERROR_TYPE",
    "ESCALATION_REASON_CODE",
    "ESCALATION_TARGET_REF",
    "ESCALATION_TARGET_TYPE",
    "GAP_END",
    "GAP_REASON",
    "GAP_RECORDS",
    "GAP_REQUESTS",
    "GAP_START",
    "GEN_AI_AGENT_DESCRIPTION",
    "GEN_AI_AGENT_ID",
    "GEN_AI_AGENT_NAME",
    "GEN_AI_AGENT_VERSION",
    "GEN_AI_CONVERSATION_ID",
    "GEN_AI_DATA_SOURCE_ID",
    "GEN_AI_EMBEDDINGS_DIMENSION_COUNT",
    "GEN_AI_EVALUATION_EXPLANATION",
    "GEN_AI_EVALUATION_NAME",
    "GEN_AI_EVALUATION_SCORE_LABEL",
    "GEN_AI_EVALUATION_SCORE_VALUE",
    "GEN_AI_INPUT_MESSAGES",
    "GEN_AI_MEMORY_QUERY_TEXT",
    "GEN_AI_MEMORY_RECORDS",
    "GEN_AI_MEMORY_RECORD_COUNT",
    "GEN_AI_MEMORY_RECORD_ID",
    "GEN_AI_MEMORY_STORE_ID",
    "GEN_AI_OPERATION_NAME",
    "GEN_AI_OUTPUT_MESSAGES",
    "GEN_AI_OUTPUT_TYPE",
    "GEN_AI_PROMPT_NAME",
    "GEN_AI_PROMPT_VERSION",
    "GEN_AI_PROVIDER_NAME",
    "GEN_AI_REQUEST_CHOICE_COUNT",
    "GEN_AI_REQUEST_ENCODING_FORMATS",
    "GEN_AI_REQUEST_FREQUENCY_PENALTY",
    "GEN_AI_REQUEST_MAX_TOKENS",
    "GEN_AI_REQUEST_MODEL",
    "GEN_AI_REQUEST_PRESENCE_PENALTY",
    "GEN_AI_REQUEST_REASONING_LEVEL",
    "GEN_AI_REQUEST_SEED",
    "GEN_AI_REQUEST_STOP_SEQUENCES",
    "GEN_AI_REQUEST_STREAM",
    "GEN_AI_REQUEST_TEMPERATURE",
    "GEN_AI_REQUEST_TOP_K",
    "GEN_AI_REQUEST_TOP_P",
    "GEN_AI_RESPONSE_FINISH_REASONS",
    "GEN_AI_RESPONSE_ID",
    "GEN_AI_RESPONSE_MODEL",
    "GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK",
    "GEN_AI_RETRIEVAL_DOCUMENTS",
    "GEN_AI_RETRIEVAL_QUERY_TEXT",
    "GEN_AI_RETRIEVAL_TOP_K",
    "GEN_AI_SYSTEM_INSTRUCTIONS",
    "GEN_AI_TOOL_CALL_ARGUMENTS",
    "GEN_AI_TOOL_CALL_ID",
    "GEN_AI_TOOL_CALL_RESULT",
    "GEN_AI_TOOL_DEFINITIONS",
    "GEN_AI_TOOL_DESCRIPTION",
    "GEN_AI_TOOL_NAME",
    "GEN_AI_TOOL_TYPE",
    "GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS",
    "GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS",
    "GEN_AI_USAGE_INPUT_TOKENS",
    "GEN_AI_USAGE_OUTPUT_TOKENS",
    "GEN_AI_USAGE_REASONING_OUTPUT_TOKENS",
    "GEN_AI_WORKFLOW_NAME",
    "GOVERNANCE_REF",
    "IDEMPOTENCY_DEDUPLICATED",
    "IDEMPOTENCY_KEY_PRESENT",
    "IDEMPOTENCY_REF",
    "JSONRPC_REQUEST_ID",
    "LEDGER_INDEX",
    "LEDGER_LEAF_HASH",
    "LEDGER_ORIGIN",
    "MCP_METHOD_NAME",
    "MCP_PROTOCOL_VERSION",
    "MCP_RESOURCE_URI",
    "MCP_SESSION_ID",
    "POLICY_ENGINE",
    "POLICY_ID",
    "POLICY_MODE",
    "POLICY_NAME",
    "POLICY_RULE_ID",
    "POLICY_VERSION",
    "PRINCIPAL_REF",
    "PRINCIPAL_TYPE",
    "RECORD_SEQ",
    "REDACTION_COUNT",
    "REDACTION_FAILED",
    "REDACTION_KINDS",
    "REDACTION_RULES",
    "RESULT_DIGEST",
    "RETRY_ATTEMPT",
    "RPC_RESPONSE_STATUS_CODE",
    "RUN_AUTONOMY",
    "RUN_ID",
    "RUN_OUTCOME",
    "RUN_RECORDS",
    "RUN_ROOT",
    "RUN_SEGMENT",
    "RUN_STATE",
    "RUN_STOP_REASON",
    "SERVER_ADDRESS",
    "SERVER_PORT",
    "SIDE_EFFECT_COMMITTED",
    "SIDE_EFFECT_REF",
    "SIDE_EFFECT_REVERSIBLE",
    "SIDE_EFFECT_TARGET",
    "SIDE_EFFECT_TYPE",
    "SOURCE_ID",
    "STEP_ATTEMPT",
    "STEP_ID",
    "STEP_INDEX",
    "STEP_KIND",
    "STEP_NAME",
    "SUBJECT_DIGEST",
    "SUBJECT_ID",
    "SUBJECT_NAME",
    "SUBJECT_TYPE",
    "TENANT_ID",
    "TOOL_DESTRUCTIVE",
    "TOOL_IDEMPOTENT",
    "TOOL_OPEN_WORLD",
    "TOOL_READ_ONLY",
    "VERIFICATION_NAME",
    "VERIFICATION_OUTCOME",
    "VERIFICATION_SUBJECT_ID",
    "VERIFICATION_TYPE",
    "VERSION_AGENT",
    "VERSION_CODE",
    "VERSION_POLICY",
    "VERSION_PROMPT",
    "VERSION_RETRIEVAL_INDEX",
    "VERSION_TOOL_SCHEMA",
    "ApprovalActorType",
    "ApprovalScope",
    "ApprovalStatus",
    "BreakerState",
    "BudgetAction",
    "BudgetDimension",
    "CompensationOutcome",
    "CostSource",
    "DecisionAction",
    "DecisionOutcome",
    "GapReason",
    "GenAiOperationName",
    "GenAiOutputType",
    "GenAiProviderName",
    "PolicyEngine",
    "PolicyMode",
    "PrincipalType",
    "RunAutonomy",
    "RunOutcome",
    "RunState",
    "SideEffectType",
    "StepKind",
    "SubjectType",
    "VerificationOutcome",
    "VerificationType",
]


APPROVAL_ACTOR_REF: Final = "runrecord.approval.actor.ref"
"""An opaque reference to whoever answered.

Do NOT set a name, an e-mail address or a telephone number.

Type: string. Stability: development. Examples: 'u-17'.
"""

APPROVAL_ACTOR_TYPE: Final = "runrecord.approval.actor.type"
"""What kind of actor answered.

Do NOT assume human; a resume from code is a service unless the application says otherwise.

One of :class:`ApprovalActorType`. Stability: development.
"""

APPROVAL_CHANNEL: Final = "runrecord.approval.channel"
"""Where the question was put.

Do NOT set an address or the name of a person.

Type: string. Stability: development. Examples: 'slack', 'console', 'web'.
"""

APPROVAL_DEADLINE: Final = "runrecord.approval.deadline"
"""Until when an answer counts, as an RFC 3339 date and time in UTC.

Do NOT set it where nothing enforces it.

Type: string. Stability: development. Examples: '2026-11-21T16:00:00Z'.
"""

APPROVAL_ID: Final = "runrecord.approval.id"
"""Identifies the approval, the same for the request and the decision, in every process.

Derived from the framework, its conversation, thread or session id and its own durable id. Do NOT use a
tool call id alone, which repeats, or a random id, which another process cannot know.

Type: string. Stability: development. Examples: 'd83d2145f0639a10186e54ed7d3293a5'.
"""

APPROVAL_REASON_CODE: Final = "runrecord.approval.reason_code"
"""Why the answer was what it was, as a short machine-readable word.

Do NOT set what the person wrote.

Type: string. Stability: development. Examples: 'amount_too_high'.
"""

APPROVAL_REQUEST_SPAN_ID: Final = "runrecord.approval.request.span_id"
"""The span id of the request, in hexadecimal.

Says again what the span link says, since some user interfaces drop links. Do NOT set the span of the
decision itself.

Type: string. Stability: development. Examples: 'e7430085f957ca32'.
"""

APPROVAL_REQUEST_TRACE_ID: Final = "runrecord.approval.request.trace_id"
"""The trace id of the request, in hexadecimal.

Says again what the span link says, since some user interfaces drop links. Do NOT set the trace of the
decision itself.

Type: string. Stability: development. Examples: '18fd1bdbbce4586eb708cacec057df2c'.
"""

APPROVAL_SCOPE: Final = "runrecord.approval.scope"
"""How far the approval reaches.

One of :class:`ApprovalScope`. Stability: development.
"""

APPROVAL_STATUS: Final = "runrecord.approval.status"
"""Where the approval stands.

Always pending on the request, never on the decision. None of the values is an error.

One of :class:`ApprovalStatus`. Stability: development.
"""

APPROVAL_SUBJECT_DIGEST: Final = "runrecord.approval.subject.digest"
"""The keyed commitment to exactly what was shown.

For a tool call it is made under the label tool.arguments and must equal runrecord.arguments.digest of the
call that then runs, unless the status is modified. Do NOT set a plain hash.

Type: string. Stability: development. Examples: 'hmac-
sha256:2f6b47827ca33e438f35ef97f6ab67b30460ed4b0777d7a65940a9efe2fd9344'.
"""

APPROVAL_SUBJECT_MODIFIED_DIGEST: Final = "runrecord.approval.subject.modified_digest"
"""The keyed commitment to what was approved in place of what was shown.

Do NOT set it with any status but modified.

Type: string. Stability: development. Examples: 'hmac-
sha256:4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce'.
"""

APPROVAL_WAIT_SECONDS: Final = "runrecord.approval.wait_seconds"
"""How long the run waited for the answer, in seconds.

Do NOT set it where the time of the request is not known.

Type: double. Stability: development. Examples: 4.653938055038452.
"""

ARGUMENTS_DIGEST: Final = "runrecord.arguments.digest"
"""The keyed commitment to the arguments of the call, under the label tool.arguments.

Equal to runrecord.approval.subject.digest where exactly this call was approved. Do NOT set a plain hash:
short arguments can be guessed from it.

Type: string. Stability: development. Examples: 'hmac-
sha256:2f6b47827ca33e438f35ef97f6ab67b30460ed4b0777d7a65940a9efe2fd9344'.
"""

BREAKER_ID: Final = "runrecord.breaker.id"
"""Identifies the breaker.

A name that somebody configured, one for each thing that can be stopped. Do NOT set the id of a run or of a
call.

Type: string. Stability: development. Examples: 'billing-writes'.
"""

BREAKER_STATE: Final = "runrecord.breaker.state"
"""The state that the breaker is now in.

One of :class:`BreakerState`. Stability: development.
"""

BREAKER_TRIGGER: Final = "runrecord.breaker.trigger"
"""What changed the state, as a short machine-readable word.

Do NOT set a sentence or the text of an exception.

Type: string. Stability: development. Examples: 'error_rate', 'manual'.
"""

BUDGET_ACTION: Final = "runrecord.budget.action"
"""What was done because of the budget.

One of :class:`BudgetAction`. Stability: development.
"""

BUDGET_CONSUMED: Final = "runrecord.budget.consumed"
"""What was used when the span ended, in the unit of the dimension.

Counted by whoever enforces the budget. Do NOT set an estimate of what the rest of the run will use.

Type: double. Stability: development. Examples: 12.25.
"""

BUDGET_DIMENSION: Final = "runrecord.budget.dimension"
"""What the budget limits.

One of :class:`BudgetDimension`. Stability: development.
"""

BUDGET_EXCEEDED: Final = "runrecord.budget.exceeded"
"""Whether the limit was reached.

Do NOT set it where nothing compares what was used with the limit.

Type: boolean. Stability: development.
"""

BUDGET_ID: Final = "runrecord.budget.id"
"""Identifies the budget.

The same for every span that draws on the budget. Do NOT set it where no limit applies; leave all
runrecord.budget attributes out.

Type: string. Stability: development. Examples: 'daily-refunds'.
"""

BUDGET_LIMIT: Final = "runrecord.budget.limit"
"""The most that may be used, in the unit of the dimension.

Do NOT set a very large number to say that there is no limit.

Type: double. Stability: development. Examples: 50.0.
"""

COMPENSATION_OUTCOME: Final = "runrecord.compensation.outcome"
"""What came of undoing the effect.

Its presence is how a reader knows a compensation. Do NOT set it on any other span.

One of :class:`CompensationOutcome`. Stability: development.
"""

COMPENSATION_SUBJECT_ID: Final = "runrecord.compensation.subject.id"
"""Identifies what was undone; for a tool call, its call id.

Says again what the span link says, since some user interfaces drop links. Do NOT set the id of the call
that undoes it.

Type: string. Stability: development. Examples: 'call-c-100-3'.
"""

COST_AMOUNT: Final = "runrecord.cost.amount"
"""What this one call cost.

Do NOT add up the cost of child spans on their parent; user interfaces would count it twice.

Type: double. Stability: development. Examples: 0.0031.
"""

COST_CURRENCY: Final = "runrecord.cost.currency"
"""The currency of the amount, as an ISO 4217 code.

Do NOT set it without an amount or a budget that is measured in it.

Type: string. Stability: development. Examples: 'USD'.
"""

COST_SOURCE: Final = "runrecord.cost.source"
"""Where the amount comes from.

One of :class:`CostSource`. Stability: development.
"""

DECISION_ACTION: Final = "runrecord.decision.action"
"""What was done because of the decision.

One of :class:`DecisionAction`. Stability: development.
"""

DECISION_ID: Final = "runrecord.decision.id"
"""Identifies the decision.

Its presence is how a reader knows a policy decision. Do NOT set it on any other span.

Type: string. Stability: development. Examples: '423cc7c962374a94a6db4b072f8b3dc5'.
"""

DECISION_OUTCOME: Final = "runrecord.decision.outcome"
"""What came out.

The three values of the open upstream proposal for gen_ai.tool.call.decision. Finer shades belong in
runrecord.decision.action. Do NOT set a value for a guardrail that only scores; a score is not a decision.

One of :class:`DecisionOutcome`. Stability: development.
"""

DECISION_REASON_CODE: Final = "runrecord.decision.reason_code"
"""Why, as a short machine-readable word.

Do NOT set a sentence or anything that a model wrote.

Type: string. Stability: development. Examples: 'amount_over_limit', 'answered_with_error'.
"""

DELEGATION_REF: Final = "runrecord.delegation.ref"
"""An opaque reference to the grant under which the agent acts for its principal.

Do NOT set a token, or anything from which one can be made.

Type: string. Stability: development. Examples: 'grant-2026-0041'.
"""

DRY_RUN: Final = "runrecord.dry_run"
"""Whether the call only pretended, so that no effect can have taken place.

Do NOT set false on calls that could not have pretended.

Type: boolean. Stability: development.
"""

ESCALATION_REASON_CODE: Final = "runrecord.escalation.reason_code"
"""Why the run was handed to a person, as a short machine-readable word.

Do NOT set a sentence or anything that a model wrote.

Type: string. Stability: development. Examples: 'low_confidence', 'policy_denied'.
"""

ESCALATION_TARGET_REF: Final = "runrecord.escalation.target.ref"
"""An opaque reference to the receiver.

Do NOT set a name, an e-mail address or a telephone number.

Type: string. Stability: development. Examples: 'queue-3'.
"""

ESCALATION_TARGET_TYPE: Final = "runrecord.escalation.target.type"
"""What kind of receiver the run was handed to.

A role or a team, of low cardinality. Do NOT set the name or the address of a person.

Type: string. Stability: development. Examples: 'on_call', 'support_team'.
"""

GAP_END: Final = "runrecord.gap.end"
"""When the last of them was lost or refused, in nanoseconds since the Unix epoch.

Do NOT set the time of the records themselves.

Type: int. Stability: development. Examples: 1790000060000000000.
"""

GAP_REASON: Final = "runrecord.gap.reason"
"""Why records are, or may be, missing.

Do NOT set a sentence, the text of an exception or anything of what was lost.

One of :class:`GapReason`. Stability: development.
"""

GAP_RECORDS: Final = "runrecord.gap.records"
"""How many records were lost, where that is known.

Do NOT guess it from the number of requests.

Type: int. Stability: development. Examples: 512.
"""

GAP_REQUESTS: Final = "runrecord.gap.requests"
"""How many requests were lost or refused.

A request that was refused may have been sent again later, and be there. Do NOT set it to say how many
records.

Type: int. Stability: development. Examples: 12.
"""

GAP_START: Final = "runrecord.gap.start"
"""When the first of them was lost or refused, in nanoseconds since the Unix epoch.

Do NOT set the time of the records themselves.

Type: int. Stability: development. Examples: 1790000000000000000.
"""

GOVERNANCE_REF: Final = "runrecord.governance.ref"
"""An opaque reference to the record of the decision in a governance system.

Do NOT set any of its content.

Type: string. Stability: development. Examples: 'grc-77812'.
"""

IDEMPOTENCY_DEDUPLICATED: Final = "runrecord.idempotency.deduplicated"
"""Whether the target answered with the result of an earlier call with the same key.

Do NOT guess it from the time that the call took; set it only where the target says so.

Type: boolean. Stability: development.
"""

IDEMPOTENCY_KEY_PRESENT: Final = "runrecord.idempotency.key_present"
"""Whether the call carried an idempotency key.

Do NOT set the key itself anywhere.

Type: boolean. Stability: development.
"""

IDEMPOTENCY_REF: Final = "runrecord.idempotency.ref"
"""An opaque reference by which calls with the same idempotency key can be matched.

Do NOT set the key itself or a plain hash of it; a keyed commitment is fine.

Type: string. Stability: development. Examples: 'hmac-
sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0'.
"""

LEDGER_INDEX: Final = "runrecord.ledger.index"
"""The index of the record in that log, from 0.

Set on the copy that is exported after the record was sealed. Do NOT set it in an application.

Type: int. Stability: development. Examples: 54.
"""

LEDGER_LEAF_HASH: Final = "runrecord.ledger.leaf_hash"
"""The RFC 6962 leaf hash of the record, in hexadecimal.

Set on the copy that is exported after the record was sealed. Do NOT set it in an application.

Type: string. Stability: development. Examples:
'6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'.
"""

LEDGER_ORIGIN: Final = "runrecord.ledger.origin"
"""The origin line of the log that sealed this record.

Set on the copy that is exported after the record was sealed. Do NOT set it in an application.

Type: string. Stability: development. Examples: 'runrecord.demo/refunds'.
"""

POLICY_ENGINE: Final = "runrecord.policy.engine"
"""What evaluated the policy.

One of :class:`PolicyEngine`. Stability: development.
"""

POLICY_ID: Final = "runrecord.policy.id"
"""Identifies the policy that decided.

Stable over the versions of the policy. Do NOT put the version, the rule or the outcome into it.

Type: string. Stability: development. Examples: 'refunds', 'HumanInTheLoopMiddleware'.
"""

POLICY_MODE: Final = "runrecord.policy.mode"
"""Whether the outcome was acted on or only recorded.

One of :class:`PolicyMode`. Stability: development.
"""

POLICY_NAME: Final = "runrecord.policy.name"
"""The name of the policy, for people; of low cardinality.

Part of the span name; where it is missing, runrecord.policy.id takes its place there. Do NOT set anything
that changes from decision to decision.

Type: string. Stability: development. Examples: 'refunds'.
"""

POLICY_RULE_ID: Final = "runrecord.policy.rule.id"
"""Identifies the rule that settled the decision.

Do NOT set it where no single rule settled the decision, nor the text of a rule.

Type: string. Stability: development. Examples: 'recent_chargeback', 'interrupt_on.create_refund'.
"""

POLICY_VERSION: Final = "runrecord.policy.version"
"""The version of the policy that decided, or a digest of it.

Do NOT set the version of the engine, or a time at which the policy was loaded.

Type: string. Stability: development. Examples: '14'.
"""

PRINCIPAL_REF: Final = "runrecord.principal.ref"
"""An opaque reference to whoever the run acts for.

Do NOT set a name, an e-mail address or a telephone number; the application keeps the table that resolves
the reference.

Type: string. Stability: development. Examples: 'u-17'.
"""

PRINCIPAL_TYPE: Final = "runrecord.principal.type"
"""What kind of principal the run acts for.

One of :class:`PrincipalType`. Stability: development.
"""

RECORD_SEQ: Final = "runrecord.record.seq"
"""The position of the governed span among those that this source made for this run, from 0.

Taken when the span starts, so that a span that never arrives leaves a hole that shows. The counter goes on
from one segment to the next in the same source. A log event that announces a governed span carries the
number of that span. Do NOT set it on other spans or log events that are not governed records: a number
that no reader counts would look like a lost record.

Type: int. Stability: development. Examples: 0, 7.
"""

REDACTION_COUNT: Final = "runrecord.redaction.count"
"""How many findings were replaced in the record.

Do NOT set it where nothing was replaced; 0 goes with runrecord.redaction.failed only.

Type: int. Stability: development. Examples: 3.
"""

REDACTION_FAILED: Final = "runrecord.redaction.failed"
"""The record could not be looked at, and its content was replaced by a marker.

Do NOT set false.

Type: boolean. Stability: development.
"""

REDACTION_KINDS: Final = "runrecord.redaction.kinds"
"""Which kinds of finding were replaced, each once, sorted.

Do NOT set anything of what was found.

Type: string[]. Stability: development. Examples: ['card', 'email', 'stripe_key'].
"""

REDACTION_RULES: Final = "runrecord.redaction.rules"
"""The version of the set of rules that looked at the record.

Set where something was replaced or the record could not be looked at. Do NOT take its absence to mean that
no rules looked at the record.

Type: string. Stability: development. Examples: 'builtin-1+sha256:28841d13'.
"""

RESULT_DIGEST: Final = "runrecord.result.digest"
"""The keyed commitment to the result of the call, under the label tool.result.

Do NOT set a plain hash: short results can be guessed from it.

Type: string. Stability: development. Examples: 'hmac-
sha256:ffdce83ceac84ba5377d97630f196531ab60424c196a412bdfbff02c2b5550f8'.
"""

RETRY_ATTEMPT: Final = "runrecord.retry.attempt"
"""Which attempt at the same call this is, from 0.

Do NOT count attempts that the transport made within one call.

Type: int. Stability: development. Examples: 0, 2.
"""

RUN_AUTONOMY: Final = "runrecord.run.autonomy"
"""How far the agent may go on its own in this run, as configured.

Do NOT guess it from what the agent did; set it only where the application declares it.

One of :class:`RunAutonomy`. Stability: development.
"""

RUN_ID: Final = "runrecord.run.id"
"""Identifies the run, over all its segments and in every process that takes part.

Made once, at the start of the first segment, and sent from there on in the W3C baggage header, to allow-
listed peers only. A run that waits for a person and goes on in another process keeps its id. Do NOT use
the conversation, thread or trace id: one conversation holds many runs, and one run may span several
traces.

Type: string. Stability: development. Examples: 'cc03deefea764d29add9a9c0b9d909ce'.
"""

RUN_OUTCOME: Final = "runrecord.run.outcome"
"""How the run ended.

Do NOT set it while the run is suspended. Only failure goes with span status ERROR; a denial, an escalation
and a cancellation are outcomes, not errors. Unless the application or the SDK says otherwise, a run that
ends without an error is denied, not success, if a tool call was stopped in it, in any of its segments: a
policy that is enforced denied the call, or its approval ended as denied, expired or cancelled; the call
did not run afterwards, and no later call of the same tool in the run succeeded.

One of :class:`RunOutcome`. Stability: development.
"""

RUN_RECORDS: Final = "runrecord.run.records"
"""How many governed records this source made in this segment, the run span included.

A reader that finds fewer knows that records are missing, and which ones from runrecord.record.seq. Do NOT
count log events or spans that carry no runrecord.record.seq.

Type: int. Stability: development. Examples: 13.
"""

RUN_ROOT: Final = "runrecord.run.root"
"""The root over the ids of exactly those records, so that none of them can be replaced by another.

"sha256:" and the RFC 6962 tree hash, in hexadecimal, over one leaf for each record in the order of
runrecord.record.seq: the 16 bytes of its trace id and the 8 of its span id. Do NOT set it where the id of
one of them is not known.

Type: string. Stability: development. Examples:
'sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'.
"""

RUN_SEGMENT: Final = "runrecord.run.segment"
"""Counts the segments of the run, from 0; a run that waits ends its segment and starts the next one when it
resumes.

Do NOT start again at 0 in the process that goes on with a run.

Type: int. Stability: development. Examples: 0, 1.
"""

RUN_STATE: Final = "runrecord.run.state"
"""Whether the run ended with this segment, or only waits.

Set when the run span ends. Do NOT set it on any other span: its presence is how a reader knows a run span.

One of :class:`RunState`. Stability: development.
"""

RUN_STOP_REASON: Final = "runrecord.run.stop_reason"
"""Why the run stopped, as a short machine-readable word.

Do NOT set a sentence, the text of an exception or anything that a model wrote.

Type: string. Stability: development. Examples: 'final_answer', 'interrupt', 'max_steps'.
"""

SIDE_EFFECT_COMMITTED: Final = "runrecord.side_effect.committed"
"""Whether the effect took place, as the tool reported it.

Set true if a tool that declares a changing effect reported success: it returned normally, and its answer
does not say that it failed. Do NOT set it if the call ended with an exception or an answer that reports an
error, since the effect may or may not have happened; nor for a dry run or a deduplicated repeat. A value
that the application or the tool gives itself wins.

Type: boolean. Stability: development.
"""

SIDE_EFFECT_REF: Final = "runrecord.side_effect.ref"
"""An opaque reference to the effect in the target system.

Do NOT set anything that is secret or that names a person.

Type: string. Stability: development. Examples: 're_3PqX'.
"""

SIDE_EFFECT_REVERSIBLE: Final = "runrecord.side_effect.reversible"
"""Whether the effect can be undone.

A fact about the kind of effect. Do NOT set it to say whether this effect was undone, which is what a
compensation says.

Type: boolean. Stability: development.
"""

SIDE_EFFECT_TARGET: Final = "runrecord.side_effect.target"
"""The name of the system that the effect is on.

Do NOT set the id of a record, an account or a person.

Type: string. Stability: development. Examples: 'payments', 'crm'.
"""

SIDE_EFFECT_TYPE: Final = "runrecord.side_effect.type"
"""What kind of effect the call has outside the agent.

A tool that declares itself read-only (MCP readOnlyHint true) and no other type has the type read. Do NOT
guess it from the name of the tool; leave it out where the application or the tool does not say.

One of :class:`SideEffectType`. Stability: development.
"""

SOURCE_ID: Final = "runrecord.source.id"
"""Identifies the recorder, in one process, that made the record.

Sixteen random hexadecimal digits, new for each process and recorder. Do NOT set a host name, a process
number or anything else that two processes can share: the counter runrecord.record.seq is only unique
together with it.

Type: string. Stability: development. Examples: 'aa1a3d1f1886b1e9'.
"""

STEP_ATTEMPT: Final = "runrecord.step.attempt"
"""Which attempt at the same step this is, from 0.

Do NOT count a resumed step as another attempt.

Type: int. Stability: development. Examples: 0, 1.
"""

STEP_ID: Final = "runrecord.step.id"
"""The id that the SDK itself gives the step.

Do NOT make one up where the SDK has none; runrecord.step.index is enough.

Type: string. Stability: development. Examples: 'model:10631f19-4dd8-b8c1-3013-fb22dd611e15'.
"""

STEP_INDEX: Final = "runrecord.step.index"
"""The position of the step in the run, from 0, over all segments.

Sent in the W3C baggage header to allow-listed peers only, and stamped on every governed span inside the
step. Do NOT set it where no step is active; 0 is the first step.

Type: int. Stability: development. Examples: 0, 6.
"""

STEP_KIND: Final = "runrecord.step.kind"
"""What the step is for.

One of :class:`StepKind`. Stability: development.
"""

STEP_NAME: Final = "runrecord.step.name"
"""The name of the node, task or activity, as the developer wrote it.

Do NOT set anything that changes from run to run.

Type: string. Stability: development. Examples: 'model', 'HumanInTheLoopMiddleware.after_model'.
"""

SUBJECT_DIGEST: Final = "runrecord.subject.digest"
"""The keyed commitment to what the policy looked at.

For a tool call the commitment to its arguments under the label tool.arguments. Do NOT set a plain hash.

Type: string. Stability: development. Examples: 'hmac-
sha256:2f6b47827ca33e438f35ef97f6ab67b30460ed4b0777d7a65940a9efe2fd9344'.
"""

SUBJECT_ID: Final = "runrecord.subject.id"
"""Identifies the thing that was decided on or approved; for a tool call, its call id.

Do NOT set the id of a customer, an account or an order; those are content of the call.

Type: string. Stability: development. Examples: 'call-c-100-3'.
"""

SUBJECT_NAME: Final = "runrecord.subject.name"
"""The name of the thing that was decided on, approved or rolled back; for a tool call, the name of the tool.

Of low cardinality, for it is part of span names; where it is missing, runrecord.subject.type takes its
place there. Stands in for gen_ai.tool.name, which these spans must not carry. Do NOT set an id.

Type: string. Stability: development. Examples: 'create_refund'.
"""

SUBJECT_TYPE: Final = "runrecord.subject.type"
"""What kind of thing was decided on or approved.

One of :class:`SubjectType`. Stability: development.
"""

TENANT_ID: Final = "runrecord.tenant.id"
"""Identifies the tenant on whose behalf the run works, in an installation that serves several.

An opaque id. Do NOT set the name of a customer, and do NOT set it where there is one tenant only.

Type: string. Stability: development. Examples: 'tenant-7'.
"""

TOOL_DESTRUCTIVE: Final = "runrecord.tool.destructive"
"""The tool declares that it may destroy or overwrite what is there (MCP destructiveHint).

A declared hint, not an observation. Do NOT set it where the tool declares nothing.

Type: boolean. Stability: development.
"""

TOOL_IDEMPOTENT: Final = "runrecord.tool.idempotent"
"""The tool declares that repeating a call with the same arguments has no further effect (MCP idempotentHint).

A declared hint, not an observation. Do NOT set it where the tool declares nothing.

Type: boolean. Stability: development.
"""

TOOL_OPEN_WORLD: Final = "runrecord.tool.open_world"
"""The tool declares that it deals with systems outside the application (MCP openWorldHint).

A declared hint, not an observation. Do NOT set it where the tool declares nothing.

Type: boolean. Stability: development.
"""

TOOL_READ_ONLY: Final = "runrecord.tool.read_only"
"""The tool declares that it changes nothing (MCP readOnlyHint).

A declared hint, not an observation. Do NOT set it where the tool declares nothing.

Type: boolean. Stability: development.
"""

VERIFICATION_NAME: Final = "runrecord.verification.name"
"""The name of the check; of low cardinality.

Part of the span name; where it is missing, runrecord.verification.type takes its place there. Do NOT set
anything that changes from check to check.

Type: string. Stability: development. Examples: 'refund_matches_order'.
"""

VERIFICATION_OUTCOME: Final = "runrecord.verification.outcome"
"""What came out of the check.

A check that failed the result is not an error of the check; the status stays UNSET.

One of :class:`VerificationOutcome`. Stability: development.
"""

VERIFICATION_SUBJECT_ID: Final = "runrecord.verification.subject.id"
"""Identifies what was checked; for a tool call, its call id.

Do NOT set the id of a customer, an account or an order; those are content of the call.

Type: string. Stability: development. Examples: 'call-c-100-3'.
"""

VERIFICATION_TYPE: Final = "runrecord.verification.type"
"""What kind of check it was.

Its presence is how a reader knows a verification. Do NOT set it on any other span.

One of :class:`VerificationType`. Stability: development.
"""

VERSION_AGENT: Final = "runrecord.version.agent"
"""The version of the agent's definition.

Do NOT set it where gen_ai.agent.version already says the same.

Type: string. Stability: development. Examples: 'refund-agent@3.2.0'.
"""

VERSION_CODE: Final = "runrecord.version.code"
"""The version of the program that runs the agent, preferably a commit.

Do NOT set it where service.version already says the same.

Type: string. Stability: development. Examples: 'c0a16b3'.
"""

VERSION_POLICY: Final = "runrecord.version.policy"
"""The version of the policy bundle in force for the whole run.

The version of the one policy that decided is runrecord.policy.version, on the decision. Do NOT set it
where policies are not released together.

Type: string. Stability: development. Examples: '14'.
"""

VERSION_PROMPT: Final = "runrecord.version.prompt"
"""The version of the prompt in force, preferably a digest.

Do NOT set the prompt itself. Where the prompt comes from a catalogue, set gen_ai.prompt.name and
gen_ai.prompt.version as well.

Type: string. Stability: development. Examples:
'sha256:6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918'.
"""

VERSION_RETRIEVAL_INDEX: Final = "runrecord.version.retrieval_index"
"""The version of the index that the run retrieves from.

Do NOT set the time of the query; two runs on the same index have the same version.

Type: string. Stability: development. Examples: 'kb-2026-11-20'.
"""

VERSION_TOOL_SCHEMA: Final = "runrecord.version.tool_schema"
"""The version of the set of tool definitions in force, preferably a digest.

Do NOT set the definitions themselves, nor a digest that changes with the order of the tools.

Type: string. Stability: development. Examples:
'sha256:a591a6d40bf420404a011733cfb7b190d62c65bf0bcda32b57b277d9ad9f146e'.
"""

ERROR_TYPE: Final = "error.type"
"""The class of error that the operation ended with.

Type: string. Official attribute: stable. Examples: 'timeout', 'ValueError'.
"""

GEN_AI_AGENT_DESCRIPTION: Final = "gen_ai.agent.description"
"""The description of the agent.

Type: string. Official attribute: development. Examples: 'Refunds orders.'.
"""

GEN_AI_AGENT_ID: Final = "gen_ai.agent.id"
"""The id of an agent that a service hosts.

Do NOT set an id that lives in memory only.

Type: string. Official attribute: development. Examples: 'asst_5j66UpCpwteGg4YSxUnt7lPY'.
"""

GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
"""The name of the agent.

Type: string. Official attribute: development. Examples: 'refund-agent'.
"""

GEN_AI_AGENT_VERSION: Final = "gen_ai.agent.version"
"""The version of the agent.

Type: string. Official attribute: development. Examples: '1.0.0'.
"""

GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
"""The id of the conversation, session or thread.

Do NOT make one up, nor set a trace id or a hash of content.

Type: string. Official attribute: development. Examples: 'thread-7'.
"""

GEN_AI_DATA_SOURCE_ID: Final = "gen_ai.data_source.id"
"""The id of the data source, as the GenAI system knows it.

Type: string. Official attribute: development. Examples: 'kb-7'.
"""

GEN_AI_EMBEDDINGS_DIMENSION_COUNT: Final = "gen_ai.embeddings.dimension.count"
"""How many dimensions the embeddings have.

Type: int. Official attribute: development. Examples: 512.
"""

GEN_AI_EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"
"""Why the evaluation scored so.

Content; captured only where that is switched on.

Type: string. Official attribute: development. Examples: 'The amount is that of the order.'.
"""

GEN_AI_EVALUATION_NAME: Final = "gen_ai.evaluation.name"
"""The name of the evaluation metric.

Type: string. Official attribute: development. Examples: 'refund_matches_order'.
"""

GEN_AI_EVALUATION_SCORE_LABEL: Final = "gen_ai.evaluation.score.label"
"""The score of the evaluation, as a word.

Type: string. Official attribute: development. Examples: 'pass'.
"""

GEN_AI_EVALUATION_SCORE_VALUE: Final = "gen_ai.evaluation.score.value"
"""The score of the evaluation.

Type: double. Official attribute: development. Examples: 1.0.
"""

GEN_AI_INPUT_MESSAGES: Final = "gen_ai.input.messages"
"""The messages that went in.

Content; captured only where that is switched on.

Type: any. Official attribute: development.
"""

GEN_AI_MEMORY_QUERY_TEXT: Final = "gen_ai.memory.query.text"
"""The text of the query of the memory.

Content; captured only where that is switched on.

Type: string. Official attribute: development. Examples: 'likes'.
"""

GEN_AI_MEMORY_RECORD_COUNT: Final = "gen_ai.memory.record.count"
"""How many records of the memory the operation concerns.

Type: int. Official attribute: development. Examples: 3.
"""

GEN_AI_MEMORY_RECORD_ID: Final = "gen_ai.memory.record.id"
"""The id of the record of the memory.

Type: string. Official attribute: development. Examples: 'rec-1'.
"""

GEN_AI_MEMORY_RECORDS: Final = "gen_ai.memory.records"
"""The records of the memory.

Content; captured only where that is switched on.

Type: any. Official attribute: development.
"""

GEN_AI_MEMORY_STORE_ID: Final = "gen_ai.memory.store.id"
"""The id of the memory.

Type: string. Official attribute: development. Examples: 'mem-1'.
"""

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
"""The operation, from the official closed list.

One of :class:`GenAiOperationName`. Official attribute: development.
"""

GEN_AI_OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
"""The messages that came out.

Content; captured only where that is switched on.

Type: any. Official attribute: development.
"""

GEN_AI_OUTPUT_TYPE: Final = "gen_ai.output.type"
"""What kind of output the client asked for.

One of :class:`GenAiOutputType`. Official attribute: development.
"""

GEN_AI_PROMPT_NAME: Final = "gen_ai.prompt.name"
"""The name of the prompt in its catalogue.

Type: string. Official attribute: development. Examples: 'refund-triage'.
"""

GEN_AI_PROMPT_VERSION: Final = "gen_ai.prompt.version"
"""The version of the prompt in its catalogue.

Type: string. Official attribute: development. Examples: '7'.
"""

GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
"""The provider, as far as the instrumentation knows.

Which flavour of the conventions the span follows; a gateway may put another provider's model behind the
same API.

One of :class:`GenAiProviderName`. Official attribute: development.
"""

GEN_AI_REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
"""How many candidates the model was asked for.

Type: int. Official attribute: development. Examples: 3.
"""

GEN_AI_REQUEST_ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
"""The encodings that embeddings were asked for in.

Type: string[]. Official attribute: development. Examples: ['base64'].
"""

GEN_AI_REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
"""The frequency penalty that was asked for.

Type: double. Official attribute: development. Examples: 0.1.
"""

GEN_AI_REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
"""The most tokens that the model may generate.

Type: int. Official attribute: development. Examples: 1024.
"""

GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
"""The model that was asked for.

Type: string. Official attribute: development. Examples: 'gpt-5'.
"""

GEN_AI_REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
"""The presence penalty that was asked for.

Type: double. Official attribute: development. Examples: 0.1.
"""

GEN_AI_REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
"""How much reasoning was asked for.

Type: string. Official attribute: development. Examples: 'high'.
"""

GEN_AI_REQUEST_SEED: Final = "gen_ai.request.seed"
"""The seed that was asked for.

Type: int. Official attribute: development. Examples: 100.
"""

GEN_AI_REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
"""The sequences at which the model was told to stop.

Type: string[]. Official attribute: development. Examples: ['END'].
"""

GEN_AI_REQUEST_STREAM: Final = "gen_ai.request.stream"
"""Whether the answer was asked for as a stream.

Type: boolean. Official attribute: development.
"""

GEN_AI_REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
"""The sampling temperature that was asked for.

Type: double. Official attribute: development. Examples: 0.0.
"""

GEN_AI_REQUEST_TOP_K: Final = "gen_ai.request.top_k"
"""The top_k sampling setting that was asked for.

Type: int. Official attribute: development. Examples: 40.
"""

GEN_AI_REQUEST_TOP_P: Final = "gen_ai.request.top_p"
"""The top_p sampling setting that was asked for.

Type: double. Official attribute: development. Examples: 1.0.
"""

GEN_AI_RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
"""Why the model stopped, once for each generation.

Type: string[]. Official attribute: development. Examples: ['stop'].
"""

GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
"""The id of the response.

Type: string. Official attribute: development. Examples: 'chatcmpl-123'.
"""

GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
"""The model that answered.

Type: string. Official attribute: development. Examples: 'gpt-5-2026-08-01'.
"""

GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
"""Seconds from the request to the first chunk of a stream.

Type: double. Official attribute: development. Examples: 0.5.
"""

GEN_AI_RETRIEVAL_DOCUMENTS: Final = "gen_ai.retrieval.documents"
"""The documents that were retrieved.

Content; captured only where that is switched on.

Type: any. Official attribute: development.
"""

GEN_AI_RETRIEVAL_QUERY_TEXT: Final = "gen_ai.retrieval.query.text"
"""The text of the query.

Content; captured only where that is switched on.

Type: string. Official attribute: development. Examples: 'refund policy'.
"""

GEN_AI_RETRIEVAL_TOP_K: Final = "gen_ai.retrieval.top_k"
"""How many documents were asked for.

Type: int. Official attribute: development. Examples: 5.
"""

GEN_AI_SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
"""The system instructions.

Content; captured only where that is switched on.

Type: any. Official attribute: development.
"""

GEN_AI_TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
"""The arguments of the call.

Content; captured only where that is switched on.

Type: any. Official attribute: development.
"""

GEN_AI_TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
"""The id of the tool call.

Type: string. Official attribute: development. Examples: 'call_a1b2'.
"""

GEN_AI_TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
"""The result of the call.

Content; captured only where that is switched on.

Type: any. Official attribute: development.
"""

GEN_AI_TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
"""The definitions of the tools that the model or the agent may use.

Content; captured only where that is switched on.

Type: any. Official attribute: development.
"""

GEN_AI_TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
"""The description of the tool.

Type: string. Official attribute: development. Examples: 'Refunds an order.'.
"""

GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
"""The name of the tool.

Type: string. Official attribute: development. Examples: 'create_refund'.
"""

GEN_AI_TOOL_TYPE: Final = "gen_ai.tool.type"
"""The type of the tool.

Type: string. Official attribute: development. Examples: 'function'.
"""

GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
"""Input tokens that came from the provider's cache.

Type: int. Official attribute: development. Examples: 50.
"""

GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
"""Input tokens that were written to the provider's cache.

Type: int. Official attribute: development. Examples: 25.
"""

GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
"""Tokens that went in, those from a cache included.

Type: int. Official attribute: development. Examples: 100.
"""

GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
"""Tokens that came out.

Type: int. Official attribute: development. Examples: 180.
"""

GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
"""Output tokens that the model used for reasoning.

Type: int. Official attribute: development. Examples: 64.
"""

GEN_AI_WORKFLOW_NAME: Final = "gen_ai.workflow.name"
"""The name of the workflow; of low cardinality.

Do NOT set it where there is no name of low cardinality.

Type: string. Official attribute: development. Examples: 'refunds'.
"""

JSONRPC_REQUEST_ID: Final = "jsonrpc.request.id"
"""The id of the JSON-RPC request, as text.

Type: string. Official attribute: development. Examples: '10'.
"""

MCP_METHOD_NAME: Final = "mcp.method.name"
"""The method of the MCP request or notification.

Type: string. Official attribute: development. Examples: 'tools/call'.
"""

MCP_PROTOCOL_VERSION: Final = "mcp.protocol.version"
"""The version of the MCP specification in use.

Type: string. Official attribute: development. Examples: '2025-11-25'.
"""

MCP_RESOURCE_URI: Final = "mcp.resource.uri"
"""The URI of the resource that was asked for.

Type: string. Official attribute: development. Examples: 'file:///reports/1'.
"""

MCP_SESSION_ID: Final = "mcp.session.id"
"""The id of the MCP session.

Type: string. Official attribute: development. Examples: '191c4850af6c49e08843a3f6c80e5046'.
"""

RPC_RESPONSE_STATUS_CODE: Final = "rpc.response.status_code"
"""The status code of the response of the call.

Type: string. Official attribute: development. Examples: '-32603'.
"""

SERVER_ADDRESS: Final = "server.address"
"""The host name or address of the server.

Type: string. Official attribute: stable. Examples: 'api.example.com'.
"""

SERVER_PORT: Final = "server.port"
"""The port of the server.

Type: int. Official attribute: stable. Examples: 443.
"""


class ApprovalActorType(str, Enum):
    """What kind of actor answered.

    Values of ``runrecord.approval.actor.type``; a reader keeps values it does not know. Stability:
    development.
    """

    HUMAN = "human"
    """A person."""

    POLICY = "policy"
    """A rule answered in place of a person."""

    SERVICE = "service"
    """Another program."""

    DELEGATE = "delegate"
    """Somebody or something that a person named to answer."""


class ApprovalScope(str, Enum):
    """How far the approval reaches.

    Values of ``runrecord.approval.scope``; a reader keeps values it does not know. Stability: development.
    """

    ONCE = "once"
    """For exactly this subject."""

    SESSION = "session"
    """For the same kind of subject in this session."""

    ALWAYS = "always"
    """For the same kind of subject from now on."""


class ApprovalStatus(str, Enum):
    """Where the approval stands.

    Values of ``runrecord.approval.status``; a reader keeps values it does not know. Stability:
    development.
    """

    PENDING = "pending"
    """Asked, not answered."""

    APPROVED = "approved"
    """Approved as it was shown."""

    DENIED = "denied"
    """Refused."""

    MODIFIED = "modified"
    """Approved in another form than was shown."""

    ANSWERED = "answered"
    """Answered with something that neither approves nor refuses, such as a text that was asked for."""

    EXPIRED = "expired"
    """Not answered in time."""

    CANCELLED = "cancelled"
    """Withdrawn before it was answered."""


class BreakerState(str, Enum):
    """The state that the breaker is now in.

    Values of ``runrecord.breaker.state``; a reader keeps values it does not know. Stability: development.
    """

    CLOSED = "closed"
    """Calls go through."""

    OPEN = "open"
    """Calls are stopped."""

    HALF_OPEN = "half_open"
    """Some calls go through, to find out."""


class BudgetAction(str, Enum):
    """What was done because of the budget.

    Values of ``runrecord.budget.action``; a reader keeps values it does not know. Stability: development.
    """

    NONE = "none"
    """Nothing."""

    WARN = "warn"
    """Somebody was warned."""

    STOP = "stop"
    """The run was stopped."""

    DOWNGRADE = "downgrade"
    """The run went on with a cheaper model or fewer tools."""


class BudgetDimension(str, Enum):
    """What the budget limits.

    Values of ``runrecord.budget.dimension``; a reader keeps values it does not know. Stability:
    development.
    """

    COST = "cost"
    """Money, in the currency of runrecord.cost.currency."""

    TOKENS = "tokens"
    """Tokens in and out."""

    STEPS = "steps"
    """Steps of the run."""

    MODEL_CALLS = "model_calls"
    """Calls of models."""

    TOOL_CALLS = "tool_calls"
    """Calls of tools."""

    SECONDS = "seconds"
    """Time, in seconds."""


class CompensationOutcome(str, Enum):
    """What came of undoing the effect.

    Values of ``runrecord.compensation.outcome``; a reader keeps values it does not know. Stability:
    development.
    """

    SUCCEEDED = "succeeded"
    """The effect was undone."""

    FAILED = "failed"
    """The effect was not undone."""

    PARTIAL = "partial"
    """Part of the effect was undone."""

    NOT_POSSIBLE = "not_possible"
    """The effect cannot be undone."""


class CostSource(str, Enum):
    """Where the amount comes from.

    Values of ``runrecord.cost.source``; a reader keeps values it does not know. Stability: development.
    """

    PROVIDER = "provider"
    """The provider said so."""

    PRICE_TABLE = "price_table"
    """Worked out from usage and a table of prices."""


class DecisionAction(str, Enum):
    """What was done because of the decision.

    Values of ``runrecord.decision.action``; a reader keeps values it does not know. Stability:
    development.
    """

    NONE = "none"
    """Nothing beyond the outcome."""

    WARN = "warn"
    """Somebody was warned."""

    MODIFY = "modify"
    """The subject was changed."""

    REDACT = "redact"
    """Parts of the subject were removed."""

    ESCALATE = "escalate"
    """The run was handed to a person."""

    BLOCK = "block"
    """The subject was stopped and the run went on."""

    TERMINATE = "terminate"
    """The run was stopped."""


class DecisionOutcome(str, Enum):
    """What came out.

    Values of ``runrecord.decision.outcome``; a reader keeps values it does not know. Stability:
    development.
    """

    ALLOW = "allow"
    """The subject may go ahead."""

    DENY = "deny"
    """The subject may not go ahead."""

    REQUIRE_APPROVAL = "require_approval"
    """The subject may go ahead only when a person or a delegate approved it."""


class GapReason(str, Enum):
    """Why records are, or may be, missing.

    Values of ``runrecord.gap.reason``; a reader keeps values it does not know. Stability: development.
    """

    INTAKE_FULL = "intake_full"
    """The intake log was full, or its disk was; requests were refused."""

    INTAKE_TOO_OLD = "intake_too_old"
    """A consumer of the intake log was too far behind; requests were refused."""

    TOO_MANY_REQUESTS = "too_many_requests"
    """More was under way than fits the memory that is allowed; requests were refused."""

    QUEUE_FULL = "queue_full"
    """A queue was full, and what came then was dropped."""

    NOT_REDACTED = "not_redacted"
    """Records could not be redacted, and were set aside or refused."""

    REFUSED = "refused"
    """Where they were sent they were refused for good."""


class PolicyEngine(str, Enum):
    """What evaluated the policy.

    Values of ``runrecord.policy.engine``; a reader keeps values it does not know. Stability: development.
    """

    OPA = "opa"
    """Open Policy Agent."""

    CEDAR = "cedar"
    """Cedar."""

    OPENFGA = "openfga"
    """OpenFGA."""

    CASBIN = "casbin"
    """Casbin."""

    GUARDRAIL = "guardrail"
    """A guardrail product or library."""

    SDK = "sdk"
    """The agent SDK itself."""

    CUSTOM = "custom"
    """Code of the application."""


class PolicyMode(str, Enum):
    """Whether the outcome was acted on or only recorded.

    Values of ``runrecord.policy.mode``; a reader keeps values it does not know. Stability: development.
    """

    ENFORCE = "enforce"
    """The outcome was acted on."""

    MONITOR = "monitor"
    """The outcome was only recorded."""


class PrincipalType(str, Enum):
    """What kind of principal the run acts for.

    Values of ``runrecord.principal.type``; a reader keeps values it does not know. Stability: development.
    """

    USER = "user"
    """A person."""

    SERVICE = "service"
    """A program, for instance a scheduler."""

    AGENT = "agent"
    """Another agent."""


class RunAutonomy(str, Enum):
    """How far the agent may go on its own in this run, as configured.

    Values of ``runrecord.run.autonomy``; a reader keeps values it does not know. Stability: development.
    """

    READ_ONLY = "read_only"
    """The agent may look things up and change nothing."""

    DRAFT = "draft"
    """The agent may prepare content that a person then uses."""

    PROPOSE = "propose"
    """The agent may propose actions that a person then carries out."""

    EXECUTE_WITH_APPROVAL = "execute_with_approval"
    """The agent may act where a person approved the action."""

    AUTONOMOUS = "autonomous"
    """The agent may act within policy without asking."""


class RunOutcome(str, Enum):
    """How the run ended.

    Values of ``runrecord.run.outcome``; a reader keeps values it does not know. Stability: development.
    """

    SUCCESS = "success"
    """The run did what it was asked to do."""

    FAILURE = "failure"
    """The run ended with an error."""

    DENIED = "denied"
    """A policy or a person refused what the run needed to go on."""

    ESCALATED = "escalated"
    """The run was handed to a person."""

    CANCELLED = "cancelled"
    """Somebody stopped the run before its end."""

    BUDGET_EXCEEDED = "budget_exceeded"
    """The run reached a limit and stopped."""

    ABANDONED = "abandoned"
    """The run never said how it ended; only a reader, never a recorder, comes to this conclusion."""


class RunState(str, Enum):
    """Whether the run ended with this segment, or only waits.

    Values of ``runrecord.run.state``; a reader keeps values it does not know. Stability: development.
    """

    COMPLETED = "completed"
    """The run ended with this segment."""

    SUSPENDED = "suspended"
    """The segment ended because the run waits; another segment is expected."""


class SideEffectType(str, Enum):
    """What kind of effect the call has outside the agent.

    Values of ``runrecord.side_effect.type``; a reader keeps values it does not know. Stability:
    development.
    """

    NONE = "none"
    """The call touched nothing outside the process."""

    READ = "read"
    """The call read from a system."""

    CREATE = "create"
    """The call made something new."""

    UPDATE = "update"
    """The call changed something."""

    DELETE = "delete"
    """The call removed something."""

    SEND = "send"
    """The call sent a message to somebody."""

    EXECUTE = "execute"
    """The call ran a program or a command."""

    PAY = "pay"
    """The call moved money."""


class StepKind(str, Enum):
    """What the step is for.

    Values of ``runrecord.step.kind``; a reader keeps values it does not know. Stability: development.
    """

    PLAN = "plan"
    """Deciding what to do."""

    ACT = "act"
    """Calling tools or otherwise doing something."""

    VERIFY = "verify"
    """Checking a result."""

    REFLECT = "reflect"
    """Judging its own work so far."""

    ROUTE = "route"
    """Choosing which node or agent is next."""

    HANDOFF = "handoff"
    """Passing the run to another agent."""

    WAIT = "wait"
    """Waiting for a person, a timer or another system."""


class SubjectType(str, Enum):
    """What kind of thing was decided on or approved.

    Values of ``runrecord.subject.type``; a reader keeps values it does not know. Stability: development.
    """

    TOOL_CALL = "tool_call"
    """A call of a tool."""

    MODEL_INPUT = "model_input"
    """What goes to a model."""

    MODEL_OUTPUT = "model_output"
    """What came from a model."""

    RUN = "run"
    """The run as a whole."""

    HANDOFF = "handoff"
    """A handoff to another agent."""

    RETRIEVAL = "retrieval"
    """A retrieval."""


class VerificationOutcome(str, Enum):
    """What came out of the check.

    Values of ``runrecord.verification.outcome``; a reader keeps values it does not know. Stability:
    development.
    """

    PASS = "pass"
    """The result stood the check."""

    FAIL = "fail"
    """The result did not stand the check."""

    INCONCLUSIVE = "inconclusive"
    """The check could not tell."""


class VerificationType(str, Enum):
    """What kind of check it was.

    Values of ``runrecord.verification.type``; a reader keeps values it does not know. Stability:
    development.
    """

    RULE = "rule"
    """A rule or a program."""

    MODEL = "model"
    """A model that judges."""

    HUMAN = "human"
    """A person."""

    RECONCILIATION = "reconciliation"
    """A comparison with the system that holds the truth."""


class GenAiOperationName(str, Enum):
    """The operation, from the official closed list.

    Values of ``gen_ai.operation.name``; a reader keeps values it does not know. Stability: development.
    """

    CHAT = "chat"
    """A chat completion."""

    GENERATE_CONTENT = "generate_content"
    """Generating content of several kinds."""

    TEXT_COMPLETION = "text_completion"
    """A text completion."""

    EMBEDDINGS = "embeddings"
    """Computing embeddings."""

    RETRIEVAL = "retrieval"
    """Retrieving documents."""

    FETCH_RESPONSE = "fetch_response"
    """Fetching a response that was made earlier."""

    CREATE_AGENT = "create_agent"
    """Creating an agent."""

    INVOKE_AGENT = "invoke_agent"
    """Invoking an agent."""

    EXECUTE_TOOL = "execute_tool"
    """Executing a tool."""

    INVOKE_WORKFLOW = "invoke_workflow"
    """Invoking a workflow."""

    PLAN = "plan"
    """Planning, or taking a task apart."""

    SEARCH_MEMORY = "search_memory"
    """Searching a memory."""

    CREATE_MEMORY = "create_memory"
    """Adding records to a memory."""

    UPDATE_MEMORY = "update_memory"
    """Changing known records of a memory."""

    UPSERT_MEMORY = "upsert_memory"
    """Adding or changing records of a memory, as the memory chooses."""

    DELETE_MEMORY = "delete_memory"
    """Deleting records of a memory."""

    CREATE_MEMORY_STORE = "create_memory_store"
    """Creating a memory."""

    DELETE_MEMORY_STORE = "delete_memory_store"
    """Deleting a memory."""


class GenAiOutputType(str, Enum):
    """What kind of output the client asked for.

    Values of ``gen_ai.output.type``; a reader keeps values it does not know. Stability: development.
    """

    TEXT = "text"
    """Plain text."""

    JSON = "json"
    """A JSON object, with or without a schema."""

    IMAGE = "image"
    """An image."""

    SPEECH = "speech"
    """Speech."""


class GenAiProviderName(str, Enum):
    """The provider, as far as the instrumentation knows.

    Values of ``gen_ai.provider.name``; a reader keeps values it does not know. Stability: development.
    """

    OPENAI = "openai"
    """OpenAI."""

    GCP_GEN_AI = "gcp.gen_ai"
    """Some generative endpoint of Google, where it is not known which."""

    GCP_VERTEX_AI = "gcp.vertex_ai"
    """Google Vertex AI."""

    GCP_GEMINI = "gcp.gemini"
    """Google Gemini, through its own API."""

    ANTHROPIC = "anthropic"
    """Anthropic."""

    COHERE = "cohere"
    """Cohere."""

    AZURE_AI_INFERENCE = "azure.ai.inference"
    """Azure AI Inference."""

    AZURE_AI_OPENAI = "azure.ai.openai"
    """Azure OpenAI."""

    IBM_WATSONX_AI = "ibm.watsonx.ai"
    """IBM watsonx.ai."""

    AWS_BEDROCK = "aws.bedrock"
    """AWS Bedrock."""

    PERPLEXITY = "perplexity"
    """Perplexity."""

    X_AI = "x_ai"
    """xAI."""

    DEEPSEEK = "deepseek"
    """DeepSeek."""

    GROQ = "groq"
    """Groq."""

    MISTRAL_AI = "mistral_ai"
    """Mistral AI."""

    MOONSHOT_AI = "moonshot_ai"
    """Moonshot AI."""
