# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of the Anthropic client this integration supports, and what it captures of them."""

from runrecord.instrumentation.capabilities import Capabilities

INSTRUMENTS = ("anthropic >= 1.0",)

CAPABILITIES = Capabilities(
    sdk="Anthropic Messages and Managed Agents",
    versions=INSTRUMENTS[0],
    run="yes (tool runners, native or ours; sessions; calls with MCP servers; a plain call of the model is no run)",
    step="yes (calls of the model within a run)",
    tool_call="yes (of the tool runners, native or ours; of a session; of MCP servers and tools that Anthropic hosts)",
    policy_decision="yes (permission policies of a session, refusal, content filter)",
    approval_request="yes (sessions; the tool runners of the Messages API ask nobody)",
    approval_decision="yes (sessions)",
    resume_across_processes="yes (by the session's id; a call by what it waits for)",
)
