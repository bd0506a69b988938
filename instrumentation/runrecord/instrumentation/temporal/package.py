# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of the Temporal SDK this integration supports, and what it captures of them."""

from typing import Final

from runrecord.instrumentation.capabilities import Capabilities

# The oldest release that is tested. Before 1.23 an update validator counts as replayed history (no is_replaying_history_events).
INSTRUMENTS: Final = ("temporalio >= 1.24, < 2",)

CAPABILITIES: Final = Capabilities(
    sdk="Temporal",
    versions=INSTRUMENTS[0],
    run="yes (workflows; child workflows are runs of their own in the same trace)",
    step="yes (activities; native where Temporal's OpenTelemetry interceptor makes the span of the activity)",
    tool_call="yes (activities that are marked as tools, that an approval was asked for, or in which an agent plug-in calls a tool)",
    policy_decision="yes (update validators, approvals that an agent plug-in asks for; others by a call in the workflow)",
    approval_request="yes (of agents of the OpenAI Agents SDK, Pydantic AI and LangGraph; else by a call in the workflow: Temporal has no such notion)",
    approval_decision="yes (of those agents; read from the update or signal that answers, or said in the workflow)",
    resume_across_processes="yes (the processes must share the context store for the link)",
)
