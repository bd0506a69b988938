# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of the OpenAI Agents SDK this integration supports, and what it captures of them."""

from runrecord.instrumentation.capabilities import Capabilities

INSTRUMENTS = ("openai-agents >= 0.21",)

CAPABILITIES = Capabilities(
    sdk="OpenAI Agents SDK",
    versions=INSTRUMENTS[0],
    run="yes (Runner.run, run_sync, run_streamed, realtime sessions)",
    step="yes (turns and handoffs)",
    tool_call="yes (local tools; native where the official instrumentation or OpenInference's is active; tools that OpenAI hosts are not seen)",
    policy_decision="yes (input, output and tool guardrails; needs_approval, also of hosted MCP servers; answers for always)",
    approval_request="yes (interruptions, callbacks, hosted MCP servers, realtime sessions)",
    approval_decision="yes (approve and reject, once and for always; callbacks as policies; realtime sessions)",
    resume_across_processes="yes (RunState; no other process continues a realtime session)",
)
