# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What contradicts itself inside one record: attributes against attributes, and against the status of the span."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from runrecord.semconv import attributes as a
from runrecord.semconv.conformance._values import plain
from runrecord.semconv.conformance.findings import Problem
from runrecord.semconv.conformance.records import LogRecord, SpanRecord, Values
from runrecord.semconv.conformance.rules import Severity
from runrecord.semconv.signals import (
    EVENT_APPROVAL_DECIDED,
    EVENT_APPROVAL_REQUESTED,
    EVENT_RUN_CLOSED,
    EVENT_SOURCE_CLOSED,
)

__all__ = ["conflicts", "status_problems"]

_PENDING: Final[Mapping[str, bool]] = {
    "runrecord.approval_request": True,
    "runrecord.approval_decision": False,
    EVENT_APPROVAL_REQUESTED: True,
    EVENT_APPROVAL_DECIDED: False,
}
_STATE: Final[Mapping[str, str]] = {EVENT_RUN_CLOSED: "completed", EVENT_SOURCE_CLOSED: "suspended"}
_UNCHANGING: Final = ("none", "read")


def _over_budget(attributes: Values) -> bool:
    used, limit = attributes.get(a.BUDGET_CONSUMED), attributes.get(a.BUDGET_LIMIT)
    if not isinstance(used, (int, float)) or not isinstance(limit, (int, float)):
        return False
    return attributes[a.BUDGET_EXCEEDED] is False and used > limit


_CONFLICTS: Final[tuple[tuple[str, Callable[[Values], bool], str], ...]] = (
    (
        a.RUN_OUTCOME,
        lambda at: plain(at.get(a.RUN_STATE)) == "suspended",
        "must not be set while runrecord.run.state is suspended",
    ),
    (
        a.RUN_OUTCOME,
        lambda at: plain(at[a.RUN_OUTCOME]) == "success" and a.ERROR_TYPE in at,
        "is success although error.type is set",
    ),
    (
        a.APPROVAL_SUBJECT_MODIFIED_DIGEST,
        lambda at: plain(at.get(a.APPROVAL_STATUS)) != "modified",
        "is set although runrecord.approval.status is not modified",
    ),
    (
        a.TOOL_READ_ONLY,
        lambda at: at[a.TOOL_READ_ONLY] is True and at.get(a.TOOL_DESTRUCTIVE) is True,
        "and runrecord.tool.destructive are both true",
    ),
    (
        a.TOOL_READ_ONLY,
        lambda at: (
            at[a.TOOL_READ_ONLY] is True and plain(at.get(a.SIDE_EFFECT_TYPE, "none")) not in _UNCHANGING
        ),
        "is true although runrecord.side_effect.type says that the call changes something",
    ),
    (
        a.SIDE_EFFECT_COMMITTED,
        lambda at: at[a.SIDE_EFFECT_COMMITTED] is True and at.get(a.DRY_RUN) is True,
        "and runrecord.dry_run are both true",
    ),
    (
        a.SIDE_EFFECT_COMMITTED,
        lambda at: (
            at[a.SIDE_EFFECT_COMMITTED] is True and plain(at.get(a.SIDE_EFFECT_TYPE, "")) in _UNCHANGING
        ),
        "is true although runrecord.side_effect.type says that there is no effect to commit",
    ),
    (
        a.IDEMPOTENCY_DEDUPLICATED,
        lambda at: at[a.IDEMPOTENCY_DEDUPLICATED] is True and at.get(a.IDEMPOTENCY_KEY_PRESENT) is False,
        "is true although there was no idempotency key",
    ),
    (
        a.DECISION_ACTION,
        lambda at: (
            plain(at[a.DECISION_ACTION]) in ("block", "terminate")
            and plain(at.get(a.DECISION_OUTCOME)) == "allow"
        ),
        "stops the subject although runrecord.decision.outcome is allow",
    ),
    (a.BUDGET_EXCEEDED, _over_budget, "contradicts runrecord.budget.consumed and runrecord.budget.limit"),
    (
        a.REDACTION_KINDS,
        lambda at: at.get(a.REDACTION_COUNT) == 0 and bool(at[a.REDACTION_KINDS]),
        "names findings although runrecord.redaction.count is 0",
    ),
)


def conflicts(signal: str, record: SpanRecord | LogRecord) -> Iterator[Problem]:
    """Go through what contradicts itself in a record that was taken for ``signal``."""
    attributes = record.attributes
    for key, contradicts, message in _CONFLICTS:
        if key in attributes and contradicts(attributes):
            yield Problem("conflicting-values", f"{key} {message}", key)
    if signal in _PENDING and a.APPROVAL_STATUS in attributes:
        pending = plain(attributes[a.APPROVAL_STATUS]) == "pending"
        if pending is not _PENDING[signal]:
            must = "must be pending on a request" if _PENDING[signal] else "must not be pending on a decision"
            yield Problem("conflicting-values", f"{a.APPROVAL_STATUS} {must}", a.APPROVAL_STATUS)
    if signal in _STATE and plain(attributes.get(a.RUN_STATE, _STATE[signal])) != _STATE[signal]:
        yield Problem(
            "conflicting-values", f"{a.RUN_STATE} must be {_STATE[signal]} on this event", a.RUN_STATE
        )
    if isinstance(record, SpanRecord):
        yield from _links(signal, record)


def _links(signal: str, record: SpanRecord) -> Iterator[Problem]:
    attributes = record.attributes
    if a.APPROVAL_REQUEST_SPAN_ID in attributes:
        wanted = (attributes.get(a.APPROVAL_REQUEST_TRACE_ID), attributes[a.APPROVAL_REQUEST_SPAN_ID])
        if wanted not in record.links:
            yield Problem(
                "missing-link",
                f"{a.APPROVAL_REQUEST_SPAN_ID} names a span that the span has no link to",
                a.APPROVAL_REQUEST_SPAN_ID,
            )
    elif signal == "runrecord.compensation" and not record.links:
        yield Problem(
            "missing-link", "there is no link to the span of the effect", severity=Severity.IMPROVEMENT
        )


def status_problems(record: SpanRecord) -> Iterator[Problem]:
    """Go through what must not go with status ERROR; the caller knows that the status is ERROR."""
    attributes = record.attributes
    for key in (a.APPROVAL_STATUS, a.DECISION_OUTCOME):
        if key in attributes:
            yield Problem("error-on-denial", f"the status is ERROR although {key} says what came out", key)
    if a.VERIFICATION_OUTCOME in attributes and a.ERROR_TYPE not in attributes:
        yield Problem(
            "error-on-denial",
            f"the status is ERROR although {a.VERIFICATION_OUTCOME} says what came out",
            a.VERIFICATION_OUTCOME,
        )
    if plain(attributes.get(a.RUN_STATE)) == "suspended":
        yield Problem("error-on-denial", "the status is ERROR although the run only waits", a.RUN_STATE)
    elif plain(attributes.get(a.RUN_OUTCOME, "failure")) != "failure":
        yield Problem(
            "error-on-denial",
            f"the status is ERROR although {a.RUN_OUTCOME} is not failure",
            a.RUN_OUTCOME,
        )
