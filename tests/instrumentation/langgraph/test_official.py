# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside the official LangChain instrumentation, in either order: its spans are enriched, not doubled."""

import asyncio
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.types import Command

official = pytest.importorskip("opentelemetry.instrumentation.genai.langchain")


@tool
def pay(amount: float) -> str:
    """Pay."""
    return "paid"


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_both_are_one(telemetry: Any, agents: Any, instrument: Any, first: str, mode: str) -> None:
    theirs = official.LangChainInstrumentor()
    steps = [instrument, lambda: theirs.instrument(tracer_provider=telemetry.tracer_provider)]
    for step in steps if first == "ours" else reversed(steps):
        step()
    try:
        call = agents.call("pay", amount=1.0)
        agent = agents.make(
            [call],
            "done",
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
        theirs.uninstrument()
    spans = [*telemetry.named("invoke_agent"), *telemetry.named("execute_tool")]
    assert len(spans) == 3
    for span in spans:
        assert span.instrumentation_scope.name == official.__name__
        assert span.attributes["runrecord.run.id"] == "id-1"
    assert len({span.context.trace_id for span in telemetry.spans}) == 1
    digest = telemetry.one("approval_decision").attributes["runrecord.approval.subject.digest"]
    assert telemetry.one("execute_tool").attributes["runrecord.arguments.digest"] == digest
    assert telemetry.one("policy_decision").attributes["runrecord.decision.outcome"] == "require_approval"
    telemetry.check_counters()
