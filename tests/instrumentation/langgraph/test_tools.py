# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Tool calls: how they end, what they change, and whose they are."""

import asyncio
from typing import Any

import pytest
from langchain_core.tools import StructuredTool, ToolException
from langgraph.types import interrupt

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_tool_error_is_the_users_and_says_no_text(
    telemetry: Any, agents: Any, on: Any, mode: str, broken: Any
) -> None:
    agent = agents.make([agents.call("broken", order="secret-text")], tools=[broken])
    with pytest.raises(LookupError, match="secret-text"):
        agent.invoke(agents.ask) if mode == "sync" else asyncio.run(agent.ainvoke(agents.ask))
    for name in ("execute_tool broken", "agent_step act", "invoke_agent"):
        span = telemetry.one(name)
        assert (span.attributes["error.type"], span.status.status_code.name) == ("LookupError", "ERROR")
        assert (span.status.description, span.events) == (None, ())
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "failure"
    assert "secret-text" not in telemetry.exported_text()
    telemetry.check_counters()


def test_a_tool_that_handles_its_error_failed_all_the_same(telemetry: Any, agents: Any, on: Any) -> None:
    def refuse(order: str) -> str:
        """Refuse."""
        raise ToolException("secret-text")

    refusing = StructuredTool.from_function(refuse, handle_tool_error=True)
    agents.make([agents.call("refuse", order="o-1")], "done", tools=[refusing]).invoke(agents.ask)
    assert telemetry.one("execute_tool").attributes["error.type"] == "tool_error"
    assert telemetry.one("invoke_agent").attributes["runrecord.run.outcome"] == "success"


@pytest.mark.parametrize("ends", ["returns", "answers with an error", "pauses"])
def test_an_effect_is_committed_if_the_tool_reports_success(
    telemetry: Any, agents: Any, on: Any, ends: str
) -> None:
    def pay(amount: float) -> str:
        """Pay."""
        if ends == "answers with an error":
            raise ToolException("secret-text")
        return interrupt("sure?") if ends == "pauses" else "paid"

    metadata = {"runrecord.side_effect.type": "pay", "runrecord.side_effect.reversible": False}
    paying = StructuredTool.from_function(pay, metadata=metadata, handle_tool_error=True)
    agent = agents.make([agents.call("pay", amount=1)], "done", tools=[paying], checkpointer=agents.saver())
    agent.invoke(agents.ask, agents.config())
    committed = telemetry.one("execute_tool").attributes.get("runrecord.side_effect.committed")
    assert committed is (True if ends == "returns" else None)


def test_a_read_only_tool_reads(telemetry: Any, agents: Any, on: Any, lookup: Any) -> None:
    reading = StructuredTool.from_function(lookup.func, name="lookup", metadata={"readOnlyHint": True})
    agents.make([agents.call("lookup", order="o-1")], "done", tools=[reading]).invoke(agents.ask)
    assert telemetry.one("execute_tool").attributes["runrecord.side_effect.type"] == "read"
