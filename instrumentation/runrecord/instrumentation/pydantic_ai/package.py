# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Which releases of Pydantic AI this integration supports, and what it captures of them."""

from runrecord.instrumentation.capabilities import Capabilities

# 2.0 is the oldest release that the tests run on. Python 3.10 can have 2.54 at most; the SDK asks for 3.11 since.
INSTRUMENTS = ("pydantic-ai-slim >= 2.0, < 3",)

CAPABILITIES = Capabilities(
    sdk="Pydantic AI",
    versions="pydantic-ai-slim 2.0 and later",
    run="yes (run, run_sync, run_stream, iter; native where the SDK's own instrumentation is on; not realtime sessions, and not inside of a durable workflow)",
    step="yes (one a model request)",
    tool_call="yes (function, MCP and output tools; native where the SDK's own instrumentation is on; not external tools)",
    policy_decision="yes (tool approval, tool and validation hooks, output validators, content filters, usage limits)",
    approval_request="yes (deferred tool requests)",
    approval_decision="yes (deferred tool results, given to a run or by a handler inside of it)",
    resume_across_processes="yes (message history and deferred tool results; the processes must share the context store for the link)",
)
