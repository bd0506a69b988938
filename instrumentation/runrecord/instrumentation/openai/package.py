# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of the OpenAI client this integration supports, and what it captures of them."""

from runrecord.instrumentation.capabilities import Capabilities

INSTRUMENTS = ("openai >= 2.0",)

CAPABILITIES = Capabilities(
    sdk="OpenAI Responses and Chat Completions",
    versions=INSTRUMENTS[0],
    run="yes (tool runners; calls with hosted MCP servers or a computer; a plain call of the model is no run)",
    step="yes (calls of the model within a run)",
    tool_call="yes (of the tool runners, and of hosted MCP servers; functions that the application calls itself are not seen)",
    policy_decision="yes (require_approval, safety checks, before_action, a browser's confirm, moderation, content filter, refusal)",
    approval_request="yes (hosted MCP, computer safety checks)",
    approval_decision="yes",
    resume_across_processes="yes (by the request's id; a runner by its ledger)",
)
