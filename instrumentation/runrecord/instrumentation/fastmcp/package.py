# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of FastMCP this integration supports, and what it captures of them."""

from runrecord.instrumentation.capabilities import Capabilities

INSTRUMENTS = ("fastmcp >= 4.0",)

CAPABILITIES = Capabilities(
    sdk="FastMCP",
    versions=INSTRUMENTS[0],
    run="yes (a call to a server that no run id came with; an agent's run is its own SDK's)",
    step="yes (a server's part in the run that called it; the protocol itself has no turns)",
    tool_call="native (FastMCP's client and server spans; ours where its telemetry is off)",
    policy_decision="yes (AuthMiddleware, scopes of a tool, rate limits, any middleware that refuses a call)",
    approval_request="yes (elicitation in both protocol eras, form and URL)",
    approval_decision="yes (accept, decline, cancel, time-out)",
    resume_across_processes="yes (input-required rounds, by their request state)",
)
