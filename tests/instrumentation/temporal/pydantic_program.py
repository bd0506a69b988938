# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""An agent of Pydantic AI in a workflow: its model calls and its tool are activities, and a person must approve the tool."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ToolDenied
    from pydantic_ai.durable_exec.temporal import TemporalDurability
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import FunctionModel

PLANTED = "planted-4111-secret"
paid: list[float] = []


def model(messages: list[Any], _info: Any) -> ModelResponse:
    """Call the tool, then finish."""
    if any(isinstance(part, ToolReturnPart) for message in messages for part in message.parts):
        return ModelResponse(parts=[TextPart("Done.")])
    arguments = {"amount": 80.0, "note": PLANTED}
    return ModelResponse(parts=[ToolCallPart("create_refund", arguments, tool_call_id="call_1")])


agent: Any = Agent(
    FunctionModel(model),
    name="refund",
    output_type=[str, DeferredToolRequests],
    capabilities=[TemporalDurability()],
)


@agent.tool_plain(requires_approval=True)
def create_refund(amount: float, note: str) -> str:
    """Pay back."""
    paid.append(amount)
    return f"{note} paid"


@workflow.defn
class PydanticWorkflow:
    def __init__(self) -> None:
        self.answer: bool | None = None

    @workflow.run
    async def run(self, amount: float) -> str:
        result = await agent.run(f"Refund {amount}.")
        if isinstance(result.output, DeferredToolRequests):
            await workflow.wait_condition(lambda: self.answer is not None)
            answer = True if self.answer else ToolDenied(f"No, {PLANTED}.")
            results = DeferredToolResults(
                approvals={call.tool_call_id: answer for call in result.output.approvals}
            )
            result = await agent.run(message_history=result.all_messages(), deferred_tool_results=results)
        return str(result.output)

    @workflow.signal
    def decide(self, answer: bool) -> None:
        self.answer = answer
