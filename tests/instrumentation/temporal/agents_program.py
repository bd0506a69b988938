# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An agent of the OpenAI Agents SDK in a workflow, by Temporal's own plug-in."""

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from agents import Agent, Runner
    from temporalio.openai_agents.workflow import activity_as_tool

paid: list[float] = []


@activity.defn
async def refund(amount: float) -> str:
    """Pay back."""
    paid.append(amount)
    return f"paid {amount}"


@workflow.defn
class AgentWorkflow:
    def __init__(self) -> None:
        self.answer: bool | None = None

    @workflow.run
    async def run(self, question: str) -> str:
        tool: Any = activity_as_tool(refund, start_to_close_timeout=timedelta(seconds=20))
        tool.needs_approval = True
        agent = Agent(name="refund-agent", instructions="Refund.", tools=[tool])
        result = await Runner.run(agent, question)
        if result.interruptions:
            await workflow.wait_condition(lambda: self.answer is not None)
            state = result.to_state()
            for item in result.interruptions:
                if self.answer:
                    state.approve(item)
                else:
                    state.reject(item)
            result = await Runner.run(agent, state)
        return str(result.final_output)

    @workflow.signal
    def decide(self, answer: bool) -> None:
        self.answer = answer
