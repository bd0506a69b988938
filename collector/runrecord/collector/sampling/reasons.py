# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What one span says about its run: whether it is worth keeping, and whether it has ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from runrecord.semconv import attributes as names

Reason = Literal["denial", "approval", "error", "budget", "escalation"]
"""Why a run is kept whatever the share is."""
_OUTCOMES: Final[dict[str, Reason]] = {
    "denied": "denial",
    "escalated": "escalation",
    "budget_exceeded": "budget",
    "failure": "error",
}
_DECISIONS: Final[dict[str, Reason]] = {
    "deny": "denial",
    "escalate": "escalation",
    "require_approval": "approval",
}
_SHARE_BYTES: Final = 7
"""The random part of a trace id: W3C Trace Context Level 2, "Random Trace ID Flag"."""


class Over(enum.IntFlag):
    """What a span can end: a run that is not the root of its trace may be inside of another run."""

    NOTHING = 0
    RUN = 1
    ROOT = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """What one span says.

    Attributes:
        trace: Its trace id.
        run: The id of its run; empty for a span that is in none, as far as it says.
        reason: Why its run is worth keeping, or None.
        over: What ended with it.
    """

    trace: bytes
    run: str
    reason: Reason | None
    over: Over


def look(span: Span) -> Seen:
    """Read what sampling goes by.

    Args:
        span: A span of any instrumentation, ours or not.
    """
    run = outcome = state = ""
    reason: Reason | None = "error" if span.status.code == Status.STATUS_CODE_ERROR else None
    for pair in span.attributes:
        key, value = pair.key, pair.value
        if key == names.RUN_ID:
            run = value.string_value
        elif key == names.RUN_STATE:
            state = value.string_value
        elif key == names.RUN_OUTCOME:
            outcome = value.string_value
        else:
            reason = reason or _reason(key, value)
    reason = reason or _OUTCOMES.get(outcome)
    return Seen(span.trace_id, run, reason, _over(run, state, root=not span.parent_span_id))


def _over(run: str, state: str, *, root: bool) -> Over:
    if not run:
        return Over.ROOT if root else Over.NOTHING
    if state != "completed":
        return Over.NOTHING
    return Over.RUN | Over.ROOT if root else Over.RUN


def _reason(key: str, value: AnyValue) -> Reason | None:
    if key == names.APPROVAL_ID:
        return "approval"
    if key == names.DECISION_OUTCOME:
        return _DECISIONS.get(value.string_value)
    if key == names.BUDGET_EXCEEDED and value.bool_value:
        return "budget"
    if key == names.ESCALATION_REASON_CODE:
        return "escalation"
    return None


def in_share(trace: bytes, percentage: float) -> bool:
    """Say whether a trace is in the share: the same for every gateway, and evenly spread as trace ids are random.

    Args:
        trace: Its id.
        percentage: From 0 to 100.
    """
    return int.from_bytes(trace[-_SHARE_BYTES:], "big") * 100 < percentage * 256**_SHARE_BYTES
