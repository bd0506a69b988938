# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside OpenInference's instrumentation, in either order: its spans of agents and tools are enriched, not doubled."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from langchain_core.callbacks.manager import CallbackManager
from langchain_core.tools import tool
from langgraph.types import Command

openinference = pytest.importorskip("openinference.instrumentation.langchain")

pytestmark = pytest.mark.sdk


@tool
def pay(amount: float) -> str:
    """Pay."""
    return "paid"


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("last", ["ours", "theirs"])
def test_both_are_one(  # noqa: PLR0917
    telemetry: Any, agents: Any, instrument: Any, first: str, last: str, mode: str
) -> None:
    theirs = openinference.LangChainInstrumentor()
    steps = [instrument, lambda: theirs.instrument(tracer_provider=telemetry.tracer_provider)]
    ours = [step() for step in (steps if first == "ours" else reversed(steps))][0 if first == "ours" else 1]
    try:
        agent = agents.make(
            model=agents.counting([agents.call("pay", amount=1.0)], "done"),
            tools=[pay],
            middleware=[agents.review({"pay": True}, "batched")],
            checkpointer=agents.saver(),
        )
        for given in (agents.ask, Command(resume={"decisions": [{"type": "approve"}]})):
            if mode == "sync":
                agent.invoke(given, agents.config())
            else:
                asyncio.run(agent.ainvoke(given, agents.config()))
    finally:
        if last == "theirs":
            ours.uninstrument()
        theirs.uninstrument()
        ours.uninstrument()
    assert CallbackManager([]).handlers == []
    kinds = Counter(
        (span.attributes.get("openinference.span.kind"), span.attributes["gen_ai.operation.name"])
        for span in telemetry.spans
        if "gen_ai.operation.name" in span.attributes
    )
    assert kinds == {("CHAIN", "invoke_agent"): 2, ("TOOL", "execute_tool"): 1}
    assert not [span.name for span in telemetry.spans if span.name.startswith(("invoke_", "execute_"))]
    counted = [
        span
        for span in telemetry.spans
        if any(name.startswith(("gen_ai.usage", "llm.token_count")) for name in span.attributes)
    ]
    assert [span.attributes["openinference.span.kind"] for span in counted] == ["LLM", "LLM"]
    assert len({span.context.trace_id for span in telemetry.spans}) == 1
    (ran,) = [s for s in telemetry.spans if s.attributes.get("gen_ai.operation.name") == "execute_tool"]
    decided = telemetry.one("approval_decision").attributes
    assert ran.attributes["runrecord.arguments.digest"] == decided["runrecord.approval.subject.digest"]
    assert ran.attributes["runrecord.approval.id"] == decided["runrecord.approval.id"]
    assert telemetry.one("policy_decision").attributes["runrecord.decision.outcome"] == "require_approval"
    telemetry.check_counters()
