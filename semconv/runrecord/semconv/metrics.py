# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# Generated from registry/*.yaml by: python -m runrecord.semconv.generate. Do not edit.
"""The names of the metrics, with the unit and the brief of each."""

from collections.abc import Mapping
from typing import Final

__all__ = [
    "APPROVAL_REQUESTS",
    "APPROVAL_WAIT",
    "BRIEFS",
    "BUDGET_UTILIZATION",
    "CALL_COST",
    "ESCALATIONS",
    "POLICY_DECISIONS",
    "RETRIES",
    "RUNS",
    "RUN_COST",
    "RUN_DURATION",
    "STEP_DURATION",
    "TOOL_CALLS",
    "UNITS",
    "UNPRICED_CALLS",
    "VERIFICATIONS",
]

APPROVAL_REQUESTS: Final = "runrecord.approval.requests"
"""Requests for approval.

A request that is met again when code is executed again counts once.

Instrument: counter, unit: ``{request}``. Stability: development.
"""

APPROVAL_WAIT: Final = "runrecord.approval.wait"
"""The time from a request for approval to its answer, or to the end of waiting for one.

By the clocks of the processes that asked and that recorded the answer. Do NOT record it where the time of
the request is not known.

Instrument: histogram, unit: ``s``. Stability: development.
"""

BUDGET_UTILIZATION: Final = "runrecord.budget.utilization"
"""The part of a budget that a run had used when it ended.

Once per run and budget, of the budgets that were spoken of in the last segment. More than 1 if it was
overdrawn.

Instrument: histogram, unit: ``1``. Stability: development.
"""

CALL_COST: Final = "runrecord.call.cost"
"""What one call of a model or a tool cost, in the currency of runrecord.cost.currency.

Instrument: histogram, unit: ``{currency}``. Stability: development.
"""

ESCALATIONS: Final = "runrecord.escalations"
"""Handovers of a run to a person.

Instrument: counter, unit: ``{escalation}``. Stability: development.
"""

POLICY_DECISIONS: Final = "runrecord.policy.decisions"
"""Decisions of policies.

The policy is labelled by its name, or by its id where it has none, as in the name of the span.

Instrument: counter, unit: ``{decision}``. Stability: development.
"""

RETRIES: Final = "runrecord.retries"
"""Attempts at a tool call or a step after the first.

Instrument: counter, unit: ``{retry}``. Stability: development.
"""

RUNS: Final = "runrecord.runs"
"""Runs that ended.

Counted once per run, however many segments and processes it took, when its last segment ends. A run that
waits, or whose process died, is not counted. The success rate is the part with runrecord.run.outcome
success.

Instrument: counter, unit: ``{run}``. Stability: development.
"""

RUN_COST: Final = "runrecord.run.cost"
"""What a run cost from its start to its end, in the currency of runrecord.cost.currency.

The sum of the costs of the model calls and tool calls that said one, once per run and currency. A run of
which no call said its cost is not recorded, so that fewer runs here than in runrecord.runs is what was not
seen; runrecord.unpriced_calls says which models lack a price. A run that another run starts counts for
itself.

Instrument: histogram, unit: ``{currency}``. Stability: development.
"""

RUN_DURATION: Final = "runrecord.run.duration"
"""The time from the start of a run to its end, over all segments, with the time that it waited.

By the clocks of the processes that took part. Do NOT record it where the start of the first segment is not
known. The time without waiting is gen_ai.invoke_agent.duration, once per segment.

Instrument: histogram, unit: ``s``. Stability: development.
"""

STEP_DURATION: Final = "runrecord.step.duration"
"""The duration of a step.

Instrument: histogram, unit: ``s``. Stability: development.
"""

TOOL_CALLS: Final = "runrecord.tool.calls"
"""Tool calls that were made.

The valid ones are those without error.type. A call that ended because the run waits is not counted; it is
counted when it is made again. A call that was denied was not made; see runrecord.policy.decisions and
runrecord.approval.wait.

Instrument: counter, unit: ``{call}``. Stability: development.
"""

UNPRICED_CALLS: Final = "runrecord.unpriced_calls"
"""Model calls of which nobody said what they cost.

Of the model calls that the recorder was told of; it can't count the others.

Instrument: counter, unit: ``{call}``. Stability: development.
"""

VERIFICATIONS: Final = "runrecord.verifications"
"""Independent checks of results.

Instrument: counter, unit: ``{verification}``. Stability: development.
"""

UNITS: Final[Mapping[str, str]] = {
    APPROVAL_REQUESTS: "{request}",
    APPROVAL_WAIT: "s",
    BUDGET_UTILIZATION: "1",
    CALL_COST: "{currency}",
    ESCALATIONS: "{escalation}",
    POLICY_DECISIONS: "{decision}",
    RETRIES: "{retry}",
    RUNS: "{run}",
    RUN_COST: "{currency}",
    RUN_DURATION: "s",
    STEP_DURATION: "s",
    TOOL_CALLS: "{call}",
    UNPRICED_CALLS: "{call}",
    VERIFICATIONS: "{verification}",
}
"""The unit of each metric, by its name."""

BRIEFS: Final[Mapping[str, str]] = {
    APPROVAL_REQUESTS: "Requests for approval.",
    APPROVAL_WAIT: "The time from a request for approval to its answer, or to the end of waiting for one.",
    BUDGET_UTILIZATION: "The part of a budget that a run had used when it ended.",
    CALL_COST: "What one call of a model or a tool cost, in the currency of runrecord.cost.currency.",
    ESCALATIONS: "Handovers of a run to a person.",
    POLICY_DECISIONS: "Decisions of policies.",
    RETRIES: "Attempts at a tool call or a step after the first.",
    RUNS: "Runs that ended.",
    RUN_COST: "What a run cost from its start to its end, in the currency of runrecord.cost.currency.",
    RUN_DURATION: "The time from the start of a run to its end, over all segments, with the time that it waited.",
    STEP_DURATION: "The duration of a step.",
    TOOL_CALLS: "Tool calls that were made.",
    UNPRICED_CALLS: "Model calls of which nobody said what they cost.",
    VERIFICATIONS: "Independent checks of results.",
}
"""What each metric measures, by its name: the description of its instrument."""
