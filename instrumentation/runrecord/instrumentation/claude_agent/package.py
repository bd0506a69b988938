# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of the Claude Agent SDK this integration supports, and what it captures of them."""

from runrecord.instrumentation.capabilities import Capabilities

INSTRUMENTS = ("claude-agent-sdk >= 0.2.150",)

CAPABILITIES = Capabilities(
    sdk="Claude Agent SDK",
    versions=INSTRUMENTS[0],
    run="yes (query, ClaudeSDKClient; from a prompt to its ResultMessage)",
    step="yes (answers of the model, also of sub-agents)",
    tool_call="yes (tools of the CLI, of MCP servers and of the program; of a sub-agent's inside of another only those that were asked about)",
    policy_decision="yes (hooks of the program, permission rules and modes, limits; hooks of settings files where the CLI says so)",
    approval_request="yes (can_use_tool, the PermissionRequest hook, deferred calls)",
    approval_decision="yes (allow, deny, other arguments, for the session or always; the answer to a deferred call)",
    resume_across_processes="yes (a deferred call, when its session is resumed by its id)",
)
