# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# Generated from registry/*.yaml by: python -m runrecord.semconv.generate. Do not edit.
"""How what we say is said in the upstream proposals; see ``upstream/bridges.yaml``."""

from typing import Final

from runrecord.semconv.preview import Preview

__all__ = ["PREVIEWS"]

PREVIEWS: Final[tuple[Preview, ...]] = (
    Preview(
        number=535,
        merged=False,
        of="runrecord.policy.decided",
        event="gen_ai.tool.call.decision",
        when={
            "runrecord.subject.type": "tool_call",
        },
        attributes={
            "runrecord.decision.outcome": "gen_ai.tool.call.decision.outcome",
            "runrecord.subject.id": "gen_ai.tool.call.id",
            "runrecord.subject.name": "gen_ai.tool.name",
        },
    ),
    Preview(
        number=427,
        merged=False,
        of="runrecord.policy.decided",
        event="gen_ai.guardrail.result",
        when={
            "runrecord.policy.engine": "guardrail",
        },
        attributes={
            "runrecord.policy.id": "gen_ai.guardrail.policy.id",
            "runrecord.policy.version": "gen_ai.guardrail.policy.version",
            "runrecord.policy.rule.id": "gen_ai.guardrail.policy.rule.id",
        },
    ),
    Preview(
        number=445,
        merged=False,
        of="runrecord.approval.requested",
        event="gen_ai.agent.paused",
        attributes={
            "runrecord.run.id": "gen_ai.agent.execution.id",
            "runrecord.approval.id": "gen_ai.agent.pause.id",
        },
        constants={
            "gen_ai.agent.pause.reason": "human_input",
        },
    ),
    Preview(
        number=445,
        merged=False,
        of="runrecord.approval.decided",
        event="gen_ai.agent.resumed",
        attributes={
            "runrecord.run.id": "gen_ai.agent.execution.id",
            "runrecord.approval.id": "gen_ai.agent.resumed_from.id",
        },
        constants={
            "gen_ai.agent.resumed_from.type": "pause",
        },
    ),
    Preview(
        number=368,
        merged=False,
        of="runrecord.policy_decision",
        attributes={
            "runrecord.governance.ref": "gen_ai.agent.governance.ref",
        },
    ),
    Preview(
        number=443,
        merged=False,
        of="runrecord.model_call",
        attributes={
            "runrecord.cost.amount": "gen_ai.usage.cost.amount",
            "runrecord.cost.currency": "gen_ai.usage.cost.currency",
            "runrecord.cost.source": "gen_ai.usage.cost.source",
        },
        values={
            "runrecord.cost.source": {
                "price_table": "local",
            },
        },
    ),
)
"""One for each row of the table that has a preview."""
