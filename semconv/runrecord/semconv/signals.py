# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
# Generated from registry/*.yaml by: python -m runrecord.semconv.generate. Do not edit.
"""The names of the log events, and the first words of the span names."""

from typing import Final

__all__ = [
    "EVENT_APPROVAL_DECIDED",
    "EVENT_APPROVAL_REQUESTED",
    "EVENT_BREAKER_CHANGED",
    "EVENT_ESCALATION",
    "EVENT_GAP",
    "EVENT_POLICY_DECIDED",
    "EVENT_RUN_CLOSED",
    "EVENT_RUN_OPENED",
    "EVENT_SOURCE_CLOSED",
    "EVENT_TOOL_INTENT",
    "SPAN_AGENT_STEP",
    "SPAN_APPROVAL_DECISION",
    "SPAN_COMPENSATE",
    "SPAN_EXECUTE_TOOL",
    "SPAN_INVOKE_AGENT",
    "SPAN_INVOKE_WORKFLOW",
    "SPAN_POLICY_DECISION",
    "SPAN_REQUEST_APPROVAL",
    "SPAN_VERIFY",
]

EVENT_APPROVAL_DECIDED: Final = "runrecord.approval.decided"
"""The same answer, for back ends that take logs only.

Stability: development.
"""

EVENT_APPROVAL_REQUESTED: Final = "runrecord.approval.requested"
"""The same request, for back ends that take logs only.

Stability: development.
"""

EVENT_BREAKER_CHANGED: Final = "runrecord.breaker.changed"
"""A circuit breaker changed its state.

Stability: development.
"""

EVENT_ESCALATION: Final = "runrecord.escalation"
"""The run was handed to a person.

Stability: development.
"""

EVENT_GAP: Final = "runrecord.gap"
"""Somebody on the way lost records, or refused them, and says so.

Stability: development.
"""

EVENT_POLICY_DECIDED: Final = "runrecord.policy.decided"
"""The same decision, for back ends that take logs only.

Stability: development.
"""

EVENT_RUN_CLOSED: Final = "runrecord.run.closed"
"""The run ended, and this is how many records there must be.

Stability: development.
"""

EVENT_RUN_OPENED: Final = "runrecord.run.opened"
"""A segment of the run began, and nothing says yet how it ends.

Stability: development.
"""

EVENT_SOURCE_CLOSED: Final = "runrecord.source.closed"
"""This source makes no more records for this segment, and this is how many it made.

Stability: development.
"""

EVENT_TOOL_INTENT: Final = "runrecord.tool.intent"
"""A call that may change something is about to be made.

Stability: development.
"""

SPAN_AGENT_STEP: Final = "agent_step"
"""One turn, node, task or activity of a run.

Name pattern: ``agent_step {runrecord.step.kind}``, kind: internal. Stability: development.
"""

SPAN_APPROVAL_DECISION: Final = "approval_decision"
"""The answer to a request for approval, or the end of waiting for one.

Name pattern: ``approval_decision {runrecord.subject.name}``, kind: consumer. Stability: development.
"""

SPAN_COMPENSATE: Final = "compensate"
"""An earlier effect was undone, or it was tried.

Name pattern: ``compensate {runrecord.subject.name}``, kind: internal. Stability: development.
"""

SPAN_EXECUTE_TOOL: Final = "execute_tool"
"""One call of a tool.

Name pattern: ``execute_tool {gen_ai.tool.name}``, kind: internal. Stability: development.
"""

SPAN_INVOKE_AGENT: Final = "invoke_agent"
"""A run of one agent, or one segment of it.

Name pattern: ``invoke_agent {gen_ai.agent.name}``, kind: internal. Stability: development.
"""

SPAN_INVOKE_WORKFLOW: Final = "invoke_workflow"
"""A run of a workflow of several agents, or one segment of it.

Name pattern: ``invoke_workflow {gen_ai.workflow.name}``, kind: internal. Stability: development.
"""

SPAN_POLICY_DECISION: Final = "policy_decision"
"""A policy looked at a subject, and this is what came out.

Name pattern: ``policy_decision {runrecord.policy.name}``, kind: internal. Stability: development.
"""

SPAN_REQUEST_APPROVAL: Final = "request_approval"
"""A person, or what stands in for one, was asked to approve a subject.

Name pattern: ``request_approval {runrecord.subject.name}``, kind: producer. Stability: development.
"""

SPAN_VERIFY: Final = "verify"
"""An independent check of a result.

Name pattern: ``verify {runrecord.verification.name}``, kind: internal. Stability: development.
"""
