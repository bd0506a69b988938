# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which attributes an entry of schema v1 shows in clear; every other one appears as a keyed commitment.

The list belongs to the schema: adding a name to it changes the bytes of future entries, so that a span that is sent
again after an upgrade would look like a conflict. A new name therefore waits for ``entry/v2``.
"""

from __future__ import annotations

from typing import Final

CLEAR_VALUE_BYTES: Final = 512
"""An allow-listed value whose canonical JSON is longer than this is content, not metadata: it is committed."""

_RUN: Final = (
    "runrecord.delegation.ref",
    "runrecord.principal.ref",
    "runrecord.principal.type",
    "runrecord.record.seq",
    "runrecord.run.autonomy",
    "runrecord.run.id",
    "runrecord.run.outcome",
    "runrecord.run.records",
    "runrecord.run.root",
    "runrecord.run.segment",
    "runrecord.run.state",
    "runrecord.run.stop_reason",
    "runrecord.source.id",
    "runrecord.tenant.id",
    "runrecord.escalation.reason_code",
    "runrecord.escalation.target.ref",
    "runrecord.escalation.target.type",
)
_VERSIONS: Final = (
    "runrecord.version.agent",
    "runrecord.version.code",
    "runrecord.version.policy",
    "runrecord.version.prompt",
    "runrecord.version.retrieval_index",
    "runrecord.version.tool_schema",
)
_STEP: Final = (
    "runrecord.step.attempt",
    "runrecord.step.id",
    "runrecord.step.index",
    "runrecord.step.kind",
    "runrecord.step.name",
)
_TOOL: Final = (
    "runrecord.arguments.digest",
    "runrecord.dry_run",
    "runrecord.idempotency.deduplicated",
    "runrecord.idempotency.key_present",
    "runrecord.idempotency.ref",
    "runrecord.result.digest",
    "runrecord.retry.attempt",
    "runrecord.side_effect.committed",
    "runrecord.side_effect.ref",
    "runrecord.side_effect.reversible",
    "runrecord.side_effect.target",
    "runrecord.side_effect.type",
    "runrecord.tool.destructive",
    "runrecord.tool.idempotent",
    "runrecord.tool.open_world",
    "runrecord.tool.read_only",
)
_GOVERNANCE: Final = (
    "runrecord.approval.actor.ref",
    "runrecord.approval.actor.type",
    "runrecord.approval.channel",
    "runrecord.approval.deadline",
    "runrecord.approval.id",
    "runrecord.approval.reason_code",
    "runrecord.approval.request.span_id",
    "runrecord.approval.request.trace_id",
    "runrecord.approval.scope",
    "runrecord.approval.status",
    "runrecord.approval.subject.digest",
    "runrecord.approval.subject.modified_digest",
    "runrecord.approval.wait_seconds",
    "runrecord.decision.action",
    "runrecord.decision.id",
    "runrecord.decision.outcome",
    "runrecord.decision.reason_code",
    "runrecord.governance.ref",
    "runrecord.policy.engine",
    "runrecord.policy.id",
    "runrecord.policy.mode",
    "runrecord.policy.name",
    "runrecord.policy.rule.id",
    "runrecord.policy.version",
    "runrecord.subject.digest",
    "runrecord.subject.id",
    "runrecord.subject.name",
    "runrecord.subject.type",
)
_LIMITS: Final = (
    "runrecord.breaker.id",
    "runrecord.breaker.state",
    "runrecord.breaker.trigger",
    "runrecord.budget.action",
    "runrecord.budget.consumed",
    "runrecord.budget.dimension",
    "runrecord.budget.exceeded",
    "runrecord.budget.id",
    "runrecord.budget.limit",
    "runrecord.cost.amount",
    "runrecord.cost.currency",
    "runrecord.cost.source",
)
_CHECKS: Final = (
    "runrecord.compensation.outcome",
    "runrecord.compensation.subject.id",
    "runrecord.redaction.count",
    "runrecord.redaction.failed",
    "runrecord.redaction.kinds",
    "runrecord.redaction.rules",
    "runrecord.verification.name",
    "runrecord.verification.outcome",
    "runrecord.verification.subject.id",
    "runrecord.verification.type",
)
_OFFICIAL: Final = (
    "error.type",
    "gen_ai.agent.id",
    "gen_ai.agent.name",
    "gen_ai.agent.version",
    "gen_ai.operation.name",
    "gen_ai.prompt.name",
    "gen_ai.prompt.version",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.tool.call.id",
    "gen_ai.tool.name",
    "gen_ai.tool.type",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.workflow.name",
)

CLEAR: Final = frozenset(_RUN + _VERSIONS + _STEP + _TOOL + _GOVERNANCE + _LIMITS + _CHECKS + _OFFICIAL)
"""Names of the attributes that an entry holds in clear."""

RESOURCE_CLEAR: Final = frozenset(
    {
        "deployment.environment.name",
        "process.runtime.name",
        "process.runtime.version",
        "service.name",
        "service.namespace",
        "service.version",
        "telemetry.distro.name",
        "telemetry.distro.version",
        "telemetry.sdk.language",
        "telemetry.sdk.name",
        "telemetry.sdk.version",
    }
)
"""Names of the resource attributes that an entry of kind ``resource`` holds in clear; hosts, users and paths are not among them."""

EXCLUDED_PREFIXES: Final = ("runrecord.ledger.", "audit.integrity.")
"""Stamped on copies after the append: part of neither attributes nor commitments (an entry can't hold its own index)."""
