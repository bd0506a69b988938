# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Add to exported spans the attributes that tracing UIs which read OpenInference need to show them.

Nothing is invented: every value repeats an attribute of the same span that is short and says nothing of what was asked or
answered (an outcome, a status, the type and target of an effect). An attribute that the span already has is never
touched, so explicit values of the user win and applying the processor twice changes nothing more.

Source: OpenInference semantic conventions for ``openinference.span.kind``, ``input.value``, ``output.value``, their MIME
types and ``session.id``; the need for each is in the conventions, "What each UI needs".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from runrecord.processors.errors import CompatError
from runrecord.processors.signal import Signal
from runrecord.semconv import attributes as attr

SPAN_KIND: Final = "openinference.span.kind"
INPUT_VALUE: Final = "input.value"
INPUT_MIME_TYPE: Final = "input.mime_type"
OUTPUT_VALUE: Final = "output.value"
OUTPUT_MIME_TYPE: Final = "output.mime_type"
SESSION_ID: Final = "session.id"

MAX_TEXT: Final = 128
"""Characters of one text in a summary; longer ones are cut, and end in an ellipsis."""

MAX_MESSAGE: Final = 2048
"""Characters of a message's text that are repeated as a value."""

_JSON: Final = "application/json"
_PLAIN: Final = "text/plain"

_Scalar: TypeAlias = "str | bool | int | float"


class _View(NamedTuple):
    """How a kind of span is shown: its OpenInference kind, and which attributes make up its summaries."""

    kind: str
    input: Mapping[str, str]
    output: Mapping[str, str]


_RUN: Final = _View(
    "AGENT",
    {
        "agent": attr.GEN_AI_AGENT_NAME,
        "workflow": attr.GEN_AI_WORKFLOW_NAME,
        "autonomy": attr.RUN_AUTONOMY,
        "segment": attr.RUN_SEGMENT,
    },
    {"state": attr.RUN_STATE, "outcome": attr.RUN_OUTCOME, "stop_reason": attr.RUN_STOP_REASON},
)
_STEP: Final = _View(
    "CHAIN",
    {
        "step": attr.STEP_INDEX,
        "kind": attr.STEP_KIND,
        "name": attr.STEP_NAME,
        "attempt": attr.STEP_ATTEMPT,
    },
    {"error": attr.ERROR_TYPE},
)
_TOOL: Final = _View(
    "TOOL",
    {
        "tool": attr.GEN_AI_TOOL_NAME,
        "read_only": attr.TOOL_READ_ONLY,
        "destructive": attr.TOOL_DESTRUCTIVE,
        "dry_run": attr.DRY_RUN,
        "attempt": attr.RETRY_ATTEMPT,
    },
    {
        "side_effect": attr.SIDE_EFFECT_TYPE,
        "target": attr.SIDE_EFFECT_TARGET,
        "committed": attr.SIDE_EFFECT_COMMITTED,
        "reversible": attr.SIDE_EFFECT_REVERSIBLE,
        "deduplicated": attr.IDEMPOTENCY_DEDUPLICATED,
        "error": attr.ERROR_TYPE,
    },
)
_DECISION: Final = _View(
    "GUARDRAIL",
    {
        "policy": attr.POLICY_ID,
        "version": attr.POLICY_VERSION,
        "mode": attr.POLICY_MODE,
        "subject": attr.SUBJECT_TYPE,
        "name": attr.SUBJECT_NAME,
    },
    {
        "outcome": attr.DECISION_OUTCOME,
        "rule": attr.POLICY_RULE_ID,
        "action": attr.DECISION_ACTION,
        "reason": attr.DECISION_REASON_CODE,
    },
)
_APPROVAL: Final = _View(
    "GUARDRAIL",
    {
        "subject": attr.SUBJECT_TYPE,
        "name": attr.SUBJECT_NAME,
        "channel": attr.APPROVAL_CHANNEL,
        "deadline": attr.APPROVAL_DEADLINE,
    },
    {
        "status": attr.APPROVAL_STATUS,
        "scope": attr.APPROVAL_SCOPE,
        "actor_type": attr.APPROVAL_ACTOR_TYPE,
        "wait_seconds": attr.APPROVAL_WAIT_SECONDS,
        "reason": attr.APPROVAL_REASON_CODE,
    },
)
_VERIFICATION: Final = _View(
    "EVALUATOR",
    {"check": attr.VERIFICATION_NAME, "type": attr.VERIFICATION_TYPE},
    {"outcome": attr.VERIFICATION_OUTCOME},
)
_COMPENSATION: Final = _View(
    "CHAIN", {"subject": attr.SUBJECT_TYPE, "name": attr.SUBJECT_NAME}, {"outcome": attr.COMPENSATION_OUTCOME}
)

_AGENT_OPERATIONS: Final = frozenset({"invoke_agent", "create_agent", "invoke_workflow"})

_BY_ATTRIBUTE: Final = (
    (attr.DECISION_ID, _DECISION),
    (attr.APPROVAL_STATUS, _APPROVAL),
    (attr.VERIFICATION_TYPE, _VERIFICATION),
    (attr.COMPENSATION_OUTCOME, _COMPENSATION),
    (attr.STEP_KIND, _STEP),
)
"""The attribute by which each kind of span is known (conventions, "Signals"); the first that is present decides."""


class _Side(NamedTuple):
    """One of the two values that UIs show, and the content of which they show it by themselves: a summary would hide that.

    For a tool call they do; of an agent's messages Phoenix shows nothing, so that the last text is repeated.
    """

    value: str
    mime_type: str
    payload: str
    messages: str


_INPUT: Final = _Side(
    INPUT_VALUE, INPUT_MIME_TYPE, attr.GEN_AI_TOOL_CALL_ARGUMENTS, attr.GEN_AI_INPUT_MESSAGES
)
_OUTPUT: Final = _Side(
    OUTPUT_VALUE, OUTPUT_MIME_TYPE, attr.GEN_AI_TOOL_CALL_RESULT, attr.GEN_AI_OUTPUT_MESSAGES
)


def openinference(signal: Signal, body: bytes) -> bytes:
    """Add OpenInference attributes to the spans of an export request.

    Args:
        signal: What ``body`` is a request of; only traces are changed.
        body: A serialised `ExportTraceServiceRequest`, already redacted: summaries repeat what is in it.

    Returns:
        The same object when there was nothing to add; else a new request. Fields that this version of the protocol does
        not know survive.

    Raises:
        CompatError: ``body`` is not an `ExportTraceServiceRequest`.
    """
    if signal is not Signal.TRACES or (b"runrecord." not in body and b"gen_ai." not in body):
        return body
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise CompatError(
            "The request is not a valid ExportTraceServiceRequest; it was not changed."
        ) from None
    changed = False
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                if additions := _additions(span):
                    span.attributes.extend(additions)
                    changed = True
    return request.SerializeToString() if changed else body


def _additions(span: Span) -> list[KeyValue]:
    present = {pair.key: pair.value for pair in span.attributes}
    added: dict[str, str] = {}
    if (view := _view(present)) is not None:
        added[SPAN_KIND] = view.kind
        added |= _side(present, view.input, _INPUT)
        added |= _side(present, view.output, _OUTPUT)
    if conversation := _text(present.get(attr.GEN_AI_CONVERSATION_ID)):
        added[SESSION_ID] = conversation
    return [
        KeyValue(key=key, value=AnyValue(string_value=value))
        for key, value in added.items()
        if key not in present
    ]


def _side(present: Mapping[str, AnyValue], summary: Mapping[str, str], side: _Side) -> dict[str, str]:
    """The value of one side and its type, or nothing where the user or the UI has one."""
    if side.value in present or side.payload in present:
        return {}
    if text := _last_text(_text(present.get(side.messages))):
        return {side.value: text, side.mime_type: _PLAIN}
    if text := _summary(summary, present):
        return {side.value: text, side.mime_type: _JSON}
    return {}


def _last_text(messages: str) -> str | None:
    """The last text in messages of the official schema, cut to ``MAX_MESSAGE`` characters; None if there is none."""
    if not messages:
        return None
    try:
        texts = [
            part["content"]
            for message in json.loads(messages)
            for part in message["parts"]
            if part.get("type") == "text" and isinstance(part.get("content"), str)
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return texts[-1][:MAX_MESSAGE] if texts else None


def _view(present: Mapping[str, AnyValue]) -> _View | None:
    if attr.RUN_STATE in present:
        return _RUN
    operation = _text(present.get(attr.GEN_AI_OPERATION_NAME))
    if operation == "execute_tool":
        return _TOOL
    for key, view in _BY_ATTRIBUTE:
        if key in present:
            return view
    return _RUN if operation in _AGENT_OPERATIONS else None


def _text(value: AnyValue | None) -> str:
    return value.string_value if value is not None and value.WhichOneof("value") == "string_value" else ""


def _scalar(value: AnyValue) -> _Scalar | None:
    match value.WhichOneof("value"):
        case "string_value":
            text = value.string_value
            return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value" if math.isfinite(value.double_value):
            return value.double_value
        case _:
            return None


def _summary(fields: Mapping[str, str], present: Mapping[str, AnyValue]) -> str:
    summary: dict[str, _Scalar] = {}
    for label, key in fields.items():
        if (value := present.get(key)) is not None and (scalar := _scalar(value)) is not None:
            summary[label] = scalar
    return json.dumps(summary, ensure_ascii=False) if summary else ""
