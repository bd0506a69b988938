# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What each SDK is measured with: its agent, and the instrumentations, switched on as their documentation says."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from bench import agents, agents_claude, agents_clients

BARE, OURS, ALONE = "bare", "runrecord", "runrecord, without the SDK's own spans"
OFFICIAL, OPENINFERENCE, HIDDEN = "official", "OpenInference", "OpenInference, content hidden"
NATIVE = "the SDK's own spans"
FEW, MANY = "as many bare spans, 3 attributes", "as many bare spans, as many attributes"

Agent = Callable[[], object]


@dataclass(frozen=True)
class SDK:
    """An SDK: its module, its agent under a variant, and the instrumentors of the variants that there are, as ``module:class``.

    A variant that is no instrumentor's has an empty one.
    """

    title: str
    module: str
    agent: Callable[[str], Agent]
    instrumentors: dict[str, str]
    without_own: dict[str, str] = field(default_factory=dict[str, str])
    """The environment that switches the SDK's own spans off: in ``ALONE``, and beside others that would double them."""

    @property
    def variants(self) -> tuple[str, ...]:
        """The bare agent and all others."""
        return (BARE, *self.instrumentors)


_OURS = "runrecord.instrumentation."
_OFFICIAL = "opentelemetry.instrumentation.genai."
_OPENINFERENCE = "openinference.instrumentation."


def _beside(module: str, name: str, *, official: str = "") -> dict[str, str]:
    """Ours, the official one if its module is given, and OpenInference's with content and without."""
    theirs = f"{_OPENINFERENCE}{module}:{name}"
    return {
        OURS: f"{_OURS}{official or module}:{name}",
        **({OFFICIAL: f"{_OFFICIAL}{official}:{name}"} if official else {}),
        OPENINFERENCE: theirs,
        HIDDEN: theirs,
    }


def _mcp(variant: str) -> Agent:
    if variant != OURS:
        return agents.mcp()
    from runrecord.instrumentation import recorder

    return agents.mcp(recorder)


def _temporal(variant: str) -> Agent:
    from bench import agents_temporal  # it can't be imported without the SDK

    return agents_temporal.agent(native=variant == NATIVE)


_LANGCHAIN = "langchain:LangChainInstrumentor"
_ANTHROPIC = _beside("anthropic", "AnthropicInstrumentor", official="anthropic")
_CLAUDE = f"{_OPENINFERENCE}claude_agent_sdk:ClaudeAgentSDKInstrumentor"

SDKS: dict[str, SDK] = {
    "langgraph": SDK(
        "LangGraph",
        "langgraph",
        lambda _: agents.langgraph(),
        {
            OURS: f"{_OURS}langgraph:LangGraphInstrumentor",
            OFFICIAL: _OFFICIAL + _LANGCHAIN,
            OPENINFERENCE: _OPENINFERENCE + _LANGCHAIN,
            HIDDEN: _OPENINFERENCE + _LANGCHAIN,
        },
    ),
    "openai-agents": SDK(
        "OpenAI Agents SDK",
        "agents",
        lambda _: agents.openai_agents(),
        _beside("openai_agents", "OpenAIAgentsInstrumentor", official="openai_agents"),
    ),
    "pydantic-ai": SDK(
        "Pydantic AI",
        "pydantic_ai",
        lambda _: agents.pydantic_ai(),
        {OURS: f"{_OURS}pydantic_ai:PydanticAIInstrumentor", NATIVE: "", OPENINFERENCE: ""},
    ),
    "mcp": SDK(
        "MCP",
        "mcp",
        _mcp,
        {
            OURS: f"{_OURS}mcp:MCPInstrumentor",
            NATIVE: "",
            OPENINFERENCE: f"{_OPENINFERENCE}mcp:MCPInstrumentor",
        },
    ),
    "anthropic": SDK(
        "Anthropic's tool runner",
        "anthropic",
        lambda _: agents_clients.anthropic(),
        {OURS: _ANTHROPIC[OURS], NATIVE: "", ALONE: _ANTHROPIC[OURS], **_ANTHROPIC},
        {"ANTHROPIC_OPEN_TELEMETRY": "false"},
    ),
    "openai": SDK(
        "OpenAI's tool runner",
        "openai",
        lambda _: agents_clients.openai(),
        _beside("openai", "OpenAIInstrumentor", official="openai"),
    ),
    "temporal": SDK(
        "Temporal",
        "temporalio",
        _temporal,
        {OURS: f"{_OURS}temporal:TemporalInstrumentor", NATIVE: ""},
    ),
    "claude-agent": SDK(
        "Claude Agent SDK",
        "claude_agent_sdk",
        lambda _: agents_claude.agent(),
        {
            OURS: f"{_OURS}claude_agent:ClaudeAgentInstrumentor",
            NATIVE: "",  # the MCP SDK's, of the server that the tools of the program are in
            OPENINFERENCE: _CLAUDE,
            HIDDEN: _CLAUDE,
        },
    ),
}


def switch_on(name: str, variant: str, provider: Any) -> Agent:
    """Switch a variant on, and return the agent of the SDK of that name."""
    from opentelemetry import trace

    sdk = SDKS[name]
    if variant in {ALONE, OFFICIAL, OPENINFERENCE, HIDDEN}:
        os.environ.update(sdk.without_own)
    if variant not in {BARE, FEW, MANY}:
        trace.set_tracer_provider(provider)
    if name == "pydantic-ai" and variant in {NATIVE, OPENINFERENCE}:
        _pydantic_native(provider, openinference=variant == OPENINFERENCE)
    module, _, instrumentor = sdk.instrumentors.get(variant, "").partition(":")
    if module:
        given = {"config": _config(hidden=variant == HIDDEN)} if module.startswith(_OPENINFERENCE) else {}
        getattr(import_module(module), instrumentor)().instrument(**given)
    return sdk.agent(variant)


def _config(*, hidden: bool) -> Any:
    from openinference.instrumentation import TraceConfig

    return TraceConfig(hide_inputs=hidden, hide_outputs=hidden)


def _pydantic_native(provider: Any, *, openinference: bool) -> None:
    """The SDK's own spans; OpenInference rewrites them, in a processor before the exporter's."""
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    if openinference:
        from openinference.instrumentation.pydantic_ai import OpenInferenceSpanProcessor

        provider.add_span_processor(OpenInferenceSpanProcessor())
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))
