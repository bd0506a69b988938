# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What this integration supports, and what it captures."""

from typing import Final

from runrecord.instrumentation.capabilities import Capabilities

# langgraph 1.1.8 is the first with lifecycle callbacks (langgraph.callbacks); without them a pause looks like an end.
INSTRUMENTS: Final = ("langgraph >= 1.1.8, < 2", "langchain-core >= 1.3, < 2")

CAPABILITIES: Final = Capabilities(
    sdk="LangGraph, LangChain agents and deepagents",
    versions="langgraph 1.1.8 and later, langchain 1.2.11 and later",
    run="yes (native where the official LangChain instrumentation or OpenInference's is active)",
    step="yes",
    tool_call="yes (native where the official LangChain instrumentation or OpenInference's is active)",
    policy_decision="yes (middleware, and the file permissions of deepagents)",
    approval_request="yes",
    approval_decision="yes",
    resume_across_processes="yes (the processes must share the context store for the link)",
)
