# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of the MCP SDK this integration supports, and what it captures of them."""

from runrecord.instrumentation.capabilities import Capabilities

INSTRUMENTS = ("mcp >= 2.0",)

CAPABILITIES = Capabilities(
    sdk="MCP Python SDK",
    versions=INSTRUMENTS[0],
    run="yes (a call to a server that no run id came with; an agent's run is its own SDK's)",
    step="yes (a server's part in the run that called it; the protocol itself has no turns)",
    tool_call="yes (client; the server's own span is enriched; the tool span of an agent SDK around a call is not doubled)",
    policy_decision="yes (middleware that refuses a call or names its policy, a rejected request state)",
    approval_request="yes (elicitation in both protocol eras, form and URL)",
    approval_decision="yes (accept, decline, cancel, time-out)",
    resume_across_processes="yes (input-required rounds, by their request state)",
)
