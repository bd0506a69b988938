# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Beside the official LangChain instrumentation, in either order: its spans are enriched, not doubled."""

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks.manager import CallbackManager
from langchain_core.tools import tool
from langgraph.types import Command

official = pytest.importorskip("opentelemetry.instrumentation.genai.langchain")

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
    theirs = official.LangChainInstrumentor()
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
    counted = [span for span in telemetry.spans if "gen_ai.usage.input_tokens" in span.attributes]
    assert {span.attributes["gen_ai.operation.name"] for span in counted} <= {"chat"}
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
